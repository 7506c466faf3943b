// Turns what the pipeline tells into metrics, readiness and log lines.

import CheckRules
import EnergyReadings
import IngestPipeline
import Logging
import MQTTSession
import Metrics
import Monitoring
import PayloadDecoding
import PostgresStore
import Spool
import Synchronization

/// The observer of `run`, `replay --direct` and the demo.
final class IngestReporter: IngestObserver {
  private let registry: MetricRegistry
  private let readiness: Readiness
  private let logger: Logger
  private let counters: LedgerCounters
  private let reconnects: Counter
  private let spooled: Counter
  private let drained: Counter
  private let sessionsLost: Counter
  private let batchReadings: HistogramHandle
  private let commitSeconds: HistogramHandle
  private let arrivals: ArrivalHistograms
  private let hasSpool: Bool
  private let state: Mutex<State>

  /// What is wrong, by worker; a component is ready when no worker complains.
  fileprivate struct State {
    var database: [Int: String] = [:]
    var broker: [Int: String] = [:]
    var spool: [Int: String] = [:]
    /// Workers whose spool holds something.
    var spooling: Set<Int> = []
    var lastLogged: [String: ContinuousClock.Instant] = [:]
    var rejected: [String: Int] = [:]

    init(workers: Int) {
      for worker in 0..<workers {
        database[worker] = "not connected yet"
        broker[worker] = "not connected yet"
      }
    }
  }

  /// - Parameter hasSpool: whether spools are a component of the program's readiness.
  init(
    registry: MetricRegistry, readiness: Readiness, workers: Int, hasSpool: Bool, logger: Logger
  ) {
    self.hasSpool = hasSpool
    self.registry = registry
    self.readiness = readiness
    self.logger = logger
    func counter(_ metric: MetricDescription) -> Counter {
      Counter(label: metric.name, dimensions: [], factory: registry)
    }
    counters = LedgerCounters(registry)
    reconnects = counter(IngestMetrics.mqttReconnects)
    spooled = counter(IngestMetrics.spooled)
    drained = counter(IngestMetrics.drained)
    sessionsLost = counter(IngestMetrics.sessionsLost)
    batchReadings = registry.histogram(IngestMetrics.batchReadings.name)
    commitSeconds = registry.histogram(IngestMetrics.commitSeconds.name)
    arrivals = ArrivalHistograms(registry: registry)
    state = Mutex(State(workers: workers))
    if hasSpool { startSpoolsAtZero(workers) }
    // So that the first rise is seen as one.
    for rule in PlausibilityRule.allCases { fired("\(rule.name)", "flagged", 0) }
  }

  /// An empty spool is 0 messages, not an unknown number.
  private func startSpoolsAtZero(_ workers: Int) {
    for worker in 0..<workers {
      for metric in [
        IngestMetrics.spoolMessages, IngestMetrics.spoolBytes, IngestMetrics.spoolOldestSeconds,
        IngestMetrics.spoolRefusing,
      ] { gauge(metric, worker, 0) }
    }
  }

  func batchClosed(_ batch: Batch, worker: Int) { counters.closed(batch) }

  func batchCommitted(_ batch: Batch, _ ledger: BatchLedger, took: Duration, worker: Int) {
    counters.committed(ledger)
    countRejections(ledger)
    for rule in PlausibilityRule.allCases where ledger.flagged[Int(rule.rawValue)] > 0 {
      fired("\(rule.name)", "flagged", ledger.flagged[Int(rule.rawValue)])
    }
    counters.landed(ledger)
    counters.besides(ledger)
    batchReadings.observe(Double(batch.count))
    commitSeconds.observe(took / .seconds(1))
    exemplify(batch, ledger, took, worker)
    observeArrivals(of: batch)
    logger.debug(
      "batch committed",
      metadata: [
        "worker": "\(worker)", "readings": "\(batch.count)", "took": "\(took)",
        "repaired": "\(ledger.wasRepaired)",
      ])
    logRejections()
  }

  private func observeArrivals(of batch: Batch) {
    var tally = arrivals.makeTally()
    let now = Timestamp.now.microseconds
    batch.forEachTimestamp { tally.observe(readAt: $0.microseconds, committedAt: now) }
    arrivals.merge(tally)
  }

