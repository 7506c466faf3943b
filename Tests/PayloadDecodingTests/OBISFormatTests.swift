// OBIS: telegrams, objects keyed by codes, and single codes, all by one table.

import EnergyReadings
import PayloadDecoding
import Testing

/// Lines as a Dutch meter sends them; the checksum was computed apart from this program.
private let dutch =
  #"/ISK5\2M550T-1012"# + "\r\n\r\n1-3:0.2.8(50)\r\n0-0:1.0.0(200913101618S)\r\n"
  + "0-0:96.1.1(4530303434303037343637313031323139)\r\n1-0:1.8.1(005779.835*kWh)\r\n"
  + "1-0:1.8.2(004426.114*kWh)\r\n1-0:2.8.1(000000.000*kWh)\r\n1-0:2.8.2(002444.001*kWh)\r\n"
  + "0-0:96.14.0(0001)\r\n1-0:1.7.0(00.280*kW)\r\n1-0:2.7.0(00.000*kW)\r\n"
  + "1-0:99.97.0(1)(0-0:96.7.19)(190904073448S)(0000004194*s)\r\n0-0:96.13.0()\r\n"
  + "1-0:32.7.0(232.0*V)\r\n0-1:24.1.0(003)\r\n0-1:24.2.1(200913101503S)(05907.828*m3)\r\n"
  + "!945D\r\n"

/// A meter that tells Wh, totals and tariffs.
private let luxembourg =
  #"/EST5\253710000_A"# + "\r\n\r\n0-0:1.0.0(221006155014S)\r\n1-0:1.8.0(006545766*Wh)\r\n"
  + "1-0:1.8.1(005017120*Wh)\r\n1-0:1.8.2(001528646*Wh)\r\n1-0:2.8.0(000000058*Wh)\r\n"
  + "1-0:3.8.0(000000747*varh)\r\n!FBB7\r\n"

@Suite struct OBISFormatTests {
  private let decoder: SourcedDecoder

  init() throws {
    decoder = try SourcedDecoder(
      "- {format: obis, topic: p1/telegram}\n- {format: obis, topic: \"p1/{device}/json\"}")
  }

  private func telegram(_ lines: String...) -> String {
    "/ISK5\r\n\r\n" + lines.joined(separator: "\r\n") + "\r\n!\r\n"
  }

  // MARK: - Telegrams

