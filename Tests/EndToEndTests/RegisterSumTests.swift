// Running totals through the whole program: four workers share messages in any order, some come twice,
// and the program is killed meanwhile. What is stored adds up all the same.

import EnergyReadings
import Foundation
import MQTTSession
import MeterSimulator
import PostgresStore
import PrivateServices
import SeededRandom
import TestServices
import Testing

@Suite struct RegisterSumTests {
  /// Micro-kWh that flowed, by device, from the oldest total that is published to the newest.
  private typealias Truth = [String: Int64]

  @Test(arguments: [0x5EED1, 0x5EED2] as [UInt64])
  func killedTwiceTheSumsAreRight(seed: UInt64) async throws {
    let database = try TestServices.migratedDatabase()
    let (broker, root) = (TestServices.shared.mqttURL, TestServices.freshName())
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try registerDevices(database)
    let path = folder + "/sources.yaml"
    try sources(root).write(toFile: path, atomically: true, encoding: .utf8)
    var random = SeededGenerator(seed: seed)
    let (messages, truth) = messages(root, &random)
    let ingestor = try RunningIngestor(
      database: database, broker: broker, grid: nil,
      settings: [
        "ingest.sources": path, "ingest.workers": "4", "ingest.batch-size": "20",
        "ingest.linger": "1ms", "mqtt.topics": "\(root)/#",
      ])
    try await ingestor.waitUntilReady()
    try await publish(messages, to: broker, killing: ingestor, database)
    try await eventually("the sums: \(ingestor.log.suffix(2_000))") {
      try sums(database) == truth
    }
    // And stay so, once everything has come.
    try await eventually("an end") {
      try await ingestor.metric("meter_ingestor_readings_in_flight") == 0
    }
    #expect(try sums(database) == truth)
    #expect(try value("SELECT count(*) FROM ingest.dead_letters", in: database) == "0")
    #expect(try value("SELECT count(*) FROM ingest.register_events", in: database) == "0")
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0)
  }

  /// Publishes a third of the messages three times; kills the ingestor in the middle of the first two.
  private func publish(
    _ messages: [(topic: String, payload: String)], to broker: String,
    killing ingestor: RunningIngestor, _ database: String
  ) async throws {
    let third = messages.count / 3
    for part in 0..<2 {
      try publish(messages[part * third..<(part + 1) * third], to: broker)
      // Something is stored, and most is on its way.
      try await eventually("rows: \(ingestor.log.suffix(2_000))") {
        try Int(value(Self.count, in: database) ?? "") ?? 0 > part * third / 2 + 20
      }
      try ingestor.killAndRestart()
      try await ingestor.waitUntilReady()
    }
    try publish(messages[(2 * third)...], to: broker)
  }

  private static let count = """
    SELECT (SELECT count(*) FROM grid.energy_consumption)
      + (SELECT count(*) FROM grid.energy_production)
    """

  private func sources(_ root: String) -> String {
    """
    - topic: \(root)/total/{device}/{register}
      register: "{register}"
      value: /wh
      unit: Wh
      kind: consumption
      time: [/t, unix_s]
      max_kw: 20
    - topic: \(root)/net/{device}/{register}
      register: "{register}"
      value: /wh
      unit: Wh
      mode: net_register
      kind: consumption
      kind_negative: production
      time: [/t, unix_s]
      max_kw: 20
    """
  }

  private func registerDevices(_ database: String) throws {
    try PostgresConnection(url: database).execute(
      """
      INSERT INTO blockchain.registered_consumers (consumer_id, consumer_name, consumer_type,
        location_json)
      SELECT kind || '-' || i, 'x', 'residential', '{}'::jsonb
      FROM generate_series(0, 29) AS i, (VALUES ('total'), ('net')) AS kinds (kind);
      INSERT INTO blockchain.registered_producers (producer_id, producer_name, producer_type,
        energy_sources, location_json, capacity_kw)
      SELECT 'net-' || i, 'x', 'residential', '{solar}'::text[], '{}'::jsonb, 1000
      FROM generate_series(0, 29) AS i;
      """)
  }

  /// The lives of 90 registers, shuffled, some messages twice and some lost.
  private func messages(
    _ root: String, _ random: inout SeededGenerator
  ) -> (messages: [(topic: String, payload: String)], truth: Truth) {
    var messages: [(topic: String, payload: String)] = []
    var truth: Truth = [:]
    for device in 0..<30 {
      for (kind, register) in [("total", "1.8.1"), ("total", "1.8.2"), ("net", "16.8.0")] {
        let totals = totals(kind, &random)
        let (first, last) = (totals.first?.microKWh ?? 0, totals.last?.microKWh ?? 0)
        truth["\(kind)-\(device)", default: 0] += last - first
        messages += totals.map { total in
          let wattHours = FixedPoint.text(total.microKWh, scale: 3)
          return (
            "\(root)/\(kind)/\(kind)-\(device)/\(register)",
            #"{"wh":\#(wattHours),"t":\#(total.at)}"#
          )
        }
      }
    }
    messages += messages.filter { _ in random.oneIn(4) }
    messages.shuffle(using: &random)
    return (messages, truth.filter { $0.value != 0 })
  }

  private func totals(
    _ kind: String, _ random: inout SeededGenerator
  ) -> [(at: Int, microKWh: Int64)] {
    var (at, value) = (1_795_132_800, Int64(random.number(1_000_000_000...2_000_000_000)))
    var totals: [(at: Int, microKWh: Int64)] = []
    for _ in 0..<random.number(4...14) {
      at += random.number(1...1_800)
      // At most what 20 kW are in a quarter of an hour, so that any two are as one.
      value +=
        random.oneIn(4) ? 0 : Int64(random.number(kind == "net" ? -200_000...200_000 : 0...200_000))
      if totals.isEmpty || !random.oneIn(5) { totals.append((at, value)) }
    }
    return totals
  }

  private func publish(
    _ messages: ArraySlice<(topic: String, payload: String)>, to broker: String
  ) throws {
    var settings = try MQTTSettings(url: broker, clientID: TestServices.freshName())
    settings.cleanStart = true
    settings.sessionExpiry = 0
    let publisher = try MQTTPublisher(settings)
    for message in messages {
      try publisher.publish(topic: message.topic, payload: Array(message.payload.utf8))
    }
    try publisher.finish()
  }

  /// What is stored of each device: consumption less production, micro-kWh, where that is not 0.
  private func sums(_ database: String) throws -> Truth {
    let rows = try PostgresConnection(url: database).query(
      """
      SELECT device, (sum(kwh) * 1000000)::bigint FROM (
        SELECT consumer_id, energy_amount FROM grid.energy_consumption
        UNION ALL SELECT producer_id, -energy_amount FROM grid.energy_production
      ) AS stored (device, kwh) GROUP BY device HAVING sum(kwh) <> 0
      """)
    var sums: Truth = [:]
    for row in rows { sums[row[0] ?? ""] = Int64(row[1] ?? "") }
    return sums
  }
}
