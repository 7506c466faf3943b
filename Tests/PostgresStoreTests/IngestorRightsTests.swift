// What the role meter_ingestor may do with the tables of migration 0007, and what these tables hold.

import PostgresStore
import TestServices
import Testing

@Suite struct IngestorRightsTests {
  private static let flag = """
    INSERT INTO ingest.reading_flags (reading_id, kind, device_id, at, rule)
    VALUES ('a0000000-0000-8000-8000-000000000001', 'production', 'p-1', now(), 'spike')
    """
  private static let state = """
    INSERT INTO ingest.meter_states (kind, device_id, last_at) VALUES ('storage', 'b-1', now())
    """
  private static let letter = """
    INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload, reason)
    VALUES ('a0000000-0000-8000-8000-000000000002', now(), now(), 't', '', 'malformed_payload')
    """
  private static let inactive = """
    INSERT INTO ingest.inactive_devices (kind, device_id, reason)
    VALUES ('consumption', 'c-1', 'moved out')
    """

  @Test func theRoleDoesItsWorkAndNoMore() throws {
    let connection = try storeDatabase()
    try connection.execute("SET ROLE meter_ingestor")
    for statement in [
      Self.flag, Self.state, Self.letter,
      "UPDATE ingest.reading_flags SET detail = 'x'",
      "UPDATE ingest.meter_states SET repeats = 2, level_kwh = 0.5, last_sequence = 7",
      "UPDATE ingest.dead_letters SET resolved_at = now(), resolution = 'discarded'",
      "SELECT * FROM ingest.inactive_devices",
      "SELECT * FROM ingest.battery_flags('{a0000000-0000-8000-8000-000000000001}', "
        + "'{a0000000-0000-8000-8000-000000000002}', '{b-1}', '{now}', '{1}', 0.02)",
      "SELECT ingest.apply_storage_operations('{b-1}', '{1.0001}')",
      "SELECT ingest.report_charges('{b-1}', '{now}', '{500000}', '{null}')",
      "SELECT * FROM ingest.lock_registers('{m-1}', '{1.8.0}')",
      "UPDATE ingest.register_state SET last_at = now(), last_value = 1",
      "DELETE FROM ingest.register_state", "DELETE FROM ingest.register_events",
      "DELETE FROM ingest.reading_flags", "DELETE FROM ingest.meter_states",
      "DELETE FROM ingest.dead_letters",
    ] {
      #expect(throws: Never.self, "\(statement)") { try connection.execute(statement) }
    }
    for statement in [
      Self.inactive, "DELETE FROM ingest.inactive_devices",
      "DELETE FROM ingest.storage_remainders", "DELETE FROM grid.energy_production",
      "UPDATE grid.energy_storage SET efficiency = 1", "TRUNCATE ingest.dead_letters",
      "SELECT ingest.grant_rights('meter_ingestor')",
    ] {
      let error = #expect(throws: PostgresError.self, "\(statement)") {
        try connection.execute(statement)
      }
      #expect(error?.sqlState == "42501", "\(statement)")
    }
  }

  @Test func aDeviceOutOfUseIsNewsToTheRegistry() throws {
    let connection = try storeDatabase()
    try connection.execute("LISTEN meter_registry")
    for statement in [
      Self.inactive, "UPDATE ingest.inactive_devices SET reason = NULL",
      "DELETE FROM ingest.inactive_devices", "TRUNCATE ingest.inactive_devices",
    ] {
      try connection.execute(statement)
      #expect(try connection.notifications() == ["meter_registry"], "\(statement)")
    }
  }

  /// What the tables take as given, and what they refuse, each with its SQLSTATE.
  @Test func defaultsAndRefusals() throws {
    let connection = try storeDatabase()
    for statement in [Self.flag, Self.state, Self.letter, Self.inactive] {
      try connection.execute(statement)
      let error = #expect(throws: PostgresError.self) { try connection.execute(statement) }
      #expect(error?.sqlState == "23505", "\(statement)")
    }
    #expect(
      try connection.query(
        "SELECT history, resolution, resolved_at FROM ingest.dead_letters") == [["[]", nil, nil]])
    #expect(
      try connection.value(
        """
        SELECT bool_and(recent) FROM (SELECT created_at > now() - interval '1 minute'
          FROM ingest.reading_flags UNION ALL SELECT since > now() - interval '1 minute'
          FROM ingest.inactive_devices) AS row (recent)
        """) == "t")
    for resolution in ["stored", "duplicate", "zero", "discarded"] {
      try connection.execute("UPDATE ingest.dead_letters SET resolution = '\(resolution)'")
    }
    for statement in [
      "UPDATE ingest.dead_letters SET resolution = 'forgotten'",
      "UPDATE ingest.reading_flags SET kind = 'heat'",
      "UPDATE ingest.meter_states SET kind = 'heat'",
      "UPDATE ingest.inactive_devices SET kind = 'heat'",
    ] {
      let error = #expect(throws: PostgresError.self) { try connection.execute(statement) }
      #expect(error?.sqlState == "23514", "\(statement)")
    }
  }

  /// The questions that come again and again are answered from the index that was made for them.
  @Test(arguments: [
    ("SELECT * FROM ingest.reading_flags WHERE device_id = 'd-7'", "idx_reading_flags_device"),
    (
      "DELETE FROM ingest.reading_flags WHERE created_at < '2026-01-01'",
      "idx_reading_flags_created"
    ),
    (
      "DELETE FROM ingest.dead_letters WHERE resolved_at < '2026-01-01'",
      "idx_dead_letters_resolved"
    ),
    (
      """
      SELECT * FROM ingest.dead_letters WHERE reason = 'unregistered_device'
        AND resolved_at IS NULL AND device_id = ANY ('{d-7,d-8}')
      """, "idx_dead_letters_unregistered"
    ),
  ])
  func questionsHaveTheirIndex(question: String, index: String) throws {
    let connection = try storeDatabase()
    try connection.execute(
      """
      INSERT INTO ingest.reading_flags (reading_id, kind, device_id, at, rule)
      SELECT gen_random_uuid(), 'production', 'd-' || n, now(), 'spike'
      FROM generate_series(1, 2000) AS n;
      INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload, reason,
        device_id, resolved_at)
      SELECT gen_random_uuid(), now(), now(), 't', '', 'unregistered_device', 'd-' || n,
        CASE n % 2 WHEN 0 THEN now() END
      FROM generate_series(1, 2000) AS n;
      ANALYZE ingest.reading_flags, ingest.dead_letters
      """)
    let plan = try connection.query("EXPLAIN \(question)").compactMap { $0[0] }
    #expect(plan.contains { $0.contains(index) }, "\(plan)")
  }
}
