// `validate`: what would become of a capture, with nothing written.

import ArgumentParser
import CheckRules
import EnergyReadings
import IngestPipeline
import MeterSimulator
import PayloadDecoding
import PostgresStore

struct ValidateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "validate",
    abstract: "Judge captures by all rules of the database, and write nothing.",
    discussion: """
      The readings take the whole way into the tables, batch by batch, in transactions that are \
      rolled back: so foreign keys, constraints that only PostgreSQL can judge, and duplicates of \
      what is stored or of the same batch (ingest.batch-size) are seen too. Times are judged by \
      when the capture heard them, or this machine's clock where it does not say. What is skipped holds \
      nothing to store and is no error: an empty payload, a value that is null, a register that its \
      source does not take. Exit code 1 when anything is rejected.
      """)

  @OptionGroup var options: ConfigurationOptions
  @Argument(help: "Capture files, .ndjson or .ndjson.gz; - is standard input.")
  var files: [String]
  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let settings = try await options.load()
    let capture = CaptureFiles(files: files, isStrict: false)
    let report = try await onThread { try Validation(settings).run(capture) }
    if json { try printJSON(report) } else { report.print() }
    if report.hasRejections || report.brokenLines > 0 { throw ExitCode(1) }
  }
}

/// Verdicts by rule.
struct ValidationReport: Encodable, Sendable {
  struct Line: Encodable, Sendable {
    /// `stored`, `duplicate`, `zero`, `rejected` or `flagged`; `skipped` for what no reading is made of.
    var verdict: String
    /// The reason's code, for what is rejected or skipped.
    var reason: String?
    /// The rule or constraint that was broken.
    var rule: String?
    var readings: Int
    /// One example: where it stands, and what is wrong.
    var example: String?
  }

  var readings = 0
  var brokenLines = 0
  var lines: [Line] = []

  enum CodingKeys: String, CodingKey {
    case readings
    case brokenLines = "broken_lines"
    case lines = "verdicts"
  }

  var hasRejections: Bool { lines.contains { $0.verdict == "rejected" } }

  mutating func count(
    _ verdict: String, reason: String? = nil, rule: String? = nil, by readings: Int = 1,
    example: @autoclosure () -> String? = nil
  ) {
    let known = lines.firstIndex {
      $0.verdict == verdict && $0.reason == reason && $0.rule == rule
    }
    if let known {
      lines[known].readings += readings
    } else if readings > 0 {
      lines.append(
        Line(
          verdict: verdict, reason: reason, rule: rule, readings: readings, example: example()))
    }
  }

  func print() {
    let order = ["stored", "duplicate", "zero", "flagged", "rejected", "skipped"]
    let sorted = lines.sorted { left, right in
      let (first, second) = (
        order.firstIndex(of: left.verdict), order.firstIndex(of: right.verdict)
      )
      return first == second ? left.readings > right.readings : (first ?? 0) < (second ?? 0)
    }
    Swift.print("\("verdict".padded(to: 10)) \("readings".padded(to: 9)) rule")
    for line in sorted {
      let rule = [line.reason, line.rule].compactMap(\.self).joined(separator: " ")
      Swift.print("\(line.verdict.padded(to: 10)) \("\(line.readings)".padded(to: 9)) \(rule)")
      if let example = line.example { Swift.print("           \(example)") }
    }
    Swift.print("\(readings) readings judged; nothing was written")
  }
}

private struct Validation {
  private let settings: Settings
  private let batch: Batch

  init(_ settings: Settings) {
    self.settings = settings
    batch = Batch(
      enrichment: settings.worker.enrichment,
      states: MeterStates(limit: settings.rememberedMeters), isRehearsal: true)
  }

  func run(_ capture: CaptureFiles) throws -> ValidationReport {
    let connection = try PostgresConnection(
      url: settings.postgresURL, applicationName: "meter-ingestor validate")
    try SchemaCheck.check(connection)
    let reference = try ReferenceData.load(
      settings.plausibility, sources: settings.sources, over: connection)
    var report = ValidationReport()
    var progress = ProgressLine()
    var places: [String] = []
    report.brokenLines = try capture.readAll { reader in
      reader.withMessage { topic, payload in
        places.append("\(reader.place): \(topic.text.printable)")
        batch.add(
          topic: topic, payload: payload, receivedAt: reader.heardAt ?? .now, by: reference)
      }
      if batch.count >= settings.worker.batchSize || batch.byteCount >= Batch.maximumBytes {
        try judge(places, connection, &report)
        places.removeAll(keepingCapacity: true)
        progress.show(report.readings, "readings")
      }
      return true
    }
    try judge(places, connection, &report)
    progress.end()
    return report
  }

  private func judge(
    _ places: [String], _ connection: PostgresConnection, _ report: inout ValidationReport
  ) throws {
    try connection.execute("BEGIN", as: "begin")
    // Whatever happens, nothing stays, and nobody waits long for what was locked; a broken
    // connection has rolled back by itself.
    defer { try? connection.execute("ROLLBACK", as: "rollback") }
    let store = BatchStore(connection)
    let ledger = try batch.rehearse(in: store) { verdict, message in
      report.count(
        verdict.reason == nil ? "flagged" : "rejected", reason: verdict.reason.map { "\($0.code)" },
        rule: verdict.rule, example: example(verdict, message.map { places[$0] }))
    }
    for kind in ReadingKind.allCases {
      let index = Int(kind.rawValue)
      report.count("stored", rule: nil, by: ledger.stored[index])
      report.count("duplicate", rule: nil, by: ledger.duplicates[index])
      report.count("zero", rule: nil, by: ledger.zeros[index])
    }
    for reason in SkipReason.allCases {
      report.count(
        "skipped", reason: "\(reason.name)", by: ledger.skipped[Int(reason.rawValue)],
        example: batch.skipExamples[reason].map { places[$0] })
    }
    report.readings += batch.count
    batch.removeAll()
  }

  private func example(_ verdict: Verdict, _ place: String?) -> String? {
    guard let place else { return nil }
    let path = verdict.path.isEmpty ? "" : "\(verdict.path): "
    return "\(place) \(path)\(verdict.detail)".printable
  }
}
