// Names of fields: unknown, given twice, null, and written with escapes.

import EnergyReadings
import Testing

@Suite struct FieldNamesTests {
  @Test func unknownFieldsAreCounted() {
    let extra = #""firmware":"2.1","nested":{"timestamp":[1,2]},"":1,"Timestamp":5,"location ":1"#
    #expect(decode(reading(.consumption, extra), on: Topics.consumption).unknownFields == 5)
    #expect(decode(reading(), on: Topics.consumption).unknownFields == 0)
  }

  @Test func fieldsOfAnotherKindAreUnknown() {
    for kind in ReadingKind.allCases {
      let foreign = [
        (ReadingKind.production, #""producer_id":1,"energy_source":1,"efficiency":9"#),
        (.consumption, #""consumer_id":1,"consumer_type":1,"appliance_breakdown":9"#),
        (.storage, #""storage_id":1,"price_per_unit":[],"grid_location":9"#),
      ].filter { $0.0 != kind }.map(\.1).joined(separator: ",")
      let outcome = decode(reading(kind, foreign), on: Topics.of(kind))
      #expect(outcome.verdict == "ok")
      #expect(outcome.unknownFields == 6)
    }
  }

  static let repeated = [
    #""energy_amount":0.5"#, #""energy_amount":0.25"#, #""energy_amount":null"#,
    #""timestamp":0"#, #""timestamp":null"#,
  ]

  @Test(arguments: repeated)
  func aFieldGivenTwice(field: String) {
    let name = field.split(separator: "\"")[0]
    let outcome = decode(reading(.consumption, field), on: Topics.consumption)
    #expect(outcome.verdict == "malformed_payload $.\(name)")
    // The order makes no difference: null first is twice as well.
    let first = "{\(field)," + reading().dropFirst()
    #expect(decode(first, on: Topics.consumption).verdict == "malformed_payload $.\(name)")
  }

  @Test func anUnknownFieldGivenTwiceHarmsNobody() {
    let outcome = decode(reading(.consumption, #""x":1,"x":2"#), on: Topics.consumption)
    #expect(outcome.verdict == "ok")
    #expect(outcome.unknownFields == 2)
  }

  /// JSON does not tell an escaped name from a plain one (RFC 8259, section 8.3), so neither does
  /// the decoder: the field is known, and cannot be smuggled in twice.
  @Test func escapedNamesAreTheSameNames() throws {
    let escaped = #"{"\u0074imestamp":7,"energy\u005famount":1,"\/":0}"#
    let outcome = decode(escaped, on: Topics.consumption)
    #expect(outcome.verdict == "ok")
    #expect(outcome.readings.first?.timestamp.microseconds == 7_000_000)
    #expect(outcome.unknownFields == 1)
    let twice = reading(.consumption, #""\u0074imestamp":7"#)
    #expect(
      decode(twice, on: Topics.consumption).verdict == #"malformed_payload $.\u0074imestamp"#)
    let mismatch = reading(.production, #""producer\u005Fid":"p-2""#)
    #expect(
      decode(mismatch, on: Topics.production).verdict == #"device_mismatch $.producer\u005Fid"#)
    let place = reading(.production, #""location":{"grid\u005Fcode":"BKK-07"}"#)
    #expect(decode(place, on: Topics.production).readings.first?.locationHasGridCode == true)
  }

  @Test func gridCodeCountsAtTheTopOfALocationOnly() {
    let place = reading(.production, #""location":{"a":{"grid_code":1},"b":"grid_code"}"#)
    #expect(decode(place, on: Topics.production).readings.first?.locationHasGridCode == false)
  }

  @Test func nullIsAbsent() throws {
    let nulls = [
      "consumer_id", "consumer_type", "appliance_breakdown", "location", "interval_seconds",
      "sequence", "signature",
    ].map { "\"\($0)\":null" }.joined(separator: ",")
    let outcome = decode(reading(.consumption, nulls), on: Topics.consumption)
    #expect(outcome.verdict == "ok")
    let reading = try #require(outcome.readings.first)
    #expect(!reading.consumerType.isPresent && !reading.location.isPresent)
    #expect(reading.sequence == nil && outcome.unknownFields == 0)
  }
}
