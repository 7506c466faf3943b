// The dashboards of deploy/grafana before the real Prometheus and the real database.

import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite(.enabled(if: RunningPrometheus.isInstalled), .timeLimit(.minutes(3))) struct DashboardTests {
  private let grid = TestServices.freshName()

  /// After a minute of an ingestor's life, each panel has something to show, and a rejection leads to
  /// its dead letter.
  @Test func everyPanelHasSomethingToShow() async throws {
    // A broker of its own: what it says of itself is gone a minute after it changed last.
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path, postgres: .init(fsync: false))
    defer { try? services.stop() }
    let database = try TestServices.migratedDatabase()
    try furnish(database)
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: grid,
      settings: [
        "monitoring.window": "10s", "monitoring.meter-interval": "60s", "metrics.interval": "1s",
        "spool.directory": folder,
      ])
    try await ingestor.waitUntilReady()
    let address = try #require(ingestor.log.firstMatch(of: /url=http:\/\/([0-9.:]+)/)?.1)
    let prometheus = try RunningPrometheus(scraping: String(address))

    // It can say no.
    #expect(try await prometheus.values(of: "sum(meter_ingestor_nothing)") == [])
    #expect(throws: PostgresError.self) { try rows(of: "SELECT nothing", in: database) }

    var panels = try queries("ingestor.json", "expr")
    #expect(panels.count > 20)
    try await eventually("figures for \(panels)\n\(prometheus.log)\n\(ingestor.log.suffix(2_000))")
    {
      try live(services)
      var empty: [String] = []
      for query in panels {
        if try await prometheus.values(of: query).isEmpty { empty.append(query) }
      }
      panels = empty
      return empty.isEmpty
    }
    var tables = try queries("grid.json", "rawSql")
    #expect(tables.count == 7)
    try await eventually("rows for \(tables)") {
      try live(services)
      tables = try tables.filter { try rows(of: $0, in: database).isEmpty }
      return tables.isEmpty
    }
    try await expectExemplars(prometheus, database)
  }

  /// What Prometheus keeps beside the counter is the dead letter's id; beside commits, their size.
  private func expectExemplars(_ prometheus: RunningPrometheus, _ database: String) async throws {
    let letter = try #require(try value("SELECT id FROM ingest.dead_letters", in: database))
    let now = Int(Date.now.timeIntervalSince1970)
    for (metric, wanted) in [
      ("meter_ingestor_readings_rejected_total", "\"dead_letter_id\":\"\(letter)\""),
      ("meter_ingestor_rule_violations_total", "\"dead_letter_id\":\"\(letter)\""),
      ("meter_ingestor_commit_seconds_bucket", "\"readings\":\""),
    ] {
      try await eventually("\(wanted) of \(metric)") {
        try await prometheus.ask(
          "query_exemplars?query=\(metric)&start=\(now - 600)&end=\(now + 600)"
        ).contains(wanted)
      }
    }
  }

  private func furnish(_ database: String) throws {
    try PostgresConnection(url: database).execute(
      """
      INSERT INTO grid.locations (province, district, grid_code, substation, coordinates,
        capacity_mw, current_load_mw) VALUES ('P', 'D', '\(grid)', 's', '(1,2)', 1.5, 0.25);
      INSERT INTO blockchain.registered_consumers (consumer_id, consumer_name, consumer_type,
        location_json) VALUES ('c-1', 'C', 'residential', '{"grid_code":"\(grid)"}')
      """)
  }

  /// One moment of a meter's life: a reading, one whose clock is ahead, and the one that is always
  /// the same and always turned away.
  private func live(_ services: PrivateServices) throws {
    for (energy, time) in [
      ("0.25", Date.now.ISO8601Format()), ("0.5", Date(timeIntervalSinceNow: 90).ISO8601Format()),
      ("-1", "2026-06-01T12:00:00Z"),
    ] {
      let status = try runTool(
        "mosquitto_pub",
        [
          "-p", "\(services.mqttPort)", "-q", "1", "-t", "gridtokenx/v1/\(grid)/consumption/c-1",
          "-m", #"{"timestamp":"\#(time)","energy_amount":\#(energy)}"#,
        ])
      #expect(status == 0)
    }
  }

  /// The queries of a dashboard, with what Grafana would put into them.
  private func queries(_ dashboard: String, _ key: String) throws -> [String] {
    let data = try Data(contentsOf: deployed("grafana/dashboards/\(dashboard)"))
    let board = try JSONSerialization.jsonObject(with: data) as? [String: Any]
    let panels = try #require(board?["panels"] as? [[String: Any]])
    return panels.flatMap { panel in
      (panel["targets"] as? [[String: Any]] ?? []).compactMap { $0[key] as? String }
    }.map {
      $0.replacing("$instance", with: ".*").replacing("$__rate_interval", with: "10s")
        .replacing(
          /\$__timeFilter\((\w+)\)/,
          with: { "\($0.output.1) BETWEEN now() - interval '6 h' AND now()" })
    }
  }

  /// As the role that the provisioning file describes, with no right but what it says.
  private func rows(of sql: String, in database: String) throws -> [[String?]] {
    let file = try String(
      contentsOf: deployed("grafana/provisioning/datasources/meter-ingestor.yml"), encoding: .utf8)
    let grants = file.matches(of: /#   (GRANT .*;)/).map { String($0.output.1) }
    #expect(grants.count == 3)
    let connection = try PostgresConnection(url: database)
    let role = TestServices.freshName()
    try connection.execute(
      "CREATE ROLE \(role); "
        + grants.joined(separator: " ").replacing("TO grafana", with: "TO \(role)")
        + " SET ROLE \(role)")
    return try connection.query(sql)
  }

  private func deployed(_ path: String) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("deploy/\(path)")
  }
}
