// How long monitoring tables keep what this program wrote, and that they keep what others wrote.

import PostgresStore
import TestServices
import Testing

@testable import Monitoring

@Suite struct RetentionTests {
  @Test func oldSystemMetricsGoAndThoseOfOthersStay() throws {
    var database = try HealthDatabase()
    database.settings.retention = .seconds(3_600)
    func write(_ rows: Int, _ name: String, _ labels: String, at second: Int) throws {
      try database.connection.execute(
        """
        INSERT INTO monitoring.system_metrics (metric_name, metric_value, metric_type, labels,
          recorded_at)
        SELECT '\(name)', n, 'gauge', '\(labels)',
          \(HealthDatabase.at(second)) - n * interval '1 millisecond'
        FROM generate_series(1, \(rows)) AS n
        """)
    }
    let instance = #"{"instance":"a"}"#
    try write(5_001, "meter_ingestor_rules", instance, at: -3_600)
    try write(3, "process_open_fds", instance, at: -3_600)
    try write(1, "meter_ingestor_rules", instance, at: -3_500)
    // Whatever their age: of other names, or without the label.
    try write(6_000, "trading_orders", instance, at: -7_200)
    try write(2, "process_open_fds", "{}", at: -7_200)
    #expect(try database.run(at: 0).pruned == 5_004)
    let counts = """
      SELECT metric_name, labels ? 'instance', count(*) FROM monitoring.system_metrics
      GROUP BY 1, 2 ORDER BY 1, 2
      """
    #expect(
      try database.lines(counts) == [
        "meter_ingestor_rules t 1", "process_open_fds f 2", "trading_orders t 6000",
      ])
    // What was looked through is not looked at again, and what grows old since then goes.
    let (gone, seen) = try look(database, RetentionSQL.systemMetrics, at: 0, olderThan: 3_600)
    #expect(gone == 0 && seen == 0)
    #expect(try database.run(at: 101).pruned == 1)
  }

  /// Rows of one time stay together, so that the place reached is always between two times.
  @Test func manyRowsOfOneTimeGoTogether() throws {
    var database = try HealthDatabase()
    database.settings.retention = .seconds(3_600)
    try database.connection.execute(
      """
      INSERT INTO monitoring.system_metrics (metric_name, metric_value, metric_type, labels,
        recorded_at)
      SELECT 'meter_ingestor_rules', n, 'gauge', '{"instance":"a"}', \(HealthDatabase.at(-4_000))
      FROM generate_series(1, 12000) AS n
      """)
    #expect(try database.run(at: 0).pruned == 12_000)
  }

  @Test func oldWindowsGoWithTheirHistoryAndThoseOfOthersStay() throws {
    var database = try HealthDatabase()
    try database.store("c-1", at: 50, "1")
    try database.run(at: 62)
    try database.connection.execute(
      """
      INSERT INTO monitoring.grid_health (grid_code, health_score, stability_index,
        congestion_level, recorded_at)
      VALUES ('G-1', 0.5, 0.5, 'high', \(HealthDatabase.at(60)));
      INSERT INTO grid.status_history (grid_code, capacity, current_load, congestion_level,
        stability_score, outage_risk, recorded_at)
      VALUES ('G-9', 1, 1, 'low', 1, 0, \(HealthDatabase.at(60))),
        ('G-1', 1, 1, 'low', 1, 0, \(HealthDatabase.at(59)))
      """)
    let day = 86_400
    database.settings.healthRetention = .seconds(2 * day)
    try database.run(at: 2 * day + 59)
    #expect(try database.health("1").first == "60 1")
    try database.run(at: 2 * day + 60)
    #expect(
      try database.lines(
        "SELECT health_score FROM monitoring.grid_health "
          + "WHERE recorded_at <= \(HealthDatabase.at(60))") == ["0.5000"])
    #expect(
      try database.lines(
        "SELECT grid_code FROM grid.status_history "
          + "WHERE recorded_at <= \(HealthDatabase.at(60)) ORDER BY 1") == ["G-1", "G-9"])
    #expect(
      try database.lines(
        "SELECT count(*) > 1000 FROM grid.status_history WHERE grid_code = 'G-1'") == ["t"])
  }

  /// A reading so late that its window is not kept any more is stored, and no window is made of it.
  @Test func aWindowThatIsNotKeptIsNotWritten() throws {
    var database = try HealthDatabase()
    database.settings.healthRetention = .seconds(86_400)
    try database.connection.execute(
      "INSERT INTO ingest.stale_windows VALUES (\(HealthDatabase.at(-86_400)))")
    // What is old has gone already, so that nothing would take such a window away again.
    try database.run(at: 2)
    try database.store("c-1", at: -86_400, "1", arrived: 3)
    try database.store("c-1", at: -86_400 + 200, "1", arrived: 3)
    try database.run(at: 62)
    #expect(
      try database.health("energy_flow_out").filter { !$0.hasSuffix(" 0.000000") }
        == ["-86160 1.000000"])
    #expect(try database.lines("SELECT * FROM ingest.stale_windows").isEmpty)
  }

  private func look(
    _ database: HealthDatabase, _ sql: String, at second: Int, olderThan seconds: Int
  ) throws -> (Int, Int) {
    let now = try database.connection.query("SELECT \(HealthDatabase.at(second))")[0][0]
    let row = try database.connection.query(sql, [now, "\(seconds)"])[0].map {
      $0.flatMap { Int($0) } ?? -1
    }
    return (row[0], row[1])
  }
}
