// The recorder to `monitoring.system_metrics`: when it writes, what it leaves out, how it fails.

import Logging
import Metrics
import ServiceLifecycle
import Synchronization
import Testing

@testable import Monitoring

@Suite struct SystemMetricsRecorderTests {
  private struct WriterFailed: Error {}

  /// Collects log lines by level.
  private final class LogLines: Sendable {
    let lines = Mutex<[Logger.Level]>([])
    func count(_ level: Logger.Level) -> Int { lines.withLock { $0.filter { $0 == level }.count } }
    var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }

    struct Handler: LogHandler {
      let log: LogLines
      var metadata: Logger.Metadata = [:]
      var logLevel = Logger.Level.trace
      subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
      }
      func log(event: LogEvent) { log.lines.withLock { $0.append(event.level) } }
    }
  }

  private func value(_ registry: MetricRegistry, _ metric: MetricDescription) -> Double? {
    registry.values(of: metric.name).first?.value
  }

  private func group(_ service: any Service) -> ServiceGroup {
    let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    return ServiceGroup(services: [service], logger: silent)
  }

  @Test(.timeLimit(.minutes(1)))
  func writesAtEachIntervalAndAtTheEnd() async throws {
    let registry = MetricRegistry()
    let counter = Counter(label: "c_total", factory: registry)
    let clock = ManualClock()
    let (written, yield) = AsyncStream.makeStream(of: Double?.self)
    let recorder = SystemMetricsRecorder(
      registry: registry, interval: .seconds(10), clock: clock
    ) { samples in
      yield.yield(samples.first { $0.name == "c_total" }?.value)
    }
    let group = group(recorder)
    var values = written.makeAsyncIterator()
    async let end: Void = group.run()
    await clock.nextSleep()
    // Not due yet: nothing is written until the tenth second.
    clock.advance(by: .seconds(9))
    counter.increment()
    clock.advance(by: .seconds(1))
    #expect(await values.next() == 1)
    await clock.nextSleep()
    counter.increment()
    clock.advance(by: .seconds(10))
    #expect(await values.next() == 2)
    await clock.nextSleep()
    counter.increment()
    await group.triggerGracefulShutdown()
    try await end
    yield.finish()
    #expect(await values.next() == 3)
    #expect(await values.next() == nil)
  }

  @Test(.timeLimit(.minutes(1)))
  func aFailingWriterIsCountedAndRarelyLogged() async throws {
    let registry = MetricRegistry()
    let clock = ManualClock()
    let log = LogLines()
    let fails = Mutex(true)
    let recorder = SystemMetricsRecorder(
      registry: registry, interval: .seconds(10), clock: clock, logger: log.logger
    ) { _ in
      if fails.withLock({ $0 }) { throw WriterFailed() }
    }
    let group = group(recorder)
    async let end: Void = group.run()
    // Writes at 10, 20, … 80 s: the first failure is logged, and the one at 70 s.
    for _ in 1...8 {
      await clock.nextSleep()
      clock.advance(by: .seconds(10))
    }
    await clock.nextSleep()
    #expect(value(registry, IngestMetrics.systemMetricsWriteFailures) == 8)
    #expect(log.count(.error) == 2)
    #expect(log.count(.notice) == 0)
    fails.withLock { $0 = false }
    for _ in 1...2 {
      clock.advance(by: .seconds(10))
      await clock.nextSleep()
    }
    #expect(log.count(.notice) == 1)
    #expect(value(registry, IngestMetrics.systemMetricsWriteFailures) == 8)
    await group.triggerGracefulShutdown()
    try await end
  }

  @Test(.timeLimit(.minutes(1)))
  func leavesOutWhatTheTableCannotHold() async throws {
    let registry = MetricRegistry()
    for (label, value) in [("ok", 999_999_999_999), ("big", 1e12), ("low", -1e12), ("n", .nan)] {
      Gauge(label: label, factory: registry).record(value)
    }
    Gauge(label: String(repeating: "x", count: 101), factory: registry).record(1)
    let written = Mutex<[String]>([])
    let clock = ManualClock()
    let recorder = SystemMetricsRecorder(registry: registry, clock: clock) { samples in
      written.withLock { $0 = samples.filter { $0.kind == .gauge }.map(\.name) }
    }
    let group = group(recorder)
    async let end: Void = group.run()
    await clock.nextSleep()
    await group.triggerGracefulShutdown()
    try await end
    #expect(written.withLock { $0 } == ["ok"])
    #expect(value(registry, IngestMetrics.systemMetricsLeftOut) == 4)
  }
}

@Suite struct SystemMetricsSQLTests {
  @Test func goldenParameter() throws {
    let statement = try SystemMetricsSQL.insert(
      [
        MetricSample(
          name: "a_total", labels: [MetricLabel("kind", "x\"y\\/\0")], value: 12, kind: .counter),
        MetricSample(name: "b", value: 0.1, kind: .gauge),
      ], instance: "ingestor-0")
    #expect(statement?.sql == SystemMetricsSQL.text)
    #expect(
      statement?.parameters == [
        #"[{"labels":{"instance":"ingestor-0","kind":"x\"y\\/"# + "\u{FFFD}"
          + #""},"name":"a_total","type":"counter","value":"12"},"#
          + #"{"labels":{"instance":"ingestor-0"},"name":"b","type":"gauge","value":"0.1"}]"#
      ])
  }

  @Test func nothingIsNoStatement() throws {
    #expect(try SystemMetricsSQL.insert([], instance: "i") == nil)
  }

  @Test func theLimitsOfTheColumns() {
    func storable(_ value: Double, name: String = "n") -> Bool {
      SystemMetricsSQL.isStorable(MetricSample(name: name, value: value, kind: .gauge))
    }
    #expect(storable(1e12.nextDown))
    #expect(!storable(1e12))
    #expect(!storable(-1e12))
    #expect(!storable(.infinity))
    #expect(!storable(.nan))
    #expect(storable(1, name: String(repeating: "n", count: 100)))
    #expect(!storable(1, name: String(repeating: "n", count: 101)))
  }
}
