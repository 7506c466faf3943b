// `bench`: how fast this program is on this machine, beside what the machine could do at best.

import ArgumentParser
import Bench
import Dispatch
import Foundation
import Glibc

extension Measure: ExpressibleByArgument {}

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure throughput, CPU, memory and latency beside the machine's own limits.",
    discussion: """
      Starts a private PostgreSQL and broker, and measures in turn: binary COPY of the same rows by \
      plain libpq and by psql, a subscriber that throws away, `replay --direct`, and `run` with a \
      publisher in front. Every run's rows are checked: where one is missing or altered, the bench \
      says so, prints no figures and exits with 1. A full run takes several minutes.

      Measures: \(Measure.allCases.map(\.rawValue).joined(separator: ", ")).

      --against runs another ingestor on the same load. Its command finds POSTGRES_URL, \
      BENCH_MQTT_HOST, BENCH_MQTT_PORT, BENCH_MQTT_URL, BENCH_TOPIC_FILTER, BENCH_CLIENT_ID, \
      BENCH_MESSAGES, BENCH_READINGS_PER_MESSAGE, BENCH_SCRATCH (a folder) and BENCH_READY_FILE, \
      which it makes once it has subscribed, in the environment. deploy/bench-baselines holds two.
      """)

  @Option(
    help: "Readings of the raw COPY, the direct replay and the messages of 100; a multiple of 100.")
  var readings = 1_000_000
  @Option(help: "Messages of one reading.")
  var messages = 500_000
  @Option(help: "Meters that publish them.")
  var meters = 10_000
  @Option(help: "How often everything is measured.")
  var rounds = 3
  @Option(help: "Connections and workers of raw-copy-n and direct-n.")
  var workers = 2
  @Option(help: "Seed of the readings.")
  var seed: UInt64 = 1
  @Option(help: "Rows that the table of the measure prefilled holds beforehand; 0 leaves it out.")
  var prefill = 0
  @Option(
    help: ArgumentHelp(
      "Measure only these.", discussion: "Names with commas between.", valueName: "name,…"))
  var only: String?
  @Option(help: "Another ingestor's shell command; may be given several times.")
  var against: [String] = []
  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("A setting of the ingestor under test.", valueName: "key=value"))
  var settings: [String] = []
  @Flag(help: "A small load, once: does everything work?")
  var quick = false
  @Flag(help: "Print the result as JSON.")
  var json = false
  @Option(help: "Write a chart to this file.")
  var svg: String?
  @Option(help: "Folder for the private services.")
  var directory = ".local"
  @Option(help: "Use this PostgreSQL; its ingest tables are emptied. Needs --mqtt-url.")
  var postgresURL: String?
  @Option(help: "Use this broker. Needs --postgres-url.")
  var mqttURL: String?
  @Flag(help: "Delete the rows that the given database holds already.")
  var yesUseThisDatabase = false

  func run() async throws {
    let plan = try plan()
    let given = try givenServices()
    let directory = URL(fileURLWithPath: directory).path
    let interrupt = InterruptedBench()
    let report: BenchReport
    do {
      report = try await onThread {
        let line = StateLine()
        defer { line.end() }
        return try BenchRun.perform(plan, in: directory, on: given, say: line.show)
      }
    } catch let error as BenchError where error.code == .usage {
      throw ValidationError(error.description)
    }
    interrupt.end()
    if let svg {
      try BarChart(report).svg.write(toFile: svg, atomically: true, encoding: .utf8)
    }
    if json { return try printJSON(report) }
    printTables(report)
  }

  private func plan() throws -> BenchPlan {
    var plan = BenchPlan(program: try ownPath())
    plan.readings = readings
    plan.endToEndReadings = messages
    plan.meters = meters
    plan.rounds = rounds
    plan.workers = workers
    plan.seed = seed
    plan.prefill = prefill
    plan.settings = settings
    plan.rivals = against.map(Rival.init(command:))
    if let only { plan.measures = try only.split(separator: ",").map(measure) }
    if quick { plan.makeQuick() }
    return plan
  }

  private func measure(_ name: Substring) throws -> Measure {
    guard let measure = Measure(rawValue: String(name)) else {
      let names = Measure.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("--only \(name): expected some of \(names)")
    }
    return measure
  }

  private func ownPath() throws -> String {
    // argv[0] may be a name that PATH resolves.
    try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  }

  private func givenServices() throws -> GivenServices? {
    guard postgresURL != nil || mqttURL != nil else {
      if yesUseThisDatabase {
        throw ValidationError("--yes-use-this-database says nothing without --postgres-url")
      }
      return nil
    }
    guard let postgresURL, let mqttURL else {
      throw ValidationError("--postgres-url and --mqtt-url go together")
    }
    return GivenServices(
      postgresURL: postgresURL, mqttURL: mqttURL, mayDeleteRows: yesUseThisDatabase)
  }

  private func printTables(_ report: BenchReport) {
    var table = TextTable(
      BenchReport.columns, rightAligned: Set(1..<BenchReport.columns.count))
    for row in report.cells { table.append(row) }
    print(table.lines.joined(separator: "\n"))
    print("\n" + report.notes.joined(separator: "\n"))
    guard !report.goals.isEmpty else { return }
    var goals = TextTable(BenchReport.goalColumns, rightAligned: [1, 2])
    for row in report.goalCells { goals.append(row) }
    print("\n" + goals.lines.joined(separator: "\n"))
  }
}

/// What the bench does now, on standard error, if that is a terminal.
private struct StateLine: Sendable {
  private let isTerminal = isatty(STDERR_FILENO) == 1

  func show(_ text: String) { write("\r\u{1B}[K\(text)") }
  func end() { write("\r\u{1B}[K") }

  private func write(_ text: String) {
    if isTerminal { FileHandle.standardError.write(Data(text.utf8)) }
  }
}

/// Ctrl-C and SIGTERM: a round cannot be cut short, so contestants and program end at once. The
/// private services end with the program.
private final class InterruptedBench: Sendable {
  // Unchecked: set up in init, cancelled once, and never touched in between.
  nonisolated(unsafe) private let sources: [any DispatchSourceSignal]

  init() {
    sources = [SIGINT, SIGTERM].map { number in
      Glibc.signal(number, SIG_IGN)
      return DispatchSource.makeSignalSource(signal: number, queue: .global())
    }
    for source in sources {
      source.setEventHandler {
        Running.endAll()
        standardError("error: interrupted; nothing was measured to its end")
        _exit(1)
      }
      source.resume()
    }
  }

  func end() { for source in sources { source.cancel() } }
}
