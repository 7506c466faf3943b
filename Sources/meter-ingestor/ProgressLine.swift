// One line on a terminal that keeps changing; nothing in a pipe.

import Foundation

/// Shows how far a long piece of work has come, on standard error, if that is a terminal.
struct ProgressLine {
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let start = ContinuousClock.now
  private var shownAt: ContinuousClock.Instant?

  /// Shows `count` things done, at most twice a second.
  mutating func show(_ count: Int, _ noun: String) {
    guard isTerminal else { return }
    let now = ContinuousClock.now
    if let shownAt, now - shownAt < .milliseconds(500) { return }
    shownAt = now
    let rate = Double(count) / max((now - start) / .seconds(1), 0.001)
    write("\r\u{1B}[K\(count) \(noun), \(Int(rate))/s")
  }

  /// Clears the line.
  func end() {
    if shownAt != nil { write("\r\u{1B}[K") }
  }

  private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
