// SenML: base fields, sums, relative times, and units that RFC 8428 has and has not.

import EnergyReadings
import PayloadDecoding
import Testing

@Suite struct SenMLFormatTests {
  private let decoder: SourcedDecoder

  init() throws { decoder = try SourcedDecoder("- {format: senml, topic: senml}") }

  private func lines(_ payload: String) -> [String] { decoder.lines(payload, on: "senml") }

  /// A pack as a library writes it.
  @Test func basesHoldForAllThatFollow() {
    let payload =
      #"[{"n": "1.8.0", "v": 1345.5, "t": 300, "bn": "meter:H14:", "bv": 4321000, "bu": "Wh", "#
      + #""bt": 1781085600}, {"n": "2.8.0", "v": 19377.599999999627, "t": 300}, "#
      + #"{"n": "2.8.0", "v": 1, "u": "kWh", "bv": 0, "bn": "meter:H15:"}]"#
    #expect(
      lines(payload) == [
        "meter:H14 1.8.0 register 4322345500 consumption 2026-06-10T10:05:00Z",
        "meter:H14 2.8.0 register 4340377600 production 2026-06-10T10:05:00Z",
        "meter:H15 2.8.0 register 1000000 production 2026-06-10T10:00:00Z",
      ])
    #expect(decoder.decode(payload, on: "senml").sampleIndices == [0, 1, 2])
  }

  @Test(arguments: [
    (#""u":"J","v":3.6e6"#, 1_000_000), (#""u":"J","v":1.8"#, 1), (#""u":"kWh","v":0.5"#, 500_000),
    (#""u":"W","v":900,"s":7200000"#, 2_000_000), (#""u":"kW","s":3600"#, 1_000_000),
    (#""u":"MJ","v":3.6"#, 1_000_000), (#""u":"W","bs":3600000,"s":3600000"#, 2_000_000),
  ])
  func units(fields: String, microKWh: Int) {
    #expect(
      lines(#"[{"n":"d:1.8.0",\#(fields)}]"#)
        == ["d 1.8.0 register \(microKWh) consumption arrival"])
  }

  @Test(arguments: [
    (#""t":1781078460.5"#, "2026-06-10T08:01:00.500000Z"), (#""t":0"#, "arrival"),
    (#""bt":1781078460,"t":-60"#, "2026-06-10T08:00:00Z"), (#""x":0"#, "arrival"),
    (#""t":268435456"#, "arrival"),
  ])
  func times(fields: String, time: String) {
    #expect(
      lines(#"[{"n":"d:1.8.0","u":"Wh","v":1,\#(fields)}]"#)
        == ["d 1.8.0 register 1000 consumption \(time)"])
  }

  /// An hour before its arrival.
  @Test func relativeTimes() throws {
    let outcome = decoder.decode(#"[{"n":"d:1.8.0","u":"Wh","v":1,"t":-3600}]"#, on: "senml")
    let sample = try #require(outcome.samples.first)
    #expect(sample.timestamp.microseconds == SourcedDecoder.arrival.microseconds - 3_600_000_000)
    #expect(sample.isTimeOfArrival)
  }

  @Test(arguments: [
    ("urn:dev:mac:0024befffe804ff1/1.8.0", "urn:dev:mac:0024befffe804ff1"),
    ("a/b:1-0:1.8.0*255", "a/b"), ("a:1-0:1.8.0", "a"), ("pv-1:1.8.0", "pv-1"),
    ("1-0:1.8.0", "missing_field"),
  ])
  func names(name: String, device: String) {
    #expect(lines(#"[{"n":"\#(name)","u":"Wh","v":1}]"#)[0].contains("\(device) "))
  }

  @Test func namesOfTheUsersOwn() throws {
    let decoder = try SourcedDecoder(
      "- {format: senml, topic: \"senml/{device}\", registers: {energy: production, in: charge}}")
    #expect(
      decoder.lines(
        #"[{"bn":"x/","bu":"kWh","n":"energy","v":1},{"n":"in","v":2},{"n":"out","v":3}]"#,
        on: "senml/inv-1") == [
          "inv-1 energy register 1000000 production arrival",
          "inv-1 in register 2000000 charge arrival", "skipped 1",
        ])
  }

  @Test(arguments: [
    (#"[{"n":"d:1.8.0","u":"Wh""#, ["malformed_payload $"]), (#"{"n":"d"}"#, ["wrong_type $"]),
    ("[]", []), ("[1]", ["[0] wrong_type $[0]"]),
    (#"[{"n":"d:1.8.0","u":"varh","v":1}]"#, ["[0] wrong_type $[0].u"]),
    (#"[{"n":"d:1.8.0","v":1}]"#, ["[0] missing_field $[0].u"]),
    (#"[{"n":"d:1.8.0","u":"W","v":1}]"#, ["skipped 1"]),
    (#"[{"n":"d:1.8.0","u":"Wh"}]"#, ["skipped 1"]),
    (#"[{"n":"d:1.8.0","u":"Wh","v":"1"}]"#, ["[0] wrong_type $[0].v"]),
    (#"[{"n":"d:1.8.0","u":"Wh","v":-1}]"#, ["[0] out_of_range $[0].v"]),
    (#"[{"n":"d:1.8.0","u":"Wh","v":1e30}]"#, ["[0] out_of_range $[0].v"]),
    (#"[{"n":"d:1.8.0","u":"Wh","v":1,"t":1e12}]"#, ["[0] out_of_range $[0].t"]),
    (#"[{"n":"1.8.0","u":"Wh","v":1}]"#, ["[0] missing_field $[0]"]),
    (#"[{"u":"Wh","v":1}]"#, ["[0] missing_field $[0].n"]),
    (#"[{"n":"d:1.8.0","u":"Wh","v":1,"must_":1}]"#, ["[0] unsupported_format $[0].must_"]),
    (
      #"[{"n":"d:1.8.0","u":"Wh","v":true},{"n":"d:2.8.0","u":"Wh","v":1}]"#,
      ["d 2.8.0 register 1000 production arrival", "[0] wrong_type $[0].v"]
    ),
  ])
  func badInput(payload: String, expected: [String]) {
    #expect(lines(payload) == expected)
  }

  // MARK: - CBOR

  /// `[{0: "d:1.8.0", 1: "Wh", 2: <value>}]`
  private func record(_ value: [UInt8]) -> [UInt8] {
    [0x81, 0xA3, 0x00, 0x67] + Array("d:1.8.0".utf8) + [0x01, 0x62] + Array("Wh".utf8) + [0x02]
      + value
  }

  private func lines(_ payload: [UInt8]) -> [String] {
    decoder.decode(payload, on: "senml").lines
  }

  /// Numbers of every width, as RFC 8949 writes them in its appendix A.
  @Test(arguments: [
    ([0x17], "23000"), ([0x18, 0x64], "100000"), ([0x19, 0x03, 0xE8], "1000000"),
    ([0x1A, 0x00, 0x0F, 0x42, 0x40], "1000000000"),
    ([0x1B, 0, 0, 0, 0xE8, 0xD4, 0xA5, 0x10, 0x00], "out"),
    ([0xF9, 0x3E, 0x00], "1500"), ([0xFA, 0x47, 0xC3, 0x50, 0x00], "100000000"),
    ([0xFB, 0x3F, 0xF1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9A], "1100"),
    // 273.15 as a decimal fraction.
    ([0xC4, 0x82, 0x21, 0x19, 0x6A, 0xB3], "273150"),
    ([0xF9, 0x7E, 0x00], "skipped"), ([0xF9, 0x7C, 0x00], "skipped"), ([0xF6], "skipped"),
    ([0x20], "out"),
  ])
  func binaryNumbers(bytes: [UInt8], microKWh: String) {
    let expected =
      switch microKWh {
      case "out": "[0] out_of_range $[0].v"
      case "skipped": "skipped 1"
      default: "d 1.8.0 register \(microKWh) consumption arrival"
      }
    #expect(lines(record(bytes)) == [expected])
  }

  @Test(arguments: [
    // A text, a break, a big number, a bool, an array, and a fraction of one element.
    ([0x61, 0x31], "[0] wrong_type $[0].2"), ([0xFF], "malformed_payload $"),
    ([0xC2, 0x41, 0x01], "[0] wrong_type $[0].2"), ([0xF5], "[0] wrong_type $[0].2"),
    ([0x80], "[0] wrong_type $[0].2"), ([0xC4, 0x81, 0x01], "[0] wrong_type $[0].2"),
    ([], "malformed_payload $"), ([0x00, 0x00], "malformed_payload $"),
  ])
  func badBinaryValues(bytes: [UInt8], verdict: String) {
    #expect(lines(record(bytes)) == [verdict])
  }

  /// The bytes of kpn-senml 1.0.1 for two registers, whose base fields come last in their record.
  @Test func aPackOfAnotherLibrary() {
    let text =
      "82a70065312e382e3002fb40950600000000000619012c216a6d657465723a4831343a241a0041eee8236257"
      + "68221a6a2935a0a30065322e382e3002fb40d2ec66666666000619012c"
    let digits = Array(text.utf8)
    let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
      UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
    }
    #expect(
      lines(bytes) == [
        "meter:H14 1.8.0 register 4322345500 consumption 2026-06-10T10:05:00Z",
        "meter:H14 2.8.0 register 4340377600 production 2026-06-10T10:05:00Z",
      ])
  }

  @Test func aTruncatedPackIsRefusedWhole() {
    let whole = record([0x19, 0x03, 0xE8])
    for count in 1..<whole.count {
      #expect(lines(Array(whole[..<count])) == ["malformed_payload $"])
    }
    // A promise of 2^63 records, and containers in containers without end.
    #expect(lines([0x9B, 0x80, 0, 0, 0, 0, 0, 0, 0]) == ["malformed_payload $"])
    #expect(lines([UInt8](repeating: 0x9F, count: 100_000)) == ["malformed_payload $"])
    #expect(lines([0x80]) == [])
  }
}
