// The account of readings balances, and shows when it does not.

import Metrics
import Testing

@testable import Monitoring

@Suite struct LedgerTests {
  private let registry = MetricRegistry.ingestor(version: "1")

  private func count(_ metric: MetricDescription, _ amount: Int, _ labels: [(String, String)]) {
    Counter(label: metric.name, dimensions: labels, factory: registry).increment(by: amount)
  }

  private func imbalance(_ kind: String) -> Double? {
    registry.samples().first {
      $0.name == IngestMetrics.ledgerImbalance.name && $0.labels == [MetricLabel("kind", kind)]
    }?.value
  }

  @Test func balancedAndNot() {
    let kind = [("kind", "production")]
    #expect(imbalance("production") == 0)
    count(IngestMetrics.readingsReceived, 100, kind)
    #expect(imbalance("production") == 100)
    let inFlight = Meter(
      label: IngestMetrics.readingsInFlight.name, dimensions: kind, factory: registry)
    inFlight.set(100)
    #expect(imbalance("production") == 0)

    count(IngestMetrics.readingsStored, 90, kind)
    count(IngestMetrics.readingsDuplicate, 3, kind)
    count(IngestMetrics.readingsZero, 2, kind)
    for reason in ["out_of_range", "missing_field"] {
      count(IngestMetrics.readingsRejected, 1, kind + [("reason", reason)])
    }
    inFlight.set(0)
    #expect(imbalance("production") == 3)
    #expect(imbalance("consumption") == 0)

    let ledger = Ledger(registry: registry)
    #expect(!ledger.isBalanced)
    #expect(ledger.lines.map(\.kind) == IngestMetrics.kinds)
    #expect(ledger.lines[0].rejected == 2)
    #expect(ledger.rejectedByReason == ["out_of_range": 1, "missing_field": 1])

    count(IngestMetrics.readingsStored, 3, kind)
    #expect(imbalance("production") == 0)
    #expect(Ledger(balancedIn: registry).isBalanced)
  }

  @Test func theTotalHoldsEveryKind() {
    count(IngestMetrics.readingsReceived, 5, [("kind", "consumption")])
    count(IngestMetrics.readingsStored, 5, [("kind", "consumption")])
    count(IngestMetrics.readingsReceived, 2, [("kind", "a kind nobody knows")])
    let ledger = Ledger(registry: registry)
    #expect(ledger.total.kind == "total")
    #expect(ledger.total.received == 7)
    #expect(ledger.total.stored == 5)
    #expect(ledger.total.imbalance == 2)
    #expect(ledger.lines.last?.received == 2)
  }
}

@Suite struct ReadinessTests {
  @Test func allMustBeWell() {
    let readiness = Readiness(components: ["postgres", "mqtt"])
    #expect(!readiness.isReady)
    #expect(readiness.components.map(\.failure) == ["not checked yet", "not checked yet"])
    readiness.ok("postgres")
    #expect(!readiness.isReady)
    readiness.ok("mqtt")
    #expect(readiness.isReady)
    readiness.failing("schema", "table grid.x is missing;\nrun migrate")
    #expect(!readiness.isReady)
    #expect(readiness.components.map(\.name) == ["postgres", "mqtt", "schema"])
    #expect(readiness.components[2].failure == "table grid.x is missing; run migrate")
    readiness.ok("schema")
    #expect(readiness.isReady)
  }
}
