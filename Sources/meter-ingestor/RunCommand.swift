// `run`: subscribes and stores until it is told to stop.

import ArgumentParser
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
      away: the ingestor says so, answers 503 on /readyz, and tries again. SIGTERM or Ctrl-C stops \
      reading, commits, acknowledges and exits with 0.
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
        services.all { address in
          logger.info("status page", metadata: ["url": "\(address.url)"])
        }, logger: logger, signals: [.sigterm, .sigint]))
    try await group.run()
    logger.info("stopped: everything received is stored and acknowledged, or left to the broker")
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
