// Redriving many dead letters: fast, interrupted, and repeated.

import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct RedriveTests {
  private let database: String

  init() throws { database = try TestServices.migratedDatabase() }

  private func execute(_ sql: String) throws { try PostgresConnection(url: database).execute(sql) }

  /// Dead letters of readings that nothing is wrong with any more.
  private func makeLetters(_ count: Int) throws {
    try execute(
      """
      INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload, kind,
        device_id, reason, constraint_name)
      SELECT gen_random_uuid(), now() - number * interval '1 s', now(),
        'gridtokenx/v1/G/consumption/c-' || number % 100,
        convert_to('{"timestamp":' || 1790000000 + number || ',"energy_amount":0.25,'
          || '"consumer_type":"residential"}', 'UTF8'),
        'consumption', 'c-' || number % 100, 'check_violation', 'gone'
      FROM generate_series(1, \(count)) AS number
      """)
  }

  private func count(_ sql: String) throws -> Int? {
    try value(sql, in: database).flatMap { Int($0) }
  }

  private let stored = "SELECT count(DISTINCT timestamp) FROM grid.energy_consumption"
  private let open = "SELECT count(*) FROM ingest.dead_letters WHERE resolved_at IS NULL"

  @Test func tenThousandInTenSeconds() throws {
    try makeLetters(10_000)
    let start = ContinuousClock.now
    let outcome = try run(
      ["dead-letters", "redrive", "--rule", "gone", "--json"],
      environment: ["POSTGRES_URL": database])
    let took = ContinuousClock.now - start
    print("10,000 dead letters redriven in \(took)")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.output.contains(#""passed":10000"#))
    #expect(took < .seconds(10))
    #expect(try count(stored) == 10_000)
    #expect(try count(open) == 0)
  }

  /// Killed while it works, it has either stored a reading and closed its letter, or neither.
  @Test func killedInTheMiddle() async throws {
    try makeLetters(20_000)
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var kills = 0
    while kills < 3 {
      let before = try count(open) ?? 0
      var child = try ChildProcess(
        [TestServices.program, "dead-letters", "redrive", "--all"],
        environment: ["POSTGRES_URL": database], output: folder + "/out")
      try await eventually("some letters are closed") { try count(open) ?? 0 < before }
      kill(child.pid, SIGKILL)
      #expect(child.waitForExit(atMost: .seconds(10)) != nil)
      kills += 1
      // The server may still be at the last statement of the dead connection.
      try await eventually("the connection is gone") {
        try count(
          "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            + "AND application_name = 'meter-ingestor redrive'") == 0
      }
      let stillOpen = try count(open) ?? 0
      #expect(try count(stored) == 20_000 - stillOpen)
    }
    let outcome = try run(
      ["dead-letters", "redrive", "--all"], environment: ["POSTGRES_URL": database])
    #expect(outcome.status == 0)
    #expect(try count(open) == 0)
    #expect(try count("SELECT count(*) FROM grid.energy_consumption") == 20_000)
  }

  @Test func withoutAFilterItAsksForAll() throws {
    let outcome = try run(["dead-letters", "redrive"], environment: ["POSTGRES_URL": database])
    #expect(outcome.status == 2 && outcome.errors.contains("--all"))
  }
}
