// `run`: subscribes and stores until it is told to stop.

import ArgumentParser
import Dispatch
import Glibc
import Logging
import MQTTSession
import PostgresStore
import ServiceLifecycle
import StatusServer
import UnixSignals

struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Subscribe to the broker and store readings until SIGTERM.",
    discussion: """
      A message is acknowledged only after its readings are committed. Broker or database may be \
      away: the ingestor says so, answers 503 on /readyz, and tries again. With spool.directory set, \
      what cannot be committed within spool.after is kept there, acknowledged, and committed in \
      order once the database is back; without, the broker keeps it. SIGTERM or Ctrl-C stops \
      reading, commits or spools, acknowledges and exits with 0.
      """)

  @OptionGroup var options: ConfigurationOptions

  func run() async throws {
    let settings = try await options.load()
    let logger = makeLogger(settings.logLevel)
    let services = IngestServices(settings: settings, logger: logger)
    let database = try settings.databaseTarget
    logger.info(
      "starting",
      metadata: [
        "broker": "\(settings.mqtt.target)", "database": "\(database)",
        "workers": "\(settings.workers)",
      ])
    let group = ServiceGroup(
      configuration: .ingestor(
        try services.all { address in
          logger.info("status page", metadata: ["url": "\(address.url)"])
        } + [LastResort(logger: logger)], logger: logger, signals: [.sigterm, .sigint]))
    try await group.run()
    logger.info(
      "stopped: everything received is stored or spooled and acknowledged, or left to the broker")
  }
}

/// Ends the program some seconds after it was told to stop, should its services not manage: a thread
/// that waits for a database that neither answers nor hangs up cannot be interrupted. What it holds
/// is in the spool, or was not acknowledged, so that the broker delivers it again.
private struct LastResort: Service, CustomStringConvertible {
  let logger: Logger
  var description: String { "LastResort" }

  func run() async throws {
    try await gracefulShutdown()
    DispatchQueue.global().asyncAfter(deadline: .now() + 8) {
      logger.error(
        "stopped without an answer from the database; spool or broker keep what is in hand")
      _exit(0)
    }
  }
}

extension ServiceGroupConfiguration {
  /// Services that stop in reverse order within 20 s.
  static func ingestor(
    _ services: [any Service], logger: Logger, signals: [UnixSignal]
  ) -> ServiceGroupConfiguration {
    var configuration = ServiceGroupConfiguration(
      services: services.map {
        .init(
          service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
          failureTerminationBehavior: .gracefullyShutdownGroup)
      },
      gracefulShutdownSignals: signals, logger: logger)
    configuration.maximumGracefulShutdownDuration = .seconds(20)
    return configuration
  }
}

extension Settings {
  /// Host, port and database, without the password.
  var databaseTarget: String {
    get throws { try PostgresConnection.target(of: postgresURL) }
  }
}
