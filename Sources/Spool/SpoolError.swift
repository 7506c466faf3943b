// What a spool cannot do, in words that name the file, the reason and the remedy.

import GRDB

/// A spool that cannot be opened, written or read. Nothing was written when one is thrown.
public struct SpoolError: Error, Equatable, Sendable {
  public enum Code: String, Sendable {
    /// The directory or a file in it cannot be made, opened or written.
    case cannotOpen = "cannot_open"
    /// Another process, or another worker of this one, has the spool.
    case locked
    /// The messages would take more than ``SpoolLimits/bytes``.
    case full
    /// The disk is full, over its quota, or fails.
    case disk
    /// What was read is not what was written. Opening the spool again salvages what is readable.
    case damaged
    /// SQLite refused for another reason.
    case refused
  }

  public var code: Code
  /// The file or directory that it is about.
  public var file: String
  /// The operating system's or SQLite's own words, or a limit.
  public var detail: String

  public init(_ code: Code, file: String, detail: String) {
    self.code = code
    self.file = file
    self.detail = detail
  }
}

extension SpoolError: CustomStringConvertible {
  public var description: String {
    switch code {
    case .cannotOpen:
      "spool \(file) cannot be used: \(detail). Set spool.directory to a directory that this user "
        + "may write"
    case .locked:
      "spool \(file) is in use by \(detail). Give every ingestor a client id or a spool directory "
        + "of its own"
    case .full:
      "spool \(file) is full: \(detail). The broker keeps what comes; get PostgreSQL back, or raise "
        + "the limit"
    case .disk:
      "the disk under spool \(file) refuses: \(detail). Make room there, or look at the disk"
    case .damaged:
      "spool \(file) is damaged: \(detail). Opening it again salvages what is readable"
    case .refused: "spool \(file): \(detail)"
    }
  }
}

extension SpoolError {
  /// What GRDB threw, told apart by SQLite's result code (https://www.sqlite.org/rescode.html).
  init(_ error: any Error, file: String) {
    if let error = error as? SpoolError {
      self = error
      return
    }
    guard let error = error as? DatabaseError else {
      self.init(.refused, file: file, detail: "\(error)")
      return
    }
    let code: Code =
      switch error.resultCode {
      case .SQLITE_FULL, .SQLITE_IOERR: .disk
      case .SQLITE_CORRUPT, .SQLITE_NOTADB: .damaged
      case .SQLITE_BUSY: .locked
      case .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_PERM: .cannotOpen
      default: .refused
      }
    let words = error.message ?? "SQLite gave no reason"
    self.init(
      code, file: file,
      detail: code == .locked
        ? "another program (\(words))" : "\(words) (SQLite \(error.extendedResultCode.rawValue))")
  }
}
