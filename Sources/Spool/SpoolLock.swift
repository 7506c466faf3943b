// The lock on a spool, and beside it the two numbers that tell whether its file is complete.

import Foundation

/// How far a spool was written and drained.
///
/// SQLite's log ends where its checksums end: a log that was cut or damaged looks like one that was
/// never longer, and the messages behind are gone without an error. These numbers stand outside of
/// it.
struct SpoolMarker: Equatable {
  /// The last message that was removed: up to here nothing is needed any more.
  var removed: Int64 = 0
  /// The last message that was appended.
  var appended: Int64 = 0
}

/// A lock that one ``Spool`` holds until it is gone or its process dies, by kill -9 too.
///
/// It is a lock of the open file (flock(2)) and not SQLite's own, which another spool of the same
/// process would not notice, and it lasts while a salvage replaces the SQLite file.
final class SpoolLock {
  private let file: String
  private let descriptor: Int32
  /// What an earlier process left; nil where it left nothing legible.
  let inherited: SpoolMarker?

  /// - Throws: `SpoolError.Code.locked` with the process that has it.
  init(_ place: SpoolPlace) throws(SpoolError) {
    file = place.lock
    descriptor = try place.open(place.lock)
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let failure =
        errno == EWOULDBLOCK
        ? SpoolError(.locked, file: place.file, detail: SpoolLock.holder(descriptor))
        : SpoolPlace.failure(place.lock)
      close(descriptor)
      throw failure
    }
    inherited = SpoolMarker(SpoolLock.read(descriptor))
  }

  deinit { close(descriptor) }

  /// Notes how far the spool got, in place and in one sector: that needs no room on a full disk and
  /// is whole or not at all.
  ///
  /// - Parameter durably: whether it has to last through a power failure before this returns.
  func write(_ marker: SpoolMarker, durably: Bool) throws(SpoolError) {
    let text = Array(marker.text.utf8)
    // The array is lent to pwrite(2) for the call.
    let written = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    guard written == text.count, !durably || fdatasync(descriptor) == 0 else {
      throw SpoolPlace.failure(file)
    }
  }

  private static func holder(_ descriptor: Int32) -> String {
    let words = read(descriptor).split(separator: " ")
    return words.count > 1 ? "process \(words[1])" : "another process"
  }

  private static func read(_ descriptor: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 256)
    // The array is lent to pread(2) for the call.
    let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}

extension SpoolMarker {
  /// `pid 4711 removed 17 appended 123`, always as long, so that a shorter number leaves no rest of
  /// a longer one.
  fileprivate var text: String {
    let line = "pid \(getpid()) removed \(removed) appended \(appended) "
    return line + String(repeating: " ", count: max(0, 95 - line.utf8.count)) + "\n"
  }

  fileprivate init?(_ text: String) {
    let words = text.split { $0 == " " || $0 == "\n" }
    guard words.count == 6, words[0] == "pid", words[2] == "removed", words[4] == "appended",
      let removed = Int64(words[3]), let appended = Int64(words[5]), removed >= 0,
      appended >= removed
    else { return nil }
    self.init(removed: removed, appended: appended)
  }
}
