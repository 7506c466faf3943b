// The exact repair of one table's rows: bisects to the rows that PostgreSQL refuses, merges the
// rest, and tells second deliveries from contradictions.

import EnergyReadings

/// Works within the open transaction of its batch.
struct TableRepair {
  private let table: ReadingTable
  private let buffer: CopyBuffer
  private let batteryRules: BatteryRules?
  private let connection: PostgresConnection
  private var stored = 0
  private var flagged: [String] = []
  private var refused: [RefusedRow] = []
  /// Whether the temporary table still holds the rows of an earlier merge.
  private var isStaged = false
  /// Rows, dead ones included, that the temporary table's pages may hold.
  private var rowsInPages = 0
  /// From so many rows on, new pages are cheaper than to read the dead ones again and again.
  private static let fullPages = 1_000

  init(
    _ table: ReadingTable, _ buffer: CopyBuffer, _ batteryRules: BatteryRules?,
    _ connection: PostgresConnection
  ) {
    self.table = table
    self.buffer = buffer
    self.batteryRules = batteryRules
    self.connection = connection
  }

  mutating func run() throws(PostgresError) {
    try connection.execute(stage, as: "stage \(table.name)")
    try store(0..<buffer.rowCount)
  }

  func report(to outcome: inout StoreOutcome) {
    let index = Int(table.kind.rawValue)
    outcome.stored[index] = stored
    outcome.duplicates[index] = buffer.rowCount - stored - refused.count
    outcome.refused += refused
    outcome.flagged += flagged
  }

  /// Merges `rows` under a savepoint; a data error halves them until the row at fault stands alone.
  ///
  /// Emptying the temporary table costs more than all the rest of a small merge, and a rolled back
  /// one leaves it as empty as it was: so it is done only after a merge that succeeded.
  private mutating func store(_ rows: Range<Int>) throws(PostgresError) {
    if isStaged {
      let isFull = rowsInPages >= TableRepair.fullPages
      try connection.execute(
        "\(isFull ? "TRUNCATE" : "DELETE FROM") \(table.staged)", as: "empty \(table.staged)")
      if isFull { rowsInPages = 0 }
      isStaged = false
    }
    try connection.execute("SAVEPOINT rows", as: "savepoint")
    do throws(PostgresError) {
      try merge(rows)
      try connection.execute("RELEASE SAVEPOINT rows", as: "release savepoint")
      isStaged = true
      return
    } catch {
      guard error.remedy == .repair else { throw error }
      try connection.execute(
        "ROLLBACK TO SAVEPOINT rows; RELEASE SAVEPOINT rows", as: "rollback to savepoint")
      if rows.count == 1 {
        refused.append(.init(kind: table.kind, row: rows.lowerBound, rejection: Rejection(error)))
        return
      }
    }
    let middle = rows.lowerBound + rows.count / 2
    try store(rows.lowerBound..<middle)
    try store(middle..<rows.upperBound)
  }

  private mutating func merge(_ rows: Range<Int>) throws(PostgresError) {
    rowsInPages += rows.count
    let data = buffer.copyData(rows: rows)
    try data.span.withUnsafeBytes { (bytes) throws(PostgresError) in
      _ = try connection.copyIn(
        "COPY \(table.staged) (\(table.columnList)) FROM STDIN (FORMAT binary)", bytes)
    }
    let inserted = try connection.query(insert, [], as: "insert into \(table.name)")
    if let row = inserted.first, let book = BatteryBook(row: row.dropFirst()) {
      flagged += try book.apply(batteryRules, over: connection)
    }
    let conflicts = try connection.query(conflicts, [], as: "compare with \(table.name)")
    stored += Int(inserted.first?.first.flatMap(\.self) ?? "") ?? 0
    for conflict in conflicts {
      guard let ordinal = conflict[0].flatMap({ Int($0) }) else { continue }
      let rejection = Rejection(
        .conflictingDuplicate,
        detail: "\(table.name) already holds another \(conflict[1] ?? "reading") for this device "
          + "and time")
      refused.append(
        .init(kind: table.kind, row: rows.lowerBound + ordinal, rejection: rejection))
    }
  }

  /// The columns with the target's types but none of its constraints.
  private var stage: String {
    """
    DO $$ BEGIN
      IF to_regclass('pg_temp.\(table.staged)') IS NULL THEN
        CREATE TEMP TABLE \(table.staged) ON COMMIT DELETE ROWS
          AS SELECT \(table.columnList) FROM \(table.name) WITH NO DATA;
        ALTER TABLE \(table.staged) ADD COLUMN ordinal bigint GENERATED ALWAYS AS IDENTITY;
      END IF;
    END $$
    """
  }

  /// Inserts what is new, once for each id; of storage operations it returns what the batteries'
  /// book asks for.
  private var insert: String {
    let book =
      table.kind == .storage
      ? """
      , array_agg(id), array_agg(ingest.reading_id('storage', storage_id, executed_at,
          CASE operation_type WHEN 'charge' THEN 'discharge' ELSE 'charge' END)),
        array_agg(storage_id), array_agg(executed_at),
        array_agg(CASE operation_type WHEN 'charge' THEN energy_amount ELSE -energy_amount END)
      """ : ""
    return """
      WITH inserted AS (
        INSERT INTO \(table.name) (\(table.columnList))
        SELECT DISTINCT ON (id) \(table.columnList) FROM \(table.staged) ORDER BY id, ordinal
        ON CONFLICT (id) DO NOTHING
        RETURNING *
      )
      SELECT count(*)\(book) FROM inserted HAVING count(*) > 0
      """
  }

  /// Rows whose id is stored with another measurement, by their place among the staged ones: the
  /// identity counts on from merge to merge.
  private var conflicts: String {
    func list(_ alias: String) -> String {
      table.measured.map { "\(alias).\($0)" }.joined(separator: ", ")
    }
    return """
      SELECT staged.ordinal - (SELECT min(ordinal) FROM \(table.staged)),
        kept.energy_amount || ' kWh'
      FROM \(table.staged) AS staged JOIN \(table.name) AS kept USING (id)
      WHERE (\(list("staged"))) IS DISTINCT FROM (\(list("kept")))
      ORDER BY staged.ordinal
      """
  }
}

extension Rejection {
  /// What PostgreSQL itself refused.
  fileprivate init(_ error: PostgresError) {
    let isCheck = error.sqlState == "23514"
    // Of a missing key it names the key; of a CHECK it would repeat the whole row.
    let detail = error.sqlState == "23503" ? error.detail.map { ": \($0)" } ?? "" : ""
    self.init(
      isCheck ? .checkViolation : .rejectedByDatabase, detail: error.message + detail,
      constraint: error.constraint, sqlState: error.sqlState)
  }
}
