// The dead letters that are kept: counted, listed, read, closed and, when they are old, removed.

import EnergyReadings
import Foundation

/// Reads and closes rows of `ingest.dead_letters`. Blocks; use it where its connection is used.
public struct DeadLetterArchive {
  private let connection: PostgresConnection

  public init(_ connection: PostgresConnection) { self.connection = connection }

  /// How many letters a filter selects.
  public func count(_ filter: DeadLetterFilter) throws(PostgresError) -> Int {
    let conditions = SQLConditions(filter)
    return try number(
      "SELECT count(*) FROM ingest.dead_letters AS letter \(conditions.clause)",
      conditions.parameters, as: "count dead letters")
  }

  /// How many letters there are of each reason and rule, most first.
  public func counts(_ filter: DeadLetterFilter) throws(PostgresError) -> [DeadLetterCount] {
    let conditions = SQLConditions(filter)
    return try connection.query(
      """
      SELECT letter.reason, coalesce(letter.rule, letter.constraint_name), count(*),
        count(DISTINCT letter.device_id), \(utc("min(letter.received_at)")),
        \(utc("max(letter.last_received_at)")), min(letter.id::text)
      FROM ingest.dead_letters AS letter \(conditions.clause)
      GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
      """, conditions.parameters, as: "count dead letters"
    ).map { DeadLetterCount($0) }
  }

  /// The letters that came last, newest first.
  ///
  /// - Parameter limit: most letters returned.
  public func list(
    _ filter: DeadLetterFilter, limit: Int
  ) throws(PostgresError) -> [DeadLetterEntry] {
    let conditions = SQLConditions(filter)
    return try connection.query(
      """
      SELECT \(DeadLetterEntry.columns) FROM ingest.dead_letters AS letter \(conditions.clause)
      ORDER BY letter.received_at DESC, letter.id DESC LIMIT \(max(0, limit))
      """, conditions.parameters, as: "list dead letters"
    ).map { DeadLetterEntry($0[...]) }
  }

  /// The one letter whose id begins so.
  public func find(_ id: DeadLetterIDPrefix) throws(PostgresError) -> DeadLetterSearch {
    var filter = DeadLetterFilter()
    filter.state = .all
    filter.id = id
    let found = try list(filter, limit: 10)
    guard let entry = found.first else { return .nothing }
    if found.count > 1 { return .several(found.map(\.id)) }
    let rows = try connection.query(
      "SELECT \(DeadLetterContent.columns), letter.history FROM ingest.dead_letters AS letter "
        + "WHERE letter.id = $1::uuid", [entry.id.description], as: "read dead letter")
    // Pruned since.
    guard let row = rows.first else { return .nothing }
    let history = try? JSONDecoder().decode(
      [DeadLetterVerdict].self, from: Data((row.last.flatMap(\.self) ?? "[]").utf8))
    return .one(
      DeadLetterFile(
        entry: entry, content: DeadLetterContent(row[...]), history: history ?? []))
  }

  /// Closes the open letters that a filter selects, as `discarded`; those that are closed stay as
  /// they are.
  ///
  /// - Returns: letters closed.
  @discardableResult
  public func discard(_ filter: DeadLetterFilter) throws(PostgresError) -> Int {
    var conditions = SQLConditions(filter)
    conditions.require("letter.resolved_at IS NULL")
    return try number(
      """
      WITH closed AS (
        UPDATE ingest.dead_letters AS letter SET resolved_at = now(), resolution = 'discarded'
        \(conditions.clause) RETURNING 1)
      SELECT count(*) FROM closed
      """, conditions.parameters, as: "discard dead letters")
  }

  /// A place between two letters.
  public struct Cursor: Sendable, Equatable {
    public var receivedAt: Timestamp
    public var id: ReadingID

    public init(receivedAt: Timestamp, id: ReadingID) {
      self.receivedAt = receivedAt
      self.id = id
    }
  }

