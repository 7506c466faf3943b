// From a meter's publication to a row, through the real broker.

import Foundation
import MQTTSession
import MeterSimulator
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct RunTests {
  private let services = TestServices.shared

  /// A newcomer's first three meters, with the tools they have.
  @Test func oneReadingOfEachKind() async throws {
    let database = try TestServices.migratedDatabase()
    let grid = TestServices.freshName()
    try PostgresConnection(url: database).execute(
      """
      INSERT INTO grid.energy_storage (storage_id, storage_operator, storage_type, capacity_mwh,
        location_json, installed_at) VALUES ('b-1', 'us', 'lithium', 1, '{}', now())
      """)
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: grid,
      settings: ["metrics.interval": "1s"])
    try await ingestor.waitUntilReady()
    for (kind, device, fields) in [
      ("production", "p-1", #""energy_amount": 1.5, "energy_source": "solar""#),
      ("consumption", "c-1", #""energy_amount": "0.1234567", "consumer_type": "residential""#),
      ("storage", "b-1", #""energy_amount":2,"operation_type":"charge","price_per_unit":3.5"#),
    ] {
      let published = try runTool(
        "mosquitto_pub",
        [
          "-p", "\(services.mqttPort)", "-q", "1", "-t", "gridtokenx/v1/\(grid)/\(kind)/\(device)",
          "-m", #"{"timestamp": "2026-06-10T07:00:00+07:00", \#(fields)}"#,
        ])
      #expect(published == 0)
    }
    try await ingestor.expectBalancedLedger(received: 3)
    let rows = try PostgresConnection(url: database).query(
      """
      SELECT producer_id || ' ' || energy_amount || ' ' || energy_source || ' ' || location_json::text
      FROM grid.energy_production
      UNION ALL SELECT consumer_id || ' ' || energy_amount || ' ' || (timestamp AT TIME ZONE 'UTC')
      FROM grid.energy_consumption
      UNION ALL SELECT storage_id || ' ' || energy_amount || ' ' || grid_location || ' ' || price_per_unit
      FROM grid.storage_operations
      """
    ).map { $0[0] }
    #expect(
      rows == [
        #"p-1 1.500000 solar {"grid_code": "\#(grid)"}"#, "c-1 0.123457 2026-06-10 00:00:00",
        "b-1 2.000000 \(grid) 3.500000",
      ])
    #expect(try value("SELECT current_charge FROM grid.energy_storage", in: database) == "0.002000")
    #expect(try await ingestor.get("/healthz")?.status == 200)
    try await eventually("system metrics") {
      try value(
        """
        SELECT count(*) FROM monitoring.system_metrics
        WHERE metric_name = 'meter_ingestor_readings_stored_total' AND metric_value = 1
        """, in: database) != "0"
    }
    #expect(ingestor.log.contains("superuser"))
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0)
  }

  /// Every bad input, with good neighbours, in one go.
  @Test func theHostileDayThroughTheBroker() async throws {
    let own = TestServices.start()
    let database = try own.createDatabase("hostile")
    try Migrator(PostgresConnection(url: database)).migrate()
    let day = try HostileDay()
    try RegistryWriter(PostgresConnection(url: database)).upsert(day.registry)
    let ingestor = try RunningIngestor(database: database, broker: own.mqttURL, grid: nil)
    try await ingestor.waitUntilReady()
    let publisher = try MQTTPublisher(
      MQTTSettings(url: own.mqttURL, clientID: TestServices.freshName()))
    for record in day.records {
      try publisher.publish(topic: record.topic, payload: record.payload, retain: record.retain)
    }
    try publisher.finish()
    let expected = day.records.flatMap(\.expectedOutcomes)
    try await ingestor.expectBalancedLedger(received: expected.count)
    let letters = try PostgresConnection(url: database).query(
      "SELECT reason, sum(attempts) FROM ingest.dead_letters GROUP BY reason")
    for letter in letters {
      let reason = try #require(letter[0])
      #expect("\(expected.count { $0 == reason })" == letter[1], "\(reason)")
    }
    #expect(letters.count == 13)
    let stored = try await ingestor.metric("meter_ingestor_readings_stored_total")
    #expect(Int(stored) == expected.count { $0 == "ok" })
    try own.stop()
  }

  @Test func oneBadReadingAmongTenThousand() async throws {
    let database = try TestServices.migratedDatabase()
    let grid = TestServices.freshName()
    let ingestor = try RunningIngestor(database: database, broker: services.mqttURL, grid: grid)
    try await ingestor.waitUntilReady()
    // PostgreSQL itself must find it: jsonb cannot hold U+0000.
    let readings = (0..<10_000).map { index in
      let place = index == 4_321 ? #","location":{"a":"\u0000"}"# : ""
      return #"{"timestamp":\#(1_781_000_000 + index),"energy_amount":1,"#
        + #""consumer_type":"residential"\#(place)}"#
    }
    let publisher = try MQTTPublisher(
      MQTTSettings(url: services.mqttURL, clientID: TestServices.freshName()))
    try publisher.publish(
      topic: "gridtokenx/v1/\(grid)/consumption/c-1",
      payload: Array("[\(readings.joined(separator: ","))]".utf8))
    try publisher.finish()
    try await ingestor.expectBalancedLedger(received: 10_000)
    #expect(try value("SELECT count(*) FROM grid.energy_consumption", in: database) == "9999")
    let letter = try PostgresConnection(url: database).query(
      "SELECT reason, sqlstate, payload_index, convert_from(payload, 'UTF8') FROM ingest.dead_letters"
    )
    #expect(letter == [["rejected_by_database", "22P05", "4321", readings[4_321]]])
  }

  @Test func twoWorkersShareTheMessages() async throws {
    let database = try TestServices.migratedDatabase()
    let known = KnownReadings(intervals: 100, grid: TestServices.freshName())
    try known.register(in: database)
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid,
      settings: ["ingest.workers": "2"])
    try await ingestor.waitUntilReady()
    try known.publish(0..<known.readings.count, to: services.mqttURL)
    try await known.expectStored(in: database, ingestor.log)
    try await ingestor.expectBalancedLedger(received: known.readings.count)
    for worker in 0..<2 {
      #expect(try await ingestor.metric("meter_ingestor_mqtt_connected", "\"\(worker)\"") == 1)
      #expect(ingestor.log.contains("worker=\(worker) [meter_ingestor] batch committed"))
    }
  }
}

/// Runs a tool of the system's and returns its status.
func runTool(_ name: String, _ arguments: [String]) throws -> Int32? {
  var child = try ChildProcess(["/usr/bin/env", name] + arguments, output: "/dev/null")
  return child.waitForExit(atMost: .seconds(20))
}
