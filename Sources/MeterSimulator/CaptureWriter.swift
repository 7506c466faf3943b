// Writes capture files, plain or gzip by their name.

import CZlib
import Foundation

/// An open capture file that records are appended to.
///
/// The file is created, or emptied if it exists. A name that ends in `.gz` makes a gzip file, and
/// the same records always make the same bytes; `-` is standard output. Call `close()`: only it
/// tells whether the last bytes reached the file. Not thread-safe.
public final class CaptureWriter {
  /// The file as it was named.
  public let file: String
  /// How many records were written.
  public private(set) var recordCount = 0
  /// zlib's stream; nil once closed. zlib writes plain files too (mode `T`), so that there is one
  /// path. Its calls take pointers that they do not keep.
  private var stream: gzFile?
  private var line: [UInt8] = []

  private static let bufferBytes: UInt32 = 256 << 10

  /// Opens the file.
  ///
  /// - Throws: `CaptureError.Code.cannotOpen` with the operating system's reason.
  public init(file: String) throws {
    self.file = file
    let mode = file.hasSuffix(".gz") ? "wb6e" : "wbTe"
    errno = 0
    stream = file == "-" ? gzdopen(dup(STDOUT_FILENO), mode) : gzopen(file, mode)
    guard let stream else {
      throw CaptureError(
        code: .cannotOpen, file: file, line: nil, detail: String(cString: strerror(errno)))
    }
    gzbuffer(stream, Self.bufferBytes)
  }

  deinit {
    if let stream { gzclose_w(stream) }
  }

  /// Appends one record.
  ///
  /// - Throws: `CaptureError.Code.cannotWrite`, naming the line. Bytes are gathered before they
  ///   are written, so a full disk may show only some records later, or in `close()`.
  public func write(_ record: CaptureRecord) throws {
    guard let stream else {
      throw writeError(detail: "the capture is closed")
    }
    line.removeAll(keepingCapacity: true)
    line.append(line: record)
    errno = 0
    // The array is borrowed for the call only: gzwrite copies it or writes it at once.
    let written = line.withUnsafeBytes { gzwrite(stream, $0.baseAddress, UInt32($0.count)) }
    guard written == line.count else { throw writeError(detail: Self.reason()) }
    recordCount += 1
  }

  /// Hands everything written so far to the operating system.
  ///
  /// Flushing often makes a gzip file larger.
  /// - Throws: `CaptureError.Code.cannotWrite`.
  public func flush() throws {
    guard let stream else { return }
    errno = 0
    guard gzflush(stream, Z_SYNC_FLUSH) == Z_OK else { throw writeError(detail: Self.reason()) }
  }

  /// Writes what is left and closes the file; a second call does nothing.
  ///
  /// - Throws: `CaptureError.Code.cannotWrite` when the end of the capture did not get there.
  public func close() throws {
    guard let stream else { return }
    self.stream = nil
    errno = 0
    guard gzclose_w(stream) == Z_OK else { throw writeError(detail: Self.reason()) }
  }

  private func writeError(detail: String) -> CaptureError {
    CaptureError(code: .cannotWrite, file: file, line: recordCount + 1, detail: detail)
  }

  private static func reason() -> String {
    errno == 0 ? "zlib refused the data" : String(cString: strerror(errno))
  }
}