  /// Shows the batch as the example of commits that take as long as its own.
  private func exemplify(_ batch: Batch, _ ledger: BatchLedger, _ took: Duration, _ worker: Int) {
    let labels = [
      ("worker", "\(worker)"), ("readings", "\(batch.count)"),
      ("repaired", "\(ledger.wasRepaired)"),
    ]
    if let exemplar = Exemplar(labels, value: took / .seconds(1), time: Timestamp.now.seconds) {
      commitSeconds.exemplify(exemplar)
    }
  }

  /// Counts what was turned away, each with its dead letter as the example.
  private func countRejections(_ ledger: BatchLedger) {
    if ledger.rejected.isEmpty { return }
    let now = Timestamp.now.seconds
    for rejection in ledger.rejected {
      let letter = Exemplar(
        [("dead_letter_id", rejection.letter.description)], value: 1, time: now)
      registry.counter(
        IngestMetrics.readingsRejected.name,
        labels: [
          ("kind", IngestMetrics.kinds[rejection.kind]), ("reason", "\(rejection.reason.code)"),
        ]
      ).increment(exemplar: letter)
      if let rule = rejection.rule { fired(rule, "rejected", exemplar: letter) }
    }
    state.withLock { state in
      for rejection in ledger.rejected {
        state.rejected["\(rejection.reason.code)", default: 0] += 1
      }
    }
  }

  /// Constraints are named by whoever owns the database, so the label is bounded: beyond the limit
  /// of series they count as "other".
  private func fired(
    _ rule: String, _ verdict: String, _ count: Int = 1, exemplar: Exemplar? = nil
  ) {
    registry.counter(
      IngestMetrics.ruleViolations.name, labels: [("rule", rule), ("verdict", verdict)]
    ).increment(by: count, exemplar: exemplar)
  }

  /// Something besides the readings' own way could not be done.
  func failed(_ what: String, _ error: any Error) {
    log("could not \(what)", "\(error)")
  }

  /// Dead letters were tried again.
  func redriven(_ report: RedriveReport) {
    let outcomes = [("passed", report.passed), ("refused", report.refused)]
    for (outcome, count) in outcomes where count > 0 {
      Counter(
        label: IngestMetrics.deadLettersRedriven.name, dimensions: [("outcome", outcome)],
        factory: registry
      ).increment(by: count)
    }
    logger.info(
      "dead letters tried again, since devices were registered",
      metadata: ["passed": "\(report.passed)", "refused again": "\(report.refused)"])
  }

  /// One line for all rejections of the last seconds: each of them is a dead letter anyway.
  private func logRejections() {
    let rejected = state.withLock { state -> [String: Int] in
      guard !state.rejected.isEmpty, state.isDue("rejected", every: .seconds(5)) else { return [:] }
      defer { state.rejected = [:] }
      return state.rejected
    }
    guard !rejected.isEmpty else { return }
    logger.warning(
      "readings turned away; see ingest.dead_letters",
      metadata: Logger.Metadata(uniqueKeysWithValues: rejected.map { ($0.key, "\($0.value)") }))
  }

  func commitFailed(_ error: PostgresError, attempt: Int, worker: Int) {
    Counter(
      label: IngestMetrics.commitFailures.name,
      dimensions: [("sqlstate_class", error.sqlState.map { String($0.prefix(2)) } ?? "none")],
      factory: registry
    ).increment()
    log("commit failed, the same batch will be tried again", "\(error)", worker)
  }

  func databaseChanged(_ failure: PostgresError?, worker: Int) {
    gauge(IngestMetrics.postgresConnected, worker, failure == nil ? 1 : 0)
    state.withLock { $0.database[worker] = failure?.description }
    updateReadiness()
    if let failure {
      log("database not usable, trying again", "\(failure)", worker)
    } else {
      logger.info("PostgreSQL is usable", metadata: ["worker": "\(worker)"])
    }
  }

  func brokerChanged(_ failure: MQTTError?, worker: Int) {
    gauge(IngestMetrics.mqttConnected, worker, failure == nil ? 1 : 0)
    state.withLock { $0.broker[worker] = failure?.description }
    updateReadiness()
    if let failure {
      reconnects.increment()
      log("broker not usable, trying again", "\(failure)", worker)
    } else {
      logger.info("connected to the MQTT broker", metadata: ["worker": "\(worker)"])
    }
  }

