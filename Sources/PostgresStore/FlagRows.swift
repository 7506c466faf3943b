// Rules that stored readings break, as rows of ingest.reading_flags.

import EnergyReadings

/// The flags of one batch. Reused from batch to batch.
final class FlagRows {
  private let buffer = CopyBuffer()
  /// The reading that each flag is about: its kind, and its place among the rows of that kind.
  private var readings: [(kind: ReadingKind, row: Int)] = []

  func removeAll() {
    guard !readings.isEmpty else { return }
    buffer.removeAll()
    readings.removeAll(keepingCapacity: true)
  }

  var count: Int { readings.count }

  /// Forgets the flags from the given number on.
  func removeFlags(from flag: Int) {
    guard flag < readings.count else { return }
    buffer.removeRows(from: flag)
    readings.removeLast(readings.count - flag)
  }

  func append(
    _ reading: Reading, id: ReadingID, row: Int, rule: StaticString, detail: String,
    in arena: borrowing ByteArena
  ) {
    // PostgreSQL's text has no NUL; the detail may quote what a meter sent.
    let detail = detail.utf8.contains(0) ? detail.replacing("\0", with: "\u{FFFD}") : detail
    let texts = Int(reading.device.count) + detail.utf8.count + 64
    buffer.appendRow(columns: 6, textBytes: texts) { row in
      row.uuid(id)
      row.text(reading.kind.name)
      row.text(arena[reading.device])
      row.timestamp(reading.timestamp)
      row.text(rule)
      row.text(detail)
    }
    readings.append((reading.kind, row))
  }

  /// Stores the flags of all readings but the refused ones, within the open transaction. A flag
  /// that is known from an earlier delivery stays as it is.
  func store(
    without refused: [RefusedRow], over connection: PostgresConnection
  ) throws(PostgresError) {
    if readings.isEmpty { return }
    try connection.execute(FlagRows.stage, as: "stage flags")
    if refused.isEmpty {
      try buffer.withCopyData { (data) throws(PostgresError) in
        _ = try connection.copyIn(FlagRows.copy, data)
      }
    } else {
      for rows in kept(without: refused) {
        let data = buffer.copyData(rows: rows)
        try data.span.withUnsafeBytes { (bytes) throws(PostgresError) in
          _ = try connection.copyIn(FlagRows.copy, bytes)
        }
      }
    }
    try connection.execute(FlagRows.merge, as: "insert into ingest.reading_flags")
  }

  /// Runs of flags whose readings were not refused.
  private func kept(without refused: [RefusedRow]) -> [Range<Int>] {
    let gone = Set(refused.map { [Int($0.kind.rawValue), $0.row] })
    var runs: [Range<Int>] = []
    for (flag, reading) in readings.enumerated()
    where !gone.contains([Int(reading.kind.rawValue), reading.row]) {
      if let last = runs.last, last.upperBound == flag {
        runs[runs.count - 1] = last.lowerBound..<(flag + 1)
      } else {
        runs.append(flag..<(flag + 1))
      }
    }
    return runs
  }

  private static let columns = "reading_id, kind, device_id, at, rule, detail"
  private static let copy = "COPY staged_flags (\(columns)) FROM STDIN (FORMAT binary)"
  private static let stage = """
    CREATE TEMP TABLE IF NOT EXISTS staged_flags ON COMMIT DELETE ROWS
    AS SELECT \(columns) FROM ingest.reading_flags WITH NO DATA
    """
  private static let merge = """
    INSERT INTO ingest.reading_flags (\(columns)) SELECT \(columns) FROM staged_flags
    ON CONFLICT DO NOTHING
    """
}
