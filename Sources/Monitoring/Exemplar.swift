// An example of what a series counts, so that whoever sees a number can look at one case of it.

/// The latest of the observations that a counter, or a bucket of a histogram, counts.
///
/// Shown where a scraper asks for OpenMetrics; the older text format knows none.
public struct Exemplar: Sendable, Hashable {
  /// What leads to the case, such as the id of a dead letter; sorted by name.
  public let labels: [MetricLabel]
  /// What was observed: of a counter, how much it rose by.
  public let value: Double
  /// When, in seconds since the Unix epoch.
  public let time: Double

  /// Characters that names and values of an exemplar's labels have together at most.
  /// Source: OpenMetrics 1.0.0, section "Exemplars".
  public static let longestLabels = 128

  /// - Returns: nil where the labels are longer than ``longestLabels``: it is an aid, and a scrape
  ///   that is refused for it would be none.
  public init?(_ labels: [(String, String)], value: Double, time: Double) {
    let set = LabelSet(labels)
    let length = set.labels.reduce(0) {
      $0 + $1.name.unicodeScalars.count + $1.value.unicodeScalars.count
    }
    guard length <= Self.longestLabels, value.isFinite, time.isFinite else { return nil }
    self.labels = set.labels
    self.value = value
    self.time = time
  }
}

/// A counter of a registry, for code that tells an example with what it counts.
///
/// A `Counter` of swift-metrics with the same name and labels reaches the same series.
public struct CounterHandle: Sendable {
  let series: CounterSeries

  /// - Parameter exemplar: replaces the one before; nil leaves that.
  public func increment(by amount: Int = 1, exemplar: Exemplar? = nil) {
    series.increment(by: Int64(amount))
    if let exemplar { series.exemplify(exemplar) }
  }
}
