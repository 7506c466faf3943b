// What is known about a metric before its first value: name, kind, help, unit and buckets.

/// How the values of a metric behave; the raw value is the word of the text format's TYPE line.
public enum MetricKind: String, Sendable, Hashable, CaseIterable {
  /// A total that only rises, or starts again at 0 with the process.
  case counter
  /// A value that goes up and down.
  case gauge
  /// Observations counted in buckets, with their sum.
  case histogram
}

/// One entry of the catalogue that a ``MetricRegistry`` is made with.
public struct MetricDescription: Sendable, Hashable {
  /// A Prometheus metric name, `[a-zA-Z_:][a-zA-Z0-9_:]*`, with the unit and `_total` of a counter
  /// at its end. Source: https://prometheus.io/docs/practices/naming/
  public let name: String
  public let kind: MetricKind
  /// One sentence for the HELP line.
  public let help: String
  /// The base unit, for example `seconds`, `bytes`, `readings`; empty when there is none.
  public let unit: String
  /// Upper bounds of the buckets of a histogram, rising, finite; `+Inf` is implied. Empty otherwise.
  public let buckets: [Double]

  /// - Precondition: the buckets rise, are finite and number at most
  ///   ``MetricDescription/maximumBuckets``; a histogram has at least one, other kinds none.
  public init(
    name: String, kind: MetricKind, help: String, unit: String = "", buckets: [Double] = []
  ) {
    precondition(
      (kind == .histogram) == !buckets.isEmpty, "\(name): only a histogram has buckets")
    precondition(
      buckets.count <= Self.maximumBuckets, "\(name): at most \(Self.maximumBuckets) buckets")
    precondition(
      buckets.allSatisfy(\.isFinite) && zip(buckets, buckets.dropFirst()).allSatisfy(<),
      "\(name): the bounds of buckets rise and are finite")
    self.name = name
    self.kind = kind
    self.help = help
    self.unit = unit
    self.buckets = buckets
  }

  /// The most bounds a histogram may have; one more slot counts what lies above the last.
  public static let maximumBuckets = 31

  /// The buckets of a histogram that is in no catalogue: seconds, as in Prometheus' own clients.
  public static let defaultBuckets: [Double] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]

  /// What stands in for a metric that is in no catalogue.
  static func undescribed(name: String, kind: MetricKind) -> MetricDescription {
    MetricDescription(
      name: name, kind: kind, help: undescribedHelp,
      buckets: kind == .histogram ? defaultBuckets : [])
  }

  static let undescribedHelp = "No description in the catalogue of this program."
}
