// Bad input in small: what exactly is written down about it, and that its neighbours do not suffer.

import Foundation
import MQTTSession
import MeterSimulator
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct BadInputTests {
  private let services = TestServices.shared

  /// A payload, and the reason and path that must stand in its dead letter.
  private struct Bad {
    var payload: String
    var reason: String
    var path: String
  }

  private static let cases: [Bad] = [
    Bad(payload: "", reason: "malformed_payload", path: "$"),
    Bad(payload: "energy=1", reason: "malformed_payload", path: "$"),
    Bad(
      payload: #"{"timestamp":1781000000,"energy_am"#, reason: "malformed_payload", path: "$"),
    Bad(
      payload: #"{"timestamp":1781000000,"energy_amount":1,"energy_amount":2}"#,
      reason: "malformed_payload", path: "$.energy_amount"),
    Bad(
      payload: #"{"timestamp":1781000000,"energy_amount":12345678901234567890}"#,
      reason: "out_of_range", path: "$.energy_amount"),
    Bad(
      payload: #"{"timestamp":1781000000,"energy_amount":"NaN"}"#,
      reason: "wrong_type", path: "$.energy_amount"),
    Bad(
      payload: #"{"timestamp":1781000000}"#, reason: "missing_field", path: "$.energy_amount"),
    Bad(payload: #"{"energy_amount":1}"#, reason: "missing_field", path: "$.timestamp"),
    Bad(
      payload: #"{"timestamp":"2026-06-10T00:00:00","energy_amount":1}"#,
      reason: "wrong_type", path: "$.timestamp"),
    Bad(
      payload:
        #"{"timestamp":"1970-01-01T00:00:07Z","energy_amount":1,"consumer_type":"residential"}"#,
      reason: "implausible", path: "$.timestamp"),
    Bad(
      payload:
        #"{"timestamp":"2070-01-01T00:00:00Z","energy_amount":1,"consumer_type":"residential"}"#,
      reason: "implausible", path: "$.timestamp"),
    Bad(
      payload: #"{"timestamp":1781000000,"energy_amount":1,"consumer_id":"other"}"#,
      reason: "device_mismatch", path: "$.consumer_id"),
    Bad(
      payload: #"{"timestamp":1781000000,"energy_amount":-1,"consumer_type":"residential"}"#,
      reason: "check_violation", path: "$.energy_amount"),
  ]

  @Test func everyDeadLetterSaysWhatAndWhere() async throws {
    let (database, ingestor, topic) = try await start()
    var messages = Self.cases.map { Array($0.payload.utf8) }
    for number in 0...Self.cases.count { messages.insert(good(number), at: number * 2) }
    try publish(messages, to: topic)
    try await ingestor.expectBalancedLedger(received: messages.count)
    let stored = try value("SELECT count(*) FROM grid.energy_consumption", in: database)
    #expect(stored == "\(Self.cases.count + 1)")
    let connection = try PostgresConnection(url: database)
    for bad in Self.cases {
      let letters = try connection.query(
        """
        SELECT reason, json_path, topic, kind, device_id, payload_index, attempts
        FROM ingest.dead_letters WHERE payload = decode($1, 'base64')
        """, [Data(bad.payload.utf8).base64EncodedString()])
      let expected = [bad.reason, bad.path, topic, "consumption", "c-1", nil, "1"]
      #expect(letters == [expected], "\(bad.payload)")
    }
    #expect(
      try value("SELECT count(*) FROM ingest.dead_letters", in: database) == "\(Self.cases.count)")
    #expect(try await ingestor.get("/readyz")?.status == 200)
  }

  /// Each in a message of its own: the batch that PostgreSQL refuses is repaired, exactly.
  @Test func oneBadMessageAmongTenThousand() async throws {
    let (database, ingestor, topic) = try await start()
    var messages = (0..<10_000).map(good)
    let bad =
      #"{"timestamp":1781000000,"energy_amount":1,"consumer_type":"residential","#
      + #""location":{"a":"\u0000"}}"#
    messages[4_321] = Array(bad.utf8)
    try publish(messages, to: topic)
    try await ingestor.expectBalancedLedger(received: 10_000)
    #expect(try value("SELECT count(*) FROM grid.energy_consumption", in: database) == "9999")
    let letters = try PostgresConnection(url: database).query(
      """
      SELECT reason, sqlstate, payload_index, convert_from(payload, 'UTF8')
      FROM ingest.dead_letters
      """)
    #expect(letters == [["rejected_by_database", "22P05", nil, bad]])
  }

  private func start() async throws -> (String, RunningIngestor, topic: String) {
    let database = try TestServices.migratedDatabase()
    let grid = TestServices.freshName()
    let ingestor = try RunningIngestor(database: database, broker: services.mqttURL, grid: grid)
    try await ingestor.waitUntilReady()
    return (database, ingestor, "gridtokenx/v1/\(grid)/consumption/c-1")
  }

  private func good(_ number: Int) -> [UInt8] {
    Array(
      (#"{"timestamp":\#(1_782_000_000 + number),"energy_amount":1,"#
        + #""consumer_type":"residential"}"#).utf8)
  }

  private func publish(_ messages: [[UInt8]], to topic: String) throws {
    let publisher = try MQTTPublisher(
      MQTTSettings(url: services.mqttURL, clientID: TestServices.freshName()))
    for message in messages { try publisher.publish(topic: topic, payload: message) }
    try publisher.finish()
  }
}
