// Gathers the figures of the status: the present ones, and the recent past that rates come from.

import Monitoring
import ServiceLifecycle
import Synchronization

/// Looks at the ledger once a second, so that rates are known from the first request on.
final class StatusSource: Service {
  let registry: MetricRegistry
  let readiness: Readiness
  let version: String
  private let started: ContinuousClock.Instant
  private let past: Mutex<RecentPast>

  init(registry: MetricRegistry, readiness: Readiness, version: String) {
    self.registry = registry
    self.readiness = readiness
    self.version = version
    started = .now
    past = Mutex(RecentPast(first: Moment(of: registry)))
  }

  func run() async throws {
    let second = Duration.seconds(1)
    while !Task.isShuttingDownGracefully, !Task.isCancelled {
      try? await cancelWhenGracefulShutdown { try await Task.sleep(for: second) }
      let moment = Moment(of: registry)
      past.withLock { $0.add(moment) }
    }
  }

  func report() -> StatusReport {
    let now = Moment(of: registry)
    return StatusReport(
      version: version, uptime: started.duration(to: now.time), components: readiness.components,
      now: now, past: past.withLock { $0 })
  }
}

/// The figures of one moment.
struct Moment: Sendable {
  let time: ContinuousClock.Instant
  let ledger: Ledger
  let commits: HistogramSnapshot?
  let program: ProgramFigures

  init(
    time: ContinuousClock.Instant, ledger: Ledger, commits: HistogramSnapshot?,
    program: ProgramFigures = ProgramFigures()
  ) {
    self.time = time
    self.ledger = ledger
    self.commits = commits
    self.program = program
  }

  init(of registry: MetricRegistry) {
    self.init(
      time: .now, ledger: Ledger(balancedIn: registry),
      commits: registry.histogramSnapshot(of: IngestMetrics.commitSeconds.name),
      program: ProgramFigures(of: registry))
  }
}

/// The last minute, one moment a second.
struct RecentPast: Sendable {
  /// Rising in time, never empty.
  private var moments: [Moment]
  private static let length = 61

  init(first: Moment) { moments = [first] }

  mutating func add(_ moment: Moment) {
    moments.append(moment)
    if moments.count > Self.length { moments.removeFirst() }
  }

  /// The earliest moment that is at most `window` before `time`; the latest when all are older.
  func earliest(within window: Duration, before time: ContinuousClock.Instant) -> Moment {
    moments.first { $0.time.duration(to: time) <= window } ?? moments[moments.count - 1]
  }
}
