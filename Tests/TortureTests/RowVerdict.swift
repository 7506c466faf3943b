// Compares the tables with the journals, row by row.

import EnergyReadings
import PostgresStore

/// What became of the readings of all kinds, in rows.
struct RowVerdict: Codable, Sendable, Equatable {
  /// Rows that had to be there: acknowledged by the broker, and not zero.
  var required = 0
  var stored = 0
  /// Acknowledged, and in no table.
  var lost = 0
  /// In a table more than once; the rows too many.
  var duplicated = 0
  /// Stored, but with another amount or another field.
  var altered = 0
  /// Never published, or zero.
  var unexpected = 0
  /// Stored although the broker's acknowledgement did not reach the meter: allowed.
  var unacknowledged = 0
  /// How many of the lost were published in which second of the run.
  var lostSeconds: [Int: Int] = [:]
  /// The first of what is wrong.
  var examples: [String] = []

  var isClean: Bool { lost + duplicated + altered + unexpected == 0 }

  init() {}

  /// Reads all three tables.
  ///
  /// - Throws: `PostgresError`.
  init(_ journals: [Journal], over connection: PostgresConnection) throws {
    for journal in journals {
      var table = TableVerdict(journal)
      try connection.forEachRow(TableVerdict.query(journal.kind)) { row in
        table.judge(
          device: row.string(0) ?? "", time: row.string(1).flatMap { Int64($0) } ?? .min,
          columns: row.string(2) ?? "")
      }
      table.finish()
      add(table.verdict)
    }
  }

  private mutating func add(_ other: RowVerdict) {
    required += other.required
    stored += other.stored
    lost += other.lost
    duplicated += other.duplicated
    altered += other.altered
    unexpected += other.unexpected
    unacknowledged += other.unacknowledged
    lostSeconds.merge(other.lostSeconds, uniquingKeysWith: +)
    examples += other.examples
  }
}

/// The verdict on one table, while its rows come in.
private struct TableVerdict {
  private let kind: ReadingKind
  private let entries: [[Journal.Entry]]
  /// For each device, which number a time belongs to.
  private let numbers: [[Int64: Int]]
  /// How often each reading was found.
  private var found: [[UInt8]]
  private(set) var verdict = RowVerdict()

  /// Enough to see what it is about.
  private static let examples = 10

  init(_ journal: Journal) {
    kind = journal.kind
    entries = journal.entries
    numbers = entries.map { device in
      Dictionary(
        device.enumerated().map { ($0.element.time, $0.offset) },
        uniquingKeysWith: { first, _ in first })
    }
    found = entries.map { Array(repeating: 0, count: $0.count) }
  }

  static func query(_ kind: ReadingKind) -> String {
    let (table, device, time, columns) =
      switch kind {
      case .production:
        (
          "energy_production", "producer_id", "timestamp",
          "energy_amount, energy_source, efficiency, quality_score, equipment_id"
        )
      case .consumption:
        (
          "energy_consumption", "consumer_id", "timestamp",
          "energy_amount, consumer_type, appliance_breakdown->>'all'"
        )
      case .storage:
        (
          "storage_operations", "storage_id", "executed_at",
          "energy_amount, operation_type, price_per_unit, grid_location"
        )
      }
    return """
      SELECT \(device), (extract(epoch FROM \(time)) * 1000000)::bigint, concat_ws(' ', \(columns))
      FROM grid.\(table)
      """
  }

  mutating func judge(device id: String, time: Int64, columns: String) {
    verdict.stored += 1
    guard let device = MeterFleet.device(kind, id: id), let number = numbers[device][time] else {
      verdict.unexpected += 1
      return note("unexpected", id, time, columns)
    }
    let entry = entries[device][number]
    if found[device][number] > 0 {
      verdict.duplicated += 1
      note("duplicated", id, time, columns)
    } else if entry.microKWh == 0 {
      verdict.unexpected += 1
      note("unexpected", id, time, columns)
    } else if columns != MeterFleet.columns(kind, number: number, entry) {
      verdict.altered += 1
      note(
        "altered", id, time, "\(columns); was \(MeterFleet.columns(kind, number: number, entry))")
    }
    if !entry.isAcknowledged { verdict.unacknowledged += 1 }
    found[device][number] = min(found[device][number], 254) + 1
  }

  /// What is missing, once all rows were seen.
  mutating func finish() {
    for device in entries.indices {
      for (number, entry) in entries[device].enumerated()
      where entry.isAcknowledged && entry.microKWh > 0 {
        verdict.required += 1
        if found[device][number] > 0 { continue }
        verdict.lost += 1
        note(
          "lost", MeterFleet.id(kind, device), entry.time,
          MeterFleet.columns(kind, number: number, entry)
            + ", published at \(Double(entry.publishedAt) / 1_000) s")
        verdict.lostSeconds[Int(entry.publishedAt) / 1_000, default: 0] += 1
      }
    }
  }

  private mutating func note(_ what: String, _ id: String, _ time: Int64, _ columns: String) {
    guard verdict.examples.count < TableVerdict.examples else { return }
    verdict.examples.append("\(what): \(id) \(Timestamp(microseconds: time)) \(columns)")
  }
}

/// What else a database may tell of a run in which only good readings were published.
struct BooksVerdict: Codable, Sendable, Equatable {
  /// By reason; every one is a good reading turned away.
  var deadLetters: [String: Int] = [:]
  /// Flags by rule; every one is a false alarm.
  var flags: [String: Int] = [:]
  /// Batteries whose charge is not what they began with and the sum of their operations.
  var batteriesOff = 0

  var isClean: Bool { deadLetters.isEmpty && flags.isEmpty && batteriesOff == 0 }

  init(over connection: PostgresConnection) throws {
    func counts(_ sql: String) throws -> [String: Int] {
      var counts: [String: Int] = [:]
      for row in try connection.query(sql) { counts[row[0] ?? ""] = row[1].flatMap { Int($0) } }
      return counts
    }
    deadLetters = try counts(
      "SELECT reason, sum(attempts)::bigint FROM ingest.dead_letters GROUP BY reason")
    flags = try counts("SELECT rule, count(*) FROM ingest.reading_flags GROUP BY rule")
    let off = try connection.query(
      """
      SELECT count(*) FROM grid.energy_storage
      LEFT JOIN ingest.storage_remainders USING (storage_id)
      LEFT JOIN (
        SELECT storage_id,
          sum(CASE operation_type WHEN 'charge' THEN energy_amount ELSE -energy_amount END) AS kwh
        FROM grid.storage_operations GROUP BY storage_id
      ) AS operations USING (storage_id)
      WHERE current_charge * 1000 + coalesce(remainder_kwh, 0)
        <> \(MeterFleet.chargeMWh) * 1000 + coalesce(kwh, 0)
      """)
    batteriesOff = off[0][0].flatMap { Int($0) } ?? -1
  }
}
