// Keeps messages that could not be committed, on disk and in order, until PostgreSQL is back.

import EnergyReadings
import Foundation
import GRDB

/// How much a spool keeps, and for how long.
public struct SpoolLimits: Sendable, Equatable {
  /// Bytes of all messages: topic, payload and 20 for each; default 1 GiB. The file is about a tenth
  /// larger, and beside it stands a log of up to 32 MiB, or the size of the largest append.
  public var bytes: Int
  /// Age of the oldest message from which on the spool's owner takes no more; default 7 days.
  public var age: Duration

  public init(bytes: Int = 1 << 30, age: Duration = .seconds(7 * 86_400)) {
    self.bytes = bytes
    self.age = age
  }
}

/// The spool of one worker session: raw MQTT messages as they arrived, in a SQLite file.
///
/// It belongs to one thread, which it blocks: not to be called from a Swift task. What
/// ``append(_:)`` has returned from outlasts kill -9 and power failures; what ``remove(through:)``
/// has returned from does not come back. After `SpoolError.Code.damaged` from any call, make a new
/// `Spool` of the same name: opening salvages.
public final class Spool {
  /// The SQLite file.
  public var file: String { place.file }
  public let limits: SpoolLimits
  /// What became of a file that was found damaged when it was opened; nil when it was sound.
  public private(set) var damage: SpoolDamage?
  /// Messages in the spool.
  public var depth: Int { Int(marker.appended - marker.removed) }
  /// The number of the message that was appended last; 0 before the first.
  public var lastSequence: Int64 { marker.appended }
  /// Their bytes, as ``SpoolLimits/bytes`` counts them.
  public private(set) var bytes = 0
  /// When the first of them arrived; nil when empty.
  public private(set) var oldestReceivedAt: Timestamp?
  public var isEmpty: Bool { depth == 0 }

  private let place: SpoolPlace
  private let lock: SpoolLock
  /// The open file; nil when an empty one could not be made in time.
  private var openTable: SpoolTable?
  private var marker: SpoolMarker

  /// Opens a spool, or creates it; reads what it holds once, to check it.
  ///
  /// - Parameters:
  ///   - directory: made for this user only when it is missing.
  ///   - clientID: of the MQTT session, of which the files are named.
  /// - Throws: ``SpoolError``: `.cannotOpen`, `.locked`, `.disk`.
  public init(
    directory: String, clientID: String, limits: SpoolLimits = SpoolLimits()
  ) throws(SpoolError) {
    self.limits = limits
    place = SpoolPlace(directory: directory, clientID: clientID)
    try place.makeDirectory()
    lock = try SpoolLock(place)
    try SpoolSalvage.finish(place)
    let opened: (table: SpoolTable, found: SpoolInspection)
    do throws(SpoolError) {
      opened = try Spool.open(place, lock.inherited)
    } catch {
      guard error.code == .damaged else { throw error }
      let (damage, salvaged) = try SpoolSalvage(place: place, inherited: lock.inherited)
        .run(reason: error.detail)
      try lock.write(salvaged, durably: true)
      opened = try Spool.open(place, salvaged)
      self.damage = damage
    }
    openTable = opened.table
    marker = opened.found.marker
    bytes = opened.found.bytes
    oldestReceivedAt = opened.found.oldestReceivedAt
    try lock.write(marker, durably: true)
    deleteRemoved()
  }

  deinit { try? openTable?.close() }

  private func table() throws(SpoolError) -> SpoolTable {
    if let openTable { return openTable }
    let table = try Spool.open(place, marker).0
    openTable = table
    return table
  }

  private static func open(
    _ place: SpoolPlace, _ inherited: SpoolMarker?
  ) throws(SpoolError) -> (SpoolTable, SpoolInspection) {
    // A log without its file is that of a file that was thrown away.
    if !place.exists(place.file) { try place.remove(place.log) }
    try place.create(place.file)
    let table = try SpoolTable(file: place.file)
    do throws(SpoolError) {
      let found = try SpoolInspection(table, inherited: inherited)
      try place.synchronize()
      return (table, found)
    } catch {
      try? table.close()
      throw error
    }
  }

  // MARK: Writing

  /// Adds messages, all or none; they are durable when this returns.
  ///
  /// - Parameter body: adds them, in order, through what it gets. What it throws is thrown on.
  /// - Throws: ``SpoolError``: `.full` when the limit would be exceeded, `.disk`, `.damaged`; then
  ///   the spool is as it was.
  public func append(
    _ body: (inout SpoolAppender) throws(SpoolError) -> Void
  ) throws(SpoolError) {
    var appended = (last: marker.appended, bytes: 0, oldest: Timestamp?.none)
    try table().transaction { database in
      var appender = SpoolAppender(
        statement: try database.cachedStatement(sql: SpoolTable.insertion), file: place.file,
        last: marker.appended, bytes: bytes, limit: limits.bytes)
      try body(&appender)
      appended = (appender.last, appender.bytes - bytes, appender.oldest)
    }
    oldestReceivedAt = oldestReceivedAt ?? appended.oldest
    bytes += appended.bytes
    marker.appended = appended.last
    // Not durably: after a power failure an older number only means that less is known to be missing.
    // And not a reason to say that the messages are not here, for they are.
    try? lock.write(marker, durably: false)
  }

