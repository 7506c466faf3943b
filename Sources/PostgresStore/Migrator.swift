// Brings a database to the schema this program needs: numbered SQL files, each applied once, in a
// transaction, and remembered with its checksum.

/// One numbered step.
public struct Migration: Sendable {
  public var version: Int
  public var name: String
  public var sql: String

  /// Every migration, in order; the files stand in `Migrations/`.
  public static let all = [
    Migration(1, "platform_tables", PackageResources._001_platform_tables_sql),
    Migration(2, "legacy_columns", PackageResources._002_legacy_columns_sql),
    Migration(3, "platform_indexes", PackageResources._003_platform_indexes_sql),
    Migration(4, "ingest_schema", PackageResources._004_ingest_schema_sql),
    Migration(5, "ingestor_role", PackageResources._005_ingestor_role_sql),
    Migration(6, "energy_rules", PackageResources._006_energy_rules_sql),
    Migration(7, "plausibility", PackageResources._007_plausibility_sql),
    Migration(8, "registers", PackageResources._008_registers_sql),
    Migration(9, "grid_health", PackageResources._009_grid_health_sql),
    Migration(10, "reported_charge", PackageResources._010_reported_charge_sql),
  ]

  init(_ version: Int, _ name: String, _ bytes: [UInt8]) {
    self.version = version
    self.name = name
    sql = String(decoding: bytes, as: UTF8.self)
  }
}

/// Where one migration stands in a database.
public struct MigrationState: Sendable, Codable {
  public enum Status: String, Sendable, Codable {
    case applied, pending, changed
  }
  public var version: Int
  public var name: String
  public var status: Status
  /// When it was applied, as PostgreSQL prints it.
  public var appliedAt: String?
  /// How long it took, ms.
  public var durationMilliseconds: Int?
}

/// Applies migrations over one connection.
public struct Migrator {
  private let connection: PostgresConnection

  public init(_ connection: PostgresConnection) { self.connection = connection }

  /// What is applied and what is not. Changes nothing.
  public func status() throws(PostgresError) -> [MigrationState] {
    var applied: [Int: [String?]] = [:]
    let known = try connection.query("SELECT to_regclass('ingest.schema_migrations')")
    if known[0][0] != nil {
      let rows = try connection.query(
        "SELECT version, checksum, applied_at, duration_ms FROM ingest.schema_migrations")
      for row in rows { applied[Int(row[0] ?? "") ?? 0] = row }
    }
    var states: [MigrationState] = []
    for migration in Migration.all {
      let row = applied[migration.version]
      let unchanged = try row.map { (row) throws(PostgresError) in
        try checksum(migration) == row[1]
      }
      states.append(
        MigrationState(
          version: migration.version, name: migration.name,
          status: unchanged.map { $0 ? .applied : .changed } ?? .pending,
          appliedAt: row?[2], durationMilliseconds: row?[3].flatMap { Int($0) }))
    }
    return states
  }

  /// Applies what is pending; another run on the same database waits for this one.
  ///
  /// - Parameters:
  ///   - dryRun: apply, then roll back: shows that it would work, and leaves nothing.
  ///   - report: called for each migration that was applied.
  /// - Returns: the versions applied.
  /// - Throws: ``PostgresError``; for a migration whose file changed since it was applied, one
  ///   with the code `F0000`.
  @discardableResult
  public func migrate(
    dryRun: Bool = false, report: (Migration) -> Void = { _ in }
  ) throws(PostgresError) -> [Int] {
    // The number is arbitrary but fixed: "meter" in ASCII.
    try connection.execute("SELECT pg_advisory_lock(469834851698)", as: "lock migrations")
    defer { try? connection.execute("SELECT pg_advisory_unlock(469834851698)") }
    if dryRun { try connection.execute("BEGIN") }
    defer { if dryRun { try? connection.execute("ROLLBACK") } }
    try connection.execute(Migrator.bookkeeping, as: "create ingest.schema_migrations")
    var versions: [Int] = []
    for (migration, state) in zip(Migration.all, try status()) where state.status != .applied {
      guard state.status == .pending else {
        throw PostgresError(
          sqlState: "F0000",
          message: "migration \(state.version) was applied with another content; "
            + "this program and this database do not belong together",
          target: connection.target, operation: "migrate")
      }
      if dryRun {
        try apply(migration)
      } else {
        try connection.transaction { () throws(PostgresError) in try apply(migration) }
      }
      versions.append(migration.version)
      report(migration)
    }
    return versions
  }

  private func apply(_ migration: Migration) throws(PostgresError) {
    try connection.execute(migration.sql, as: "migration \(migration.version) \(migration.name)")
    try connection.query(
      """
      INSERT INTO ingest.schema_migrations (version, name, checksum, applied_at, duration_ms, applied_by)
      VALUES ($1, $2, $3, now(),
        round(extract(epoch FROM clock_timestamp() - now()) * 1000), current_user)
      """,
      ["\(migration.version)", migration.name, try checksum(migration)],
      as: "record migration \(migration.version)")
  }

  /// SHA-256 of the file, computed by the server so that both sides mean the same.
  private func checksum(_ migration: Migration) throws(PostgresError) -> String? {
    try connection.query(
      "SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')", [migration.sql], as: "checksum")[0][0]
  }

  private static let bookkeeping = """
    CREATE SCHEMA IF NOT EXISTS ingest;
    CREATE TABLE IF NOT EXISTS ingest.schema_migrations (
      version int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
      applied_at timestamptz NOT NULL, duration_ms int NOT NULL, applied_by text NOT NULL)
    """
}
