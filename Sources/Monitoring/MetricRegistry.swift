// The swift-metrics backend of this program: keeps every series, bounds their number, and gives
// them out as samples and as Prometheus text.

import Logging
import Metrics
import Synchronization

/// All metrics of the process.
///
/// Hand it to `MetricsSystem.bootstrap`; from then on `Counter`, `Gauge`, `Meter`, `Recorder` and
/// `Timer` reach it. Updating a series takes no lock. Making a `Counter` does (it looks its series
/// up), so code on the path of a reading makes its counters once and keeps them.
///
/// | swift-metrics | here |
/// | --- | --- |
/// | `Counter`, `FloatingPointCounter` | counter |
/// | `Gauge`, `Recorder(aggregate: false)`, `Meter` | gauge |
/// | `Recorder(aggregate: true)` | histogram |
/// | `Timer` | histogram, in seconds |
///
/// Names are used as given; a character that Prometheus does not allow becomes `_`.
public final class MetricRegistry: Sendable {
  /// Values computed at each scrape.
  public typealias Collector = @Sendable (inout SampleBuilder) -> Void

  private struct Family {
    let description: MetricDescription
    var series: [LabelSet: MetricSeries] = [:]
    /// The labels of the series that takes what exceeds the limit, once something did.
    var overflow: LabelSet?
    /// Whether its use as another kind was reported.
    var isMisused = false
  }

  private struct State {
    var families: [String: Family] = [:]
    var collectors: [Collector] = []
  }

  private let catalogue: [String: MetricDescription]
  private let seriesLimit: Int
  private let logger: Logger
  private let state = Mutex(State())
  private let seriesDropped: CounterSeries

  /// - Parameters:
  ///   - catalogue: what is known of the metrics; others work too, with a standard help text and
  ///     ``MetricDescription/defaultBuckets``.
  ///   - seriesLimit: the most series (sets of labels) of one metric, 1 or more, default 300.
  ///     What exceeds it goes to one more series whose label values are all `other`.
  ///   - logger: told once per metric when it exceeds the limit or is used as two kinds.
  /// - Precondition: no name occurs twice in the catalogue.
  public init(
    catalogue: [MetricDescription] = [], seriesLimit: Int = 300,
    logger: Logger = Logger(label: "metrics")
  ) {
    precondition(seriesLimit >= 1, "a metric needs at least one series")
    self.catalogue = Dictionary(uniqueKeysWithValues: catalogue.map { ($0.name, $0) })
    self.seriesLimit = seriesLimit
    self.logger = logger
    let dropped = IngestMetrics.metricSeriesDropped
    seriesDropped = CounterSeries()
    state.withLock {
      $0.families[dropped.name] = Family(
        description: dropped, series: [LabelSet([]): .counter(seriesDropped)])
    }
  }

  /// Adds a collector, run at every scrape on the thread that scrapes. It may read this registry.
  public func addCollector(_ collector: @escaping Collector) {
    state.withLock { $0.collectors.append(collector) }
  }

  /// The histogram with that name and labels, made when it does not exist.
  public func histogram(_ name: String, labels: [(String, String)] = []) -> HistogramHandle {
    HistogramHandle(series: histogramSeries(name, labels))
  }

  /// The counter with that name and labels, made when it does not exist.
  public func counter(_ name: String, labels: [(String, String)] = []) -> CounterHandle {
    CounterHandle(series: counterSeries(name, labels))
  }

  /// The present values of a counter or gauge by labels; empty when there is no such series.
  public func values(of name: String) -> [(labels: [MetricLabel], value: Double)] {
    seriesByLabels(of: name).compactMap { labels, series in
      switch series {
      case .counter(let counter): (labels.labels, counter.value)
      case .gauge(let gauge): (labels.labels, gauge.value)
      case .histogram: nil
      }
    }
  }

  /// What collectors compute now; the values of series are not among them.
  public func collectedSamples() -> [MetricSample] {
    var builder = SampleBuilder()
    for collector in state.withLock({ $0.collectors }) { collector(&builder) }
    return builder.samples
  }

