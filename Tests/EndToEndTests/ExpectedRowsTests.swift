// The captures of `fixtures/formats`, replayed into a real database: every row, dead letter, event, state
// of charge and count is compared with what `expected.py` beside them works out without a line of this
// program.

import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct ExpectedRowsTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "fixtures/formats")
    .path
  private static let captures: [String] =
    (try? FileManager.default.contentsOfDirectory(atPath: folder))?
    .filter { $0.hasSuffix(".ndjson") }.map { String($0.dropLast(".ndjson".count)) }.sorted() ?? []

  /// Whatever a batch holds: all of the capture, or two of its readings.
  @Test(arguments: captures) func everyRowIsAsExpected(format: String) throws {
    let expected = try ExpectedRows(file: "\(Self.folder)/\(format).expected.csv")
    for batch in [10_000, 1] {
      let environment = try preparedDatabase()
      let database = try #require(environment["POSTGRES_URL"])
      let first = try replay(format, environment, batch: batch)
      let rows = try storedRows(in: database)
      #expect(rows.filter { !expected.rows.contains($0) } == [], "not expected, \(batch) a batch")
      #expect(expected.rows.filter { !rows.contains($0) } == [], "missing, \(batch) a batch")
      #expect(rows.count == expected.rows.count)
      #expect(first.zero == expected.counts["zero"])
      #expect(first.duplicate == expected.counts["duplicate"])
      #expect(first.rejected == expected.counts["rejected"])
      // Once more: nothing is stored twice, and nothing happens to a register.
      let again = try replay(format, environment, batch: batch)
      #expect(again.stored == 0, "\(again)")
      #expect(again.received == first.received)
      let kept = try storedRows(in: database)
      #expect(
        kept.filter { !$0.hasPrefix("rejected") } == rows.filter { !$0.hasPrefix("rejected") })
    }
  }

  /// The same on the way that messages take every day. What has no time of its own gets another one
  /// here: of that only the sums are compared.
  @Test func theyAreTheSameThroughTheBroker() async throws {
    let formats = ["shelly", "tasmota", "wmbusmeters"]
    let expected = try formats.flatMap {
      try ExpectedRows(file: "\(Self.folder)/\($0).expected.csv").rows
    }.filter { !$0.hasPrefix("rejected") && !$0.hasPrefix("event") }
    let environment = try preparedDatabase()
    let database = try #require(environment["POSTGRES_URL"])
    let broker = TestServices.shared.mqttURL
    let ingestor = try RunningIngestor(
      database: database, broker: broker, grid: nil,
      settings: [
        "ingest.sources": "\(Self.folder)/sources.yaml", "rules.off": "too_old",
        "mqtt.topics": "tele/+/SENSOR,stat/+/STATUS8,+/events/rpc,wmbusmeters/+",
      ])
    try await ingestor.waitUntilReady()
    let sent = try run(
      ["replay", "--speed", "max"] + formats.map { "\(Self.folder)/\($0).ndjson" },
      environment: ["MQTT_URL": broker])
    #expect(sent.status == 0, "\(sent.errors)")
    func exact(_ rows: [String]) -> [String] {
      rows.filter { !$0.contains("arrival_time") }.sorted()
    }
    try await eventually("\(exact(expected).count) rows: \(ingestor.log.suffix(3_000))") {
      let rows = try storedRows(in: database).filter {
        !$0.hasPrefix("rejected") && !$0.hasPrefix("event")
      }
      return exact(rows) == exact(expected)
    }
    try await eventually("the sums: \(ingestor.log.suffix(3_000))") {
      try sums(storedRows(in: database)) == sums(expected)
    }
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0)
  }

  /// What is compared with is what the script makes of the captures as they are now.
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/python3")))
  func theExpectationsAreUpToDate() throws {
    let output = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: output) }
    var script = try ChildProcess(
      ["/usr/bin/python3", "-B", "\(Self.folder)/expected.py", "--check"], output: output + "/out",
      errors: output + "/err")
    let status = script.waitForExit(atMost: .seconds(30))
    let said = ["out", "err"].map {
      (try? String(contentsOfFile: "\(output)/\($0)", encoding: .utf8)) ?? ""
    }
    #expect(status == 0, "\(said.joined())")
  }

  /// What each device's intervals of times of arrival add up to, micro-kWh.
  private func sums(_ rows: [String]) -> [String: Int] {
    var sums: [String: Int] = [:]
    for row in rows where row.hasSuffix("arrival_time") {
      let cells = row.split(separator: ",", omittingEmptySubsequences: false)
      sums["\(cells[0]) \(cells[1])", default: 0] += Int(cells[3].replacing(".", with: "")) ?? 0
    }
    return sums
  }

  /// - Returns: the settings that name the database and the sources.
  private func preparedDatabase() throws -> [String: String] {
    let environment = [
      "POSTGRES_URL": try TestServices.migratedDatabase(), "INGEST_TARIFF": "2.5",
      "INGEST_SOURCES": "\(Self.folder)/sources.yaml",
    ]
    let registered = try run(
      ["register", "\(Self.folder)/registry.json"], environment: environment)
    #expect(registered.status == 0, "\(registered.errors)")
    return environment
  }

  private func replay(
    _ format: String, _ environment: [String: String], batch: Int
  ) throws -> ReplayCounts {
    let outcome = try run(
      ["replay", "--direct", "--json", "\(Self.folder)/\(format).ndjson"]
        + ["--set", "ingest.batch-size=\(batch)"], environment: environment)
    #expect(outcome.status == 0, "\(outcome.errors)")
    return try JSONDecoder().decode(ReplayCounts.self, from: Data(outcome.output.utf8))
  }

  /// Everything that is stored, as the lines of an expected file. Locations and prices are the same in
  /// all of them: where one is not, the row tells.
  private func storedRows(in database: String) throws -> [String] {
    let rows = try PostgresConnection(url: database).query(
      #"""
      SELECT concat_ws(',', what, whose, at, amount, detail, more) FROM (
        SELECT 'consumption' AS what, consumer_id AS whose, timestamp, energy_amount::text AS amount,
          consumer_type || CASE WHEN location_json = '{"grid_code": "FMT-01"}' THEN ''
            ELSE location_json::text END AS detail, id
        FROM grid.energy_consumption
        UNION ALL
        SELECT 'production', producer_id, timestamp, energy_amount::text, energy_source
          || CASE WHEN location_json = '{"grid_code": "FMT-01"}' THEN ''
            ELSE location_json::text END
          || CASE WHEN quality_score = 1 THEN '' ELSE ' ' || quality_score END, id
        FROM grid.energy_production
        UNION ALL
        SELECT 'storage', storage_id, executed_at, energy_amount::text, operation_type
          || CASE WHEN price_per_unit = 2.5 AND grid_location = 'FMT-01' THEN ''
            ELSE price_per_unit || grid_location END, id
        FROM grid.storage_operations
      ) AS stored
      CROSS JOIN LATERAL (
        SELECT to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at,
          coalesce((SELECT string_agg(rule, '+' ORDER BY rule) FROM ingest.reading_flags
            WHERE reading_id = stored.id), '') AS more
      ) AS rest
      UNION ALL
      SELECT concat_ws(',', 'rejected', topic, coalesce(payload_index::text, ''), reason,
        coalesce(rule, constraint_name, sqlstate, ''), '')
      FROM ingest.dead_letters, generate_series(1, attempts)
      UNION ALL
      SELECT concat_ws(',', 'event', device_id || '/' || register,
        to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), event, before_value,
        after_value)
      FROM ingest.register_events
      UNION ALL
      SELECT concat_ws(',', 'charge', storage_id,
        to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), charge_kwh, current_charge,
        '')
      FROM ingest.charge_reports JOIN grid.energy_storage USING (storage_id)
      """#)
    return rows.compactMap { $0.first.flatMap(\.self) }.sorted()
  }
}

/// A file that `expected.py` wrote.
private struct ExpectedRows {
  /// Rows, dead letters and events, sorted.
  var rows: [String] = []
  /// Numbers of readings that left no row, by what became of them.
  var counts: [String: Int] = [:]

  init(file: String) throws {
    let text = try String(contentsOfFile: file, encoding: .utf8)
    for line in text.split(separator: "\n").dropFirst() {
      let cells = line.split(separator: ",", omittingEmptySubsequences: false)
      if cells[0] == "count" {
        counts[String(cells[1])] = Int(cells[2])
      } else {
        rows.append(String(line))
      }
    }
    rows.sort()
  }
}

/// What `replay --direct --json` prints.
private struct ReplayCounts: Decodable {
  var received, duplicate, zero, rejected: Int
  private var byTable: [String: Int]
  var stored: Int { byTable.values.reduce(0, +) }

  enum CodingKeys: String, CodingKey {
    case received, duplicate, zero, rejected
    case byTable = "stored"
  }
}
