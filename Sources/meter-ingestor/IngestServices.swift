// The services of a running ingestor, wired together: used by `run` and by the demo.

import CheckRules
import IngestPipeline
import Logging
import MQTTSession
import Metrics
import Monitoring
import PostgresStore
import ServiceLifecycle
import StatusServer

struct IngestServices {
  let settings: Settings
  let logger: Logger
  let registry: MetricRegistry
  let readiness: Readiness
  let reporter: IngestReporter
  /// What the rules remember of the meters.
  let states: MeterStates

  init(settings: Settings, logger: Logger) {
    self.settings = settings
    self.logger = logger
    registry = MetricRegistry.ingestor(version: Program.version)
    states = MeterStates(limit: settings.rememberedMeters)
    let hasSpool = settings.worker.spool != nil
    readiness = Readiness(components: ["postgres", "mqtt"] + (hasSpool ? ["spool"] : []))
    reporter = IngestReporter(
      registry: registry, readiness: readiness, workers: settings.workers, hasSpool: hasSpool,
      logger: logger)
  }

  /// Everything that runs, in order of start. Services stop in reverse: the workers first, so that
  /// what they commit last is still counted, recorded and shown.
  ///
  /// - Parameter onListening: told the status page's address.
  /// - Throws: ``SettingError`` where the page may not be served so.
  func all(onListening: @escaping @Sendable (BoundAddress) -> Void) throws -> [any Service] {
    let reference = ReferenceHolder(settings.plausibility, sources: settings.sources)
    let keeper = DeadLetterKeeper(
      postgresURL: settings.postgresURL, enrichment: settings.worker.enrichment,
      reference: reference, retention: settings.retention,
      onRedrive: reporter.redriven, onFailure: reporter.failed)
    var services: [any Service] = [
      StatusServer(
        host: settings.http.host, port: settings.http.port, registry: registry,
        readiness: readiness, version: Program.version, access: try settings.statusAccess(),
        figures: figures, logger: logger, onListening: onListening),
      recorder,
      monitoring,
      keeper,
      MeterStateKeeper(
        states: states, postgresURL: settings.postgresURL,
        onRestore: { [logger] count in
          logger.info("meter states restored", metadata: ["meters": "\(count)"])
        }, onFailure: reporter.failed),
      ReferenceWatcher(
        holder: reference, postgresURL: settings.postgresURL,
        observer: ReferenceReporter(
          registry: registry, logger: logger, deadLetters: keeper, onFailure: reporter.failed)),
    ]
    if let file = settings.texts[.ingestSources], !file.isEmpty {
      services.append(
        SourceReloader(
          file: file, holder: reference, worker: settings.worker, logger: logger))
    }
    for number in 0..<settings.workers {
      services.append(
        Worker(
          number: number, settings: settings.worker(number: number), reference: reference,
          states: states, observer: reporter))
    }
    return services
  }

  /// Reads what the status page shows of the database, for 2 s at most.
  private var figures: FigureReader {
    let lane = PostgresLane(url: settings.postgresURL, applicationName: "meter-ingestor page")
    return { sql, parameters in try await lane.readOnly(sql, parameters, atMost: 2_000) }
  }

  /// Writes what `/metrics` shows to `monitoring.system_metrics`.
  private var recorder: some Service {
    let lane = PostgresLane(
      url: settings.postgresURL, applicationName: "meter-ingestor metrics")
    let instance = settings.mqtt.clientID
    return SystemMetricsRecorder(
      registry: registry, interval: settings.metricsInterval, logger: logger
    ) { samples in
      guard let insert = try SystemMetricsSQL.insert(samples, instance: instance) else { return }
      try await lane.run { (connection) throws(PostgresError) in
        _ = try connection.query(insert.sql, insert.parameters, as: "insert system metrics")
      }
    }
  }
}

/// A logger to standard error, so that standard output carries only what was asked for.
func makeLogger(_ level: Logger.Level) -> Logger {
  LoggingSystem.bootstrap(StreamLogHandler.standardError)
  var logger = Logger(label: "meter-ingestor")
  logger.logLevel = level
  return logger
}
