// Every database that may be found becomes schema v2.0, with every row kept.

import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct MigratorTests {
  /// A state that a database may be in.
  struct Legacy: CustomTestStringConvertible {
    var files: [String]

    var testDescription: String { files.isEmpty ? "empty" : files.joined(separator: "+") }
    /// Whether `grid.locations` is the old one, which keeps its key, its width and its columns.
    var hasOldLocations: Bool { files.contains("001_original.sql") }

    /// Lines of the v2 catalogue that such a database cannot have.
    var missing: [String] {
      hasOldLocations
        ? [
          "column grid.locations.grid_code varchar(20) not null",
          "column grid.locations.id integer not null serial",
        ] : []
    }

    /// Lines that only such a database has.
    var extra: [String] {
      hasOldLocations
        ? [
          "column grid.locations.capacity_kw numeric(10,2) default 0",
          "column grid.locations.created_at timestamptz default now()",
          "column grid.locations.grid_code varchar(50) not null",
          "column grid.locations.id uuid not null default uuid_generate_v4()",
          "column grid.locations.status varchar(20) default 'active'",
        ] : []
    }

    static let all = [
      Legacy(files: []), Legacy(files: ["001_original.sql"]),
      Legacy(files: ["001_original.sql", "002_original.sql"]),
      Legacy(files: ["production_init.sql"]),
    ]

    /// A new database in this state.
    func database() throws -> PostgresConnection {
      let connection = try PostgresConnection(url: TestServices.emptyDatabase())
      for file in files { try connection.execute(Schemas.text(file)) }
      return connection
    }
  }

  @Test(arguments: Legacy.all)
  func everyStateBecomesVersion2(legacy: Legacy) throws {
    let connection = try legacy.database()
    #expect(try Migrator(connection).status().allSatisfy { $0.status == .pending })
    #expect(try Migrator(connection).migrate() == Migration.all.map(\.version))
    let states = try Migrator(connection).status()
    #expect(states.map(\.version) == Migration.all.map(\.version))
    #expect(states.allSatisfy { $0.status == .applied && $0.appliedAt != nil })
    #expect(states.allSatisfy { ($0.durationMilliseconds ?? -1) >= 0 })
    let catalogue = try Schemas.catalogue(connection)
    let expected = Schemas.text("v2_catalog.expected.txt").split(separator: "\n").map(String.init)
    #expect(expected.count > 300)
    let additions = Schemas.text("v2_additions.expected.txt").split(separator: "\n")
      .map(String.init)
    #expect(additions.count == 34)
    #expect(Set(expected).subtracting(catalogue).sorted() == legacy.missing)
    #expect(Set(catalogue).subtracting(expected).sorted() == (legacy.extra + additions).sorted())
  }

  /// The second run finds its work done: it applies nothing and changes nothing.
  @Test(arguments: Legacy.all)
  func migratingAgainChangesNothing(legacy: Legacy) throws {
    let connection = try legacy.database()
    try Migrator(connection).migrate()
    func everything() throws -> [[[String?]]] {
      try [
        connection.query(Schemas.text("v2_catalog.sql")),
        connection.query("SELECT * FROM ingest.schema_migrations ORDER BY version"),
        connection.query("SELECT oid, relname, relfilenode FROM pg_class ORDER BY oid"),
        connection.query("SELECT oid, tgname FROM pg_trigger ORDER BY oid"),
        Schemas.rows(connection, of: Schemas.columns(connection)).map { [$0.key, $0.value] }
          .sorted { $0[0] ?? "" < $1[0] ?? "" },
      ]
    }
    let before = try everything()
    #expect(try Migrator(connection).migrate().isEmpty)
    #expect(try everything() == before)
    // Also where nobody remembers that it was done: the statements themselves are repeatable.
    try connection.execute("DROP TABLE ingest.schema_migrations")
    #expect(try Migrator(connection).migrate() == Migration.all.map(\.version))
    let after = try everything()
    #expect(after[0] == before[0] && after[4] == before[4])
  }

  /// Every row that was there is there, in every column that it had.
  @Test(arguments: Legacy.all.dropFirst())
  func everyRowIsKept(legacy: Legacy) throws {
    let connection = try legacy.database()
    var columns = try Schemas.columns(connection)
    if legacy.hasOldLocations {
      // The columns that are filled where they were null: the test below is about them.
      columns["grid.locations"] = ["id", "capacity_kw", "status", "created_at", "updated_at"]
    }
    let counts = try Schemas.rowCounts(connection)
    let before = try Schemas.rows(connection, of: columns)
    #expect(before.count >= 3 && counts.values.allSatisfy { $0 > 0 })
    try Migrator(connection).migrate()
    #expect(try Schemas.rows(connection, of: columns) == before)
    for (table, rows) in try Schemas.rowCounts(connection) {
      #expect(rows == counts[table] ?? 0, "\(table)")
    }
  }

  @Test func whatTheOriginal001DidNotKnow() throws {
    let connection = try Legacy.all[1].database()
    try Migrator(connection).migrate()
    let places = try connection.query(
      """
      SELECT right(id::text, 1), province, district, grid_code, substation, coordinates,
        capacity_mw, current_load_mw, congestion_level
      FROM grid.locations ORDER BY id
      """)
    let long = "CNX-a-grid-code-of-fifty-characters-from-2023-0001"
    let unnamed = try [2, 3].map { row in
      try connection.value(
        "SELECT 'unnamed-' || left(md5('a0000000-0000-4000-8000-00000000000\(row)'), 12)")
    }
    #expect(
      places == [
        ["1", "Bangkok", "Pathum Wan", "BKK-01", "", "(100.534,13.745)", "5.00", "0.00", "low"],
        ["2", "", "", unnamed[0], "", "(NaN,NaN)", "0.00", "0.00", "low"],
        ["3", "", "", unnamed[1], "", "(NaN,NaN)", "0.00", "0.00", "low"],
        [
          "4", "เชียงใหม่", "O'Brien \\ \"Ward\"", long, "", "(-0,90)", "100000.00", "0.00", "low",
        ],
        ["5", "", "", "", "", "(0,0)", "-1.23", "0.00", "low"],
        ["6", "Phuket", "", "HKT-01", "", "(NaN,NaN)", "1.24", "0.00", "low"],
      ])
    #expect(
      try connection.query(
        "SELECT DISTINCT buyer_id, seller_id, grid_fee, carbon_offset FROM trading.trades")
        == [["", "", "0.000000", "0.000000"]])
  }

  /// What people ask of the database, and what they must hear.
  @Test(arguments: Legacy.all)
  func theExampleQueriesAnswer(legacy: Legacy) throws {
    let connection = try legacy.database()
    try Migrator(connection).migrate()
    // One transaction, so that now() and current_date stand still.
    try connection.execute("BEGIN; SET LOCAL TIME ZONE 'Asia/Bangkok'")
    try connection.execute(
      "TRUNCATE blockchain.account_balances, grid.energy_production, trading.orders, "
        + "trading.trades, monitoring.grid_health")
    try connection.execute(Self.knownRows)
    let answers = try Schemas.text("example_queries.sql").components(separatedBy: ";\n")
      .filter { $0.contains("select") }.map { try connection.query($0) }
    #expect(
      answers == [
        [["account-buyer", "90000000000000000000000000000000000001", #"{"solar": "1.5"}"#]],
        [["p-1", "1.500000", "solar", "f"], ["p-2", "0.000001", "wind", "t"]],
        [["2", "3.750000"]],
        [["G-1", "0.9876", "low"], ["G-2", "0.5000", "critical"]],
      ])
    try connection.execute("ROLLBACK")
  }

  /// Rows that belong in an answer, each beside one that just does not.
  private static let knownRows = """
    INSERT INTO blockchain.account_balances (account_id, total_balance, energy_balances) VALUES
      ('account-buyer', 90000000000000000000000000000000000001, '{"solar": "1.5"}'),
      ('account-buyer-2', 1, '{}');
    INSERT INTO grid.energy_production (producer_id, energy_amount, energy_source, location_json,
      verified, timestamp) VALUES
      ('p-1', 1.5, 'solar', '{}', false, now() - interval '24 hours'),
      ('p-2', 0.000001, 'wind', '{}', true, now()),
      ('p-3', 1, 'solar', '{}', true, now() - interval '24 hours 1 microsecond');
    INSERT INTO trading.orders (id, account_id, order_type, energy_amount, price_per_unit,
      total_value, location_json) VALUES
      ('00000000-0000-4000-8000-000000000001', 'a', 'buy', 1, 1, 1, '{}');
    INSERT INTO trading.trades (buy_order_id, sell_order_id, buyer_id, seller_id, energy_amount,
      price_per_unit, total_value, executed_at, settlement_status)
    SELECT '00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000001', 'a',
      'b', amount, 1, 1, current_date + at, status
    FROM (VALUES (1.25, interval '-24 hours', 'settled'),
      (2.5, interval '-1 microsecond', 'settled'), (4, interval '-1 hour', 'pending'),
      (8, interval '0', 'settled'), (16, interval '-24 hours -1 microsecond', 'settled'))
      AS trade (amount, at, status);
    INSERT INTO monitoring.grid_health (grid_code, health_score, stability_index,
      congestion_level, recorded_at) VALUES
      ('G-2', 0.5, 1, 'critical', now()), ('G-1', 0.9876, 1, 'low', now()),
      ('G-1', 0.1, 1, 'high', now() - interval '1 second');
    """

  @Test func theListHoldsEveryFile() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Sources/PostgresStore/Migrations")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(
      files
        == Migration.all.map { "\(String("000\($0.version)".suffix(4)))_\($0.name).sql" })
    for (file, migration) in zip(files, Migration.all) {
      let text = try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
      #expect(text == migration.sql)
    }
  }

  @Test(arguments: Legacy.all)
  func aDryRunLeavesNothing(legacy: Legacy) throws {
    let connection = try legacy.database()
    let before = try Schemas.catalogue(connection)
    var reported: [Int] = []
    let versions = try Migrator(connection).migrate(dryRun: true) { reported.append($0.version) }
    #expect(versions == Migration.all.map(\.version) && reported == versions)
    #expect(try Schemas.catalogue(connection) == before)
    #expect(try connection.query("SELECT to_regnamespace('ingest')")[0][0] == nil)
    #expect(try Migrator(connection).status().allSatisfy { $0.status == .pending })
    #expect(try Migrator(connection).migrate() == Migration.all.map(\.version))
  }

  @Test func anotherContentIsNoticed() throws {
    let connection = try PostgresConnection(url: TestServices.migratedDatabase())
    try connection.execute(
      "UPDATE ingest.schema_migrations SET checksum = 'x' WHERE version = 2")
    #expect(try Migrator(connection).status()[1].status == .changed)
    let error = try #require(throws: PostgresError.self) { try Migrator(connection).migrate() }
    #expect(error.message.contains("migration 2"))
    // The lock was given back: a second attempt says the same instead of waiting for ever.
    let other = try PostgresConnection(
      url: TestServices.shared.url(
        database: try #require(try connection.value("SELECT current_database()"))))
    try other.execute("SET lock_timeout = '5s'")
    #expect(
      #expect(throws: PostgresError.self) { try Migrator(other).migrate() }?.sqlState == "F0000")
  }

  @Test func aFailureLeavesNothingOfItself() throws {
    let connection = try PostgresConnection(url: TestServices.emptyDatabase())
    // A view where migration 4 wants a table.
    try connection.execute(
      "CREATE SCHEMA ingest; CREATE VIEW ingest.dead_letters AS SELECT 1 AS one")
    #expect(throws: PostgresError.self) { try Migrator(connection).migrate() }
    let states = try Migrator(connection).status().map(\.status)
    #expect(states == Migration.all.map { $0.version < 4 ? .applied : .pending })
    #expect(try connection.query("SELECT to_regclass('ingest.device_keys')")[0][0] == nil)
    try connection.execute("DROP VIEW ingest.dead_letters")
    #expect(try Migrator(connection).migrate() == Migration.all.map(\.version).filter { $0 >= 4 })
  }

  @Test func twoAtOnceApplyEverythingOnce() async throws {
    let url = try TestServices.emptyDatabase()
    let applied = try await withThrowingTaskGroup(of: [Int].self) { group in
      for _ in 0..<2 {
        group.addTask {
          let lane = PostgresLane(url: url, applicationName: TestServices.freshName())
          return try await lane.run { (connection) throws(PostgresError) in
            try Migrator(connection).migrate()
          }
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(applied.sorted() == Migration.all.map(\.version))
  }
}

/// The SQL files beside these tests.
enum Schemas {
  static func text(_ file: String) -> String {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let url = folder.appendingPathComponent("LegacySchemas").appendingPathComponent(file)
    return (try? String(contentsOf: url, encoding: .utf8)) ?? ""
  }

  /// The canonical listing of the v2 schemas.
  static func catalogue(_ connection: PostgresConnection) throws -> [String] {
    try connection.query(text("v2_catalog.sql")).compactMap { $0[0] }
  }

  /// The columns of every table of the v2 schemas that exists, by table.
  static func columns(_ connection: PostgresConnection) throws -> [String: [String]] {
    let found = try connection.query(
      """
      SELECT format('%I.%I', table_schema, table_name), quote_ident(column_name)
      FROM information_schema.columns
      WHERE table_schema IN ('blockchain', 'trading', 'grid', 'governance', 'monitoring')
      ORDER BY ordinal_position
      """)
    return Dictionary(grouping: found) { $0[0] ?? "" }.mapValues { $0.compactMap { $0[1] } }
  }

  /// The content of these columns as one text for each table.
  static func rows(
    _ connection: PostgresConnection, of columns: [String: [String]]
  ) throws -> [String: String] {
    var contents: [String: String] = [:]
    for (table, columns) in columns {
      let list = columns.joined(separator: ", ")
      contents[table] =
        try connection.value(
          """
          SELECT string_agg(stored, E'\\n' ORDER BY stored)
          FROM (SELECT ROW(\(list))::text FROM \(table)) AS content (stored)
          """) ?? ""
    }
    return contents
  }

  static func rowCounts(_ connection: PostgresConnection) throws -> [String: Int] {
    var counts: [String: Int] = [:]
    let tables = try connection.query(
      """
      SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
      WHERE schemaname IN ('blockchain', 'trading', 'grid', 'governance', 'monitoring')
      """
    ).compactMap { $0[0] }
    for table in tables {
      counts[table] = Int(try connection.query("SELECT count(*) FROM \(table)")[0][0] ?? "")
    }
    return counts
  }
}
