// Counters, gauges and histograms: exact under threads, bounded in number.

import Dispatch
import Metrics
import SeededRandom
import Synchronization
import Testing

@testable import Monitoring

@Suite struct SeriesTests {
  private func value(_ registry: MetricRegistry, _ name: String) -> Double? {
    let values = registry.values(of: name)
    return values.count == 1 ? values[0].value : nil
  }

  @Test func threadsAddUpExactly() {
    let registry = MetricRegistry()
    let threads = 8
    let rounds = 20_000
    DispatchQueue.concurrentPerform(iterations: threads) { _ in
      // Made in each thread: all must reach one series.
      let counter = Counter(label: "things_total", factory: registry)
      let joules = FloatingPointCounter(label: "joules_total", factory: registry)
      let meter = Meter(label: "level", factory: registry)
      let histogram = registry.histogram("sizes")
      for _ in 0..<rounds {
        counter.increment(by: 3)
        joules.increment(by: 0.5)
        meter.increment(by: 2)
        meter.decrement()
        histogram.observe(0.25)
      }
    }
    let total = Double(threads * rounds)
    #expect(value(registry, "things_total") == total * 3)
    #expect(value(registry, "joules_total") == total / 2)
    #expect(value(registry, "level") == total)
    let snapshot = registry.histogramSnapshot(of: "sizes")
    #expect(snapshot?.count == threads * rounds)
    #expect(snapshot?.sum == total / 4)
  }

  @Test func aScrapeDuringUpdatesIsConsistent() {
    let registry = MetricRegistry()
    let histogram = registry.histogram("sizes")
    let scrapes = Mutex<[[MetricSample]]>([])
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      if thread == 0 {
        for _ in 0..<200 {
          let samples = registry.samples()
          scrapes.withLock { $0.append(samples) }
        }
      } else {
        for round in 0..<50_000 { histogram.observe(Double(round % 20)) }
      }
    }
    for samples in scrapes.withLock({ $0 }) {
      let buckets = samples.filter { $0.name == "sizes_bucket" }.map(\.value)
      #expect(buckets == buckets.sorted())
      #expect(buckets.last == samples.first { $0.name == "sizes_count" }?.value)
    }
  }

  @Test func countersOnlyRise() {
    let registry = MetricRegistry()
    let counter = Counter(label: "c_total", factory: registry)
    counter.increment(by: 5)
    counter.increment(by: -2)
    #expect(value(registry, "c_total") == 5)
    counter.reset()
    #expect(value(registry, "c_total") == 0)
  }

  @Test func aGaugeGoesWithItsMakerAndACounterStays() {
    let registry = MetricRegistry()
    let gauge = Gauge(label: "g", factory: registry)
    let meter = Meter(label: "m", factory: registry)
    let counter = Counter(label: "c_total", factory: registry)
    counter.increment()
    gauge.destroy()
    meter.destroy()
    counter.destroy()
    #expect(registry.values(of: "g").isEmpty)
    #expect(registry.values(of: "m").isEmpty)
    #expect(value(registry, "c_total") == 1)
  }

  @Test func seriesAreBounded() {
    let registry = MetricRegistry(seriesLimit: 3)
    for device in 0..<10 {
      let dimensions = [("device", "d\(device)"), ("kind", "storage")]
      Counter(label: "c_total", dimensions: dimensions, factory: registry).increment()
    }
    Counter(label: "c_total", dimensions: [("x", "1")], factory: registry).increment()
    let values = registry.values(of: "c_total")
    #expect(values.count == 4)
    #expect(values.reduce(0) { $0 + $1.value } == 11)
    let other = values.first { $0.labels.contains(MetricLabel("device", "other")) }
    #expect(other?.value == 8)
    #expect(other?.labels == [MetricLabel("device", "other"), MetricLabel("kind", "other")])
    #expect(value(registry, IngestMetrics.metricSeriesDropped.name) == 8)
    // Known labels still reach their own series.
    Counter(
      label: "c_total", dimensions: [("kind", "storage"), ("device", "d1")], factory: registry
    ).increment()
    #expect(registry.values(of: "c_total").contains { $0.value == 2 })
  }

  @Test func oneNameIsOneKind() {
    let registry = MetricRegistry()
    Counter(label: "x", factory: registry).increment()
    Gauge(label: "x", factory: registry).record(99)
    registry.histogram("x").observe(99)
    #expect(registry.samples().filter { $0.name.hasPrefix("x") }.map(\.value) == [1])
  }
}