  /// Forgets the messages up to `sequence`, once they are stored elsewhere.
  ///
  /// Their room is used again; once the spool is empty it is given back. A full disk does not hinder
  /// that.
  /// - Throws: ``SpoolError``: `.disk`, `.damaged`; then they are still there, to be drained again.
  public func remove(through sequence: Int64) throws(SpoolError) {
    let last = min(sequence, marker.appended)
    guard last > marker.removed else { return }
    let rest = try rest(after: last)
    var next = marker
    next.removed = last
    // Before the rows go: otherwise a process that died in between would find them missing.
    try lock.write(next, durably: true)
    marker = next
    bytes = rest.bytes
    oldestReceivedAt = rest.oldest
    // From here on they are gone, and what goes wrong only costs room: the next call says so.
    if isEmpty, let pages = try? table().pageCount(), pages > Spool.pagesKept {
      startAfresh()
    } else {
      deleteRemoved()
    }
  }

  /// Pages that an empty spool keeps: 4 MiB, so that a short outage does not create the file anew.
  private static let pagesKept = 1024

  private func rest(after last: Int64) throws(SpoolError) -> (bytes: Int, oldest: Timestamp?) {
    if last == marker.appended { return (0, nil) }
    let removed = try table().bytes(marker.removed + 1...last)
    let next = try read(from: last + 1, limit: 1, bytes: 1)
    return (bytes - removed, next.messages.first?.receivedAt)
  }

  /// Deletes the rows of removed messages.
  ///
  /// A full disk may not even have room for the log of a deletion. The marker says already that they
  /// are gone, and the next deletion takes them along.
  private func deleteRemoved() { try? table().delete(through: marker.removed) }

  /// Gives the room back, which needs none: an empty file takes the place of the old one.
  private func startAfresh() {
    try? openTable?.close()
    openTable = nil
    // The file first: a log alone is no spool, a file without its log may be half of one.
    guard (try? place.remove(place.file)) != nil else { return }
    try? place.remove(place.log)
    _ = try? table()
  }

  // MARK: Reading

  /// The first messages in order of arrival.
  ///
  /// - Parameters:
  ///   - limit: how many at most.
  ///   - bytes: of topics and payloads, at most; a single message may have more.
  /// - Throws: ``SpoolError``: `.damaged`, `.disk`.
  public func oldest(limit: Int, bytes: Int = 32 << 20) throws(SpoolError) -> SpooledMessages {
    try read(from: marker.removed + 1, limit: limit, bytes: bytes)
  }

  private func read(
    from first: Int64, limit: Int, bytes: Int
  ) throws(SpoolError) -> SpooledMessages {
    var found = SpooledMessages(capacity: min(bytes, 1 << 20))
    if limit <= 0 || isEmpty { return found }
    try table().forEach(from: first) { sequence, bytesOfRow in
      guard sequence == first + Int64(found.count),
        let record = SpoolRecord(bytesOfRow, sequence: sequence)
      else {
        throw SpoolError(
          .damaged, file: place.file,
          detail: "message \(first + Int64(found.count)) is not what was written")
      }
      let size = record.topic.count + record.payload.count
      guard found.isEmpty || found.arena.count + size <= bytes else { return false }
      found.append(record, of: bytesOfRow, sequence: sequence)
      return found.count < limit
    }
    return found
  }
}

/// Takes the messages of one ``Spool/append(_:)``.
public struct SpoolAppender: ~Copyable {
  private let statement: Statement
  private let file: String
  fileprivate private(set) var last: Int64
  fileprivate private(set) var bytes: Int
  fileprivate private(set) var oldest: Timestamp?
  private let limit: Int
  private var record: [UInt8] = []

  fileprivate init(statement: Statement, file: String, last: Int64, bytes: Int, limit: Int) {
    self.statement = statement
    self.file = file
    self.last = last
    self.bytes = bytes
    self.limit = limit
  }

  /// Adds one message behind the others.
  public mutating func add(
    topic: Span<UInt8>, payload: Span<UInt8>, receivedAt: Timestamp
  ) throws(SpoolError) {
    bytes += topic.count + payload.count + SpoolRecord.overhead
    guard bytes <= limit else {
      throw SpoolError(.full, file: file, detail: "it would hold more than \(limit) bytes")
    }
    last += 1
    oldest = oldest ?? receivedAt
    SpoolRecord.write(
      topic: topic, payload: payload, receivedAt: receivedAt, sequence: last, to: &record)
    do {
      try statement.execute(arguments: [last, Data(record)])
    } catch {
      throw SpoolError(error, file: file)
    }
  }
}