  /// A histogram summed over its labels, or nil when there is none of that name.
  public func histogramSnapshot(of name: String) -> HistogramSnapshot? {
    var total: HistogramSnapshot?
    for case .histogram(let histogram) in seriesByLabels(of: name).values {
      if total == nil { total = histogram.snapshot } else { total?.add(histogram.snapshot) }
    }
    return total
  }

  private func seriesByLabels(of name: String) -> [LabelSet: MetricSeries] {
    state.withLock { $0.families[ExpositionName.metric(name)]?.series ?? [:] }
  }
}

// MARK: - Making series

extension MetricRegistry {
  private enum Remark {
    case overflows
    case misused(as: MetricKind)
  }

  private func series(_ name: String, _ kind: MetricKind, _ dimensions: [(String, String)])
    -> MetricSeries
  {
    let name = ExpositionName.metric(name)
    let labels = LabelSet(dimensions)
    let (series, remark) = state.withLock { state in
      var family =
        state.families[name]
        ?? Family(description: catalogue[name] ?? .undescribed(name: name, kind: kind))
      let found = find(labels, kind, in: &family)
      state.families[name] = family
      return found
    }
    // After the lock is free: a log handler may count its lines.
    switch remark {
    case .overflows:
      logger.warning(
        """
        Metric \(name) has more than \(seriesLimit) sets of labels: further ones are counted \
        together with label values "other". Use labels with few values.
        """)
    case .misused(let declared):
      logger.error(
        """
        Metric \(name) is a \(declared.rawValue) but is also used as a \(kind.rawValue): those \
        values are not exported. Use it as one kind.
        """)
    case nil: break
    }
    return series
  }

  private func find(_ labels: LabelSet, _ kind: MetricKind, in family: inout Family)
    -> (MetricSeries, Remark?)
  {
    guard family.description.kind == kind else {
      // A series of its own that nobody sees: the caller works on, and the exposition stays valid.
      let isNews = !family.isMisused
      family.isMisused = true
      return (
        MetricSeries(kind, buckets: MetricDescription.defaultBuckets),
        isNews ? .misused(as: family.description.kind) : nil
      )
    }
    if let series = family.series[labels] { return (series, nil) }
    let made = MetricSeries(kind, buckets: family.description.buckets)
    guard family.series.count >= seriesLimit else {
      family.series[labels] = made
      return (made, nil)
    }
    seriesDropped.increment(by: Int64(1))
    // One set of labels for everything beyond the limit, also when label names differ.
    let overflow = family.overflow ?? labels.overflow
    let isNews = family.overflow == nil
    family.overflow = overflow
    let series = family.series[overflow] ?? made
    family.series[overflow] = series
    return (series, isNews ? .overflows : nil)
  }

  private func counterSeries(_ name: String, _ labels: [(String, String)]) -> CounterSeries {
    guard case .counter(let series) = series(name, .counter, labels) else { return CounterSeries() }
    return series
  }

  private func gaugeSeries(_ name: String, _ labels: [(String, String)]) -> GaugeSeries {
    guard case .gauge(let series) = series(name, .gauge, labels) else { return GaugeSeries() }
    return series
  }

  private func histogramSeries(_ name: String, _ labels: [(String, String)]) -> HistogramSeries {
    guard case .histogram(let series) = series(name, .histogram, labels) else {
      return HistogramSeries(bounds: MetricDescription.defaultBuckets)
    }
    return series
  }
}

// MARK: - swift-metrics

extension MetricRegistry: MetricsFactory {
  public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    counterSeries(label, dimensions)
  }

  public func makeFloatingPointCounter(label: String, dimensions: [(String, String)])
    -> any FloatingPointCounterHandler
  {
    counterSeries(label, dimensions)
  }

  public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
    gaugeSeries(label, dimensions)
  }

  public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool)
    -> any RecorderHandler
  {
    aggregate ? histogramSeries(label, dimensions) : gaugeSeries(label, dimensions)
  }

  public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    histogramSeries(label, dimensions)
  }

  // Totals stay when their maker goes: others may hold the same series, and a total that vanishes
  // breaks the balance and every rate. A gauge says what is now, so it goes.
  public func destroyCounter(_ handler: any CounterHandler) {}
  public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
  public func destroyTimer(_ handler: any TimerHandler) {}
  public func destroyMeter(_ handler: any MeterHandler) { removeGauge(handler) }
  public func destroyRecorder(_ handler: any RecorderHandler) { removeGauge(handler) }

  private func removeGauge(_ handler: AnyObject) {
    guard let gone = handler as? GaugeSeries else { return }
    state.withLock { state in
      for (name, family) in state.families where family.description.kind == .gauge {
        for case (let labels, .gauge(let gauge)) in family.series where gauge === gone {
          state.families[name]?.series[labels] = nil
        }
      }
    }
  }
}

