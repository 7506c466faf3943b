// Makes a sound spool of a damaged one: what is readable is copied, the rest is set aside.

import EnergyReadings
import Foundation
import GRDB

/// What became of a damaged spool: for the log.
public struct SpoolDamage: Sendable, Equatable {
  /// What did not fit.
  public var reason: String
  /// Messages that were found and will be drained.
  public var salvaged: Int
  /// Messages that are missing; nil when nobody noted how many there were.
  public var lost: Int?
  /// Where the damaged file is now; nil when there was none any more.
  public var setAside: String?
}

extension SpoolDamage: CustomStringConvertible {
  public var description: String {
    let lost = lost.map { "\($0) are lost" } ?? "how many are lost is not known"
    let rest = setAside.map { "; the damaged file is \($0)" } ?? "; the file itself is gone"
    return "spool damaged (\(reason)): \(salvaged) messages salvaged, \(lost)\(rest)"
  }
}

/// One salvage. A process that dies during it leaves the original in place, or a complete successor.
///
/// It reads a copy: opening a file in WAL mode may write to it, and the original is evidence.
struct SpoolSalvage {
  let place: SpoolPlace
  /// What the last process noted; nil where that is unknown.
  let inherited: SpoolMarker?

  /// Finishes a salvage that was interrupted between its renames, and removes one that was
  /// interrupted before.
  static func finish(_ place: SpoolPlace) throws(SpoolError) {
    if !place.exists(place.file), place.exists(place.salvaged) {
      // The original's log would be taken for the successor's.
      try place.move(place.log, to: place.nameForDamaged() + "-wal")
      try place.move(place.salvaged, to: place.file)
      try place.synchronize()
    }
    for file in [place.salvaged, place.salvaging] {
      try place.remove(file)
      try place.remove(file + "-wal")
    }
  }

  /// Replaces the damaged file, which must be closed.
  ///
  /// - Returns: what became of it, and the numbers of the new file.
  func run(reason: String) throws(SpoolError) -> (SpoolDamage, SpoolMarker) {
    try SpoolSalvage.finish(place)
    let hadFile = place.exists(place.file)
    let target = try makeTarget()
    if hadFile { try copySource() }
    let found = try hadFile ? Gathering(self, target).run() : (salvaged: 0, end: 0)
    try target.close()
    let aside = place.nameForDamaged()
    try place.move(place.file, to: aside)
    try place.move(place.log, to: aside + "-wal")
    try place.move(place.salvaged, to: place.file)
    try place.synchronize()
    try SpoolSalvage.finish(place)
    let removed = inherited?.removed ?? 0
    let lost = inherited.map { Int(max($0.appended, found.end) - removed) - found.salvaged }
    return (
      SpoolDamage(
        reason: reason, salvaged: found.salvaged, lost: lost,
        setAside: hadFile ? aside : nil),
      SpoolMarker(removed: removed, appended: removed + Int64(found.salvaged))
    )
  }

  private func makeTarget() throws(SpoolError) -> SpoolTable {
    try place.create(place.salvaged)
    // Closed once, so that its first page is in the file and not in the log.
    try SpoolTable(file: place.salvaged).close()
    return try SpoolTable(file: place.salvaged)
  }

  /// Copies the damaged file and gives the copy a sound first page.
  ///
  /// That page has the file's header and the schema, which are the same in every spool: without it
  /// SQLite would read nothing at all. The header's version must differ from its change counter:
  /// then its size of the file counts for nothing (https://www.sqlite.org/fileformat.html, 1.3.7).
  private func copySource() throws(SpoolError) {
    do {
      try FileManager.default.copyItem(atPath: place.file, toPath: place.salvaging)
      if place.exists(place.log) {
        try FileManager.default.copyItem(atPath: place.log, toPath: place.salvaging + "-wal")
      }
      let sound = try FileHandle(forReadingFrom: URL(filePath: place.salvaged))
      defer { try? sound.close() }
      guard var page = try sound.read(upToCount: SpoolTable.pageBytes) else { return }
      for index in 0..<4 { page[24 + index] = UInt8(index) }
      for index in 32..<40 { page[index] = 0 }
      for index in 92..<96 { page[index] = 0 }
      let copy = try FileHandle(forUpdating: URL(filePath: place.salvaging))
      defer { try? copy.close() }
      try copy.write(contentsOf: page)
    } catch {
      throw SpoolError(.disk, file: place.salvaging, detail: error.localizedDescription)
    }
  }
}

