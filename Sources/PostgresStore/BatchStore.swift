// One batch, one transaction: optimistic COPY straight into the tables, and the exact repair when
// PostgreSQL finds a row at fault.

import EnergyReadings

/// The rows of one batch, by table. Reused from batch to batch.
public final class BatchRows {
  /// One buffer a kind, in order of ``ReadingKind/rawValue``.
  let tables = ReadingKind.allCases.map { _ in CopyBuffer() }
  /// What each storage operation adds to its battery's charge, in row order.
  private(set) var charges: [(device: String, microKWh: Int64)] = []

  public init() {}

  public var isEmpty: Bool { tables.allSatisfy { $0.rowCount == 0 } }

  /// The rows of one kind.
  public func count(of kind: ReadingKind) -> Int { tables[Int(kind.rawValue)].rowCount }

  public func removeAll() {
    for table in tables { table.removeAll() }
    charges.removeAll(keepingCapacity: true)
  }

  /// Adds a reading that was checked and enriched.
  public func append(_ reading: Reading, in arena: borrowing ByteArena) {
    let id = ReadingID(
      kind: reading.kind, device: arena[reading.device], timestamp: reading.timestamp,
      channel: reading.channel)
    tables[Int(reading.kind.rawValue)].append(reading, id: id, in: arena)
    if reading.kind == .storage {
      let sign: Int64 = reading.operation == .charge ? 1 : -1
      charges.append((arena.string(reading.device), sign * reading.energy.microKWh))
    }
  }
}

/// A row that PostgreSQL refused, or that contradicts what it already holds.
public struct RefusedRow: Sendable {
  public var kind: ReadingKind
  /// Position among the batch's rows of that kind.
  public var row: Int
  public var rejection: Rejection
}

/// What became of the rows of a committed batch.
public struct StoreOutcome: Sendable {
  /// Rows stored, by kind.
  public internal(set) var stored: InlineArray<3, Int> = .init(repeating: 0)
  /// Rows whose content was stored before, by kind.
  public internal(set) var duplicates: InlineArray<3, Int> = .init(repeating: 0)
  public internal(set) var refused: [RefusedRow] = []
  /// Whether the batch needed the repair.
  public internal(set) var wasRepaired = false

  public init() {}
}

/// Stores batches over one connection.
public struct BatchStore {
  private let connection: PostgresConnection

  public init(_ connection: PostgresConnection) { self.connection = connection }

  /// Commits the rows and the dead letters of a batch, all or nothing.
  ///
  /// - Parameter deadLetters: writes the batch's dead letters into the buffer, those for refused
  ///   rows included. It may be called twice: the first attempt may have to be repaired.
  /// - Throws: ``PostgresError`` whose remedy is not `repair`: nothing is stored then.
  public func commit(
    _ rows: BatchRows, deadLetters: ([RefusedRow], CopyBuffer) -> Void
  ) throws(PostgresError) -> StoreOutcome {
    do throws(PostgresError) {
      return try connection.transaction { () throws(PostgresError) in
        let outcome = try copyStraight(rows)
        try storeDeadLetters(refused: [], deadLetters)
        return outcome
      }
    } catch {
      guard error.remedy == .repair else { throw error }
    }
    return try connection.transaction { () throws(PostgresError) in
      var outcome = StoreOutcome()
      outcome.wasRepaired = true
      // A deferred constraint would find its row only at COMMIT, too late to tell which it is.
      try connection.execute("SET CONSTRAINTS ALL IMMEDIATE", as: "set constraints immediate")
      for table in ReadingTable.all {
        let buffer = rows.tables[Int(table.kind.rawValue)]
        guard buffer.rowCount > 0 else { continue }
        var repair = TableRepair(table, buffer, connection)
        try repair.run()
        repair.report(to: &outcome)
      }
      try storeDeadLetters(refused: outcome.refused, deadLetters)
      return outcome
    }
  }

  private func copyStraight(_ rows: BatchRows) throws(PostgresError) -> StoreOutcome {
    var outcome = StoreOutcome()
    for table in ReadingTable.all {
      let index = Int(table.kind.rawValue)
      let buffer = rows.tables[index]
      guard buffer.rowCount > 0 else { continue }
      outcome.stored[index] = try buffer.withCopyData { (data) throws(PostgresError) in
        try connection.copyIn(table.copy, data)
      }
    }
    if !rows.charges.isEmpty {
      try connection.query(
        "SELECT ingest.apply_storage_operations($1::text[], $2::numeric[])",
        [
          arrayLiteral(rows.charges.map(\.device)),
          arrayLiteral(rows.charges.map { FixedPoint.text($0.microKWh, scale: 6) }),
        ], as: "update grid.energy_storage")
    }
    return outcome
  }

  private func storeDeadLetters(
    refused: [RefusedRow], _ write: ([RefusedRow], CopyBuffer) -> Void
  ) throws(PostgresError) {
    let buffer = CopyBuffer()
    write(refused, buffer)
    guard buffer.rowCount > 0 else { return }
    try connection.execute(DeadLetterTable.stage, as: "stage dead letters")
    try buffer.withCopyData { (data) throws(PostgresError) in
      _ = try connection.copyIn(DeadLetterTable.copy, data)
    }
    try connection.execute(DeadLetterTable.merge, as: "insert into ingest.dead_letters")
  }
}

/// A PostgreSQL array in text form (manual, 8.15.6).
func arrayLiteral(_ elements: [String]) -> String {
  let quoted = elements.map { element in
    "\"" + element.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }
  return "{" + quoted.joined(separator: ",") + "}"
}
