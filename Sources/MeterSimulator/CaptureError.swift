// What can go wrong with a capture file, in words that name file, line and remedy.

/// A capture file that cannot be read or written.
public struct CaptureError: Error, Equatable, CustomStringConvertible {
  public enum Code: String, Sendable {
    /// The file cannot be opened for reading or writing.
    case cannotOpen = "cannot_open"
    /// The operating system refused a read.
    case cannotRead = "cannot_read"
    /// The operating system refused a write, for instance on a full disk.
    case cannotWrite = "cannot_write"
    /// The gzip data end in the middle: an unfinished download or a writer that was killed.
    case truncated
    /// The gzip data are not what their checksum or structure promises.
    case damaged
    /// A line is longer than `LineReader.maximumLineBytes`; reading can go on behind it.
    case lineTooLong = "line_too_long"
  }

  public let code: Code
  /// The file as it was named; `-` is standard input or output.
  public let file: String
  /// The line at which it happened, counted from 1; nil where lines do not matter.
  public let line: Int?
  /// The operating system's or zlib's own words, or a limit.
  public let detail: String

  /// Whether the reader can go on with the next line.
  public var allowsNextLine: Bool { code == .lineTooLong }

  public var description: String {
    let place = line.map { "\(file):\($0)" } ?? file
    return switch code {
    case .cannotOpen: "\(place): cannot be opened: \(detail)"
    case .cannotRead: "\(place): cannot be read: \(detail)"
    case .cannotWrite: "\(place): cannot be written: \(detail)"
    case .truncated:
      "\(place): the gzip data end here in the middle; fetch or capture the file again"
    case .damaged: "\(place): the gzip data are damaged (\(detail)); fetch the file again"
    case .lineTooLong: "\(place): the line is longer than \(detail); one line is one message"
    }
  }
}
