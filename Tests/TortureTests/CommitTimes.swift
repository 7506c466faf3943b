// When each row was published and when it was committed, both to the millisecond and by one clock:
// PostgreSQL keeps the moment of each commit (track_commit_timestamp).

import EnergyReadings
import PostgresStore

/// The times of all rows of a run.
struct CommitTimes: Sendable {
  /// One row's times, ms since 1970.
  struct Row: Sendable {
    var published: Int64
    var committed: Int64
    var latency: Int64 { committed - published }
  }

  /// In the order in which they were published.
  private(set) var rows: [Row] = []
  /// Rows that were committed before an earlier reading of the same device.
  private(set) var outOfOrder = 0

  /// - Throws: `PostgresError`.
  init(_ journals: [Journal], over connection: PostgresConnection) throws {
    for journal in journals { try read(journal, connection) }
    rows.sort { $0.published < $1.published }
  }

  private mutating func read(_ journal: Journal, _ connection: PostgresConnection) throws {
    let entries = journal.entries
    let numbers = entries.map { device in
      Dictionary(
        device.enumerated().map { ($0.element.time, $0.offset) },
        uniquingKeysWith: { first, _ in first })
    }
    var committed = entries.map { [Int64](repeating: .min, count: $0.count) }
    try connection.forEachRow(CommitTimes.query(journal.kind)) { row in
      guard let device = MeterFleet.device(journal.kind, id: row.string(0) ?? ""),
        let time = row.string(1).flatMap({ Int64($0) }), let number = numbers[device][time],
        let commit = row.string(2).flatMap({ Int64($0) })
      else { return }
      committed[device][number] = commit
    }
    for (device, list) in entries.enumerated() {
      var last = Int64.min
      for (number, entry) in list.enumerated() where committed[device][number] != .min {
        let published = journal.beganAtMicroseconds / 1_000 + Int64(entry.publishedAt)
        rows.append(Row(published: published, committed: committed[device][number]))
        if committed[device][number] < last { outOfOrder += 1 }
        last = max(last, committed[device][number])
      }
    }
  }

  private static func query(_ kind: ReadingKind) -> String {
    let (table, device, time) =
      switch kind {
      case .production: ("energy_production", "producer_id", "timestamp")
      case .consumption: ("energy_consumption", "consumer_id", "timestamp")
      case .storage: ("storage_operations", "storage_id", "executed_at")
      }
    return """
      SELECT \(device), (extract(epoch FROM \(time)) * 1000000)::bigint,
        (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::bigint
      FROM grid.\(table)
      """
  }

  /// From publish to commit, of what was published in a time.
  func latencies(of name: String, from begin: Int64, to end: Int64) -> Latencies {
    let sorted = rows.filter { begin <= $0.published && $0.published < end }.map(\.latency).sorted()
    func quantile(_ share: Double) -> Int64 {
      sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
    return Latencies(
      phase: name, seconds: (Double(end - begin) / 1_000).rounded(places: 1), rows: sorted.count,
      p50: quantile(0.5), p99: quantile(0.99), longest: sorted.last ?? 0)
  }

  /// When the last row was committed that had to wait longer than `limit` ms, if that is after
  /// `mark`: since then everything is committed in time.
  func recovered(after mark: Int64, limit: Int64) -> Int64 {
    rows.reduce(mark) { $1.latency > limit ? max($0, $1.committed) : $0 }
  }

  /// Rows published before a moment and committed after it.
  func waiting(at mark: Int64) -> Int {
    rows.count { $0.published < mark && $0.committed >= mark }
  }

  /// Rows committed a second between the first commit after `begin` and `end`.
  func rate(from begin: Int64, to end: Int64) -> Int {
    let times = rows.lazy.map(\.committed).filter { begin <= $0 && $0 <= end }
    guard let first = times.min(), end > first else { return 0 }
    return times.count * 1_000 / Int(end - first)
  }
}

/// Milliseconds from publish to commit in one phase of a run.
struct Latencies: Codable, Sendable, Equatable {
  var phase: String
  var seconds: Double
  var rows: Int
  var p50: Int64
  var p99: Int64
  var longest: Int64
}
