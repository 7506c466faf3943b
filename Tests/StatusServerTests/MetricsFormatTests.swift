// Who gets which text of the metrics.

import Monitoring
import Testing

@testable import StatusServer

@Suite(.timeLimit(.minutes(1))) struct MetricsFormatTests {
  @Test(arguments: [
    // Prometheus 2.42.
    (
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
        + "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1" as String?,
      MetricsFormat.openMetrics
    ),
    ("application/openmetrics-text", .openMetrics),
    ("Application/OpenMetrics-Text ; Version=1.0.0 ; charset=utf-8", .openMetrics),
    ("application/openmetrics-text;q=0.5, text/plain;q=0.5", .openMetrics),
    ("application/openmetrics-text;q=0.4, text/plain;q=0.5", .text),
    ("application/openmetrics-text;q=0", .text),
    ("application/openmetrics-text;version=2.0.0", .text),
    ("application/openmetrics-textual", .text), ("text/plain", .text), ("*/*", .text),
    (";;,,q=1", .text), ("", .text), (nil, .text),
  ])
  func whatIsAskedFor(accept: String?, format: MetricsFormat) {
    #expect(MetricsFormat(accept: accept) == format, "\(accept ?? "none")")
  }

  @Test func overHTTP() async throws {
    try await withRunningServer { server in
      let example = Exemplar([("dead_letter_id", "1")], value: 1, time: 1)
      server.registry.counter(
        IngestMetrics.readingsRejected.name, labels: [("kind", "storage"), ("reason", "x")]
      ).increment(exemplar: example)
      let answer = try await server.ask(
        "/metrics", headers: ["Accept": "application/openmetrics-text; version=1.0.0"])
      #expect(
        answer.header("Content-Type")
          == "application/openmetrics-text; version=1.0.0; charset=utf-8")
      #expect(
        answer.body.contains(
          #"meter_ingestor_readings_rejected_total{kind="storage",reason="x"} 1 "#
            + ##"# {dead_letter_id="1"} 1 1.000"## + "\n"))
      #expect(answer.body.hasSuffix("\n# EOF\n"))
      #expect(!(try await server.ask("/metrics").body.contains("# EOF")))
    }
  }
}
