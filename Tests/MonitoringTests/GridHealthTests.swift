// Grid health on a real PostgreSQL: the formulas, what late readings change, and who writes.

import PostgresStore
import SeededRandom
import TestServices
import Testing

@testable import Monitoring

@Suite struct GridHealthTests {
  private static let flows = "energy_flow_in, energy_flow_out, active_connections"
  private static let scores = """
    registered_devices, completeness, load_mw, congestion_level, stability_index, health_score
    """

  /// Three of five meters are heard; 1500 kWh in a quarter of an hour are 6 MW of 8, so headroom is
  /// (1 − 0.75) ÷ 0.3, and health the cube root of 0.6 × 1 × 0.8333.
  @Test func theFormulas() throws {
    let database = try HealthDatabase()
    // So that the window before is the first that is written.
    try database.startJob(at: 74)
    try database.store("p-1", at: 30, "400")
    try database.store("p-1", at: 60, "0.000001")
    try database.store("b-1", at: 40, "-100")
    try database.store("b-1", at: 60, "0.5")
    try database.store("c-1", at: 1, "1499.5")
    // Of the window before, by its last microsecond, and of the one after.
    try database.store("c-2", at: 0, "0.000002")
    try database.store("c-2", at: 61, "9", arrived: 61)
    for (kind, device) in [("production", "p-1"), ("consumption", "c-1"), ("production", "p-2")] {
      try database.hear(kind, device, at: 55)
    }
    try database.hear("storage", "b-1", at: -1000)
    let report = try database.run(at: 62)
    #expect(
      report.meters == [
        GridMeters(gridCode: "G-1", registered: 5, heard: 3, late: 1, silent: 1)
      ])
    #expect(
      try database.health(Self.flows) == [
        "0 0.000000 0.000002 1", "60 500.000001 1500.000000 3",
      ])
    #expect(try database.health(Self.scores).last == "60 5 0.6000 6.000000 medium 1.0000 0.7937")
    #expect(
      try database.lines("SELECT * FROM grid.locations ORDER BY id").map {
        $0.contains("6.00 medium")
      }
        == [true, false])
    #expect(
      try database.lines(
        """
        SELECT grid_code, capacity, current_load, congestion_level, stability_score, outage_risk
        FROM grid.status_history WHERE recorded_at = \(HealthDatabase.at(60))
        """) == ["G-1 8.00 6.00 medium 1.0000 0.5000"])
  }

  /// A quarter of an hour at 2 MW, then one at 4 MW net: a ramp of 2 of 8 MW.
  @Test func stabilityIsTheRampOfNetLoad() throws {
    let database = try HealthDatabase()
    // So that the first window is written, and none before.
    try database.startJob(at: 105)
    try database.store("c-1", at: 30, "500")
    try database.store("c-1", at: 930, "2000")
    try database.store("p-1", at: 930, "1000")
    try database.run(at: 961)
    let scores = try database.health("load_mw, stability_index, congestion_level")
    #expect(scores.first { $0.hasPrefix("900 ") } == "900 2.000000 1.0000 low")
    // The reading of 30 s is of the interval before now; that of 930 s makes 8 MW, all there is.
    #expect(scores.first { $0.hasPrefix("960 ") } == "960 8.000000 0.7500 critical")
  }

  @Test func whereNobodyIsHeardNothingIsKnownToBeWell() throws {
    let database = try HealthDatabase()
    try database.run(at: 62)
    #expect(try database.health(Self.flows).last == "60 0.000000 0.000000 0")
    #expect(
      try database.health(Self.scores).last == "60 5 0.0000 0.000000 low 1.0000 0.0000")
    #expect(try database.health(Self.flows, of: "G-2").isEmpty)
    #expect(
      try database.lines("SELECT DISTINCT outage_risk FROM grid.status_history") == ["1.0000"])
  }

  @Test func aLateReadingAmendsItsOwnWindowAndNobodyWasHeardInTime() throws {
    let database = try HealthDatabase()
    try database.hear("consumption", "c-1", at: 50)
    try database.store("c-1", at: 50, "1")
    for second in stride(from: 62, through: 602, by: 60) { try database.run(at: second) }
    let before = try database.health("\(Self.flows), completeness")
    #expect(before.first { $0.hasPrefix("60 ") } == "60 0.000000 1.000000 1 0.2000")
    try database.store("c-2", at: 55, "2", arrived: 630)
    try database.run(at: 662)
    let after = try database.health("\(Self.flows), completeness")
    #expect(after.first { $0.hasPrefix("60 ") } == "60 0.000000 3.000000 2 0.2000")
    #expect(
      Set(after).symmetricDifference(before) == [
        "60 0.000000 1.000000 1 0.2000", "60 0.000000 3.000000 2 0.2000",
        "660 0.000000 0.000000 0 0.2000",
      ])
    // Load looks back a quarter of an hour, so later windows know of it too: 3 kWh are 12 kW.
    #expect(try database.health("load_mw").last == "660 0.012000")
  }

  /// What is not attributed to a grid code is still energy.
  @Test func energyWithoutAGridCodeIsNotDropped() throws {
    let database = try HealthDatabase()
    try database.store("c-1", at: 50, "1", code: "a code of more than twenty letters")
    try database.store("p-9", at: 50, "2", code: "")
    try database.run(at: 62)
    #expect(try database.health(Self.flows, of: "unknown").last == "60 2.000000 1.000000 2")
    #expect(
      try database.health(Self.scores, of: "unknown").last
        == "60 0 1.0000 0.004000 low 1.0000 1.0000")
  }

  @Test func aRowStillInATransactionIsFoundLater() throws {
    let database = try HealthDatabase()
    let writer = try PostgresConnection(url: database.url)
    // The server's own time: what matters is when a transaction began.
    try database.connection.execute(
      "UPDATE ingest.monitoring_progress SET through = now() - interval '1 minute'")
    try writer.execute("BEGIN")
    try writer.execute(
      """
      INSERT INTO grid.energy_consumption (consumer_id, energy_amount, consumer_type,
        location_json, "timestamp")
      VALUES ('c-1', 5, 'residential', '{"grid_code":"G-1"}', \(HealthDatabase.at(-3600)))
      """)
    let job = MonitoringJob(settings: database.settings)
    _ = try job.run(over: database.connection)
    try writer.execute("COMMIT")
    #expect(try database.health("energy_flow_out").first { $0.hasPrefix("-3600 ") } == nil)
    let begun = try database.lines(
      "SELECT through <= (SELECT created_at FROM grid.energy_consumption) "
        + "FROM ingest.monitoring_progress WHERE job = 'grid_health'")
    #expect(begun == ["t"])
    _ = try job.run(over: database.connection)
    #expect(try database.health("energy_flow_out").first == "-3600 5.000000")
  }

  @Test func ofManySessionsOneWrites() throws {
    let database = try HealthDatabase()
    var first: PostgresConnection? = try PostgresConnection(url: database.url)
    let second = try PostgresConnection(url: database.url)
    for _ in 1...2 { #expect(try database.run(at: 62, over: first).isLeader) }
    #expect(try database.run(at: 122, over: second) == MonitoringReport())
    #expect(try database.health("1").last == "60 1")
    let pid = try first?.query("SELECT pg_backend_pid()")[0][0] ?? ""
    first = nil
    // The server ends a session a moment after its client has left.
    while try !database.lines("SELECT FROM pg_stat_activity WHERE pid = \(pid)").isEmpty {}
    #expect(try database.run(at: 122, over: second).isLeader)
    #expect(try database.health("1").last == "120 1")
  }

  @Test func rowsOfOtherWritersStay() throws {
    let database = try HealthDatabase()
    try database.connection.execute(
      """
      INSERT INTO monitoring.grid_health (grid_code, health_score, stability_index,
        congestion_level, energy_flow_out, recorded_at)
      VALUES ('G-1', 0.5, 0.5, 'high', 7, \(HealthDatabase.at(60)))
      """)
    for second in [62, 63] { try database.run(at: second) }
    #expect(
      try database.lines(
        "SELECT health_score, load_mw, energy_flow_out FROM monitoring.grid_health "
          + "WHERE recorded_at = \(HealthDatabase.at(60)) ORDER BY id")
        == ["0.5000 null 7.000000", "0.0000 0.000000 0.000000"])
  }

  @Test func aJobThatStoodStillCatchesUp() throws {
    var database = try HealthDatabase()
    try database.store("c-1", at: 1790, "1")
    try database.store("c-1", at: 3600, "2")
    try database.run(at: 3601)
    #expect(
      try database.health("energy_flow_out").filter { !$0.hasSuffix(" 0.000000") }
        == ["1800 1.000000", "3600 2.000000"])
    #expect(try database.health("1").count == 62)
    // Another length of windows: what was marked for the old one is done in the new.
    try database.connection.execute(
      "INSERT INTO ingest.stale_windows VALUES (\(HealthDatabase.at(60)))")
    database.settings.window = .seconds(900)
    try database.run(at: 3602)
    #expect(try database.lines("SELECT * FROM ingest.stale_windows").isEmpty)
  }

  /// What an outage has left behind comes in: its windows wait, but not for ever.
  @Test func aFloodOfLateReadingsIsWrittenWhenItHasPassed() throws {
    let database = try HealthDatabase()
    try database.startJob(at: 3_990)
    try database.connection.execute(
      """
      INSERT INTO grid.energy_consumption (consumer_id, energy_amount, consumer_type, location_json,
        "timestamp", created_at)
      SELECT 'c-1', 0.001, 'residential', '{"grid_code":"G-1"}',
        \(HealthDatabase.noon) + n * interval '0.02 seconds', \(HealthDatabase.at(4_000))
      FROM generate_series(1, \(GridHealthSQL.flood) * 105 / 100) AS n
      """)
    let flooded = try database.run(at: 4_001)
    #expect(flooded.windows == 10)
    #expect(try !database.health("1").contains("60 1"))
    // The tenth window of that hour.
    let patient = try database.run(at: 4_150)
    #expect(patient.windows > 20)
    #expect(try database.health("energy_flow_out").first == "60 3.000000")
  }

  @Test func theRoleOfTheIngestorMayDoAllOfIt() throws {
    let database = try HealthDatabase()
    try database.store("c-1", at: 50, "1")
    try database.connection.execute("SET ROLE meter_ingestor")
    #expect(throws: Never.self) { try database.run(at: 62) }
    #expect(throws: Never.self) { try database.run(at: 122) }
    #expect(
      try database.lines(
        "SELECT max(current_load_mw), max(energy_flow_out) "
          + "FROM grid.locations, monitoring.grid_health") == ["0.00 1.000000"])
  }

  /// Whatever the size of the tables: the statements' conditions are those of the indexes.
  @Test func readingsAreFoundByTheirIndexes() throws {
    let database = try HealthDatabase()
    try database.connection.execute("SET enable_seqscan = off")
    func plan(_ sql: String, _ parameters: [String]) throws -> String {
      try database.connection.query("EXPLAIN \(sql)", parameters).compactMap { $0[0] }
        .joined(separator: "\n")
    }
    let late = try plan(GridHealthSQL.mark, ["now", "60", "86400"])
    for table in ["energy_production", "energy_consumption", "storage_operations"] {
      #expect(late.contains("idx_\(table)_late"), "\(late)")
    }
    let windows = try plan(GridHealthSQL.write, ["{60,120}", "60", "900", "120"])
    for index in [
      "idx_energy_production_timestamp", "idx_energy_consumption_timestamp",
      "idx_storage_operations_executed", "idx_grid_health_recorded",
    ] {
      #expect(windows.contains(index), "\(windows)")
    }
  }

  /// However readings come, in whatever order and however late, in the end each window holds what the
  /// tables hold, once, to the millionth of a kWh.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func windowsAddUpToTheReadings(seed: UInt64) throws {
    let database = try HealthDatabase()
    var random = SeededGenerator(seed: seed)
    let devices = ["p-1", "p-2", "p-77", "c-1", "c-2", "b-1"]
    var now = 0
    for _ in 1...15 {
      for _ in 1...random.number(1...8) {
        let age = random.oneIn(3) ? random.number(0...20_000) : random.number(0...60)
        let device = random.element(of: devices)
        let sign = device == "b-1" && random.oneIn(2) ? "-" : ""
        try database.store(
          device, at: now - age, "\(sign)\(random.number(0...99)).\(random.digits(5))1",
          code: random.element(of: ["G-1", "G-2", "G-3"]), arrived: now)
      }
      now += random.number(1...150)
      try database.run(at: now)
    }
    try database.run(at: now + 180)
    #expect(try database.lines(Self.difference).isEmpty)
    let twice =
      "SELECT FROM monitoring.grid_health GROUP BY grid_code, recorded_at HAVING count(*) > 1"
    #expect(try database.lines(twice).isEmpty)
    #expect(
      try database.lines("SELECT count(*) > 20 FROM monitoring.grid_health") == ["t"])
  }

  /// Windows whose amounts are not those of the readings, reckoned another way: reading by reading.
  private static let difference = """
    WITH reading AS (
      SELECT "timestamp" AS at, location_json ->> 'grid_code' AS code, energy_amount AS kwh_in,
        0 AS kwh_out, producer_id AS device
      FROM grid.energy_production
      UNION ALL SELECT "timestamp", location_json ->> 'grid_code', 0, energy_amount, consumer_id
      FROM grid.energy_consumption
      UNION ALL SELECT executed_at, 'G-1', CASE operation_type WHEN 'discharge' THEN energy_amount
        ELSE 0 END, CASE operation_type WHEN 'charge' THEN energy_amount ELSE 0 END, storage_id
      FROM grid.storage_operations
    ), expected AS (
      SELECT code, date_trunc('minute', at + interval '59.999999 seconds') AS ends_at,
        sum(kwh_in) AS kwh_in, sum(kwh_out) AS kwh_out, count(DISTINCT device) AS devices
      FROM reading GROUP BY 1, 2
    )
    SELECT * FROM expected FULL JOIN monitoring.grid_health
      ON grid_code = code AND recorded_at = ends_at
    WHERE coalesce(kwh_in, 0) IS DISTINCT FROM energy_flow_in
      OR coalesce(kwh_out, 0) IS DISTINCT FROM energy_flow_out
      OR coalesce(devices, 0) IS DISTINCT FROM active_connections
    """
}
