// Known content: what a simulated neighbourhood publishes, and what must be in the tables then.

import EnergyReadings
import Foundation
import MQTTSession
import MeterSimulator
import PostgresStore
import TestServices
import Testing

/// Readings of a day, moved to a grid code of a test's own.
struct KnownReadings {
  let readings: [SimulatedReading]
  let grid: String
  private let neighbourhood = Neighbourhood(seed: 3, meterCount: 100)

  /// - Parameter intervals: 100 readings each.
  init(intervals: Int, grid: String) {
    self.grid = grid
    // 2026-11-20T00:00:00Z.
    let start: Int64 = 1_795_132_800_000_000
    readings = Array(
      neighbourhood.readings(
        from: start, to: start + Int64(intervals) * 60_000_000, interval: 60))
  }

  func register(in database: String) throws {
    try RegistryWriter(PostgresConnection(url: database)).upsert(neighbourhood.registry)
  }

  /// Topic and payload of a reading on this test's grid.
  func message(_ index: Int) -> (topic: String, payload: [UInt8]) {
    let levels = readings[index].topic.split(separator: "/")
    return ("gridtokenx/v1/\(grid)/\(levels[3])/\(levels[4])", readings[index].payload)
  }

  /// Publishes some of them at QoS 1 and waits for the broker.
  func publish(_ range: Range<Int>, to broker: String) throws {
    var settings = try MQTTSettings(url: broker, clientID: TestServices.freshName())
    settings.cleanStart = true
    settings.sessionExpiry = 0
    let publisher = try MQTTPublisher(settings)
    for index in range {
      let message = message(index)
      try publisher.publish(topic: message.topic, payload: message.payload)
    }
    try publisher.finish()
  }

  var stored: Int { readings.count { !$0.isZero } }

  /// Rows and kWh of all three tables, as text.
  static let tally = """
    SELECT count(*) || ' ' || sum(energy_amount) FROM (
      SELECT energy_amount FROM grid.energy_production
      UNION ALL SELECT energy_amount FROM grid.energy_consumption
      UNION ALL SELECT energy_amount FROM grid.storage_operations) AS stored
    """

  /// What ``tally`` must say once everything is stored, once.
  var expectedTally: String {
    let sum = readings.reduce(0) { $0 + $1.energyMicroKWh }
    return "\(stored) \(EnergyAmount(microKWh: sum))"
  }

  /// Waits until everything is stored, and checks that nothing more is.
  func expectStored(in database: String, _ log: @autoclosure () -> String) async throws {
    try await eventually("\(stored) rows\n\(log().suffix(3_000))") {
      let rows = try? value(KnownReadings.tally, in: database)
      return Int(rows?.split(separator: " ").first ?? "") ?? 0 >= stored
    }
    #expect(try value(KnownReadings.tally, in: database) == expectedTally)
  }
}
