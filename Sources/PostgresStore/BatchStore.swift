// One batch, one transaction: optimistic COPY straight into the tables, and the exact repair when
// PostgreSQL finds a row at fault.

import EnergyReadings

/// The rows of one batch, by table. Reused from batch to batch.
public final class BatchRows {
  // Three constants, and not only the array: to take one out of that counts a reference.
  private let production = CopyBuffer()
  private let consumption = CopyBuffer()
  private let storage = CopyBuffer()
  /// One buffer a kind, in order of ``ReadingKind/rawValue``.
  let tables: [CopyBuffer]
  /// The storage operations, in row order.
  private(set) var operations: [BatteryBook.Operation] = []
  /// The ids of their batteries: as strings each would cost an allocation.
  private(set) var batteries = ByteArena()
  /// Rules that rows break and are stored with nevertheless.
  let flags = FlagRows()
  private var lastID = ReadingID(high: 0, low: 0)
  /// What batteries say that they hold.
  let charges = ChargeReports()
  /// What the batteries' book judges; nil leaves it out.
  public var batteryRules: BatteryRules?

  public init() { tables = [production, consumption, storage] }

  public var isEmpty: Bool { tables.allSatisfy { $0.rowCount == 0 } }

  /// The rows of one kind.
  public func count(of kind: ReadingKind) -> Int { tables[Int(kind.rawValue)].rowCount }

  public func removeAll() {
    for table in tables { table.removeAll() }
    operations.removeAll(keepingCapacity: true)
    batteries.removeAll()
    charges.removeAll()
    flags.removeAll()
  }

  /// How much there is at a moment, to come back to.
  public struct Mark: Sendable {
    fileprivate var rows: [Int]
    fileprivate var operations, batteryBytes, flags: Int
  }

  public var mark: Mark {
    Mark(
      rows: tables.map(\.rowCount), operations: operations.count, batteryBytes: batteries.count,
      flags: flags.count)
  }

  /// Forgets what came after the mark.
  public func cut(to mark: Mark) {
    for (table, count) in zip(tables, mark.rows) { table.removeRows(from: count) }
    operations.removeLast(operations.count - mark.operations)
    batteries.truncate(to: mark.batteryBytes)
    flags.removeFlags(from: mark.flags)
  }

  /// Adds what a battery says that it holds.
  public func append(_ charge: ReportedCharge, in arena: borrowing ByteArena) {
    charges.append(charge, in: arena)
  }

  /// Adds a reading that was checked and enriched.
  public func append(_ reading: Reading, in arena: borrowing ByteArena) {
    let id = reading.id(in: arena)
    switch reading.kind {
    case .production: production.append(reading, id: id, in: arena)
    case .consumption: consumption.append(reading, id: id, in: arena)
    case .storage: storage.append(reading, id: id, in: arena)
    }
    lastID = id
    if reading.kind == .storage { appendOperation(reading, id, arena) }
  }

  private func appendOperation(
    _ reading: Reading, _ id: ReadingID, _ arena: borrowing ByteArena
  ) {
    let isCharge = reading.operation == .charge
    let opposite = ReadingID(
      kind: .storage, device: arena[reading.device], timestamp: reading.timestamp,
      channel: (isCharge ? StorageOperation.discharge : .charge).name)
    operations.append(
      .init(
        id: id, opposite: opposite, device: batteries.append(arena[reading.device]),
        time: reading.timestamp,
        microKWh: (isCharge ? 1 : -1) * reading.energy.microKWh))
  }

  /// Marks the row that was appended last.
  ///
  /// - Parameters:
  ///   - reading: what was appended.
  ///   - rule: name of the rule that it breaks.
  ///   - detail: one sentence for people.
  public func flagLast(
    of reading: Reading, rule: StaticString, detail: String, in arena: borrowing ByteArena
  ) {
    flags.append(
      reading, id: lastID, row: count(of: reading.kind) - 1, rule: rule, detail: detail, in: arena)
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
  /// Rules that the batteries' book found broken, once for each operation.
  public internal(set) var flagged: [String] = []
  /// What became of the batteries' states of charge, by ``ChargeOutcome/rawValue``.
  public internal(set) var charges: InlineArray<4, Int> = .init(repeating: 0)
  /// Whether the batch needed the repair.
  public internal(set) var wasRepaired = false

  public init() {}
}

/// Stores batches over one connection.
public struct BatchStore {
  private let connection: PostgresConnection

  public init(_ connection: PostgresConnection) { self.connection = connection }

