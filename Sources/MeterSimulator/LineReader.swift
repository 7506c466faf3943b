// Reads the lines of a plain or gzip file, or of standard input, without a copy per line.

import CZlib
import Foundation

/// The lines of a text file, one after the other, as bytes.
///
/// Plain and gzip files are told apart by their first bytes, whatever their name; several gzip
/// members in a row are read as one. A line ends with LF or CRLF, which it is handed out without;
/// the last line may have neither. Blank lines are counted and skipped. Not thread-safe.
///
/// Standard input (`-`) is read in blocks: lines of a live pipe may come late.
public final class LineReader {
  /// The longest line that is handed out, 8 MiB.
  public static let maximumLineBytes = 8 << 20
  /// How many bytes behind a line can safely be read, as vectorised JSON parsers do.
  public static let padding = 64

  /// The file as it was named.
  public let file: String
  /// The number of the line last met, from 1; 0 at the beginning.
  public private(set) var lineNumber = 0

  /// zlib's stream: it detects gzip, joins members, checks the checksums and passes plain files
  /// straight through read(2).
  private let stream: gzFile
  /// A block of raw memory, since zlib fills it, memchr searches it and the lines are handed out
  /// of it, all without a copy; freed in `deinit`. It grows only for a long line.
  private var buffer: UnsafeMutableRawBufferPointer
  /// What of `buffer` was read but not handed out yet, and how much of that holds no newline.
  private var pending = 0..<0
  private var searched = 0
  /// Set at the end of the file and by an error that no line can follow.
  private var isExhausted = false

  private static let initialBytes = 1 << 20
  private static let zlibBufferBytes: UInt32 = 128 << 10

  /// Opens a file, or standard input for `-`.
  ///
  /// - Throws: `CaptureError.Code.cannotOpen` with the operating system's reason.
  public init(file: String) throws {
    self.file = file
    errno = 0
    let opened = file == "-" ? gzdopen(dup(STDIN_FILENO), "rbe") : gzopen(file, "rbe")
    guard let opened else {
      throw CaptureError(
        code: .cannotOpen, file: file, line: nil, detail: String(cString: strerror(errno)))
    }
    gzbuffer(opened, Self.zlibBufferBytes)
    stream = opened
    buffer = .allocate(byteCount: Self.initialBytes + Self.padding, alignment: 64)
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit {
    gzclose_r(stream)
    buffer.deallocate()
  }

  /// Lends the next line that is not blank; nil when there is none. ``lineNumber`` is its number.
  ///
  /// The bytes are valid until the next call; `LineReader.padding` more bytes behind them are
  /// readable and mean nothing.
  /// - Throws: `CaptureError`: after `lineTooLong` the next call goes on behind that line, after any
  ///   other code it returns nil.
  // Not a closure that is lent the line: what it captures would be counted for each of them.
  public func next() throws -> UnsafeRawBufferPointer? {
    while let range = try nextLine() {
      if !range.isEmpty { return UnsafeRawBufferPointer(rebasing: buffer[range]) }
    }
    return nil
  }

  /// The next line's place in the buffer, without its ending.
  private func nextLine() throws -> Range<Int>? {
    while true {
      if let newline = findNewline() {
        return try take(pending.lowerBound..<newline, resumeAt: newline + 1)
      }
      if isExhausted {
        guard !pending.isEmpty else { return nil }
        return try take(pending, resumeAt: pending.upperBound)
      }
      // One more byte, since the line may be followed by a carriage return.
      if pending.count > Self.maximumLineBytes + 1 { try skipLongLine() }
      try fill()
    }
  }

  private func take(_ line: Range<Int>, resumeAt next: Int) throws -> Range<Int> {
    lineNumber += 1
    pending = next..<pending.upperBound
    searched = next
    var line = line
    if let last = line.last, buffer[last] == UInt8(ascii: "\r") { line = line.dropLast() }
    guard line.count <= Self.maximumLineBytes else { throw tooLong() }
    return line
  }

  private func findNewline() -> Int? {
    let count = pending.upperBound - searched
    guard count > 0, let base = buffer.baseAddress else { return nil }
    // memchr sees only bytes that were read: searched + count is the end of `pending`.
    guard let found = memchr(base + searched, Int32(UInt8(ascii: "\n")), count) else {
      searched = pending.upperBound
      return nil
    }
    return UnsafeRawPointer(found) - UnsafeRawPointer(base)
  }

  /// Drops an overlong line up to its newline or the end of the file.
  private func skipLongLine() throws {
    while !isExhausted {
      pending = 0..<0
      searched = 0
      try fill()
      if let newline = findNewline() {
        pending = newline + 1..<pending.upperBound
        searched = newline + 1
        break
      }
    }
    if isExhausted { pending = pending.upperBound..<pending.upperBound }
    lineNumber += 1
    throw tooLong()
  }

  private func tooLong() -> CaptureError {
    CaptureError(code: .lineTooLong, file: file, line: lineNumber, detail: "8 MiB")
  }

  /// Reads more bytes behind `pending`, making room first.
  private func fill() throws {
    makeRoom()
    errno = 0
    let room = buffer.count - Self.padding - pending.upperBound
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[pending.upperBound...])
    // zlib writes at most `room` bytes, which lie before the padding.
    let count = gzread(stream, target.baseAddress, UInt32(room))
    if count > 0 {
      pending = pending.lowerBound..<pending.upperBound + Int(count)
      return
    }
    isExhausted = true
    var status = Z_OK
    let message = gzerror(stream, &status).map { String(cString: $0) } ?? ""
    guard status != Z_OK else { return }
    pending = pending.upperBound..<pending.upperBound
    searched = pending.upperBound
    throw readError(status: status, message: message)
  }

  private func readError(status: Int32, message: String) -> CaptureError {
    let (code, detail): (CaptureError.Code, String) =
      switch status {
      case Z_BUF_ERROR: (.truncated, message)
      case Z_ERRNO: (.cannotRead, String(cString: strerror(errno)))
      // zlib puts its own name of the file before its words.
      default: (.damaged, message.split(separator: ": ").last.map(String.init) ?? message)
      }
    return CaptureError(code: code, file: file, line: lineNumber + 1, detail: detail)
  }

  /// Moves what is pending to the front, and doubles the buffer when a line fills it.
  private func makeRoom() {
    let kept = pending.count
    if pending.lowerBound > 0 {
      let source = UnsafeRawBufferPointer(rebasing: buffer[pending])
      buffer.copyMemory(from: source)
      searched -= pending.lowerBound
      pending = 0..<kept
    }
    guard kept == buffer.count - Self.padding else { return }
    let larger = UnsafeMutableRawBufferPointer.allocate(
      byteCount: kept * 2 + Self.padding, alignment: 64)
    larger.initializeMemory(as: UInt8.self, repeating: 0)
    larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<kept]))
    buffer.deallocate()
    buffer = larger
  }
}