  @Test func tariffsAreSummedAndTheMeterNamesItself() {
    #expect(
      decoder.lines(dutch, on: "p1/telegram") == [
        "E0044007467101219 1.8.1+1.8.2 register 10205949000 consumption 2020-09-13T08:16:18Z",
        "E0044007467101219 2.8.1+2.8.2 register 2444001000 production 2020-09-13T08:16:18Z",
      ])
  }

  @Test func totalsComeBeforeTariffs() throws {
    let decoder = try SourcedDecoder("- {format: obis, topic: p1, device: house}")
    #expect(
      decoder.lines(luxembourg, on: "p1") == [
        "house 1.8.0 register 6545766000 consumption 2022-10-06T13:50:14Z",
        "house 2.8.0 register 58000 production 2022-10-06T13:50:14Z",
      ])
    #expect(decoder.decode(luxembourg, on: "p1").sampleIndices == [0, 1])
  }

  /// In October's second hour only the flag tells which one is meant.
  @Test(arguments: [
    ("261025023000S", "2026-10-25T00:30:00Z"), ("261025023000W", "2026-10-25T01:30:00Z"),
    ("260101000000W", "2025-12-31T23:00:00Z"), ("260701000000", "2026-06-30T22:00:00Z"),
  ])
  func clocks(clock: String, time: String) throws {
    let decoder = try SourcedDecoder("- {format: obis, topic: p1, device: d}")
    let text = telegram("0-0:1.0.0(\(clock))", "1-0:1.8.0*255(00001.5*kWh)")
    #expect(decoder.lines(text, on: "p1") == ["d 1.8.0 register 1500000 consumption \(time)"])
  }

  @Test func oldMetersTellNeitherTimeNorChecksum() {
    let text = telegram("0-0:96.1.1(00000000000000)", "1-0:1.8.1(00001.001*kWh)")
    #expect(
      decoder.lines(text, on: "p1/telegram")
        == ["00000000000000 1.8.1 register 1001000 consumption arrival"])
  }

  @Test(arguments: [
    // Cut off, a bit changed, a checksum changed, and one that is none.
    (String(dutch.prefix(300)), "malformed_payload $"),
    (dutch.replacing("005779.835", with: "005779.845"), "malformed_payload $"),
    (dutch.replacing("!945D", with: "!0000"), "malformed_payload $"),
    (dutch.replacing("!945D", with: "!CXYZ"), "malformed_payload $"), ("/", "malformed_payload $"),
    ("/ISK5\r\n0-0:96.1.1(41)\r\n1-0:1.8.0(1*kvarh)\r\n!", "wrong_type $.1-0:1.8.0"),
    ("/ISK5\r\n0-0:96.1.1(41)\r\n1-0:1.8.0(1)\r\n!", "wrong_type $.1-0:1.8.0"),
    ("/ISK5\r\n0-0:96.1.1(41)\r\n1-0:1.8.0(x*kWh)\r\n!", "wrong_type $.1-0:1.8.0"),
    ("/ISK5\r\n0-0:96.1.1(41)\r\n1-0:1.8.0(9999999999*kWh)\r\n!", "out_of_range $.1-0:1.8.0"),
    (
      "/ISK5\r\n0-0:96.1.1(41)\r\n0-0:1.0.0(200931101618S)\r\n1-0:1.8.0(1*kWh)\r\n!",
      "out_of_range $.0-0:1.0.0"
    ),
    (
      "/ISK5\r\n0-0:96.1.1(41)\r\n0-0:1.0.0(2009131016S)\r\n1-0:1.8.0(1*kWh)\r\n!",
      "wrong_type $.0-0:1.0.0"
    ),
    ("/ISK5\r\n1-0:1.8.0(1*kWh)\r\n!", "missing_field $"),
  ])
  func badTelegrams(text: String, verdict: String) {
    #expect(decoder.lines(text, on: "p1/telegram") == [verdict])
  }

  /// Found by fuzzing: a meter that names itself in bytes that are no text.
  @Test func aNameThatIsNoText() {
    let text =
      Array("/ISK5\r\n0-0:96.1.1(".utf8) + [0x34, 0xB0] + Array(")\r\n1-0:1.8.0(1*kWh)\r\n!".utf8)
    #expect(decoder.decode(text, on: "p1/telegram").lines == ["out_of_range $"])
  }

  /// As in Belgium: the gas and the water meter behind it have numbers, too.
  @Test func theMetersBehindTheMeterAreOthers() {
    let own = "0-0:96.1.1(3153414733313031303231363035)"
    let lines = [
      "0-0:96.1.4(50217)", own, "1-0:1.8.1(000123.456*kWh)", "1-0:1.8.2(000002.000*kWh)",
      "0-1:24.1.0(003)", "0-1:96.1.1(37464C4F32313139303333373333)", "0-1:96.1.0(3232)",
      "0-2:24.1.0(007)", "0-2:96.1.1(3853414731323334353637383930)",
    ]
    #expect(
      decoder.lines(telegram(lines.joined(separator: "\r\n")), on: "p1/telegram")
        == ["1SAG3101021605 1.8.1+1.8.2 register 125456000 consumption arrival"])
    for first in [[], ["0-0:96.1.1()"]] {
      let others = (first + lines.filter { $0 != own }).joined(separator: "\r\n")
      #expect(decoder.lines(telegram(others), on: "p1/telegram") == ["missing_field $"])
    }
  }

  @Test(arguments: [telegram0, "/ISK5\r\n0-0:96.1.1(41)\r\n1-0:1.7.0(00.28*kW)\r\n!"])
  func telegramsWithoutRegisters(text: String) {
    #expect(decoder.lines(text, on: "p1/telegram") == ["skipped 1"])
  }

  static let telegram0 = "/ISK5\r\n0-0:96.1.1(41)\r\n)1-0:1.8.0(\r\n1-0:1.8.0\r\n()\r\n!"

  // MARK: - JSON

  @Test func objectsKeyedByCodes() throws {
    let decoder = try SourcedDecoder("- {format: obis, topic: \"dt/+/{device}/ds\"}")
    let payload =
      #"{"meter": {"ts": "2021-07-06T14:58:18+00:00", "1.7.0": 28.0, "2.7.0": 0.0, "#
      + #""1.8.0": 886977.0, "2.8.0": 0.5}}"#
    #expect(
      decoder.lines(payload, on: "dt/building/LGZ1/ds") == [
        "LGZ1 1.8.0 register 886977000 consumption 2021-07-06T14:58:18Z",
        "LGZ1 2.8.0 register 500 production 2021-07-06T14:58:18Z",
      ])
  }

  /// However a code is written, it is the same register.
  @Test(arguments: [
    "1.8.0", "1_8_0", "1-0:1.8.0", "1-0:1.8.0*255", "1.8.0*255", "1.0.1.8.0.255", "1.1.1.8.0.255",
    "0100010800ff", "0100010800FF", "77070100010800ff",
  ])
  func spellings(code: String) {
    let line = "d 1.8.0 register 5000 consumption arrival"
    #expect(decoder.lines(#"{"\#(code)":5}"#, on: "p1/d/json") == [line])
    #expect(decoder.lines(#"{"obis":"\#(code)","value":5}"#, on: "p1/d/json") == [line])
  }

  @Test(arguments: [
    "1.8", "1.8.x", "1.8.256", "1.8.0.", ".1.8.0", "2.0.1.8.0.255", "1.7.0", "3.8.0", "15.8.0",
    "21.8.0", "1.6.0", "1.9.0", "1.8.10", "01000108 0ff", "0000010800ff", "1.2.3.4.5.6.7", "",
  ])
  func codesOfOthers(code: String) {
    #expect(decoder.lines(#"{"\#(code)":5}"#, on: "p1/d/json") == ["skipped 1"])
  }

  @Test func netRegistersWhereThereIsNothingElse() {
    #expect(
      decoder.lines(#"{"16.8.0":-5}"#, on: "p1/d/json")
        == ["d 16.8.0 netRegister -5000 consumption/production arrival"])
    #expect(
      decoder.lines(#"{"16.8.0":-5,"2.8.0":7}"#, on: "p1/d/json")
        == ["d 2.8.0 register 7000 production arrival"])
  }

  @Test func singleCodes() throws {
    let decoder = try SourcedDecoder(
      "- {format: obis, topic: \"sml2mqtt/{device}/+\", unit: Wh}\n"
        + "- {format: obis, topic: t, device: d, tariffs: true, unit: kWh}")
    #expect(
      decoder.lines("12345678.9", on: "sml2mqtt/090149/0100010800ff")
        == ["090149 1.8.0 register 12345678900 consumption arrival"])
    #expect(decoder.lines("230.1", on: "sml2mqtt/090149/0100200700ff") == ["skipped 1"])
    #expect(decoder.lines("1", on: "sml2mqtt/090149/0100010801ff") == ["skipped 1"])
    #expect(decoder.lines("1", on: "sml2mqtt/090149/status") == ["wrong_type topic"])
    #expect(
      decoder.lines(#"{"obis":"2.8.1","value":"3","time":1781078460}"#, on: "t")
        == ["d 2.8.1 register 3000000 production 2026-06-10T08:01:00Z"])
  }

  /// Beside the value, where the object says nothing else.
  @Test(arguments: [
    (#""unit":"kWh""#, "d 1.8.0 register 10500000 consumption arrival"),
    (#""unit":"Wh""#, "d 1.8.0 register 10500 consumption arrival"),
    (#""unit":null"#, "d 1.8.0 register 10500 consumption arrival"),
    (#""unit":"parsec""#, "wrong_type $.value"), (#""unit":"kW""#, "wrong_type $.value"),
  ])
  func theUnitBesideASingleValue(unit: String, line: String) {
    #expect(
      decoder.lines(#"{"obis":"1.8.0","value":10.5,\#(unit)}"#, on: "p1/d/json") == [line])
  }

  /// As dsmr_parser prints it, but keyed by codes.
  @Test func valuesWithUnits() {
    let payload =
      #"{"timestamp":"2026-06-10T08:01:00Z","1-0:1.8.1":{"value":4.426,"unit":"kWh"},"#
      + #""1-0:1.8.2":{"value":2399,"unit":"Wh"},"1-0:2.8.1":{"value":null,"unit":"kWh"}}"#
    #expect(
      decoder.lines(payload, on: "p1/d/json")
        == ["d 1.8.1+1.8.2 register 6825000 consumption 2026-06-10T08:01:00Z"])
  }

  /// One tariff alone may be half of what the next message holds. Where tariffs are asked for, each
  /// counts for itself, and a total beside them does not count again.
  @Test(arguments: [
    (#"{"1.8.1":5}"#, ["skipped 1"], ["d 1.8.1 register 5000 consumption arrival"]),
    (
      #"{"1.8.1":5,"1.8.2":null,"2.8.0":7}"#, ["d 2.8.0 register 7000 production arrival"],
      [
        "d 1.8.1 register 5000 consumption arrival", "d 2.8.0 register 7000 production arrival",
      ]
    ),
    (
      #"{"1.8.0":12,"1.8.2":7,"1.8.1":5,"1.8.1":6}"#,
      ["d 1.8.0 register 12000 consumption arrival"],
      [
        "d 1.8.1 register 5000 consumption arrival", "d 1.8.2 register 7000 consumption arrival",
      ]
    ),
    (
      #"{"1.8.2":7,"16.8.0":-3}"#, ["d 16.8.0 netRegister -3000 consumption/production arrival"],
      ["d 1.8.2 register 7000 consumption arrival"]
    ),
  ])
  func tariffsInParts(payload: String, lines: [String], asked: [String]) throws {
    #expect(decoder.lines(payload, on: "p1/d/json") == lines)
    let asking = try SourcedDecoder("- {format: obis, topic: t, device: d, tariffs: true}")
    #expect(asking.lines(payload, on: "t") == asked)
  }

  @Test(arguments: [
    (#"{"1.8.0":5"#, "malformed_payload $"), ("[]", "wrong_type $"),
    (#"{"1.8.0":true}"#, "wrong_type $.1.8.0"),
    (#"{"1.8.0":{"value":1,"unit":"varh"}}"#, "wrong_type $.1.8.0"),
    (#"{"1.8.0":-1,"ts":"x"}"#, "wrong_type $.ts"),
    (#"{"1.8.0":1,"ts":"2026-06-10T08:01:00"}"#, "wrong_type $.ts"),
    (#"{"1.8.0":1e40}"#, "out_of_range $.1.8.0"), (#"{"obis":"x","value":1}"#, "wrong_type $.obis"),
    (#"{"obis":5,"value":1}"#, "wrong_type $.obis"), ("{}", "skipped 1"),
    ("null", "wrong_type topic"),
  ])
  func badInput(payload: String, verdict: String) {
    #expect(decoder.lines(payload, on: "p1/d/json") == [verdict])
  }
}
