// Hands the values of `/metrics` to the database at an interval.

import Logging
import Metrics
import ServiceLifecycle

/// Writes the samples of a registry every interval, and once more when the program stops, so that
/// `monitoring.system_metrics` holds what `/metrics` shows.
///
/// A writer that fails is logged at most once a minute and counted in
/// `meter_ingestor_system_metrics_write_failures_total`; it never ends the service. Samples that
/// the table cannot hold are left out and counted in
/// `meter_ingestor_system_metrics_left_out_total`.
public struct SystemMetricsRecorder<ServiceClock: Clock<Duration>>: Service {
  /// Stores samples. It should bound its own time: the next write waits for it.
  public typealias Writer = @Sendable ([MetricSample]) async throws -> Void

  private let registry: MetricRegistry
  private let interval: Duration
  private let clock: ServiceClock
  private let logger: Logger
  private let write: Writer
  private let failures: Counter
  private let leftOut: Counter

  /// - Parameters:
  ///   - interval: time between writes, above 0, default 10 s. A write that takes longer delays
  ///     the next; none is made up for.
  ///   - clock: measures the interval; tests give one of their own.
  public init(
    registry: MetricRegistry, interval: Duration = .seconds(10),
    clock: ServiceClock = ContinuousClock(), logger: Logger = Logger(label: "system-metrics"),
    write: @escaping Writer
  ) {
    precondition(interval > .zero, "the interval between writes is above 0")
    self.registry = registry
    self.interval = interval
    self.clock = clock
    self.logger = logger
    self.write = write
    failures = Counter(
      label: IngestMetrics.systemMetricsWriteFailures.name, factory: registry)
    leftOut = Counter(label: IngestMetrics.systemMetricsLeftOut.name, factory: registry)
  }

  public func run() async throws {
    var reports = FailureReports<ServiceClock.Instant>()
    var next = clock.now.advanced(by: interval)
    while await sleep(until: next) {
      await record(&reports)
      next = max(next.advanced(by: interval), clock.now)
    }
    if !Task.isCancelled { await record(&reports) }
  }

  /// Whether the time came; false when the program stops.
  private func sleep(until deadline: ServiceClock.Instant) async -> Bool {
    let came: Void? = try? await cancelWhenGracefulShutdown {
      try await clock.sleep(until: deadline, tolerance: nil)
    }
    return came != nil && !Task.isShuttingDownGracefully
  }

  private func record(_ reports: inout FailureReports<ServiceClock.Instant>) async {
    let samples = registry.samples()
    let storable = samples.filter(SystemMetricsSQL.isStorable)
    leftOut.increment(by: samples.count - storable.count)
    do {
      try await write(storable)
      if reports.succeeded() { logger.notice("monitoring.system_metrics is written again.") }
    } catch {
      failures.increment()
      guard reports.shouldReport(at: clock.now) else { return }
      logger.error(
        """
        Cannot write \(storable.count) samples to monitoring.system_metrics: \(error). \
        Ingestion is not affected; the next attempt is in \(interval). Check PostgreSQL and the \
        rights of the role with `meter-ingestor doctor`.
        """)
    }
  }
}

/// Decides which failures are logged: the first, and then one a minute.
struct FailureReports<Instant: InstantProtocol<Duration>> {
  private var lastReport: Instant?
  private var isFailing = false

  mutating func shouldReport(at now: Instant) -> Bool {
    isFailing = true
    if let last = lastReport, last.duration(to: now) < .seconds(60) { return false }
    lastReport = now
    return true
  }

  /// Whether this success ends failures, which is worth a line.
  mutating func succeeded() -> Bool {
    defer { isFailing = false }
    return isFailing
  }
}