  /// Commits the rows, their flags and what else belongs to a batch, all or nothing.
  ///
  /// - Parameters:
  ///   - prepare: runs first in the transaction, and may add rows; perhaps twice, as the others.
  ///   - review: told what the database would refuse; returns whether it changed the rows in answer,
  ///     which are judged anew then.
  ///   - deadLetters: writes the batch's dead letters into the buffer, those for refused rows
  ///     included. It may be called twice: the first attempt may have to be repaired.
  ///   - finally: runs last in the transaction, also perhaps twice.
  /// - Throws: ``PostgresError``; nothing is stored then.
  public func commit(
    _ rows: BatchRows,
    prepare: (PostgresConnection) throws(PostgresError) -> Void = { _ in },
    review: (StoreOutcome) -> Bool = { _ in false },
    deadLetters: ([RefusedRow], CopyBuffer) -> Void,
    finally: (StoreOutcome, PostgresConnection) throws(PostgresError) -> Void = { _, _ in }
  ) throws(PostgresError) -> StoreOutcome {
    func begin() throws(PostgresError) {
      try prepare(connection)
      if rows.charges.isEmpty { return }
      try rows.charges.lock(with: rows.operations, of: rows.batteries, over: connection)
    }
    func complete(_ outcome: inout StoreOutcome) throws(PostgresError) {
      if !rows.charges.isEmpty { outcome.charges = try rows.charges.apply(over: connection) }
      try rows.flags.store(without: outcome.refused, over: connection)
      try finally(outcome, connection)
      try storeDeadLetters(refused: outcome.refused, deadLetters)
    }
    do throws(PostgresError) {
      return try connection.transaction { () throws(PostgresError) in
        try begin()
        var outcome = try copyStraight(rows)
        try complete(&outcome)
        return outcome
      }
    } catch {
      guard error.remedy == .repair else { throw error }
    }
    return try connection.transaction { () throws(PostgresError) in
      try begin()
      var outcome = try repair(rows, review)
      try complete(&outcome)
      return outcome
    }
  }

  /// What would become of the rows, within the caller's transaction; the parameters are those of
  /// ``commit(_:prepare:review:deadLetters:finally:)``.
  public func rehearse(
    _ rows: BatchRows,
    prepare: (PostgresConnection) throws(PostgresError) -> Void = { _ in },
    review: (StoreOutcome) -> Bool = { _ in false }
  ) throws(PostgresError) -> StoreOutcome {
    try prepare(connection)
    return try repair(rows, review)
  }

  /// Repairs until nobody changes the rows for what the database refuses.
  private func repair(
    _ rows: BatchRows, _ review: (StoreOutcome) -> Bool
  ) throws(PostgresError) -> StoreOutcome {
    try connection.execute("SAVEPOINT repair", as: "savepoint")
    var outcome = try repair(rows)
    while review(outcome) {
      try connection.execute("ROLLBACK TO SAVEPOINT repair", as: "rollback to savepoint")
      outcome = try repair(rows)
    }
    return outcome
  }

  private func copyStraight(_ rows: BatchRows) throws(PostgresError) -> StoreOutcome {
    var outcome = StoreOutcome()
    for table in ReadingTable.all {
      let index = Int(table.kind.rawValue)
      let buffer = rows.tables[index]
      guard buffer.rowCount > 0 else { continue }
      outcome.stored[index] = try connection.copyIn(table.copy) { buffer.sendInOrder($0) }
    }
    if !rows.operations.isEmpty {
      outcome.flagged = try BatteryBook(rows.operations, of: rows.batteries).apply(
        rows.batteryRules, over: connection)
    }
    return outcome
  }

  private func repair(_ rows: BatchRows) throws(PostgresError) -> StoreOutcome {
    var outcome = StoreOutcome()
    outcome.wasRepaired = true
    // A deferred constraint would find its row only at COMMIT, too late to tell which it is.
    try connection.execute("SET CONSTRAINTS ALL IMMEDIATE", as: "set constraints immediate")
    for table in ReadingTable.all {
      let buffer = rows.tables[Int(table.kind.rawValue)]
      guard buffer.rowCount > 0 else { continue }
      var repair = TableRepair(table, buffer, rows.batteryRules, connection)
      try repair.run()
      repair.report(to: &outcome)
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

  /// The table that readings of a kind go to, and the columns of it that are written.
  public static func table(of kind: ReadingKind) -> (name: String, columns: [String]) {
    let table = ReadingTable.all[Int(kind.rawValue)]
    return (table.name, table.columns)
  }
}

/// A PostgreSQL array in text form (manual, 8.15.6).
package func arrayLiteral(_ elements: [String]) -> String {
  var literal = [UInt8(ascii: "{")]
  literal.reserveCapacity(elements.count * 16)
  for (index, element) in elements.enumerated() {
    literal += index == 0 ? "\"".utf8 : ",\"".utf8
    for byte in element.utf8 {
      if byte == UInt8(ascii: "\\") || byte == UInt8(ascii: "\"") {
        literal.append(UInt8(ascii: "\\"))
      }
      literal.append(byte)
    }
    literal.append(UInt8(ascii: "\""))
  }
  literal.append(UInt8(ascii: "}"))
  return String(decoding: literal, as: UTF8.self)
}
