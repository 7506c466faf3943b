// The SQLite file of a spool: how it is opened, and its one table.

import EnergyReadings
import Foundation
import GRDB

/// An open SQLite file with the spool's table.
struct SpoolTable {
  let file: String
  private let queue: DatabaseQueue

  /// Bytes of a page: a disk's block too, so that a block that goes bad takes the fewest messages
  /// along (about 16 of 200 bytes).
  static let pageBytes = 4096

  /// Opens the file, and makes the table in an empty one.
  ///
  /// - Parameter isBroken: opens what SQLite would refuse: it is told to put up with a schema and a
  ///   file size that do not fit (`writable_schema`, https://www.sqlite.org/recovery.html).
  init(file: String, isBroken: Bool = false) throws(SpoolError) {
    self.file = file
    var configuration = Configuration()
    configuration.foreignKeysEnabled = false
    configuration.label = "spool"
    configuration.prepareDatabase { try SpoolTable.prepare($0, isBroken: isBroken) }
    do {
      queue = try DatabaseQueue(path: file, configuration: configuration)
    } catch {
      throw SpoolError(error, file: file)
    }
    if isBroken { return }
    try access { database in
      // Asked first: to say it again would be a write, for which a full disk has no room.
      if try !database.tableExists("message") { try database.execute(sql: SpoolTable.schema) }
    }
  }

  private static func prepare(_ database: Database, isBroken: Bool) throws {
    try database.execute(sql: "PRAGMA page_size = \(pageBytes)")
    if isBroken { try database.execute(sql: "PRAGMA writable_schema = ON") }
    // Exclusive before WAL: then no file of shared memory is needed, and nobody else may look on
    // and hold back a checkpoint (https://www.sqlite.org/wal.html#noshm).
    try database.execute(sql: "PRAGMA locking_mode = EXCLUSIVE")
    try database.execute(sql: "PRAGMA journal_mode = WAL")
    // FULL: a commit returns after the log's fsync. NORMAL would leave that to the checkpoint.
    try database.execute(sql: "PRAGMA synchronous = FULL")
    // In pages: 16 MiB, six batches of 10,000 messages. SQLite's 4 MiB would checkpoint, with two
    // more fsyncs, after every second batch. What a large batch adds is given back by the limit.
    try database.execute(sql: "PRAGMA wal_autocheckpoint = 4096")
    try database.execute(sql: "PRAGMA journal_size_limit = \(32 << 20)")
    try database.execute(sql: "PRAGMA cell_size_check = ON")
  }

  // "Spoo" in ASCII, which file(1) shows. The sequence is the rowid: rows lie in order of arrival.
  private static let schema = """
    PRAGMA application_id = 0x53706f6f;
    CREATE TABLE message (
      sequence INTEGER PRIMARY KEY,
      record BLOB NOT NULL
    ) STRICT;
    """

  static let insertion = "INSERT INTO message (sequence, record) VALUES (?, ?)"

  /// Runs `body` on the connection.
  func access<Value>(_ body: (Database) throws -> Value) throws(SpoolError) -> Value {
    do {
      return try queue.writeWithoutTransaction(body)
    } catch {
      throw SpoolError(error, file: file)
    }
  }

  /// Runs `body` in one transaction, which is durable when this returns.
  func transaction(_ body: (Database) throws -> Void) throws(SpoolError) {
    try access { database in
      try database.inTransaction(.immediate) {
        try body(database)
        return .commit
      }
    }
  }

  /// Closes the file; its log is written into it and removed, where that can be done.
  func close() throws(SpoolError) {
    do {
      try queue.close()
    } catch {
      throw SpoolError(error, file: file)
    }
  }

  /// Calls `body` with the rows from `first` on, in order, until it returns false.
  func forEach(
    from first: Int64, _ body: (Int64, Span<UInt8>) throws -> Bool
  ) throws(SpoolError) {
    try access { database in
      let rows = try Row.fetchCursor(
        database.cachedStatement(
          sql: "SELECT sequence, record FROM message WHERE sequence >= ? ORDER BY sequence"),
        arguments: [first])
      while let row = try rows.next() {
        let sequence: Int64 = row[0]
        // The record stays SQLite's: what is wanted of it is copied by the body.
        let goesOn = try row.withUnsafeData(atIndex: 1) { try body(sequence, ($0 ?? Data()).span) }
        if !goesOn { return }
      }
    }
  }

  /// Bytes of the records of these rows, read from the rows' headers alone.
  func bytes(_ sequences: ClosedRange<Int64>) throws(SpoolError) -> Int {
    try access {
      try Int.fetchOne(
        $0.cachedStatement(
          sql: "SELECT sum(length(record)) FROM message WHERE sequence BETWEEN ? AND ?"),
        arguments: [sequences.lowerBound, sequences.upperBound]) ?? 0
    }
  }

  /// Deletes the rows up to `sequence`.
  func delete(through sequence: Int64) throws(SpoolError) {
    try transaction {
      try $0.cachedStatement(sql: "DELETE FROM message WHERE sequence <= ?")
        .execute(arguments: [sequence])
    }
  }

  /// Pages of the file, free ones included.
  func pageCount() throws(SpoolError) -> Int {
    try access { try Int.fetchOne($0, sql: "PRAGMA page_count") ?? 0 }
  }
}