@Suite struct HistogramTests {
  private let bounds: [Double] = [1, 2, 5]

  private func handle() -> HistogramHandle {
    MetricRegistry(catalogue: [
      MetricDescription(name: "h", kind: .histogram, help: "H.", buckets: bounds)
    ]).histogram("h")
  }

  @Test func aValueOnABoundBelongsToIt() {
    let histogram = handle()
    for value in [-1, 0, 1, 1.0001, 2, 5, 5.0001, 1e9] { histogram.observe(value) }
    #expect(histogram.snapshot.counts == [3, 2, 1, 2])
  }

  @Test func whatIsNotFiniteIsNotCounted() {
    let histogram = handle()
    for value in [Double.nan, .infinity, -.infinity] { histogram.observe(value) }
    histogram.observe(1, count: 0)
    histogram.observe(1, count: -4)
    #expect(histogram.snapshot.counts == [0, 0, 0, 0])
    #expect(histogram.snapshot.sum == 0)
  }

  @Test func mergeAddsCountsAndSum() {
    let histogram = handle()
    histogram.observe(1.5, count: 10)
    histogram.merge(bucketCounts: [1, 2, 3], sum: 40, count: 10)
    #expect(histogram.snapshot.counts == [1, 12, 3, 4])
    #expect(histogram.snapshot.sum == 55)
    #expect(histogram.snapshot.count == 20)
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func everyWayToObserveGivesTheSame(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let direct = handle()
    let tallied = handle()
    var tally = tallied.makeTally()
    for _ in 0..<2_000 {
      // Quarters are exact, so the order of addition does not matter.
      let value = Double(Int.random(in: -8...40, using: &random)) / 4
      let count = Int.random(in: 0...3, using: &random)
      for _ in 0..<count { direct.observe(value) }
      tally.observe(value, count: count)
    }
    tallied.merge(tally)
    #expect(direct.snapshot == tallied.snapshot)
    tally.reset()
    tallied.merge(tally)
    #expect(direct.snapshot == tallied.snapshot)
  }

  @Test func recorderAndTimerReachTheSameSeries() {
    let registry = MetricRegistry()
    registry.histogram("h", labels: [("a", "1"), ("b", "2")]).observe(1)
    let dimensions = [("b", "2"), ("a", "1")]
    Recorder(label: "h", dimensions: dimensions, factory: registry).record(2)
    Timer(label: "h", dimensions: dimensions, factory: registry).recordSeconds(3)
    #expect(registry.histogramSnapshot(of: "h")?.count == 3)
    #expect(registry.histogramSnapshot(of: "h")?.sum == 6)
  }

  @Test func quantiles() {
    let histogram = handle()
    #expect(histogram.snapshot.quantile(0.5) == nil)
    histogram.observe(0.5, count: 50)
    histogram.observe(1.5, count: 50)
    #expect(histogram.snapshot.quantile(0.25) == 0.5)
    #expect(histogram.snapshot.quantile(0.5) == 1)
    #expect(histogram.snapshot.quantile(0.99) == 1.98)
    histogram.observe(100, count: 900)
    #expect(histogram.snapshot.quantile(0.99) == 5)
  }

  @Test func theDifferenceOfTwoMoments() {
    let histogram = handle()
    histogram.observe(100, count: 10)
    let earlier = histogram.snapshot
    histogram.observe(0.5, count: 4)
    let recent = histogram.snapshot.since(earlier)
    #expect(recent.counts == [4, 0, 0, 0])
    #expect(recent.sum == 2)
  }

  @Test func aRegistrySumsOverLabels() {
    let registry = MetricRegistry()
    registry.histogram("h", labels: [("worker", "0")]).observe(1)
    registry.histogram("h", labels: [("worker", "1")]).observe(2)
    #expect(registry.histogramSnapshot(of: "h")?.count == 2)
    #expect(registry.histogramSnapshot(of: "nothing") == nil)
  }
}
