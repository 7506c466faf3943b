// A GridTokenX prosumer's JSON: two intervals in one message.

import EnergyReadings
import Testing

private func ami(_ fields: String) -> Outcome { decode("{\(fields)}", on: Topics.ami) }

private let time = #""timestamp":"2026-06-10T07:00:00+00:00""#

@Suite struct AMIFormatTests {
  @Test func bothIntervalsOfOneMessage() {
    let outcome = decode(
      #"""
      {"kwh": 0.52906, "timestamp": "2026-06-10T07:00:00+00:00", "meter_signature": null,
       "meter_serial": "GTX-MTR-H17", "reading_id": "GTX-MTR-H17-35", "interval_seconds": 900,
       "energy_generated": 0.64868, "energy_consumed": 0.11962, "surplus_energy": 0.52906,
       "deficit_energy": 0.0, "power_generated": 2.595, "voltage": 231.2, "battery_level": 0.0}
      """#, on: Topics.ami)
    #expect(outcome.rejections.isEmpty)
    #expect(outcome.readings.map(\.kind) == [.production, .consumption])
    #expect(outcome.readings.map(\.energy.microKWh) == [648_680, 119_620])
    #expect(outcome.readingIndices == [0, 1])
    for reading in outcome.readings {
      #expect(outcome.text(reading.device) == "GTX-MTR-H17")
      #expect(!reading.gridCode.isPresent)
      #expect(reading.timestamp.microseconds == 1_781_074_800_000_000)
      #expect(reading.intervalSeconds == 900)
    }
  }

  @Test func oneIntervalKeepsItsIndex() {
    let generated = ami(#"\#(time),"energy_generated":5e-05,"energy_consumed":null"#)
    #expect(generated.readings.map(\.energy.microKWh) == [50])
    #expect(generated.readingIndices == [0])
    let consumed = ami(#"\#(time),"energy_consumed":"0.5""#)
    #expect(consumed.readings.map(\.kind) == [.consumption])
    #expect(consumed.readingIndices == [1])
    #expect(consumed.readings.first?.intervalSeconds == nil)
  }

  @Test(arguments: [
    "\"2026-06-10T07:00:00\"", "\"2026-06-10T07:00:00.000000\"", "\"2026-06-10 07:00:00\"",
    #""2026-06-10T14:00:00\u002b07:00""#, "1781074800", #""2026-06-10T07\u003a00:00""#,
  ])
  func aLocalTimeIsUTC(timestamp: String) {
    let outcome = ami(#""timestamp":\#(timestamp),"energy_generated":1"#)
    #expect(outcome.readings.map(\.timestamp.microseconds) == [1_781_074_800_000_000])
  }

  @Test(arguments: [
    (#""energy_generated":1"#, "missing_field $.timestamp"),
    (#""timestamp":null,"energy_generated":1"#, "missing_field $.timestamp"),
    (time, "missing_field $.energy_generated"),
    (#"\#(time),"energy_generated":null"#, "missing_field $.energy_generated"),
    (#""timestamp":"soon","energy_generated":1"#, "wrong_type $.timestamp"),
    (#""timestamp":"2026-02-30T00:00:00","energy_generated":1"#, "out_of_range $.timestamp"),
    (#""timestamp":"2026-02-30T00:00:00Z","energy_generated":1"#, "out_of_range $.timestamp"),
    (#"\#(time),"energy_generated":1,"interval_seconds":0"#, "out_of_range $.interval_seconds"),
    (
      #"\#(time),"energy_generated":1,"energy_generated":1"#, "malformed_payload $.energy_generated"
    ),
    (#"\#(time),"energy_consumed":1,\#(time)"#, "malformed_payload $.timestamp"),
    (#"\#(time),"energy_consumed":1,"#, "malformed_payload $"),
  ])
  func whatConcernsBothIsOneDeadLetter(fields: String, verdict: String) {
    let outcome = ami(fields)
    #expect(outcome.verdict == verdict)
    #expect(outcome.rejectedKinds == [nil])
  }

  @Test func aBadAmountHarmsNotTheOther() {
    for (fields, kept, refused) in [
      (#""energy_generated":true,"energy_consumed":1"#, 1, 0),
      (#""energy_consumed":1,"energy_generated":1e9"#, 1, 0),
      (#""energy_generated":1,"energy_consumed":"x""#, 0, 1),
    ] {
      let outcome = ami("\(time),\(fields)")
      #expect(outcome.readingIndices == [Int32(kept)])
      #expect(outcome.rejectionIndices == [Int32(refused)])
      #expect(outcome.rejectedKinds == [refused == 0 ? .production : .consumption])
      #expect(
        outcome.rejections.map(\.path) == [
          refused == 0 ? "$.energy_generated" : "$.energy_consumed"
        ])
    }
  }

  @Test(arguments: ["[]", "42", "null"])
  func anythingButAnObject(payload: String) {
    #expect(decode(payload, on: Topics.ami).verdict == "wrong_type $")
  }

  @Test(arguments: ["dlms", "v4"])
  func binaryTwins(level: String) {
    let outcome = decode([0x47, 0x58, 0x54, 0], on: "\(Topics.ami)/\(level)")
    #expect(outcome.verdict == "unsupported_format ")
  }
}
