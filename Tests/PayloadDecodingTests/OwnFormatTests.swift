// The own format, field by field: what is taken, and with which reason and path the rest is not.

import EnergyReadings
import PayloadDecoding
import Testing

/// A field with a value and what is to become of the reading.
struct FieldCase: Sendable, CustomStringConvertible {
  var kind: ReadingKind
  var field: String
  var verdict: String

  init(_ kind: ReadingKind, _ field: String, _ verdict: String) {
    self.kind = kind
    self.field = field
    self.verdict = verdict
  }

  var description: String { "\(kind): \(field.prefix(60)) → \(verdict)" }
}

private func characters(_ count: Int, _ character: String = "x") -> String {
  String(repeating: character, count: count)
}

private func appliances(_ count: Int) -> String {
  (0..<count).map { #""a\#($0)":0.1"# }.joined(separator: ",")
}

@Suite struct OwnFormatTests {
  static let good: [(ReadingKind, String)] = [
    (.production, #""energy_source":"solar""#), (.production, #""energy_source":null"#),
    (.production, #""energy_source":"\#(characters(20, "ไ"))""#),
    (.production, #""efficiency":0"#), (.production, #""efficiency":1.00004"#),
    (.production, #""quality_score":-0"#), (.production, #""quality_score":9.7e-1"#),
    (.production, #""equipment_id":"\#(characters(100, "é"))""#),
    (.production, #""producer_id":"p-1""#), (.production, #""producer_id":"\u0070-1""#),
    (.production, #""producer_id":null"#), (.production, #""location":{}"#),
    (.consumption, #""consumer_id":"c-1""#), (.consumption, #""consumer_type":"residential""#),
    (.consumption, #""appliance_breakdown":{}"#),
    (.consumption, #""appliance_breakdown":{"a":1,"A":2,"":3}"#),
    (.consumption, #""appliance_breakdown":{\#(appliances(64))}"#),
    (.consumption, #""interval_seconds":1"#), (.consumption, #""interval_seconds":31622400"#),
    (.consumption, #""interval_seconds":9e2"#), (.consumption, #""sequence":0"#),
    (.consumption, #""sequence":999999999999999"#), (.consumption, #""sequence":12.000"#),
    (.consumption, #""signature":"\#(characters(128))""#), (.consumption, #""signature":"""#),
    (.storage, #""storage_id":"b-1""#), (.storage, #""price_per_unit":2.6369"#),
    (.storage, #""price_per_unit":"2.6369""#),
    (.storage, #""grid_location":"\#(characters(100, "𝄞"))""#),
    // The database's own rules judge these, not the decoder.
    (.storage, #""price_per_unit":-1"#), (.consumption, #""consumer_type":"martian""#),
  ]

  @Test(arguments: good)
  func goodFields(kind: ReadingKind, field: String) {
    let outcome = decode(reading(kind, field), on: Topics.of(kind))
    #expect(outcome.verdict == "ok")
    #expect(outcome.unknownFields == 0)
  }

  static let bad: [FieldCase] = [
    .init(.production, #""energy_source":5"#, "wrong_type $.energy_source"),
    .init(.production, #""energy_source":["solar"]"#, "wrong_type $.energy_source"),
    .init(
      .production, #""energy_source":"\#(characters(21))""#, "out_of_range $.energy_source"),
    .init(.production, #""efficiency":true"#, "wrong_type $.efficiency"),
    .init(.production, #""efficiency":"0.5""#, "wrong_type $.efficiency"),
    .init(.production, #""efficiency":12.5"#, "out_of_range $.efficiency"),
    .init(.production, #""efficiency":1.00005"#, "out_of_range $.efficiency"),
    .init(.production, #""efficiency":-0.1"#, "out_of_range $.efficiency"),
    .init(.production, #""quality_score":1e400"#, "out_of_range $.quality_score"),
    .init(.production, #""quality_score":{}"#, "wrong_type $.quality_score"),
    .init(.production, #""equipment_id":17"#, "wrong_type $.equipment_id"),
    .init(
      .production, #""equipment_id":"\#(characters(101))""#, "out_of_range $.equipment_id"),
    .init(.production, #""equipment_id":"a\u0000b""#, "out_of_range $.equipment_id"),
    .init(.production, #""producer_id":"p-2""#, "device_mismatch $.producer_id"),
    .init(.production, #""producer_id":"""#, "device_mismatch $.producer_id"),
    .init(.production, #""producer_id":"P-1""#, "device_mismatch $.producer_id"),
    .init(.production, #""producer_id":1"#, "wrong_type $.producer_id"),
    .init(.production, #""location":"Bangkok""#, "wrong_type $.location"),
    .init(.production, #""location":[]"#, "wrong_type $.location"),
    .init(.consumption, #""consumer_id":"c-10""#, "device_mismatch $.consumer_id"),
    .init(.consumption, #""consumer_type":5"#, "wrong_type $.consumer_type"),
    .init(.consumption, #""consumer_type":"\#(characters(21))""#, "out_of_range $.consumer_type"),
    .init(.consumption, #""appliance_breakdown":[0.2]"#, "wrong_type $.appliance_breakdown"),
    .init(
      .consumption, #""appliance_breakdown":{"a":1,"tv":"2"}"#,
      "wrong_type $.appliance_breakdown.tv"),
    .init(
      .consumption, #""appliance_breakdown":{"tv":null}"#, "wrong_type $.appliance_breakdown.tv"),
    .init(
      .consumption, #""appliance_breakdown":{"tv":1,"a":2,"tv":1}"#,
      "malformed_payload $.appliance_breakdown.tv"),
    .init(
      .consumption, #""appliance_breakdown":{"tv":1,"\u0074v":1}"#,
      #"malformed_payload $.appliance_breakdown.\u0074v"#),
    .init(
      .consumption, #""appliance_breakdown":{\#(appliances(65))}"#,
      "out_of_range $.appliance_breakdown"),
    .init(.consumption, #""location":5"#, "wrong_type $.location"),
    .init(.consumption, #""interval_seconds":0"#, "out_of_range $.interval_seconds"),
    .init(.consumption, #""interval_seconds":-900"#, "out_of_range $.interval_seconds"),
    .init(.consumption, #""interval_seconds":31622401"#, "out_of_range $.interval_seconds"),
    .init(.consumption, #""interval_seconds":1.5"#, "wrong_type $.interval_seconds"),
    .init(.consumption, #""interval_seconds":"900""#, "wrong_type $.interval_seconds"),
    .init(.consumption, #""sequence":-1"#, "out_of_range $.sequence"),
    .init(.consumption, #""sequence":1e15"#, "out_of_range $.sequence"),
    .init(.consumption, #""sequence":0.5"#, "wrong_type $.sequence"),
    .init(.consumption, #""sequence":false"#, "wrong_type $.sequence"),
    .init(.consumption, #""signature":5"#, "wrong_type $.signature"),
    .init(.consumption, #""signature":"\#(characters(129))""#, "out_of_range $.signature"),
    .init(.storage, #""storage_id":"b-9""#, "device_mismatch $.storage_id"),
    .init(.storage, #""price_per_unit":true"#, "wrong_type $.price_per_unit"),
    .init(.storage, #""price_per_unit":"cheap""#, "wrong_type $.price_per_unit"),
    .init(.storage, #""price_per_unit":1e9"#, "out_of_range $.price_per_unit"),
    .init(.storage, #""grid_location":{}"#, "wrong_type $.grid_location"),
    .init(.storage, #""grid_location":"\#(characters(101))""#, "out_of_range $.grid_location"),
  ]

  @Test(arguments: bad)
  func badFields(sample: FieldCase) {
    let outcome = decode(reading(sample.kind, sample.field), on: Topics.of(sample.kind))
    #expect(outcome.verdict == sample.verdict)
    #expect(outcome.rejectedKinds == [sample.kind])
    #expect(outcome.rejections.allSatisfy { !$0.detail.isEmpty })
  }

  @Test(arguments: [
    ("0.25", "ok"), ("\"0.25\"", "ok"), ("-1", "ok"), ("2.5e-1", "ok"), ("\"007\"", "ok"),
    ("999999999.999999", "ok"), ("999999999.9999995", "out_of_range"), ("1e9", "out_of_range"),
    ("\"12345678901234567890\"", "out_of_range"), ("1e400", "out_of_range"),
    ("true", "wrong_type"), ("{}", "wrong_type"), ("[1]", "wrong_type"), ("\"\"", "wrong_type"),
    ("\"NaN\"", "wrong_type"), ("\"0,25\"", "wrong_type"), ("\" 1\"", "wrong_type"),
    ("\"1 kWh\"", "wrong_type"), ("\"\\u0031\"", "wrong_type"), ("null", "missing_field"),
  ])
  func amounts(amount: String, reason: String) {
    let payload = #"{"timestamp":0,"energy_amount":\#(amount)}"#
    let verdict = reason == "ok" ? "ok" : "\(reason) $.energy_amount"
    #expect(decode(payload, on: Topics.consumption).verdict == verdict)
  }

  @Test(arguments: [
    ("\"2026-06-10T07:00:00Z\"", "ok"), ("1781074800", "ok"), ("1781074800250", "ok"),
    ("1781074800250125", "ok"), (#""2026-06-10T14:00:00\u002B07:00""#, "ok"),
    ("\"2026-06-10T07:00:00\"", "wrong_type"), ("\"yesterday\"", "wrong_type"),
    ("\"1781074800\"", "wrong_type"), ("\"\"", "wrong_type"), ("[2026,6,10]", "wrong_type"),
    ("true", "wrong_type"), ("\"2026-02-30T07:00:00Z\"", "out_of_range"),
    ("1e400", "out_of_range"), ("null", "missing_field"),
  ])
  func timestamps(timestamp: String, reason: String) {
    let payload = #"{"timestamp":\#(timestamp),"energy_amount":1}"#
    let verdict = reason == "ok" ? "ok" : "\(reason) $.timestamp"
    #expect(decode(payload, on: Topics.consumption).verdict == verdict)
  }

  @Test(arguments: [
    (#""charge""#, "ok"), (#""discharge""#, "ok"), (#""\u0063harge""#, "ok"),
    (#""idle""#, "check_violation"), (#""Charge""#, "check_violation"), (#""""#, "check_violation"),
    ("1", "wrong_type"), (#"["charge"]"#, "wrong_type"), ("null", "missing_field"),
  ])
  func operations(operation: String, reason: String) {
    let payload = #"{"timestamp":0,"energy_amount":1,"operation_type":\#(operation)}"#
    let outcome = decode(payload, on: Topics.storage)
    #expect(outcome.verdict == (reason == "ok" ? "ok" : "\(reason) $.operation_type"))
    let constraint = reason == "check_violation" ? "storage_operations_operation_type_check" : nil
    #expect(outcome.rejections.first?.constraint == constraint)
  }

  @Test func whatIsRequired() {
    func verdict(_ payload: String, _ topic: String) -> String {
      decode(payload, on: topic).verdict
    }
    #expect(verdict("{}", Topics.production) == "missing_field $.timestamp")
    #expect(verdict(#"{"energy_amount":1}"#, Topics.production) == "missing_field $.timestamp")
    #expect(verdict(#"{"timestamp":0}"#, Topics.consumption) == "missing_field $.energy_amount")
    let bare = #"{"timestamp":0,"energy_amount":1}"#
    #expect(verdict(bare, Topics.storage) == "missing_field $.operation_type")
    #expect(verdict(bare, Topics.production) == "ok")
    #expect(verdict(bare, Topics.consumption) == "ok")
  }

  @Test func everyFieldOfAProduction() throws {
    let payload = reading(
      .production,
      #"""
      "producer_id":"p-1","energy_source":"so\u006car","efficiency":0.97,"quality_score":0.55555,
      "equipment_id":"d\u00e4ch \uD83D\uDD0B","location":{"grid_code":"BKK-07"},
      "interval_seconds":900,"sequence":17,"signature":"5Kd3"
      """#)
    let outcome = decode(payload, on: Topics.production)
    let reading = try #require(outcome.readings.first)
    #expect(reading.kind == .production)
    #expect(outcome.text(reading.device) == "p-1")
    #expect(outcome.text(reading.gridCode) == "BKK-07")
    #expect(reading.energy.microKWh == 250_000)
    #expect(outcome.text(reading.energyText) == "0.25")
    #expect(reading.timestamp.microseconds == 1_781_074_800_000_000)
    #expect(outcome.text(reading.energySource) == "solar")
    #expect((reading.efficiency, reading.qualityScore) == (9_700, 5_556))
    #expect(outcome.text(reading.equipment) == "däch 🔋")
    #expect(outcome.text(reading.location) == #"{"grid_code":"BKK-07"}"#)
    #expect(reading.locationHasGridCode)
    #expect((reading.intervalSeconds, reading.sequence) == (900, 17))
    #expect(outcome.text(reading.signature) == "5Kd3")
    #expect(outcome.readingIndices == [nil])
  }

  @Test func everyFieldOfAConsumptionAndAStorage() throws {
    let consumption = decode(
      reading(
        .consumption,
        #""consumer_type":"residential","location":{"a":1},"appliance_breakdown":{ "tv" : 0.1 }"#),
      on: Topics.consumption)
    let used = try #require(consumption.readings.first)
    #expect(consumption.text(used.consumerType) == "residential")
    #expect(consumption.text(used.applianceBreakdown) == #"{ "tv" : 0.1 }"#)
    #expect(!used.locationHasGridCode)
    let storage = decode(
      #"{"timestamp":0,"energy_amount":"2.50","operation_type":"discharge","#
        + #""price_per_unit":2.6369,"grid_location":"Bang Rak"}"#, on: Topics.storage)
    let given = try #require(storage.readings.first)
    #expect(given.operation == .discharge)
    #expect(given.price == 2_636_900)
    #expect(storage.text(given.gridLocation) == "Bang Rak")
    #expect(storage.text(given.energyText) == "2.50")
  }

  @Test func whatIsNotGivenIsAbsent() throws {
    let outcome = decode(reading(), on: Topics.consumption)
    let reading = try #require(outcome.readings.first)
    let texts = [
      reading.location, reading.energySource, reading.equipment, reading.consumerType,
      reading.applianceBreakdown, reading.gridLocation, reading.signature,
    ]
    #expect(texts.allSatisfy { !$0.isPresent })
    #expect(reading.efficiency == 10_000 && reading.qualityScore == 10_000)
    #expect(reading.price == nil && reading.intervalSeconds == nil && reading.sequence == nil)
  }
}
