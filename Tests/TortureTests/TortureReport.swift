// The outcome of a run: for people as a table, for programs as JSON.

import Foundation

struct TortureReport: Codable, Sendable {
  var seed: UInt64
  /// Seconds in which faults began, and of the whole run.
  var faultSeconds: Int
  var seconds: Double
  var program: String
  /// Readings that the meters published, and that the broker acknowledged.
  var published: Int
  var acknowledged: Int
  /// Messages published again after a lost connection.
  var republishedMessages: Int
  /// Messages published again because the broker said that nobody was subscribed.
  var unheardMessages: Int
  var rows: RowVerdict
  var books: BooksVerdict
  /// Of each ingestor's last process.
  var ledgers: [IngestorLedger]
  /// Seconds from the start of a killed process to its first commit, once faults had ceased.
  var restartToFirstCommit: [Double]
  /// Seconds from the end of publishing until everything was in.
  var settledAfter: Double
  /// Seconds of the slowest end after a SIGTERM.
  var slowestStop: Double
  /// What must not be, besides rows and books.
  var problems: [String]
  var faults: [FaultLog.Occurrence]

  var isClean: Bool {
    rows.isClean && books.isClean && problems.isEmpty && acknowledged == published
      && ledgers.count == 2 && ledgers.allSatisfy(\.isBalanced)
  }

  private struct Document: Encodable {
    var isClean: Bool
    var report: TortureReport
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
    let ledgerRows = ledgers.map { ledger in
      (
        "ledger of ingestor \(ledger.name)",
        ledger.isBalanced ? "balanced, \(ledger.received) received" : "NOT BALANCED: \(ledger)"
      )
    }
    let rows: [(String, String)] =
      [
        ("readings published", "\(published)"), ("acknowledged by the broker", "\(acknowledged)"),
        ("messages published again", "\(republishedMessages)"),
        ("… after \"no matching subscribers\"", "\(unheardMessages)"),
        ("rows required", "\(self.rows.required)"), ("rows stored", "\(self.rows.stored)"),
        ("LOST", "\(self.rows.lost)"), ("DUPLICATED", "\(self.rows.duplicated)"),
        ("ALTERED", "\(self.rows.altered)"), ("unexpected", "\(self.rows.unexpected)"),
        ("dead letters", TortureReport.list(books.deadLetters)),
        ("false flags", TortureReport.list(books.flags)),
        ("batteries out of balance", "\(books.batteriesOff)"),
      ] + ledgerRows + [
        (
          "restart to first commit, s", restartToFirstCommit.map { "\($0)" }.joined(separator: ", ")
        ),
        ("all in after the last publish, s", "\(settledAfter)"),
        ("slowest end after SIGTERM, s", "\(slowestStop)"),
        ("faults", "\(faults.count) within \(faultSeconds) s"), ("problems", "\(problems.count)"),
        ("VERDICT", isClean ? "nothing lost, nothing twice, nothing altered" : "FAILED"),
      ]
    return "torture, seed \(seed), \(seconds) s, \(program)\n\n" + faultTable + "\n"
      + TortureReport.table(rows) + "\n" + details
  }

  private var faultTable: String {
    var counts: [String: (count: Int, seconds: Double)] = [:]
    for fault in faults {
      let name = fault.fault.replacing(#/ \([ab]\)$/#, with: "")
      counts[name, default: (0, 0)].count += 1
      counts[name, default: (0, 0)].seconds += fault.lasted
    }
    let lines = counts.sorted { $0.key < $1.key }.map {
      ($0.key, "\($0.value.count) ×, \($0.value.seconds.rounded(places: 1)) s")
    }
    return TortureReport.table(lines)
  }

  private var details: String {
    let seconds = rows.lostSeconds.sorted { $0.key < $1.key }.map {
      "lost of what was published in second \($0.key): \($0.value)"
    }
    return (problems.map { "problem: \($0)" } + seconds + rows.examples).map { $0 + "\n" }.joined()
  }

  static func list(_ counts: [String: Int]) -> String {
    counts.isEmpty
      ? "0"
      : counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
  }

  static func table(_ rows: [(String, String)]) -> String {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { name, value in
      "  " + name + String(repeating: " ", count: width - name.count + 2) + value + "\n"
    }.joined()
  }
}
