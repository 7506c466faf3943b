// The counts of meters as metrics, the service that brings them, and what promtool says of them all.

import Foundation
import Logging
import Metrics
import PrivateServices
import ServiceLifecycle
import Synchronization
import Testing

@testable import Monitoring

@Suite struct MeterCountTests {
  private func samples(_ counts: MeterCounts) -> [String] {
    let registry = MetricRegistry(catalogue: IngestMetrics.catalogue)
    registry.addCollector { counts.collect(into: &$0) }
    return registry.prometheusText().split(separator: "\n").map(String.init)
      .filter { $0.hasPrefix("meter_ingestor_meters") }
  }

  private func meters(_ code: String, _ registered: Int) -> GridMeters {
    GridMeters(
      gridCode: code, registered: registered, heard: registered - 3, late: 2, silent: 1)
  }

  @Test func golden() {
    let counts = MeterCounts()
    #expect(samples(counts).isEmpty)
    counts.replace(with: [meters("BKK-07", 10)])
    #expect(
      samples(counts) == [
        #"meter_ingestor_meters{grid_code="BKK-07",state="heard"} 7"#,
        #"meter_ingestor_meters{grid_code="BKK-07",state="late"} 2"#,
        #"meter_ingestor_meters{grid_code="BKK-07",state="silent"} 1"#,
        #"meter_ingestor_meters_registered{grid_code="BKK-07"} 10"#,
      ])
  }

  /// The largest are named, the others are one, and no meter is lost.
  @Test func theLabelsAreBounded() {
    let counts = MeterCounts()
    counts.replace(with: (1...500).map { meters("G-\($0)", 1_000 + $0) } + [meters("other", 5_000)])
    let lines = samples(counts)
    let named = MeterCounts.namedGridCodes
    #expect(lines.count == 4 * named)
    let registered = lines.filter { $0.contains("registered") }
    let total = registered.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
      .reduce(0, +)
    #expect(total == (1...500).reduce(5_000) { $0 + 1_000 + $1 })
    #expect(registered.contains { $0.contains("G-500") })
    #expect(!registered.contains { $0.contains("G-1\"") })
    #expect(registered.filter { $0.contains("other") }.count == 1)
  }

  private func promtool(_ text: String) throws -> String? {
    let path = "/usr/bin/promtool"
    guard FileManager.default.isExecutableFile(atPath: path) else {
      print("skipped: \(path) is not installed (Debian's package prometheus)")
      return nil
    }
    let file = NSTemporaryDirectory() + "metrics-\(UUID().uuidString)"
    defer {
      for path in [file, file + ".out"] { try? FileManager.default.removeItem(atPath: path) }
    }
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    var child = try ChildProcess(
      ["/bin/sh", "-c", "exec \(path) check metrics < '\(file)' 2>&1"], output: file + ".out")
    let ended = child.waitForExit(atMost: .seconds(60))
    _ = try #require(ended)
    return try String(contentsOfFile: file + ".out", encoding: .utf8)
  }

  /// Every metric of the catalogue with a value, and many grid codes, is one clean scrape.
  @Test func promtoolHasNothingToSay() throws {
    let registry = MetricRegistry.ingestor(version: "1")
    let counts = MeterCounts()
    registry.addCollector { counts.collect(into: &$0) }
    counts.replace(with: (1...100).map { meters("G-\($0)", 10_000) })
    for metric in IngestMetrics.catalogue {
      switch metric.kind {
      case .counter: Counter(label: metric.name, factory: registry).increment()
      case .gauge where metric.name.hasPrefix("meter_ingestor_meters"): break
      case .gauge: Gauge(label: metric.name, factory: registry).record(1)
      case .histogram: registry.histogram(metric.name).observe(1)
      }
    }
    let text = registry.prometheusText()
    #expect(registry.samples().count <= 300, "the bound of a scrape")
    if let said = try promtool(text) { #expect(said.isEmpty, "\(said)") }
    // The check can fail.
    if let said = try promtool("# TYPE a counter\na 1\n") { #expect(said.contains("_total")) }
  }
}

@Suite struct MonitoringServiceTests {
  private struct RunFailed: Error {}

  @Test(.timeLimit(.minutes(1)))
  func runsAtStartAndShortlyAfterEachWindow() async throws {
    let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let registry = MetricRegistry(catalogue: IngestMetrics.catalogue)
    let clock = ManualClock()
    let reports = AsyncStream.makeStream(of: Int.self)
    let outcome = Mutex(MonitoringReport())
    // The epoch's minute begins 25 s before the clock's.
    let epoch = { @Sendable in clock.now.offset + .seconds(25) }
    let service = MonitoringService(
      registry: registry, window: .seconds(60), clock: clock,
      epoch: epoch, logger: silent
    ) { _ in
      reports.continuation.yield(Int(clock.now.offset.components.seconds))
      let report = outcome.withLock { $0 }
      if report.windows < 0 { throw RunFailed() }
      return report
    }
    let group = ServiceGroup(services: [service], logger: silent)
    async let end: Void = group.run()
    var times = reports.stream.makeAsyncIterator()
    #expect(await times.next() == 0)
    await clock.nextSleep()
    func value(_ metric: MetricDescription) -> Double? {
      registry.samples().first { $0.name == metric.name }?.value
    }
    #expect(value(IngestMetrics.monitoringLeader) == 0)
    outcome.withLock {
      $0.isLeader = true
      $0.windows = 3
      $0.meters = [GridMeters(gridCode: "G", registered: 2, heard: 1, late: 1, silent: 0)]
    }
    clock.advance(by: .seconds(10))
    #expect(await times.next() == 10)
    await clock.nextSleep()
    // At 37 s, the epoch's clock stands at 62 s.
    clock.advance(by: .seconds(26))
    clock.advance(by: .seconds(1))
    #expect(await times.next() == 37)
    await clock.nextSleep()
    #expect(value(IngestMetrics.monitoringLeader) == 1)
    #expect(value(IngestMetrics.healthWindows) == 6)
    #expect(value(IngestMetrics.metersRegistered) == 2)
    outcome.withLock { $0.windows = -1 }
    clock.advance(by: .seconds(60))
    #expect(await times.next() == 97)
    await clock.nextSleep()
    #expect(value(IngestMetrics.monitoringFailures) == 1)
    #expect(value(IngestMetrics.monitoringLeader) == 0)
    #expect(value(IngestMetrics.metersRegistered) == nil)
    await group.triggerGracefulShutdown()
    try await end
  }
}
