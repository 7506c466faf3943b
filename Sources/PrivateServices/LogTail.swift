// Reads the end of a service's log.

import Foundation

enum LogTail {
  /// The last lines of a file, from its last 256 KiB at most; empty when there is no such file.
  static func read(_ path: String, lines: Int) -> String {
    guard let file = FileHandle(forReadingAtPath: path) else { return "" }
    defer { try? file.close() }
    let size = (try? file.seekToEnd()) ?? 0
    try? file.seek(toOffset: size - min(size, 256 * 1024))
    let text = String(decoding: (try? file.readToEnd()) ?? Data(), as: UTF8.self)
    return text.split(separator: "\n").suffix(lines).joined(separator: "\n")
  }
}
