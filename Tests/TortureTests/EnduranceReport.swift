// The outcome of an overload or an outage: for people as a table, for programs as JSON.

import Foundation

struct EnduranceReport: Codable, Sendable {
  var scenario: EnduranceScenario
  /// Seconds that the fault lasted.
  var seconds: Int
  var readingsPerSecond: Int
  var hasSpool: Bool
  var hasLargeMessages: Bool
  var published: Int
  var acknowledged: Int
  var rows: RowVerdict
  var books: BooksVerdict
  /// Rows committed before an earlier reading of the same device.
  var outOfOrder: Int
  var ledger: IngestorLedger
  /// Before, during, while recovering, and after.
  var latencies: [Latencies]
  /// Rows a second during the fault.
  var storedDuring: Int
  /// Rows published before the fault's end and not committed then.
  var waitingAtItsEnd: Int
  /// Rows a second from the first commit after the fault until the recovery.
  var storedWhileRecovering: Int
  /// Seconds from the end of the fault until every reading was committed promptly again.
  var recoveredAfter: Double
  /// Whether an outage's end found `/readyz` saying so.
  var wasNotReady: Bool
  var peakMemoryKiB: Int
  var peakSpoolMessages: Int
  var peakSpoolBytes: Int
  /// Seconds from SIGTERM to the end.
  var stop: Double
  var problems: [String]

  /// What the ingestor may use at most.
  static let memoryLimitKiB = 256 * 1_024

  var isClean: Bool {
    rows.isClean && books.isClean && outOfOrder == 0 && problems.isEmpty
      && acknowledged == published && ledger.isBalanced
      && peakMemoryKiB <= EnduranceReport.memoryLimitKiB && !isBlind
  }

  /// Whether a phase without a single commit was taken for a good one. Only recovering may take no
  /// time at all: where even during the fault nothing waited longer than what counts as prompt.
  private var isBlind: Bool {
    latencies.contains { $0.rows == 0 && !($0.phase == "recovering" && recoveredAfter == 0) }
  }

  private struct Document: Encodable {
    var isClean: Bool
    var report: EnduranceReport
  }

  var json: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      encoder.keyEncodingStrategy = .convertToSnakeCase
      return String(
        decoding: try encoder.encode(Document(isClean: isClean, report: self)), as: UTF8.self)
    }
  }

  /// The report as people read it.
  var text: String {
    let delays = latencies.map {
      (
        "publish to commit \($0.phase), ms",
        "p50 \($0.p50), p99 \($0.p99), longest \($0.longest) (\($0.rows) rows in \($0.seconds) s)"
      )
    }
    let spool =
      hasSpool ? "\(peakSpoolMessages) messages, \(peakSpoolBytes / 1_048_576) MiB" : "none"
    let lines: [(String, String)] =
      [
        ("readings published", "\(published)"), ("acknowledged by the broker", "\(acknowledged)"),
        ("rows required", "\(rows.required)"), ("rows stored", "\(rows.stored)"),
        ("LOST", "\(rows.lost)"), ("DUPLICATED", "\(rows.duplicated)"),
        ("ALTERED", "\(rows.altered)"), ("unexpected", "\(rows.unexpected)"),
        ("committed out of order", "\(outOfOrder)"),
        ("dead letters", TortureReport.list(books.deadLetters)),
        ("false flags", TortureReport.list(books.flags)),
        ("ledger", ledger.isBalanced ? "balanced" : "NOT BALANCED: \(ledger)"),
      ] + delays + [
        ("stored during it, rows/s", "\(storedDuring)"),
        ("waiting at its end, rows", "\(waitingAtItsEnd)"),
        ("stored while recovering, rows/s", "\(storedWhileRecovering)"),
        ("recovered after, s", "\(recoveredAfter)"), ("spool at most", spool),
        ("memory at most, MiB", "\(peakMemoryKiB / 1_024)"),
        ("end after SIGTERM, s", "\(stop)"), ("problems", "\(problems.count)"),
        ("VERDICT", isClean ? "nothing lost, and it recovered by itself" : "FAILED"),
      ]
    let large = hasLargeMessages ? ", with messages of nearly 1 MiB" : ""
    return "\(scenario) for \(seconds) s at \(readingsPerSecond) readings/s\(large)\n\n"
      + TortureReport.table(lines) + "\n"
      + (problems.map { "problem: \($0)" } + rows.examples).map { $0 + "\n" }.joined()
  }
}
