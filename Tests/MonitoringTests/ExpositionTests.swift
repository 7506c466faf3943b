// What `/metrics` prints, to the byte.

import Metrics
import Testing

@testable import Monitoring

@Suite struct ExpositionTests {
  private let catalogue = [
    MetricDescription(name: "messages_total", kind: .counter, help: "Messages \\ by\ntopic."),
    MetricDescription(name: "temperature_celsius", kind: .gauge, help: "How warm."),
    MetricDescription(
      name: "commit_seconds", kind: .histogram, help: "How long.", unit: "seconds",
      buckets: [0.25, 1]),
  ]

  private func text(_ registry: MetricRegistry) -> String {
    let own = IngestMetrics.metricSeriesDropped
    return registry.prometheusText()
      .split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.contains(own.name) }.joined(separator: "\n")
  }

  @Test func golden() {
    let registry = MetricRegistry(catalogue: catalogue)
    for topic in ["b", "a"] {
      Counter(
        label: "messages_total", dimensions: [("topic", topic), ("qos", "1")], factory: registry
      ).increment(by: 7)
    }
    Gauge(label: "temperature_celsius", factory: registry).record(-1.5)
    let timer = Timer(label: "commit_seconds", dimensions: [("worker", "0")], factory: registry)
    timer.recordMilliseconds(250)
    timer.recordMilliseconds(500)
    timer.recordSeconds(3)
    #expect(
      text(registry) == """
        # HELP commit_seconds How long.
        # TYPE commit_seconds histogram
        commit_seconds_bucket{le="0.25",worker="0"} 1
        commit_seconds_bucket{le="1",worker="0"} 2
        commit_seconds_bucket{le="+Inf",worker="0"} 3
        commit_seconds_sum{worker="0"} 3.75
        commit_seconds_count{worker="0"} 3
        # HELP messages_total Messages \\\\ by\\ntopic.
        # TYPE messages_total counter
        messages_total{qos="1",topic="a"} 7
        messages_total{qos="1",topic="b"} 7
        # HELP temperature_celsius How warm.
        # TYPE temperature_celsius gauge
        temperature_celsius -1.5

        """)
  }

  @Test(arguments: [
    ("plain", "plain"),
    (#"a"b"#, #"a\"b"#),
    (#"a\b"#, #"a\\b"#),
    ("a\nb", #"a\nb"#),
    ("a\r\nb", "a\r\\nb"),
    ("a\"\n\\", #"a\"\n\\"#),
    ("zähler ⚡️ {x=\"1\"}", "zähler ⚡️ {x=\\\"1\\\"}"),
  ])
  func labelValuesAreEscaped(value: String, escaped: String) {
    let registry = MetricRegistry()
    Counter(label: "c_total", dimensions: [("l", value)], factory: registry).increment()
    #expect(text(registry).hasSuffix("c_total{l=\"\(escaped)\"} 1\n"))
  }

  @Test(arguments: [
    (0.0, "0"), (-0.0, "0"), (12.0, "12"), (-3.0, "-3"), (0.1, "0.1"), (1e-9, "1e-09"),
    (9_007_199_254_740_992, "9007199254740992"), (1e20, "1e+20"), (.infinity, "+Inf"),
    (-.infinity, "-Inf"), (.nan, "NaN"),
  ])
  func numbers(value: Double, text: String) {
    #expect(PrometheusText.number(value) == text)
  }

  @Test(arguments: [
    ("http.server.requests", "http_server_requests"), ("9lives", "_9lives"), ("", "_"),
    ("a:b_9", "a:b_9"), ("ü", "__"),
  ])
  func namesBecomeValid(given: String, exposed: String) {
    let registry = MetricRegistry()
    Counter(label: given, factory: registry).increment()
    #expect(text(registry).hasSuffix("\n\(exposed) 1\n"))
  }

  @Test func aLabelOccursOnce() {
    let registry = MetricRegistry()
    let dimensions = [("a", "1"), ("le", "5"), ("a", "2"), ("b.c", "3")]
    Counter(label: "c_total", dimensions: dimensions, factory: registry).increment()
    #expect(text(registry).hasSuffix("c_total{a=\"2\",b_c=\"3\",exported_le=\"5\"} 1\n"))
  }

  @Test func textAndSamplesAreTheSame() {
    let registry = MetricRegistry.ingestor(version: "1.2.3")
    registry.histogram(IngestMetrics.commitSeconds.name).observe(0.5, count: 3)
    let samples = registry.samples()
    let names = registry.prometheusText().split(separator: "\n").filter { !$0.hasPrefix("#") }
      .map { String($0.prefix { $0 != "{" && $0 != " " }) }
    #expect(samples.map(\.name) == names)
    #expect(Set(samples.map { "\($0.name)\($0.labels)" }).count == samples.count)
    #expect(samples.allSatisfy { $0.labels == $0.labels.sorted() })
  }

  @Test func everyMetricOfTheIngestorIsDescribed() {
    let registry = MetricRegistry.ingestor(version: "1.2.3")
    #expect(!registry.prometheusText().contains(MetricDescription.undescribedHelp))
    #expect(registry.prometheusText().contains("meter_ingestor_build_info{version=\"1.2.3\"} 1\n"))
    for metric in IngestMetrics.catalogue {
      #expect((metric.kind == .counter) == metric.name.hasSuffix("_total"), "\(metric.name)")
      #expect(metric.help.hasSuffix(".") || metric.help.contains(";"), "\(metric.name)")
    }
  }

  @Test func collectorsAddValuesButNeverALineTwice() {
    let registry = MetricRegistry(catalogue: catalogue, seriesLimit: 2)
    Gauge(label: "temperature_celsius", factory: registry).record(20)
    registry.addCollector { builder in
      builder.gauge("temperature_celsius", 99)
      builder.gauge("temperature_celsius", 21, labels: [("room", "1")])
      builder.gauge("temperature_celsius", 22, labels: [("room", "2")])
      builder.counter("seconds_total", 1.5)
      builder.counter("seconds_total", 2.5)
    }
    let lines = text(registry).split(separator: "\n").filter { !$0.hasPrefix("#") }
    #expect(
      lines == [
        "seconds_total 1.5", "temperature_celsius 20", "temperature_celsius{room=\"1\"} 21",
      ])
    // The second room exceeded the limit of two series, once a scrape.
    #expect(registry.values(of: IngestMetrics.metricSeriesDropped.name).map(\.value) == [1])
  }

  @Test func theProcessIsMeasured() throws {
    let samples = MetricRegistry.ingestor(version: "1").samples()
    func value(_ metric: MetricDescription) throws -> Double {
      try #require(samples.first { $0.name == metric.name }?.value, "\(metric.name)")
    }
    #expect(try value(IngestMetrics.processCPU) >= 0)
    #expect(try value(IngestMetrics.processResidentMemory) > 1_000_000)
    #expect(try value(IngestMetrics.processOpenFDs) >= 3)
    // After 2024 and before 2100: seconds, not ticks or milliseconds.
    #expect((1_704_000_000..<4_102_000_000).contains(try value(IngestMetrics.processStartTime)))
  }
}
