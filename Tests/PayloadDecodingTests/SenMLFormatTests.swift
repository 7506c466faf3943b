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
}
