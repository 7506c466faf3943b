// `drain`: empties what a worker that goes for good has left on the broker and in its spool.

import ArgumentParser
import IngestPipeline
import MQTTSession
import Monitoring
import PostgresStore
import Spool

struct DrainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain",
    abstract: "Commit what the broker and the spool still hold for a worker, and end its session.",
    discussion: """
      For a worker that is taken away for good: a broker keeps routing a shared subscription's \
      messages to a member that is away, and they wait there for ever. Stop the worker first, and \
      run this with its settings (mqtt.topics, mqtt.share-group, spool.directory), on its machine if \
      it has a spool. Workers are named <mqtt.client-id>-<number>, numbers beginning with 0: with \
      ingest.workers reduced from 3 to 2, drain <mqtt.client-id>-2.

      It takes over the session, ends its subscriptions, commits, acknowledges, and ends the session. \
      When it is interrupted or fails, the session is still there: run it again.
      """)

  @OptionGroup var options: ConfigurationOptions
  @Option(help: "The worker's client id, such as meter-ingestor-2.")
  var clientID: String
  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let settings = try await options.load()
    let stop = StopOnSignal()
    let services = IngestServices(settings: settings, logger: makeLogger(settings.logLevel))
    let result = try await onThread { [clientID] in
      try Draining(services, clientID).run(stop.signal)
    }
    if json { return try printJSON(result) }
    print(result.text)
  }
}

/// What a drain did.
struct DrainResult: Encodable, Sendable {
  var clientID: String
  /// Whether the broker had a session of that name.
  var hadSession: Bool
  /// Messages that the broker held.
  var messages: Int
  /// Messages that the spool held.
  var spooled: Int
  /// Readings.
  var stored: Int
  var duplicate: Int
  var zero: Int
  var rejected: Int

  enum CodingKeys: String, CodingKey {
    case messages, spooled, stored, duplicate, zero, rejected
    case clientID = "client_id"
    case hadSession = "had_session"
  }

  var text: String {
    let session =
      hadSession
      ? "\(messages) messages of the session of \(clientID) are committed, and it is ended"
      : "the broker had no session of \(clientID)"
    return """
      \(session); \(spooled) messages came from its spool
      readings: \(stored) stored, \(duplicate) duplicate, \(zero) zero, \(rejected) rejected
      """
  }
}

private struct Draining {
  private let services: IngestServices
  private let worker: WorkerSettings

  init(_ services: IngestServices, _ clientID: String) {
    self.services = services
    worker = services.settings.worker(clientID: clientID)
  }

  func run(_ stop: StopSignal) throws -> DrainResult {
    // Before anything is taken over: a database that is not there, and a worker that still runs.
    let connection = try PostgresConnection(
      url: worker.postgresURL, applicationName: "meter-ingestor drain")
    try SchemaCheck.check(connection)
    let reference = try ReferenceData.load(
      services.settings.plausibility, sources: services.settings.sources, over: connection)
    if let spool = worker.spool { try expectUnused(spool) }
    let drain = SessionDrain(
      worker, reference: reference, states: services.states, observer: services.reporter,
      stop: stop)
    let report = try drain.run()
    let total = Ledger(balancedIn: services.registry).total
    return DrainResult(
      clientID: worker.mqtt.clientID, hadSession: report.hadSession, messages: report.messages,
      spooled: report.spooled, stored: total.stored, duplicate: total.duplicate, zero: total.zero,
      rejected: total.rejected)
  }

  private func expectUnused(_ spool: SpoolSettings) throws {
    do throws(SpoolError) {
      _ = try Spool(
        directory: spool.directory, clientID: worker.mqtt.clientID, limits: spool.limits)
    } catch {
      guard error.code == .locked else { throw error }
      throw DrainError(clientID: worker.mqtt.clientID, cause: error)
    }
  }
}

/// A worker that still runs would take its session back.
private struct DrainError: Error, CustomStringConvertible {
  var clientID: String
  var cause: SpoolError

  var description: String {
    "\(clientID) is still running, stop it first: spool \(cause.file) is in use by \(cause.detail)"
  }
}
