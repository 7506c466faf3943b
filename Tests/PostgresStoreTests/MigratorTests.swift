// Every database that may be found becomes schema v2.0, with every row kept.

import Foundation
import PostgresStore
import TestServices
import Testing

@Suite struct MigratorTests {
  /// A state that a database may be in, and the lines of the v2 catalogue that it cannot have: the
  /// old `grid.locations` keeps its key and its width.
  struct Legacy: CustomTestStringConvertible {
    var files: [String]
    var missing: [String] = []

    var testDescription: String { files.isEmpty ? "empty" : files.joined(separator: "+") }

    static let oldLocations = [
      "column grid.locations.id integer not null serial",
      "column grid.locations.grid_code varchar(20) not null",
    ]

    static let all = [
      Legacy(files: []), Legacy(files: ["001_original.sql"], missing: oldLocations),
      Legacy(files: ["001_original.sql", "002_original.sql"], missing: oldLocations),
      Legacy(files: ["production_init.sql"]),
    ]
  }

  @Test(arguments: Legacy.all)
  func everyStateBecomesVersion2(legacy: Legacy) throws {
    let connection = try PostgresConnection(url: TestServices.emptyDatabase())
    for file in legacy.files { try connection.execute(Schemas.text(file)) }
    let before = try Schemas.rowCounts(connection)
    #expect(legacy.files.isEmpty || before.values.contains { $0 > 0 })
    #expect(try Migrator(connection).migrate() == Migration.all.map(\.version))
    let after = try Schemas.rowCounts(connection)
    for (table, rows) in before { #expect(after[table] == rows, "\(table)") }
    let catalogue = try Set(Schemas.catalogue(connection))
    let expected = Schemas.text("v2_catalog.expected.txt").split(separator: "\n").map(String.init)
    #expect(expected.count > 300)
    let lacking = expected.filter { !catalogue.contains($0) }
    #expect(lacking.sorted() == legacy.missing.sorted())
    #expect(try Migrator(connection).migrate().isEmpty)
    #expect(try Set(Schemas.catalogue(connection)) == catalogue)
    try connection.execute(Schemas.text("example_queries.sql"))
  }

  @Test func theListHoldsEveryFile() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Sources/PostgresStore/Migrations")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(
      files == Migration.all.map { "000\($0.version)_\($0.name).sql" })
    for (file, migration) in zip(files, Migration.all) {
      let text = try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
      #expect(text == migration.sql)
    }
  }

  @Test func aDryRunLeavesNothing() throws {
    let connection = try PostgresConnection(url: TestServices.emptyDatabase())
    #expect(try Migrator(connection).migrate(dryRun: true).count == Migration.all.count)
    #expect(try connection.query("SELECT to_regnamespace('ingest')")[0][0] == nil)
    #expect(try Migrator(connection).status().allSatisfy { $0.status == .pending })
  }

  @Test func anotherContentIsNoticed() throws {
    let connection = try PostgresConnection(url: TestServices.migratedDatabase())
    try connection.execute(
      "UPDATE ingest.schema_migrations SET checksum = 'x' WHERE version = 2")
    #expect(try Migrator(connection).status()[1].status == .changed)
    let error = try #require(throws: PostgresError.self) { try Migrator(connection).migrate() }
    #expect(error.message.contains("migration 2"))
  }

  @Test func aFailureLeavesNothingOfItself() throws {
    let connection = try PostgresConnection(url: TestServices.emptyDatabase())
    // A view where migration 4 wants a table.
    try connection.execute(
      "CREATE SCHEMA ingest; CREATE VIEW ingest.dead_letters AS SELECT 1 AS one")
    #expect(throws: PostgresError.self) { try Migrator(connection).migrate() }
    let states = try Migrator(connection).status().map(\.status)
    #expect(states == [.applied, .applied, .applied, .pending, .pending])
    #expect(try connection.query("SELECT to_regclass('ingest.device_keys')")[0][0] == nil)
    try connection.execute("DROP VIEW ingest.dead_letters")
    #expect(try Migrator(connection).migrate() == [4, 5])
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
