// Whether the database has what the pipeline writes to.

import PostgresStore

public enum SchemaCheck {
  /// The tables a worker needs.
  public static let tables = [
    "grid.energy_production", "grid.energy_consumption", "grid.storage_operations",
    "grid.energy_storage", "blockchain.registered_producers", "blockchain.registered_consumers",
    "ingest.dead_letters", "ingest.device_keys", "ingest.reading_flags", "ingest.inactive_devices",
    "ingest.meter_states", "ingest.register_state", "ingest.register_events",
    "ingest.charge_reports",
  ]

  /// - Throws: ``PostgresError`` that names the missing tables and says `migrate`.
  public static func check(_ connection: PostgresConnection) throws(PostgresError) {
    let missing = try connection.query(
      "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL",
      ["{" + tables.joined(separator: ",") + "}"])
    guard missing.isEmpty else {
      throw PostgresError(
        sqlState: "42P01",
        message: "missing \(missing.compactMap { $0[0] }.joined(separator: ", "))",
        target: connection.target, operation: "check the schema")
    }
  }

  /// Whether the role could do anything, which an ingestor should not.
  public static func isSuperuser(_ connection: PostgresConnection) throws(PostgresError) -> Bool {
    try connection.query("SELECT current_setting('is_superuser')")[0][0] == "on"
  }
}
