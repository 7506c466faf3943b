// Where a spool's files are, and what makes their names last through a power failure.

import EnergyReadings
import Foundation

/// The directory and the names of one spool.
///
/// | file | what it is |
/// | --- | --- |
/// | `<client>.spool.sqlite` | the messages |
/// | `….sqlite-wal` | SQLite's write-ahead log |
/// | `….sqlite.lock` | who has the spool, and its ``SpoolMarker`` |
/// | `….sqlite.session` | there while the broker keeps a session; see ``SessionMark`` |
/// | `….sqlite.salvaging`, `….sqlite.salvaged` | a salvage on its way |
/// | `….sqlite.damaged-<UTC time>` | what a salvage has set aside; never read nor deleted again |
struct SpoolPlace {
  let directory: String
  let file: String

  /// What ``SessionMark`` makes.
  var session: String { file + ".session" }
  var log: String { file + "-wal" }
  var lock: String { file + ".lock" }
  /// The copy of a damaged file that a salvage reads.
  var salvaging: String { file + ".salvaging" }
  /// The sound file that a salvage makes; complete once ``file`` is no more.
  var salvaged: String { file + ".salvaged" }

  init(directory: String, clientID: String) {
    self.directory = directory
    file = "\(directory)/\(SpoolPlace.name(of: clientID)).spool.sqlite"
  }

  /// A client id as a file name: letters, digits, `-` and `_` stay, other bytes become `%XX`; of a
  /// long one the beginning and a digest, since a file name has 255 bytes at most.
  static func name(of clientID: String) -> String {
    var name = ""
    for byte in clientID.utf8 {
      let character = Character(UnicodeScalar(byte))
      let isPlain =
        byte < 128 && (character.isLetter || character.isNumber || "-_".contains(character))
      name += isPlain ? String(character) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
    guard name.utf8.count > 120 else { return name }
    let bytes = Array(clientID.utf8)
    let digest = ReadingID(topic: bytes.span.extracting(0..<0), payload: bytes.span, index: nil)
    return "\(name.prefix(60))~\(digest)"
  }

  /// Makes the directory where there is none, for this user only, since payloads tell who is at
  /// home.
  func makeDirectory() throws(SpoolError) {
    var isDirectory: ObjCBool = false
    if FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory) {
      guard isDirectory.boolValue else {
        throw SpoolError(.cannotOpen, file: directory, detail: "it is not a directory")
      }
      return
    }
    do {
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700])
    } catch {
      throw SpoolError(
        .cannotOpen, file: directory,
        detail: "it cannot be created: \(error.localizedDescription)")
    }
    try synchronize(URL(filePath: directory).deletingLastPathComponent().path)
  }

  /// Opens or creates a file that only this user may read.
  func open(_ path: String) throws(SpoolError) -> Int32 {
    let descriptor = Foundation.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SpoolPlace.failure(path) }
    return descriptor
  }

  /// Makes sure that a file is there before SQLite opens it, which would let all users read it.
  func create(_ path: String) throws(SpoolError) { close(try open(path)) }

  /// Makes the names in the directory last: a file that is synchronised may still lose its name.
  func synchronize() throws(SpoolError) { try synchronize(directory) }

  private func synchronize(_ path: String) throws(SpoolError) {
    let descriptor = Foundation.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SpoolPlace.failure(path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw SpoolPlace.failure(path) }
  }

  func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  /// Renames a file; one that is missing is no error.
  func move(_ path: String, to target: String) throws(SpoolError) {
    guard rename(path, target) == 0 || errno == ENOENT else { throw SpoolPlace.failure(path) }
  }

  /// Removes a file; one that is missing is no error.
  func remove(_ path: String) throws(SpoolError) {
    guard unlink(path) == 0 || errno == ENOENT else { throw SpoolPlace.failure(path) }
  }

  /// A name for a damaged file that is not taken yet.
  func nameForDamaged() -> String {
    let time = "\(Timestamp.now)".prefix(19).filter { $0 != "-" && $0 != ":" }
    let name = "\(file).damaged-\(time)Z"
    var number = 1
    var free = name
    while exists(free) || exists(free + "-wal") {
      number += 1
      free = "\(name)-\(number)"
    }
    return free
  }

  /// What `errno` says about `path`.
  static func failure(_ path: String) -> SpoolError {
    let reason = errno
    let isDisk = [ENOSPC, EDQUOT, EFBIG, EIO].contains(reason)
    return SpoolError(
      isDisk ? .disk : .cannotOpen, file: path, detail: String(cString: strerror(reason)))
  }
}