// MARK: - Reading everything

extension MetricRegistry {
  /// Every value now, computed ones included: sorted by metric and labels, buckets rising.
  public func samples() -> [MetricSample] { scrape().flatMap(\.samples) }

  /// The same samples in Prometheus' text format 0.0.4.
  public func prometheusText() -> String { PrometheusText.render(scrape()) }

  /// The same samples, with their exemplars, in the text of OpenMetrics 1.0.0.
  public func openMetricsText() -> String { OpenMetricsText.render(scrape()) }

  /// The samples of one metric with what the exposition says about it.
  struct Exposed {
    let description: MetricDescription
    var samples: [MetricSample]
  }

  private func scrape() -> [Exposed] {
    let families = state.withLock { $0.families }
    var exposed: [String: Exposed] = [:]
    for (name, family) in families where !family.series.isEmpty {
      let sorted = family.series.sorted { $0.key.labels.lexicographicallyPrecedes($1.key.labels) }
      exposed[name] = Exposed(
        description: family.description,
        samples: sorted.flatMap { $1.samples(name: name, labels: $0.labels) })
    }
    for (name, samples) in Dictionary(grouping: collectedSamples(), by: \.name) {
      add(collected: samples, name: name, to: &exposed)
    }
    return exposed.values.sorted { $0.description.name < $1.description.name }
  }

  /// Collected values cannot be added up into an overflow series, so what exceeds the limit is
  /// left out. So is what would be shown twice: Prometheus refuses a scrape with duplicates.
  private func add(
    collected: [MetricSample], name: String, to exposed: inout [String: Exposed]
  ) {
    var family =
      exposed[name]
      ?? Exposed(
        description: catalogue[name] ?? .undescribed(name: name, kind: collected[0].kind),
        samples: [])
    var seen = Set(family.samples.map(\.labels))
    for sample in collected where sample.kind == family.description.kind {
      guard seen.count < seriesLimit || seen.contains(sample.labels) else {
        seriesDropped.increment(by: Int64(1))
        continue
      }
      if seen.insert(sample.labels).inserted { family.samples.append(sample) }
    }
    family.samples.sort { $0.labels.lexicographicallyPrecedes($1.labels) }
    if !family.samples.isEmpty { exposed[name] = family }
  }
}

extension MetricSeries {
  fileprivate func samples(name: String, labels: [MetricLabel]) -> [MetricSample] {
    switch self {
    case .counter(let counter):
      return [
        MetricSample(
          name: name, labels: labels, value: counter.value, kind: .counter,
          exemplar: counter.exemplar)
      ]
    case .gauge(let gauge):
      return [MetricSample(name: name, labels: labels, value: gauge.value, kind: .gauge)]
    case .histogram(let histogram):
      return histogram.snapshot.samples(
        name: name, labels: labels, exemplars: histogram.exemplars)
    }
  }
}

extension HistogramSnapshot {
  fileprivate func samples(
    name: String, labels: [MetricLabel], exemplars: [Int: Exemplar]
  ) -> [MetricSample] {
    func sample(
      _ suffix: String, _ labels: [MetricLabel], _ value: Double, _ exemplar: Exemplar? = nil
    ) -> MetricSample {
      MetricSample(
        name: name + suffix, labels: labels, value: value, kind: .histogram, exemplar: exemplar)
    }
    var cumulative = 0
    let buckets = (bounds + [.infinity]).enumerated().map { index, bound in
      cumulative += counts[index]
      let le = MetricLabel("le", PrometheusText.number(bound))
      return sample(
        "_bucket", (labels + [le]).sorted(), Double(cumulative), exemplars[index])
    }
    return buckets + [
      sample("_sum", labels, sum), sample("_count", labels, Double(cumulative)),
    ]
  }
}
