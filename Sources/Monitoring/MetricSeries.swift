// The values behind counters, gauges and histograms: atomics, so that no update waits for another
// or for a scrape.

import Metrics
import Synchronization

/// One series of a metric.
enum MetricSeries: Sendable {
  case counter(CounterSeries)
  case gauge(GaugeSeries)
  case histogram(HistogramSeries)

  init(_ kind: MetricKind, buckets: [Double]) {
    switch kind {
    case .counter: self = .counter(CounterSeries())
    case .gauge: self = .gauge(GaugeSeries())
    case .histogram: self = .histogram(HistogramSeries(bounds: buckets))
    }
  }
}

/// A total that only rises. Negative amounts are not counted.
final class CounterSeries: CounterHandler, FloatingPointCounterHandler, Sendable {
  private let whole = Atomic<Int64>(0)
  // Apart from `whole`, so that counting things stays one atomic addition and exact beyond 2^53.
  private let fraction = Atomic<Double>(0)
  private let latest = Mutex<Exemplar?>(nil)

  /// The latest case of what is counted.
  var exemplar: Exemplar? { latest.withLock { $0 } }
  func exemplify(_ exemplar: Exemplar) { latest.withLock { $0 = exemplar } }

  var value: Double { Double(whole.load(ordering: .relaxed)) + fraction.load(ordering: .relaxed) }

  func increment(by amount: Int64) {
    guard amount > 0 else { return }
    whole.wrappingAdd(amount, ordering: .relaxed)
  }

  func increment(by amount: Double) {
    guard amount > 0, amount.isFinite else { return }
    fraction.add(amount)
  }

  func reset() {
    whole.store(0, ordering: .relaxed)
    fraction.store(0, ordering: .relaxed)
  }
}

/// A value that goes up and down.
final class GaugeSeries: RecorderHandler, MeterHandler, Sendable {
  private let current = Atomic<Double>(0)

  var value: Double { current.load(ordering: .relaxed) }

  func set(_ value: Double) { current.store(value, ordering: .relaxed) }
  func set(_ value: Int64) { set(Double(value)) }
  func record(_ value: Double) { set(value) }
  func record(_ value: Int64) { set(Double(value)) }
  func increment(by amount: Double) { current.add(amount) }
  func decrement(by amount: Double) { current.add(-amount) }
}

/// Observations counted in buckets. The count is the sum of the buckets, so that a scrape in the
/// middle of an update never shows a `_count` that differs from the `+Inf` bucket.
final class HistogramSeries: RecorderHandler, TimerHandler, Sendable {
  let bounds: [Double]
  private let counts: InlineArray<32, Atomic<Int>>
  private let sum = Atomic<Double>(0)
  private let latest = Mutex<[Int: Exemplar]>([:])

  /// The latest case of each bucket, by its number, of those that were told.
  var exemplars: [Int: Exemplar] { latest.withLock { $0 } }
  func exemplify(_ exemplar: Exemplar) {
    let bucket = bounds.bucketIndex(of: exemplar.value)
    latest.withLock { $0[bucket] = exemplar }
  }

  init(bounds: [Double]) {
    precondition(bounds.count <= MetricDescription.maximumBuckets)
    self.bounds = bounds
    counts = InlineArray { _ in Atomic(0) }
  }

  /// What is not finite would spoil the sum for ever and is not counted.
  func observe(_ value: Double, count: Int) {
    guard value.isFinite, count > 0 else { return }
    counts[bounds.bucketIndex(of: value)].wrappingAdd(count, ordering: .relaxed)
    sum.add(value * Double(count))
  }

  /// `added` has one count per bound and one for what lies above the last.
  func merge(counts added: [Int], sum addedSum: Double) {
    precondition(added.count == bounds.count + 1, "one count per bucket, +Inf included")
    for (index, count) in added.enumerated() where count > 0 {
      counts[index].wrappingAdd(count, ordering: .relaxed)
    }
    sum.add(addedSum)
  }

  var snapshot: HistogramSnapshot {
    HistogramSnapshot(
      bounds: bounds,
      counts: (0...bounds.count).map { counts[$0].load(ordering: .relaxed) },
      sum: sum.load(ordering: .relaxed))
  }

  func record(_ value: Int64) { observe(Double(value), count: 1) }
  func record(_ value: Double) { observe(value, count: 1) }
  func recordNanoseconds(_ duration: Int64) { observe(Double(duration) / 1e9, count: 1) }
}

extension [Double] {
  /// The bucket of a value among rising bounds; a value on a bound belongs below it (`le`).
  func bucketIndex(of value: Double) -> Int {
    var index = 0
    while index < count, value > self[index] { index += 1 }
    return index
  }
}

extension Atomic where Value == Double {
  /// Adds by compare-and-exchange; processors have no atomic addition of doubles.
  func add(_ amount: Double) {
    var current = load(ordering: .relaxed)
    while true {
      let (done, seen) = weakCompareExchange(
        expected: current, desired: current + amount, ordering: .relaxed)
      if done { return }
      current = seen
    }
  }
}
