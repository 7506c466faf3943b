// The status server over real connections.

import Foundation
import Metrics
import Monitoring
import ServiceLifecycle
import StatusServer
import Testing

@Suite(.timeLimit(.minutes(1))) struct StatusServerTests {
  private func count(
    _ metric: MetricDescription, _ amount: Int, in registry: MetricRegistry,
    _ labels: (String, String)...
  ) {
    Counter(label: metric.name, dimensions: labels, factory: registry).increment(by: amount)
  }

  @Test func metricsAreWhatTheRegistryPrints() async throws {
    try await withRunningServer { server in
      count(IngestMetrics.readingsReceived, 7, in: server.registry, ("kind", "storage"))
      let answer = try await server.ask("/metrics")
      #expect(answer.status == 200)
      #expect(answer.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
      let line = "meter_ingestor_readings_received_total{kind=\"storage\"} 7"
      #expect(answer.body.contains("\n\(line)\n"))
      #expect(answer.body.contains("\nprocess_cpu_seconds_total "))
      #expect(answer.body.hasSuffix("\n"))
    }
  }

  @Test func healthAndReadiness() async throws {
    try await withRunningServer(components: ["postgres", "mqtt"]) { server in
      #expect(try await server.ask("/healthz").body == "ok")
      server.readiness.ok("postgres")
      server.readiness.failing("mqtt", "no broker at 127.0.0.1:1883: connection refused")
      server.readiness.failing("schema", "table grid.x is missing: run `meter-ingestor migrate`")
      var answer = try await server.ask("/readyz")
      #expect(answer.status == 503)
      #expect(
        answer.body == """
          mqtt: no broker at 127.0.0.1:1883: connection refused
          schema: table grid.x is missing: run `meter-ingestor migrate`

          """)
      #expect(try await server.ask("/healthz").status == 200)
      server.readiness.ok("mqtt")
      server.readiness.ok("schema")
      answer = try await server.ask("/readyz")
      #expect(answer.status == 200)
      #expect(answer.body == "ready\n")
    }
  }

  @Test func statusIsTheLedger() async throws {
    try await withRunningServer(components: ["mqtt"]) { server in
      server.readiness.ok("mqtt")
      #expect(try await server.report().summary == "Ready; no reading has come yet.")
      let kind = ("kind", "production")
      count(IngestMetrics.readingsReceived, 12, in: server.registry, kind)
      count(IngestMetrics.readingsStored, 8, in: server.registry, kind)
      count(IngestMetrics.readingsDuplicate, 1, in: server.registry, kind)
      count(
        IngestMetrics.readingsRejected, 2, in: server.registry, kind, ("reason", "out_of_range"))
      server.registry.histogram(IngestMetrics.commitSeconds.name).observe(0.004, count: 3)
      let report = try await server.report()
      #expect(report.version == "1.2.3")
      #expect(report.ready)
      #expect(report.uptimeSeconds >= 0)
      #expect(report.components.map(\.name) == ["mqtt"])
      #expect(report.ledger["production"]?.stored == 8)
      #expect(report.ledger["consumption"]?.stored == 0)
      #expect(report.ledger["total"]?.imbalance == 1)
      #expect(report.rejectedByReason == ["out_of_range": 2])
      #expect(report.state == .attention)
      #expect(report.summary == "1 reading is unaccounted for.")
      #expect(report.commits.count == 3)
      let median = try #require(report.commits.p50Seconds)
      #expect((0.0025...0.005).contains(median))
      #expect(Set(report.ratesPerSecond.keys) == Set(IngestMetrics.kinds + ["total"]))
    }
  }

  @Test(arguments: ["/", "/meters/%3Cimg%20src=x%20onerror=alert(1)%3E"])
  func thePageRunsNothingFromOutside(page: String) async throws {
    try await withRunningServer(components: ["mqtt"]) { server in
      server.readiness.failing("mqtt", "<img src=x onerror=alert(1)>")
      let first = try await server.ask(page)
      let second = try await server.ask(page)
      #expect(first.status == 200)
      #expect(first.header("Content-Type") == "text/html; charset=utf-8")
      #expect(first.header("X-Content-Type-Options") == "nosniff")
      let policy = try #require(first.header("Content-Security-Policy"))
      #expect(policy.hasPrefix("default-src 'none'; "))
      #expect(!policy.contains("unsafe"))
      let nonce = try #require(policy.firstMatch(of: /script-src 'nonce-([0-9a-f]{32})'/)?.1)
      #expect(first.body.contains("<script nonce=\"\(nonce)\">"))
      #expect(first.body.contains("<style nonce=\"\(nonce)\">"))
      #expect(!second.body.contains(nonce))
      // Figures come by fetch and are set as text; nothing is loaded from elsewhere.
      #expect(!first.body.contains("onerror"))
      for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        #expect(!first.body.contains(forbidden), "\(forbidden)")
      }
      #expect(!first.body.contains("http://") && !first.body.contains("https://"))
    }
  }

  @Test func whatIsNotThereIsShortPlainText() async throws {
    try await withRunningServer { server in
      for (path, method) in [
        ("/nothing", "GET"), ("/metrics/", "POST"), ("/api/v1/status", "DELETE"),
        ("/%3Cscript%3E", "GET"), ("/../etc/passwd", "GET"),
      ] {
        let answer = try await server.ask(path, method: method)
        #expect(answer.status == 404, "\(method) \(path)")
        #expect(answer.header("Content-Type") == "text/plain; charset=utf-8")
        #expect(answer.body.hasPrefix("Not found."))
        #expect(answer.body.utf8.count < 200)
        #expect(!answer.body.contains("script"))
      }
      let head = try await server.ask("/healthz", method: "HEAD")
      #expect(head.status == 200)
      #expect(head.body.isEmpty)
    }
  }

  @Test func anAddressInUseIsNamedWithARemedy() async throws {
    try await withRunningServer { first in
      let second = StatusServer(
        port: first.address.port, registry: first.registry, readiness: first.readiness,
        version: "1", logger: silent)
      let error = await #expect(throws: StatusServerError.self) { try await second.run() }
      let text = try #require(error?.description)
      #expect(text.contains("cannot listen on 127.0.0.1:\(first.address.port): "))
      #expect(text.contains("already in use"))
      #expect(text.contains("ss -ltnp"))
      #expect(text.contains("HTTP_LISTEN"))
    }
  }

  @Test(arguments: [
    ("127.0.0.1", 70_000, "a port is 0…65535"),
    ("203.0.113.7", 0, "no such address"),
    ("no.such.host.invalid", 0, "no address here"),
  ])
  func anAddressThatCannotBe(host: String, port: Int, says: String) async {
    let server = StatusServer(
      host: host, port: port, registry: MetricRegistry(), readiness: Readiness(components: []),
      version: "1", logger: silent)
    let error = await #expect(throws: StatusServerError.self) { try await server.run() }
    #expect(error?.description.contains(says) == true, "\(String(describing: error))")
    #expect(error?.description.contains("\(host):\(port)") == true)
  }
}