/// The rows of a damaged file on their way into a sound one.
private final class Gathering {
  private let salvage: SpoolSalvage
  private let target: SpoolTable
  /// What came before the first message that is wanted, in both files.
  private let removed: Int64
  /// The last message that was found, in the damaged file's numbers.
  private var last: Int64
  private var salvaged = 0
  /// Records that are not in the target yet.
  private var waiting: [Data] = []
  private var waitingBytes = 0
  private var record: [UInt8] = []

  /// Rows of one transaction, and their bytes.
  private static let portion = (rows: 10_000, bytes: 16 << 20)
  /// How far to look for the next readable row where nobody knows the last one: what a page with the
  /// references to 400 others can hide of small messages.
  private static let reach: Int64 = 20_000

  init(_ salvage: SpoolSalvage, _ target: SpoolTable) {
    self.salvage = salvage
    self.target = target
    removed = salvage.inherited?.removed ?? 0
    last = removed
  }

  /// Copies what is readable.
  ///
  /// - Returns: how many there are, and the last one in the damaged file's numbers.
  func run() throws(SpoolError) -> (salvaged: Int, end: Int64) {
    guard let source = try? SpoolTable(file: salvage.place.salvaging, isBroken: true) else {
      return (0, removed)
    }
    var next: Int64? = removed + 1
    while let start = next {
      do throws(SpoolError) {
        try source.forEach(from: start) { sequence, bytes in
          try self.take(sequence, bytes)
          return true
        }
        next = nil
      } catch {
        guard error.code != .disk, error.file == source.file else { throw error }
        next = nextReadable(in: source)
      }
    }
    try flush()
    // Nothing depends on the copy any more.
    try? source.close()
    return (salvaged, last)
  }

  /// Goes past unreadable pages: asks for one number after the other.
  private func nextReadable(in source: SpoolTable) -> Int64? {
    let end = max(salvage.inherited?.appended ?? 0, last + Gathering.reach)
    guard last < end else { return nil }
    for sequence in (last + 1)...end {
      let isThere = try? source.access {
        try Row.fetchOne(
          $0.cachedStatement(sql: "SELECT record FROM message WHERE sequence = ?"),
          arguments: [sequence]) != nil
      }
      if isThere == true, sequence > resumedAt {
        resumedAt = sequence
        return sequence
      }
    }
    return nil
  }

  /// Where reading went on last: it has to get further each time.
  private var resumedAt: Int64 = 0

  private func take(_ sequence: Int64, _ bytes: Span<UInt8>) throws(SpoolError) {
    // A damaged page may show rows again or out of order, with a number that is not theirs.
    guard sequence > last, let found = SpoolRecord(bytes, sequence: sequence) else { return }
    last = sequence
    salvaged += 1
    SpoolRecord.write(
      topic: bytes.extracting(found.topic), payload: bytes.extracting(found.payload),
      receivedAt: found.receivedAt, sequence: removed + Int64(salvaged), to: &record)
    waiting.append(Data(record))
    waitingBytes += record.count
    if waiting.count >= Gathering.portion.rows || waitingBytes >= Gathering.portion.bytes {
      try flush()
    }
  }

  private func flush() throws(SpoolError) {
    let start = removed + Int64(salvaged - waiting.count)
    try target.transaction { database in
      let statement = try database.cachedStatement(sql: SpoolTable.insertion)
      for (index, record) in waiting.enumerated() {
        try statement.execute(arguments: [start + Int64(index) + 1, record])
      }
    }
    waiting.removeAll(keepingCapacity: true)
    waitingBytes = 0
  }
}
