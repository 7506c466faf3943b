// `dead-letters redrive`: tries dead letters again, once their cause is mended.

import ArgumentParser
import IngestPipeline
import PostgresStore

struct RedriveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "redrive",
    abstract: "Try dead letters again through the whole pipeline.",
    discussion: """
      What passes is stored and its letter closed, in one transaction; what is refused again stays \
      open and keeps its history. Times are judged by when the message was received. Safe to \
      interrupt and to repeat: no reading is stored twice. Letters on topics of sources need the \
      same ingest.sources as the ingestor. Exit code 1 when letters were refused again, or not tried.
      """)

  @OptionGroup var options: ConfigurationOptions
  @OptionGroup var filter: DeadLetterFilterOptions
  @Flag(help: "Try all open letters.")
  var all = false
  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let settings = try await options.load()
    let filter = try filter.filter(requiring: all)
    let stop = StopOnSignal()
    let report = try await onThread {
      let connection = try PostgresConnection(
        url: settings.postgresURL, applicationName: "meter-ingestor redrive")
      try SchemaCheck.check(connection)
      var progress = ProgressLine()
      defer { progress.end() }
      let redrive = Redrive(connection, enrichment: settings.worker.enrichment) {
        (connection) throws(PostgresError) in
        try ReferenceData.load(
          settings.plausibility, sources: settings.sources, over: connection)
      }
      return try redrive.run(filter) { tried in
        progress.show(tried, "letters tried")
        return !stop.signal.isSet
      }
    }
    if json {
      try printJSON([
        "passed": report.passed, "refused": report.refused, "incomplete": report.incomplete,
        "unexpected": report.unexpected,
      ])
    } else {
      print("\(report.passed) letters passed and are closed, \(report.refused) were refused again")
      if report.incomplete > 0 {
        print("\(report.incomplete) hold only the beginning of their payload and cannot be tried")
      }
      if report.unexpected > 0 {
        print(
          "\(report.unexpected) are on topics that nothing is expected on here and stay as they are: "
            + "set ingest.sources to the file that the ingestor reads")
      }
    }
    if report.refused + report.incomplete + report.unexpected > 0 { throw ExitCode(1) }
  }
}
