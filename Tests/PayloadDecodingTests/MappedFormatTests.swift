// The declarative mapping: what its words make of a payload, exactly, and what it turns away.

import EnergyReadings
import PayloadDecoding
import SeededRandom
import Testing

/// A mapping of topic `m/<device>` with some keys.
private func mapping(_ keys: String) throws -> SourcedDecoder {
  try SourcedDecoder("- {topic: \"m/{device}\", \(keys)}")
}

private let energy = "value: /e, unit: Wh, kind: consumption"

@Suite struct MappedFormatTests {
  @Test(arguments: [
    ("Wh", "1", "1000"), ("kWh", "1", "1000000"), ("MWh", "0.001", "1000000"),
    ("J", "3600", "1000"),
    ("J", "1", "0"), ("J", "1.8", "1"), ("J", "1.799999", "0"), ("kJ", "3.6", "1000"),
    ("MJ", "3.6", "1000000"), ("Wmin", "60000", "1000000"), ("Wmin", "1", "17"),
    ("Wh", "152669.987", "152669987"), ("Wh", "0.0005", "1"), ("Wh", "0.0004999", "0"),
    ("kWh", "1e-6", "1"), ("kWh", "5e-7", "1"), ("kWh", "4.9e-7", "0"),
    ("kWh", "2E3", "2000000000"),
    ("kWh", "999999999.999999", "999999999999999"), ("MWh", "999999.9999999999", "out"),
    ("kWh", "1e9", "out"), ("Wh", "1e12", "out"), ("J", "1e18", "out"),
    ("J", "3.5e15", "972222222222222"),
    ("kWh", "007.5", "7500000"), ("kWh", "+7.5", "7500000"), ("kWh", "-0", "0"),
  ])
  func energyUnits(unit: String, text: String, microKWh: String) throws {
    let decoder = try mapping("payload: number, unit: \(unit), kind: consumption")
    let expected =
      microKWh == "out" ? "out_of_range $" : "d total register \(microKWh) consumption arrival"
    #expect(decoder.lines(text, on: "m/d") == [expected])
  }

