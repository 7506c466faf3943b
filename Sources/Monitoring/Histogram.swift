// How the program observes into a histogram cheaply, and how its buckets are read back.

/// A histogram of a registry, for code that observes more than swift-metrics' one value a call.
///
/// A `Recorder` (`aggregate: true`) or `Timer` of swift-metrics with the same name and labels
/// reaches the same series; a `Timer` observes seconds.
public struct HistogramHandle: Sendable {
  let series: HistogramSeries

  /// The upper bounds of the buckets, without `+Inf`.
  public var buckets: [Double] { series.bounds }

  /// Counts one observation. A value that is not finite is not counted.
  public func observe(_ value: Double) { series.observe(value, count: 1) }

  /// Shows an observation, which ``observe(_:)`` counts, as the example of its bucket.
  public func exemplify(_ exemplar: Exemplar) { series.exemplify(exemplar) }

  /// Counts `count` observations of one value; nothing when `count` is not above 0.
  public func observe(_ value: Double, count: Int) { series.observe(value, count: count) }

  /// Adds observations that were counted elsewhere.
  ///
  /// - Parameters:
  ///   - bucketCounts: one count per bound of ``buckets``, not cumulative.
  ///   - sum: the sum of all observed values, finite.
  ///   - count: all observations; what exceeds the sum of `bucketCounts` lies above the last bound.
  /// - Precondition: as many counts as bounds, none negative, together at most `count`.
  public func merge(bucketCounts: [Int], sum: Double, count: Int) {
    let above = count - bucketCounts.reduce(0, +)
    precondition(
      above >= 0 && sum.isFinite && bucketCounts.allSatisfy { $0 >= 0 },
      "merge: counts are not negative, \(count) covers them all, and the sum is finite")
    series.merge(counts: bucketCounts + [above], sum: sum)
  }

  /// An empty tally with the buckets of this histogram.
  public func makeTally() -> HistogramTally { HistogramTally(bounds: series.bounds) }

  /// Adds a tally of the same buckets: a few atomic additions however much was observed.
  public func merge(_ tally: HistogramTally) { series.merge(counts: tally.counts, sum: tally.sum) }

  public var snapshot: HistogramSnapshot { series.snapshot }
}

/// Observations of one thread, counted without atomics until they are merged.
public struct HistogramTally: Sendable {
  let bounds: [Double]
  private(set) var counts: [Int]
  private(set) var sum = 0.0

  init(bounds: [Double]) {
    self.bounds = bounds
    counts = Array(repeating: 0, count: bounds.count + 1)
  }

  /// Counts observations of one value; nothing when it is not finite or `count` is not above 0.
  public mutating func observe(_ value: Double, count: Int = 1) {
    guard value.isFinite, count > 0 else { return }
    counts[bounds.bucketIndex(of: value)] += count
    sum += value * Double(count)
  }

  /// Forgets everything, to be used for the next batch.
  public mutating func reset() {
    for index in counts.indices { counts[index] = 0 }
    sum = 0
  }
}

/// The buckets of a histogram at one moment.
public struct HistogramSnapshot: Sendable, Hashable {
  /// Upper bounds, rising, without `+Inf`.
  public let bounds: [Double]
  /// Observations per bucket, not cumulative; the last lies above all bounds.
  public private(set) var counts: [Int]
  public private(set) var sum: Double
  public var count: Int { counts.reduce(0, +) }

  /// Estimates a quantile by linear interpolation within its bucket, as `histogram_quantile` does:
  /// the lowest bucket begins at 0, and what lies above all bounds counts as the last bound.
  ///
  /// - Parameter fraction: 0…1; 0.99 for the 99th percentile.
  /// - Returns: nil when nothing was observed.
  public func quantile(_ fraction: Double) -> Double? {
    let rank = fraction * Double(count)
    guard count > 0 else { return nil }
    var below = 0
    for (index, bound) in bounds.enumerated() {
      let inside = counts[index]
      if inside > 0, Double(below + inside) >= rank {
        let lower = index == 0 ? min(0, bound) : bounds[index - 1]
        return lower + (bound - lower) * max(0, rank - Double(below)) / Double(inside)
      }
      below += inside
    }
    return bounds.last
  }

  /// What was observed since an earlier snapshot of the same histogram.
  public func since(_ earlier: HistogramSnapshot) -> HistogramSnapshot {
    var difference = self
    guard earlier.bounds == bounds else { return difference }
    for index in counts.indices { difference.counts[index] -= earlier.counts[index] }
    difference.sum -= earlier.sum
    return difference
  }

  /// Adds another series of the same metric.
  mutating func add(_ other: HistogramSnapshot) {
    for index in counts.indices { counts[index] += other.counts[index] }
    sum += other.sum
  }
}
