// Rules as their operators meet them: added and dropped while the ingestor runs, listed, tried on a
// capture; and dead letters that are tried again.

import Foundation
import MeterSimulator
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct RuleTests {
  private let services = TestServices.shared
  private let database: String
  private let grid = TestServices.freshName()

  init() throws { database = try TestServices.migratedDatabase() }

  private func execute(_ sql: String) throws { try PostgresConnection(url: database).execute(sql) }

  private func running() async throws -> RunningIngestor {
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: grid,
      settings: ["metrics.interval": "1s"])
    try await ingestor.waitUntilReady()
    return ingestor
  }

  private func publish(_ fields: String, device: String = "c-1") throws {
    let status = try runTool(
      "mosquitto_pub",
      [
        "-p", "\(services.mqttPort)", "-q", "1", "-t",
        "gridtokenx/v1/\(grid)/consumption/\(device)", "-m", "{\(fields)}",
      ])
    #expect(status == 0)
  }

  private func command(_ arguments: String...) throws -> Outcome {
    try run(arguments, environment: ["POSTGRES_URL": database])
  }

  /// The walk of the README: add a CHECK, see a reading rejected by name, drop it, redrive.
  @Test func aConstraintIsFollowedWithoutARestart() async throws {
    let ingestor = try await running()
    try await eventually("rules") { try await ingestor.metric("meter_ingestor_rules") > 0 }
    let before = try await ingestor.metric("meter_ingestor_rules")
    try execute(
      """
      ALTER TABLE grid.energy_consumption
        ADD CONSTRAINT at_most_a_megawatt_hour CHECK (energy_amount <= 1000) NOT VALID
      """)
    let added = ContinuousClock.now
    try await eventually("one rule more\n\(ingestor.log)") {
      try await ingestor.metric("meter_ingestor_rules") == before + 1
    }
    #expect(ContinuousClock.now - added < .seconds(5))
    #expect(ingestor.log.contains("rules changed"))
    #expect(ingestor.log.contains("grid.energy_consumption.at_most_a_megawatt_hour"))
    try publish(
      #""timestamp":"2026-11-01T00:00:00Z","energy_amount":1000.000001,"consumer_type":"industrial""#
    )
    try await eventually("a dead letter") {
      try value(
        "SELECT reason || ' ' || constraint_name || ' ' || json_path FROM ingest.dead_letters",
        in: database) == "check_violation at_most_a_megawatt_hour $.energy_amount"
    }
    // Judged here: PostgreSQL never saw it.
    #expect(try await ingestor.metric("meter_ingestor_batches_repaired_total") == 0)
    let label = #"rule="at_most_a_megawatt_hour""#
    #expect(try await ingestor.metric("meter_ingestor_rule_violations_total", label) == 1)
    #expect(try command("rules").output.contains("1 rejected"))

    let early = try command("dead-letters", "redrive", "--rule", "at_most_a_megawatt_hour")
    #expect(early.status == 1 && early.output.contains("1 were refused again"))
    try execute("ALTER TABLE grid.energy_consumption DROP CONSTRAINT at_most_a_megawatt_hour")
    let late = try command("dead-letters", "redrive", "--rule", "at_most_a_megawatt_hour")
    #expect(late.status == 0 && late.output.hasPrefix("1 letters passed"), "\(late)")
    #expect(
      try value("SELECT energy_amount FROM grid.energy_consumption", in: database) == "1000.000001")
    #expect(
      try value(
        "SELECT resolution || ' ' || attempts || ' ' || jsonb_array_length(history) || ' ' "
          + "|| (history -> 0 ->> 'constraint') FROM ingest.dead_letters", in: database)
        == "stored 2 1 at_most_a_megawatt_hour")
    try await eventually("the rule is gone") {
      try await ingestor.metric("meter_ingestor_rules") == before
    }
    #expect(try await ingestor.metric("meter_ingestor_rule_changes_total") == 2)
  }

  /// The batch is judged by the rules of its first message; what came meanwhile PostgreSQL enforces.
  @Test func aConstraintThatIsAddedWhileABatchIsOpen() async throws {
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: grid, settings: ["ingest.linger": "4s"])
    try await ingestor.waitUntilReady()
    let time = #""timestamp":"2026-11-01T00:00:00Z","consumer_type":"industrial""#
    try publish(#"\#(time),"energy_amount":1"#, device: "small")
    try publish(#"\#(time),"energy_amount":9"#, device: "large")
    try execute(
      "ALTER TABLE grid.energy_consumption ADD CONSTRAINT late CHECK (energy_amount < 5) NOT VALID")
    try await ingestor.expectBalancedLedger(received: 2)
    #expect(
      try value(
        "SELECT concat_ws(' ', device_id, constraint_name, sqlstate) FROM ingest.dead_letters",
        in: database) == "large late 23514")
    #expect(try await ingestor.metric("meter_ingestor_batches_repaired_total") == 1)
    #expect(try value("SELECT consumer_id FROM grid.energy_consumption", in: database) == "small")
  }

  /// What only PostgreSQL can judge is said, listed and counted, and enforced all the same.
  @Test func aConstraintOfAUsersFunctionIsLeftToPostgreSQL() async throws {
    try execute(
      """
      CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
      ALTER TABLE grid.energy_consumption
        ADD CONSTRAINT shouting CHECK (public.lower(consumer_id) <> 'QUIET') NOT VALID,
        ADD CONSTRAINT dividing CHECK (1 / (energy_amount - 3) <> 7) NOT VALID
      """)
    let ingestor = try await running()
    try await eventually("a warning\n\(ingestor.log)") {
      ingestor.log.contains("constraint left to PostgreSQL")
    }
    #expect(ingestor.log.contains("grid.energy_consumption.shouting"))
    let deferred = try await ingestor.metric(
      "meter_ingestor_rules", #"enforced_by="database",table="grid.energy_consumption""#)
    let turned = try await ingestor.metric(
      "meter_ingestor_rules", #"table="grid.energy_consumption",enforced_by="database""#)
    #expect(deferred + turned == 1)
    let time = #""timestamp":"2026-11-01T00:00:00Z","consumer_type":"industrial""#
    try publish(#"\#(time),"energy_amount":1"#, device: "quiet")
    // The expression itself fails: PostgreSQL says so.
    try publish(#"\#(time),"energy_amount":3"#, device: "loud")
    try publish(#"\#(time),"energy_amount":4"#, device: "loud-2")
    try await ingestor.expectBalancedLedger(received: 3)
    #expect(
      try value(
        """
        SELECT string_agg(concat_ws(' ', device_id, reason, constraint_name, sqlstate), ', '
          ORDER BY device_id) FROM ingest.dead_letters
        """, in: database)
        == "loud rejected_by_database 22012, quiet check_violation shouting 23514")
    #expect(try value("SELECT consumer_id FROM grid.energy_consumption", in: database) == "loud-2")
    let rules = try command("rules").output
    #expect(rules.contains("left to PostgreSQL: "))
    let line = rules.split(separator: "\n").first { $0.contains("shouting") }
    #expect(line?.contains("by database") == true && line?.contains("1 rejected") == true)
  }

  @Test func aRegistrationTriesAgainWhatWaitedForIt() async throws {
    let ingestor = try await running()
    try publish(#""timestamp":"2026-11-01T00:00:00Z","energy_amount":0.5"#, device: "late")
    try publish(#""timestamp":"2026-11-01T00:00:00Z","energy_amount":0.5"#, device: "never")
    try await ingestor.expectBalancedLedger(received: 2)
    let open =
      "SELECT string_agg(device_id, ' ' ORDER BY device_id) FROM ingest.dead_letters"
      + " WHERE reason = 'unregistered_device' AND resolved_at IS NULL"
    #expect(try value(open, in: database) == "late never")
    try execute(
      """
      INSERT INTO blockchain.registered_consumers (consumer_id, consumer_name, consumer_type,
        location_json) VALUES ('late', 'Late', 'municipal', '{"a": 1}')
      """)
    try await eventually("the reading is stored\n\(ingestor.log)") {
      try value("SELECT consumer_type FROM grid.energy_consumption", in: database) == "municipal"
    }
    #expect(try value(open, in: database) == "never")
    let passed = #"outcome="passed""#
    try await eventually("it is counted") {
      try await ingestor.metric("meter_ingestor_dead_letters_redriven_total", passed) == 1
    }
    // A redrive is no second reception.
    try await ingestor.expectBalancedLedger(received: 2)
  }

  /// Flags are stored with the reading, and survive a restart of what they are judged by.
  @Test func aGapAcrossARestartIsMarked() async throws {
    let ingestor = try await running()
    let fields = #""energy_amount":0.5,"consumer_type":"municipal""#
    try publish(#""timestamp":"2026-11-20T00:00:00Z","sequence":1,\#(fields)"#)
    try await ingestor.expectBalancedLedger(received: 1)
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0)
    #expect(
      try value("SELECT device_id || ' ' || last_sequence FROM ingest.meter_states", in: database)
        == "c-1 1")
    let again = try await running()
    try await eventually("states are read") {
      again.log.contains("meter states restored")
    }
    try publish(#""timestamp":"2026-11-20T01:00:00Z","sequence":3,\#(fields)"#)
    try await again.expectBalancedLedger(received: 1)
    #expect(
      try value(
        """
        SELECT rule || ': ' || detail FROM ingest.reading_flags
        JOIN grid.energy_consumption ON reading_id = id AND at = timestamp
        """, in: database) == "gap: 1 intervals before it are missing")
    let label = #"rule="gap""#
    #expect(try await again.metric("meter_ingestor_rule_violations_total", label) == 1)
  }

  /// Before anything was read from it.
  @Test func stoppedWhileTheDatabaseWasNeverThere() async throws {
    let ingestor = try RunningIngestor(
      database: "postgresql://nobody@127.0.0.1:1/none", broker: services.mqttURL, grid: grid)
    try await eventually("it complains\n\(ingestor.log)") {
      ingestor.log.contains("database not usable")
    }
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0, "\(ingestor.log)")
  }

  /// A device out of use, that no registry knows.
  @Test func aStrangerOutOfUseIsMarked() async throws {
    try execute("INSERT INTO ingest.inactive_devices VALUES ('c-1', 'consumption', '-infinity')")
    let ingestor = try await running()
    try publish(
      #""timestamp":"2026-11-20T00:00:00Z","energy_amount":0.5,"consumer_type":"municipal""#)
    try await ingestor.expectBalancedLedger(received: 1)
    #expect(try value("SELECT rule FROM ingest.reading_flags", in: database) == "inactive_device")
  }

  @Test func validateWritesNothing() throws {
    let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "fixtures").path
    _ = try command("register", fixtures + "/hostile-day.registry.json")
    let written = """
      SELECT (SELECT count(*) FROM grid.energy_production) + (SELECT count(*) FROM
        grid.energy_consumption) + (SELECT count(*) FROM grid.storage_operations)
        + (SELECT count(*) FROM ingest.dead_letters) + (SELECT count(*) FROM ingest.reading_flags)
      """
    let judged = try command("validate", "--json", fixtures + "/hostile-day.ndjson.gz")
    #expect(judged.status == 1)
    #expect(try value(written, in: database) == "0")
    // The same capture, stored: the same verdicts.
    let stored = try command("replay", "--direct", "--json", fixtures + "/hostile-day.ndjson.gz")
    #expect(stored.status == 0, "\(stored.errors)")
    let rejected = try value(
      """
      SELECT string_agg(reason || ' ' || rejections, ', ' ORDER BY reason) FROM (
        SELECT reason, sum(attempts) AS rejections FROM ingest.dead_letters GROUP BY 1) AS letters
      """, in: database)
    struct Report: Decodable {
      struct Line: Decodable {
        var verdict: String
        var reason: String?
        var readings: Int
      }
      var verdicts: [Line]
    }
    let report = try JSONDecoder().decode(Report.self, from: Data(judged.output.utf8))
    var counts: [String: Int] = [:]
    for line in report.verdicts where line.verdict == "rejected" {
      counts[line.reason ?? "", default: 0] += line.readings
    }
    let verdicts = counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    #expect(verdicts.joined(separator: ", ") == rejected)
    let text = try command("validate", fixtures + "/hostile-day.ndjson.gz").output
    #expect(
      text.contains("nothing was written") && text.contains("energy_production_energy_amount"))

    _ = try command("register", fixtures + "/clean-day.registry.json")
    let clean = try command("validate", fixtures + "/clean-day.ndjson.gz")
    #expect(clean.status == 0)
    #expect(!clean.output.contains("rejected") && !clean.output.contains("flagged"), "\(clean)")
  }
}
