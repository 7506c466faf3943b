// The OpenMetrics text, to the byte, and its exemplars.

import Metrics
import Testing

@testable import Monitoring

@Suite struct OpenMetricsTests {
  private let registry = MetricRegistry(catalogue: [
    MetricDescription(
      name: "messages_total", kind: .counter, help: "Messages \\ by \"topic\".", unit: "messages"),
    MetricDescription(
      name: "temperature_celsius", kind: .gauge, help: "How warm.", unit: "celsius"),
    MetricDescription(
      name: "commit_seconds", kind: .histogram, help: "How long.", unit: "seconds",
      buckets: [0.25, 1]),
  ])

  private var text: String {
    registry.openMetricsText().split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.contains("metric_series_dropped") }.joined(separator: "\n")
  }

  @Test func golden() throws {
    registry.counter("messages_total", labels: [("topic", "a\"b")]).increment(
      by: 7, exemplar: Exemplar([("id", "x\\y"), ("a", "1")], value: 7, time: 1_781_000_000.25))
    Gauge(label: "temperature_celsius", factory: registry).record(-1.5)
    let histogram = registry.histogram("commit_seconds")
    for (seconds, worker) in [(0.25, "0"), (0.5, "1"), (3, "2"), (4, "3")] {
      histogram.observe(seconds)
      let example = try #require(Exemplar([("worker", worker)], value: seconds, time: 1e9))
      histogram.exemplify(example)
    }
    // A library's, whose name says nothing of its kind.
    Counter(label: "requests", factory: registry).increment()
    #expect(
      text == #"""
        # TYPE commit_seconds histogram
        # UNIT commit_seconds seconds
        # HELP commit_seconds How long.
        commit_seconds_bucket{le="0.25"} 1 # {worker="0"} 0.25 1000000000.000
        commit_seconds_bucket{le="1.0"} 2 # {worker="1"} 0.5 1000000000.000
        commit_seconds_bucket{le="+Inf"} 4 # {worker="3"} 4 1000000000.000
        commit_seconds_sum 7.75
        commit_seconds_count 4
        # TYPE messages counter
        # HELP messages Messages \\ by \"topic\".
        messages_total{topic="a\"b"} 7 # {a="1",id="x\\y"} 7 1781000000.250
        # TYPE requests counter
        # HELP requests No description in the catalogue of this program.
        requests_total 1
        # TYPE temperature_celsius gauge
        # UNIT temperature_celsius celsius
        # HELP temperature_celsius How warm.
        temperature_celsius -1.5
        # EOF

        """#)
    // The older text knows no exemplars.
    #expect(!registry.prometheusText().contains(" # "))
  }

  @Test func anExemplarIsShortOrNone() {
    let id = String(repeating: "é", count: 126)
    #expect(Exemplar([("id", id)], value: 1, time: 1) != nil)
    #expect(Exemplar([("id", id + "x")], value: 1, time: 1) == nil)
    #expect(Exemplar([], value: .nan, time: 1) == nil)
    #expect(Exemplar([], value: 1, time: .infinity) == nil)
  }

  @Test func theLatestExemplarStays() {
    let counter = registry.counter("messages_total")
    for number in 1...3 {
      counter.increment(exemplar: Exemplar([("id", "\(number)")], value: 1, time: 1))
    }
    counter.increment()
    #expect(text.contains("messages_total 4 # {id=\"3\"} 1 1.000\n"))
  }

  /// Every metric of the catalogue, in both texts: the same series with the same values.
  @Test func bothTextsSayTheSame() {
    let registry = MetricRegistry.ingestor(version: "1")
    registry.histogram(IngestMetrics.commitSeconds.name).observe(0.5, count: 3)
    func series(_ text: String) -> [Substring: Substring] {
      let lines = text.split(separator: "\n").filter {
        // What passes between two scrapes.
        !$0.hasPrefix("#") && !$0.hasPrefix("process_")
      }
      return Dictionary(
        lines.map { line in
          let end = line.lastIndex(of: " ") ?? line.endIndex
          return (line[..<end], line[line.index(after: end)...])
        }, uniquingKeysWith: { first, _ in first })
    }
    let older = series(registry.prometheusText())
    let newer = series(
      registry.openMetricsText().replacing(/le="(-?\d+)\.0"/, with: { "le=\"\($0.output.1)\"" }))
    #expect(older == newer)
    #expect(older.count > 90)
  }
}