  /// The next letters with their payloads, oldest first.
  ///
  /// - Parameters:
  ///   - cursor: the last letter of the page before, whose ``DeadLetterContent/cursor`` it is; nil
  ///     for the first page.
  ///   - limit: most letters returned. A page ends earlier where its payloads exceed 16 MiB; only
  ///     an empty one is the end.
  public func page(
    _ filter: DeadLetterFilter, after cursor: Cursor?, limit: Int
  ) throws(PostgresError) -> [DeadLetterContent] {
    var conditions = SQLConditions(filter)
    if let cursor {
      let time = conditions.parameter(cursor.receivedAt)
      let id = conditions.parameter(cursor.id.description)
      conditions.require("(letter.received_at, letter.id) > (\(time), \(id)::uuid)")
    }
    // octet_length reads the length alone: the payloads are not fetched before the outer select.
    return try connection.query(
      """
      SELECT \(DeadLetterContent.columns) FROM (
        SELECT letter.*, sum(octet_length(letter.payload)) OVER (
            ORDER BY letter.received_at, letter.id ROWS UNBOUNDED PRECEDING)
          - octet_length(letter.payload) AS bytes_before
        FROM ingest.dead_letters AS letter \(conditions.clause)
        ORDER BY letter.received_at, letter.id LIMIT \(max(1, limit))) AS letter
      WHERE letter.bytes_before < \(DeadLetterArchive.pageBytes)
      ORDER BY letter.received_at, letter.id
      """, conditions.parameters, as: "read dead letters"
    ).map { DeadLetterContent($0[...]) }
  }

  private static let pageBytes = 16 << 20

  /// Removes letters that are too old or too many.
  ///
  /// Age counts from the last time a letter came, whether it is open or not. Of those that are too
  /// many, closed ones go first, and the oldest first. While another process prunes, this does
  /// nothing.
  ///
  /// - Parameters:
  ///   - count: letters kept at most.
  /// - Returns: letters removed.
  public func prune(
    olderThan age: Duration, keeping count: Int
  ) throws(PostgresError) -> Int {
    // Two at a time would both remove what is too many.
    let isAlone = try connection.query(
      "SELECT pg_try_advisory_lock($1::bigint)", [DeadLetterArchive.lock], as: "lock dead letters")
    guard isAlone.first?.first == "t" else { return 0 }
    defer {
      // A broken connection has lost the lock anyway.
      _ = try? connection.query("SELECT pg_advisory_unlock($1::bigint)", [DeadLetterArchive.lock])
    }
    let oldest = "now() - interval '\(age.components.seconds) seconds'"
    // received_at is never later, and has an index.
    var removed = try remove("received_at < \(oldest) AND last_received_at < \(oldest)", .max)
    let kept = try number(
      "SELECT count(*) FROM ingest.dead_letters", [], as: "count dead letters")
    removed += try remove("resolved_at IS NOT NULL", kept - count)
    if kept - count > 0 {
      let left = try number(
        "SELECT count(*) FROM ingest.dead_letters", [], as: "count dead letters")
      removed += try remove("true", left - count)
    }
    return removed
  }

  /// Any number that no other service is likely to lock.
  private static let lock = "7236084615309342"

  /// Letters removed in one transaction: few enough that nobody waits long.
  private static let chunk = 10_000

  /// Removes the oldest letters that meet a condition, `limit` at most.
  private func remove(_ condition: String, _ limit: Int) throws(PostgresError) -> Int {
    var removed = 0
    while removed < limit {
      // A batch that is just counting another arrival holds its letter's row: left for next time,
      // rather than waiting for each other crosswise.
      let count = try number(
        """
        WITH old AS (
          SELECT id FROM ingest.dead_letters WHERE \(condition) ORDER BY received_at, id
          LIMIT \(min(DeadLetterArchive.chunk, limit - removed)) FOR UPDATE SKIP LOCKED
        ), gone AS (
          DELETE FROM ingest.dead_letters AS letter USING old WHERE letter.id = old.id RETURNING 1)
        SELECT count(*) FROM gone
        """, [], as: "prune dead letters")
      if count == 0 { break }
      removed += count
    }
    return removed
  }

  private func number(
    _ sql: String, _ parameters: [String?], as operation: String
  ) throws(PostgresError) -> Int {
    let rows = try connection.query(sql, parameters, as: operation)
    return rows.first?.first.flatMap(\.self).flatMap { Int($0) } ?? 0
  }
}
