// Grid health as the running program writes it: once, whoever runs, and without anybody's help.

import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct GridHealthRunTests {
  private let services = TestServices.shared

  private func publish(_ grid: String, _ kWh: String, secondsAgo: TimeInterval) throws {
    let time = Date(timeIntervalSinceNow: -secondsAgo).ISO8601Format()
    let published = try runTool(
      "mosquitto_pub",
      [
        "-p", "\(services.mqttPort)", "-q", "1", "-t", "gridtokenx/v1/\(grid)/production/p-1", "-m",
        #"{"timestamp": "\#(time)", "energy_amount": \#(kWh), "energy_source": "solar"}"#,
      ])
    #expect(published == 0)
  }

  private func leaders(_ ingestors: [RunningIngestor]) async throws -> [Double] {
    var leaders: [Double] = []
    for ingestor in ingestors {
      leaders.append(try await ingestor.metric("meter_ingestor_monitoring_leader"))
    }
    return leaders
  }

  /// Two processes on one database: one writes; when it stops, the other goes on, and finds the late
  /// reading that came in between.
  @Test func oneOfTwoWritesAndTheOtherTakesOver() async throws {
    let database = try TestServices.migratedDatabase()
    let grid = TestServices.freshName()
    try PostgresConnection(url: database).execute(
      """
      INSERT INTO blockchain.registered_producers (producer_id, producer_name, producer_type,
        energy_sources, location_json, capacity_kw)
      VALUES ('p-1', 'P', 'residential', '{solar}', '{"grid_code":"\(grid)"}', 1000)
      """)
    var ingestors: [RunningIngestor] = []
    for listening in [grid, TestServices.freshName()] {
      let ingestor = try RunningIngestor(
        database: database, broker: services.mqttURL, grid: listening,
        settings: ["monitoring.window": "10s", "monitoring.meter-interval": "60s"])
      try await ingestor.waitUntilReady()
      // The second starts when the first has the lock.
      if ingestors.isEmpty {
        try await eventually("a first run") { try await leaders([ingestor]) == [1] }
      }
      ingestors.append(ingestor)
    }
    #expect(try await leaders(ingestors) == [1, 0])
    #expect(
      try await ingestors[0].metric("meter_ingestor_meters_registered", grid) == 1)

    try publish(grid, "2.5", secondsAgo: 3_600)
    try await ingestors[0].expectBalancedLedger(received: 1)
    ingestors[0].signal(SIGTERM)
    #expect(ingestors[0].waitForExit() == 0)
    try await eventually("the other writes") { try await leaders([ingestors[1]]) == [1] }
    try await eventually("the late reading's window") {
      try value(
        "SELECT sum(energy_flow_in) FROM monitoring.grid_health WHERE grid_code = '\(grid)'",
        in: database) == "2.500000"
    }
    #expect(
      try value(
        """
        SELECT count(*) FROM (SELECT FROM monitoring.grid_health
          GROUP BY grid_code, recorded_at HAVING count(*) > 1) AS twice
        """, in: database) == "0")
    ingestors[1].signal(SIGTERM)
    #expect(ingestors[1].waitForExit() == 0)
  }
}
