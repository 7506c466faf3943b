// One value of one series at one moment, as `/metrics` shows it and `monitoring.system_metrics`
// keeps it.

/// A label of a series.
public struct MetricLabel: Sendable, Hashable, Comparable {
  public let name: String
  public let value: String

  public init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }

  public static func < (a: MetricLabel, b: MetricLabel) -> Bool {
    (a.name, a.value) < (b.name, b.value)
  }
}

/// One line of the exposition.
public struct MetricSample: Sendable, Hashable {
  /// The metric's name; of a histogram with `_bucket`, `_sum` or `_count` at its end.
  public let name: String
  /// Sorted by name; no name occurs twice. A bucket has its upper bound in `le`.
  public let labels: [MetricLabel]
  public let value: Double
  /// The kind of the metric it belongs to: a `_bucket` is of kind `histogram`.
  public let kind: MetricKind
  /// The latest case that it counts, where one was told.
  public let exemplar: Exemplar?

  public init(
    name: String, labels: [MetricLabel] = [], value: Double, kind: MetricKind,
    exemplar: Exemplar? = nil
  ) {
    self.name = name
    self.labels = labels
    self.value = value
    self.kind = kind
    self.exemplar = exemplar
  }
}

/// Takes the values that a collector computes at each scrape.
public struct SampleBuilder: Sendable {
  private(set) var samples: [MetricSample] = []

  /// Adds the present value of a gauge.
  public mutating func gauge(_ name: String, _ value: Double, labels: [(String, String)] = []) {
    add(name, value, labels, .gauge)
  }

  /// Adds the present total of a counter that is kept elsewhere, such as the kernel's CPU time.
  public mutating func counter(_ name: String, _ value: Double, labels: [(String, String)] = []) {
    add(name, value, labels, .counter)
  }

  private mutating func add(
    _ name: String, _ value: Double, _ labels: [(String, String)], _ kind: MetricKind
  ) {
    samples.append(
      MetricSample(
        name: ExpositionName.metric(name), labels: LabelSet(labels).labels, value: value,
        kind: kind))
  }
}

/// The identity of a series within its metric.
struct LabelSet: Hashable, Sendable {
  let labels: [MetricLabel]

  /// Sorts, and keeps the last of labels with one name: Prometheus refuses a whole scrape for a
  /// label given twice.
  init(_ dimensions: [(String, String)]) {
    guard !dimensions.isEmpty else {
      labels = []
      return
    }
    var valueByName: [String: String] = [:]
    for (name, value) in dimensions { valueByName[ExpositionName.label(name)] = value }
    labels = valueByName.map { MetricLabel($0.key, $0.value) }.sorted()
  }

  private init(sorted labels: [MetricLabel]) { self.labels = labels }

  /// The labels of the series that takes what exceeds the bound of series.
  var overflow: LabelSet {
    LabelSet(sorted: labels.map { MetricLabel($0.name, "other") })
  }
}

/// Names that the text format allows. One bad name would cost the whole scrape, and libraries use
/// swift-metrics with dots in theirs.
enum ExpositionName {
  static func metric(_ name: String) -> String { valid(name, colonAllowed: true) }

  /// `le` is the histogram's own label, so a given one is renamed as Prometheus does it.
  static func label(_ name: String) -> String {
    name == "le" ? "exported_le" : valid(name, colonAllowed: false)
  }

  private static func valid(_ name: String, colonAllowed: Bool) -> String {
    func isValid(_ byte: UInt8, first: Bool) -> Bool {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "_"):
        true
      case UInt8(ascii: "0")...UInt8(ascii: "9"): !first
      case UInt8(ascii: ":"): colonAllowed
      default: false
      }
    }
    var first = true
    let isClean = name.utf8.allSatisfy { byte in
      defer { first = false }
      return isValid(byte, first: first)
    }
    if isClean && !name.isEmpty { return name }
    let bytes = name.utf8.map { isValid($0, first: false) ? $0 : UInt8(ascii: "_") }
    let text = String(decoding: bytes, as: UTF8.self)
    return bytes.first.map { isValid($0, first: true) } == true ? text : "_" + text
  }
}