  func subscriptionsChanged(added: [String], ended: [String], worker: Int) {
    logger.info(
      "subscriptions follow the sources",
      metadata: [
        "worker": "\(worker)", "added": "\(added.joined(separator: ", "))",
        "ended": "\(ended.joined(separator: ", "))",
      ])
  }

  func warning(_ text: String, worker: Int) {
    logger.warning("\(text)", metadata: ["worker": "\(worker)"])
  }

  func sessionLost(_ text: String, worker: Int) {
    sessionsLost.increment()
    logger.error("\(text)", metadata: ["worker": "\(worker)"])
  }

  func brokerDropped(_ messages: Int, worker: Int) {
    Meter(label: IngestMetrics.brokerDropped.name, dimensions: [], factory: registry)
      .set(Double(messages))
  }

  func spoolChanged(_ level: SpoolLevel, added: Int, drained: Int, worker: Int) {
    spooled.increment(by: added)
    self.drained.increment(by: drained)
    gauge(IngestMetrics.spoolMessages, worker, Double(level.messages))
    gauge(IngestMetrics.spoolBytes, worker, Double(level.bytes))
    let age = level.oldestReceivedAt.map { Timestamp.now.microseconds - $0.microseconds } ?? 0
    gauge(IngestMetrics.spoolOldestSeconds, worker, Double(max(0, age)) / 1_000_000)
    let isFilled = level.messages > 0
    let changed = state.withLock { state in
      isFilled ? state.spooling.insert(worker).inserted : state.spooling.remove(worker) != nil
    }
    guard changed else { return }
    if isFilled {
      logger.warning(
        "batches go to the spool until the database takes them",
        metadata: ["worker": "\(worker)", "messages": "\(level.messages)"])
    } else {
      logger.info("the spool is empty: all is committed", metadata: ["worker": "\(worker)"])
    }
  }

  func spoolRefused(_ failure: SpoolError?, worker: Int) {
    gauge(IngestMetrics.spoolRefusing, worker, failure == nil ? 0 : 1)
    state.withLock { $0.spool[worker] = failure?.description }
    updateReadiness()
    if let failure {
      log("spool not usable: what comes stays with the broker", "\(failure)", worker)
    } else {
      logger.info("the spool is usable again", metadata: ["worker": "\(worker)"])
    }
  }

  private func gauge(_ metric: MetricDescription, _ worker: Int, _ value: Double) {
    Meter(label: metric.name, dimensions: [("worker", "\(worker)")], factory: registry).set(value)
  }

  private func updateReadiness() {
    // Within the lock: told after it, what one worker saw could replace what another has changed since,
    // and stay.
    state.withLock { state in
      let components = [
        ("postgres", state.database), ("mqtt", state.broker), ("spool", state.spool),
      ]
      for (component, failures) in components where hasSpool || component != "spool" {
        if let failure = failures.values.first {
          readiness.failing(component, failure)
        } else {
          readiness.ok(component)
        }
      }
    }
  }

  /// The same trouble again is said every half minute.
  private func log(_ what: Logger.Message, _ cause: String, _ worker: Int? = nil) {
    let isDue = state.withLock { $0.isDue("\(what)\(cause)", every: .seconds(30)) }
    guard isDue else { return }
    var metadata: Logger.Metadata = ["cause": "\(cause)"]
    if let worker { metadata["worker"] = "\(worker)" }
    logger.error(what, metadata: metadata)
  }
}

extension IngestReporter.State {
  fileprivate mutating func isDue(_ text: String, every interval: Duration) -> Bool {
    let now = ContinuousClock.now
    if let last = lastLogged[text], now - last < interval { return false }
    // Bounded: causes carry text from outside.
    if lastLogged.count > 1_000 { lastLogged.removeAll() }
    lastLogged[text] = now
    return true
  }
}

extension Timestamp {
  /// Seconds since the Unix epoch, as metrics tell times.
  fileprivate var seconds: Double { Double(microseconds) / 1_000_000 }
}