  @Test(arguments: [
    ("W", "-894", "-894000"), ("W", "0.0004", "0"), ("kW", "0.28", "280000"), ("mW", "5.5", "6"),
    ("MW", "1.5", "1500000000"), ("mW", "-5.5", "-6"),
  ])
  func powerUnits(unit: String, text: String, milliwatts: String) throws {
    let decoder = try mapping(
      "payload: number, unit: \(unit), mode: power, kind: charge, kind_negative: discharge")
    #expect(
      decoder.lines(text, on: "m/d") == ["d total power \(milliwatts) charge/discharge arrival"])
  }

  @Test(arguments: [
    ("0.1", "123", "12300"), ("-1", "2", "-2000"), ("30", "0.5", "15000"), ("0.25", "3", "750"),
    ("1e-6", "500", "1"), ("1e-6", "499", "0"), ("999999", "1", "999999000"),
  ])
  func scales(scale: String, text: String, microKWh: String) throws {
    let decoder = try mapping(
      "payload: number, unit: Wh, scale: \(scale), mode: net_register, kind: consumption")
    #expect(
      decoder.lines(text, on: "m/d") == ["d total netRegister \(microKWh) consumption arrival"])
  }

  /// Random decimals by random units and scales against fractions of integers.
  @Test(arguments: 1...10) func conversionIsExact(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let units: [(String, Int128, Int128)] = [
      ("Wh", 1_000, 1), ("kWh", 1_000_000, 1), ("J", 5, 18), ("kJ", 5_000, 18), ("Wmin", 50, 3),
    ]
    for _ in 0..<50 {
      let unit = units[Int.random(in: 0..<units.count, using: &random)]
      let scale = Int.random(in: 1...999_999, using: &random)
      let decoder = try mapping(
        "payload: number, unit: \(unit.0), scale: \(FixedPoint.text(Int64(scale), scale: 4)), "
          + "kind: consumption")
      for _ in 0..<20 {
        let thousandths = Int64.random(in: 0..<10_000_000_000, using: &random)
        let dividend = Int128(thousandths) * Int128(scale) * unit.1
        let divisor = unit.2 * 10_000_000
        let rounded = (2 * dividend + divisor) / (2 * divisor)
        let line =
          rounded < 1_000_000_000_000_000
          ? "d total register \(rounded) consumption arrival" : "out_of_range $"
        #expect(decoder.lines(FixedPoint.text(thousandths, scale: 3), on: "m/d") == [line])
      }
    }
  }

  @Test(arguments: [
    (#"{"e":5}"#, ["d e register 5000 consumption arrival"]),
    (#"{"e":"5"}"#, ["d e register 5000 consumption arrival"]),
    (#"{"\u0065":5}"#, ["d e register 5000 consumption arrival"]),
    (#"{"e":null}"#, ["skipped 1"]), (#"{"e":"unavailable"}"#, ["skipped 1"]),
    (#"{"e":"NaN"}"#, ["skipped 1"]), (#"{"e":NaN,"f":"NaN"}"#, ["skipped 1"]),
    (#"{"x":-Infinity,"e":1}"#, ["d e register 1000 consumption arrival"]),
    (#"{"e":""}"#, ["skipped 1"]), ("{}", ["skipped 1"]), ("", ["skipped 1"]),
    ("[5]", ["skipped 1"]),
    (#"{"e":true}"#, ["wrong_type $.e"]), (#"{"e":{}}"#, ["wrong_type $.e"]),
    (#"{"e":"5 Wh"}"#, ["wrong_type $.e"]), (#"{"e":-1}"#, ["out_of_range $.e"]),
    (#"{"e":1e300}"#, ["out_of_range $.e"]), (#"{"e":5"#, ["malformed_payload $"]),
    (#"{"e":Nan}"#, ["malformed_payload $"]), ("\u{1F}\u{8B}", ["malformed_payload $"]),
  ])
  func payloads(payload: String, lines: [String]) throws {
    #expect(try mapping(energy).lines(payload, on: "m/d") == lines)
  }

  @Test func aPartOfASumIsNoTotal() throws {
    let decoder = try mapping("value: [/a, /b/0], unit: kWh, kind: consumption")
    #expect(
      decoder.lines(#"{"a":1.5,"b":[0.25]}"#, on: "m/d")
        == ["d a+b/0 register 1750000 consumption arrival"])
    for payload in [#"{"a":1.5}"#, #"{"a":1.5,"b":[]}"#, #"{"a":1.5,"b":[null]}"#] {
      #expect(decoder.lines(payload, on: "m/d") == ["skipped 1"])
    }
    #expect(decoder.lines(#"{"a":1.5,"b":[[]]}"#, on: "m/d") == ["wrong_type $.b[0]"])
  }

  @Test func severalValuesAreJudgedOneByOne() throws {
    let decoder = try mapping(
      "unit: kWh, values: [{value: /in, kind: consumption}, {value: /out, kind: production}, "
        + "{value: /bat, unit: W, mode: power, kind: charge, kind_negative: discharge}]")
    let outcome = decoder.decode(#"{"in":1,"out":true,"bat":-5}"#, on: "m/d")
    #expect(
      outcome.lines == [
        "d in register 1000000 consumption arrival", "d bat power -5000 charge/discharge arrival",
        "[1] wrong_type $.out",
      ])
    #expect(outcome.sampleIndices == [0, 2])
    #expect(outcome.rejectedKinds == [.production])
  }

  @Test func intervalsAreReadings() throws {
    let decoder = try mapping(
      "value: /kwh, unit: kWh, mode: interval, kind: consumption, kind_negative: production, "
        + "interval_seconds: 900, grid_code: BKK-07, time: [/t, unix_s]")
    let time = "2026-06-10T06:45:00Z"
    let outcome = decoder.decode(#"{"kwh":-0.5,"t":1781073900}"#, on: "m/d")
    #expect(outcome.lines == ["d interval 500000 production \(time)"])
    #expect(outcome.readings.first?.intervalSeconds == 900)
    #expect(outcome.readings.first.map { outcome.text($0.gridCode) } == "BKK-07")
    #expect(
      decoder.lines(#"{"kwh":0.5,"t":1781073900}"#, on: "m/d")
        == ["d interval 500000 consumption \(time)"])
    let onlyUsed = try mapping(
      "value: /kwh, unit: kWh, mode: interval, kind: consumption, time: [/t, unix_s]")
    #expect(onlyUsed.lines(#"{"kwh":-0.5,"t":1781073900}"#, on: "m/d") == ["skipped 1"])
  }

  /// Delivered again, an interval of the time of its arrival would be another one.
  @Test func anIntervalHasATimeOfItsOwn() throws {
    let keys = "value: /kwh, unit: kWh, mode: interval, kind: consumption"
    let error = #expect(throws: SourceFileError.self) { try mapping(keys) }
    #expect(error?.problem.key == "time", "\(String(describing: error))")
    let decoder = try mapping(keys + ", time: [/t, unix_s]")
    #expect(decoder.lines(#"{"kwh":0.5,"t":7}"#, on: "m/d") == ["out_of_range $.t"])
  }

  @Test func columns() throws {
    let decoder = try mapping("payload: csv, value: 4, unit: Wh, kind: consumption")
    let frame = "601,234.56,-4340,4498, 76110 ,3007410,0,-45"
    #expect(decoder.lines(frame, on: "m/d") == ["d 4 register 76110000 consumption arrival"])
    #expect(decoder.lines("1,2,3,,5", on: "m/d") == ["d 4 register 5000 consumption arrival"])
    #expect(decoder.lines("1,2,3,4,", on: "m/d") == ["skipped 1"])
    #expect(decoder.lines("1,2,3", on: "m/d") == ["missing_field $"])
    #expect(decoder.lines("1,2,3,4,x", on: "m/d") == ["wrong_type $"])
  }

  @Test func whatIsMeantForOthersIsSkipped() throws {
    let decoder = try mapping("\(energy), where: {/media: electricity, /v: \"2\"}")
    let line = "d e register 1000 consumption arrival"
    #expect(decoder.lines(#"{"media":"electricity","v":2,"e":1}"#, on: "m/d") == [line])
    #expect(decoder.lines(#"{"media":"electri\u0063ity","v":"2","e":1}"#, on: "m/d") == [line])
    for payload in [
      #"{"media":"water","v":2,"e":1}"#, #"{"v":2,"e":1}"#, #"{"media":"electricity","e":1}"#,
    ] {
      #expect(decoder.lines(payload, on: "m/d") == ["skipped 1"])
    }
  }

  // MARK: - Times

  @Test(arguments: [
    ("unix_s", "1781078460.5", "2026-06-10T08:01:00.500000Z"),
    ("unix_s", "\"1781078460\"", "2026-06-10T08:01:00Z"), ("unix_s", "1.61", "arrival"),
    ("unix_ms", "1781078460123", "2026-06-10T08:01:00.123000Z"),
    ("rfc3339", "\"2026-06-10T10:01:00+02:00\"", "2026-06-10T08:01:00Z"),
    ("local:Europe/Amsterdam", "\"2026-06-10T10:01:00\"", "2026-06-10T08:01:00Z"),
    ("local:Europe/Amsterdam", "\"2026-06-10 10:01\"", "2026-06-10T08:01:00Z"),
    ("local:Europe/Amsterdam", "\"2026-06-10T10:01:00Z\"", "2026-06-10T10:01:00Z"),
    ("local:Europe/Amsterdam", "\"1970-01-01T00:00:07\"", "arrival"),
  ])
  func times(notation: String, text: String, time: String) throws {
    let decoder = try mapping("\(energy), time: [/t, \"\(notation)\"]")
    #expect(
      decoder.lines(#"{"e":1,"t":\#(text)}"#, on: "m/d")
        == ["d e register 1000 consumption \(time)"])
  }

  @Test(arguments: [
    ("unix_s", #""soon""#, "wrong_type $.t"), ("unix_s", "1e12", "out_of_range $.t"),
    ("unix_s", "[1]", "wrong_type $.t"), ("rfc3339", #""2026-06-10T10:01:00""#, "wrong_type $.t"),
    ("rfc3339", #""2026-02-30T10:01:00Z""#, "out_of_range $.t"),
    ("rfc3339", "1781078460", "wrong_type $.t"),
    ("local:Europe/Amsterdam", #""10:01""#, "wrong_type $.t"),
    ("unix_ms", "null", "missing_field $.t"),
  ])
  func badTimes(notation: String, text: String, verdict: String) throws {
    let decoder = try mapping("\(energy), time: [/t, \"\(notation)\"]")
    #expect(decoder.lines(#"{"e":1,"t":\#(text)}"#, on: "m/d") == [verdict])
    #expect(decoder.lines(#"{"e":1}"#, on: "m/d") == ["missing_field $.t"])
  }

  @Test func aClockThatWasNeverSetMayBeRefused() throws {
    let decoder = try mapping("\(energy), time: [/t, unix_s], unset_clock: reject")
    #expect(decoder.lines(#"{"e":1,"t":1.61}"#, on: "m/d") == ["out_of_range $.t"])
  }

  // MARK: - Devices and registers

  @Test func devicesComeFromTopicPayloadOrConfiguration() throws {
    func device(_ keys: String, topic: String = "\"N/{portal}/{kind}/+\"") throws -> String {
      try SourcedDecoder("- {topic: \(topic), register: r, \(energy), \(keys)}")
        .lines(#"{"e":1,"id":10101010,"name":"Küche\u0031"}"#, on: "N/p1/grid/30")[0]
    }
    let rest = "r register 1000 consumption arrival"
    #expect(try device("device: \"{portal}/{kind}\"") == "p1/grid \(rest)")
    #expect(try device("device: house-7") == "house-7 \(rest)")
    #expect(try device("device: /id") == "10101010 \(rest)")
    #expect(try device("device: /name") == "Küche1 \(rest)")
    #expect(try device("device: /name, devices: {Küche1: m-1, x: y}") == "m-1 \(rest)")
    #expect(try device("device: /none") == "missing_field $.none")
    #expect(try device("device: \"{portal}\", devices: {p2: m-2}") == "p1 \(rest)")
  }

  @Test(arguments: [
    ("", "missing_field topic"), (String(repeating: "ü", count: 101), "out_of_range topic"),
    ("a\u{7F}", "out_of_range topic"),
  ])
  func idsThatNoColumnHolds(id: String, verdict: String) throws {
    #expect(try mapping(energy).lines(#"{"e":1}"#, on: "m/\(id)") == [verdict])
  }

  /// A thousand names, each of which is found, and none that is not there.
  @Test func manyNames() throws {
    let names = (0..<1_000).map { "vendor-\($0): m-\($0)" }.joined(separator: ", ")
    let decoder = try mapping("\(energy), devices: {\(names)}")
    for number in 0..<1_000 {
      #expect(
        decoder.lines(#"{"e":1}"#, on: "m/vendor-\(number)")
          == ["m-\(number) e register 1000 consumption arrival"])
      #expect(
        decoder.lines(#"{"e":1}"#, on: "m/other-\(number)")
          == ["other-\(number) e register 1000 consumption arrival"])
    }
  }

  @Test func capAndDigitsGoWithTheSample() throws {
    let decoder = try mapping("\(energy), max_kw: 17.25, digits: 6, grid_code: \"{device}\"")
    let outcome = decoder.decode(#"{"e":1}"#, on: "m/d")
    let sample = try #require(outcome.samples.first)
    #expect(sample.maximumWatts == 17_250 && sample.digits == 6)
    #expect(outcome.text(sample.gridCode) == "d")
  }

  @Test func registersAreNamedByTopicAndPointer() throws {
    func register(_ keys: String, on topic: String, _ payload: String) throws -> String {
      String(
        try SourcedDecoder("- {\(keys)}").lines(payload, on: topic)[0].split(separator: " ")[1])
    }
    let number = "payload: number, unit: Wh, kind: consumption"
    #expect(
      try register(
        "topic: \"s/{device}/emeter/{ch}/total\", \(number)", on: "s/a/emeter/2/total", "1")
        == "emeter/2/total")
    #expect(try register("topic: a, device: d, \(number)", on: "a", "1") == "total")
    #expect(try register("topic: a, device: d, \(energy)", on: "a", #"{"e":1}"#) == "e")
    #expect(
      try register("topic: a, device: d, register: 1.8.0, \(energy)", on: "a", #"{"e":1}"#)
        == "1.8.0")
    let long = String(repeating: "x", count: 101)
    #expect(
      try SourcedDecoder("- {topic: \"a/{device}/{x}\", \(number)}").lines("1", on: "a/d/\(long)")
        == ["out_of_range $"])
  }
}
