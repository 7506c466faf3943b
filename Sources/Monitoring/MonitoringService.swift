// Runs the monitoring job as each window ends.

import Logging
import Metrics
import PostgresStore
import ServiceLifecycle
import Synchronization

/// Runs a ``MonitoringJob`` at the start, 10 s later, and then once a window, shortly after its end,
/// and tells metrics how that went.
///
/// A run that fails is logged at most once a minute and counted in
/// `meter_ingestor_monitoring_failures_total`; ingestion is not affected, and the next run makes up
/// for it.
public struct MonitoringService<ServiceClock: Clock<Duration>>: Service, CustomStringConvertible {
  public var description: String { "MonitoringService" }

  /// One run; its argument tells whether the program stops.
  public typealias Run = @Sendable (@Sendable () -> Bool) async throws -> MonitoringReport

  private let window: Duration
  private let clock: ServiceClock
  /// Seconds of the Unix epoch as the meters count them: windows are aligned to these.
  private let epoch: @Sendable () -> Duration
  private let logger: Logger
  private let run: Run
  private let meters: MeterCounts
  private let failures: Counter
  private let windows: Counter
  private let leads: Gauge
  private let seconds: HistogramHandle

  /// - Parameters:
  ///   - registry: gets the counts of meters as a collector, and how runs went.
  ///   - window: the length of windows, whole seconds.
  ///   - clock: waits and measures; tests give one of their own.
  ///   - epoch: the time since 1970, which need not be steady.
  ///   - run: does the work on a thread that may block.
  public init(
    registry: MetricRegistry, window: Duration, clock: ServiceClock,
    epoch: @escaping @Sendable () -> Duration, logger: Logger, run: @escaping Run
  ) {
    precondition(window >= .seconds(1), "a window has a length")
    self.window = window
    self.clock = clock
    self.epoch = epoch
    self.logger = logger
    self.run = run
    let counts = MeterCounts()
    meters = counts
    registry.addCollector { counts.collect(into: &$0) }
    failures = Counter(label: IngestMetrics.monitoringFailures.name, factory: registry)
    windows = Counter(label: IngestMetrics.healthWindows.name, factory: registry)
    leads = Gauge(label: IngestMetrics.monitoringLeader.name, factory: registry)
    seconds = registry.histogram(IngestMetrics.monitoringSeconds.name)
  }

  public func run() async throws {
    var reports = FailureReports<ServiceClock.Instant>()
    await runOnce(&reports)
    // Nobody was heard before the start; soon after it meters are, and need not wait for a window.
    if await sleep(atMost: Self.firstPause) { await runOnce(&reports) }
    while await sleep() { await runOnce(&reports) }
  }

  private static var firstPause: Duration { .seconds(10) }

  /// Commits and saved states of a window need a moment to arrive.
  private static var grace: Duration { .seconds(2) }

  /// Waits until the end of the present window.
  ///
  /// - Returns: false when the program stops.
  private func sleep(atMost limit: Duration? = nil) async -> Bool {
    let (length, now) = (window.components.seconds, (epoch() - Self.grace).components.seconds)
    let rest = Duration.seconds(length - now % length)
    let wait = min(rest, limit ?? rest)
    let came: Void? = try? await cancelWhenGracefulShutdown {
      try await clock.sleep(until: clock.now.advanced(by: wait), tolerance: nil)
    }
    return came != nil && !Task.isShuttingDownGracefully
  }

  private func runOnce(_ reports: inout FailureReports<ServiceClock.Instant>) async {
    let start = clock.now
    let isStopping = Atomic(false)
    do {
      let report = try await withGracefulShutdownHandler {
        try await run { isStopping.load(ordering: .relaxed) }
      } onGracefulShutdown: {
        isStopping.store(true, ordering: .relaxed)
      }
      meters.replace(with: report.meters)
      leads.record(report.isLeader ? 1 : 0)
      windows.increment(by: report.windows)
      if report.isLeader { seconds.observe(start.duration(to: clock.now) / .seconds(1)) }
      if reports.succeeded() { logger.notice("grid health is written again") }
    } catch {
      failures.increment()
      leads.record(0)
      meters.replace(with: [])
      guard reports.shouldReport(at: clock.now) else { return }
      logger.error(
        """
        Cannot write grid health: \(error). Ingestion is not affected; the next attempt is at the \
        end of the window. Check PostgreSQL and the rights of the role with `meter-ingestor doctor`.
        """)
    }
  }
}
