// The counters of what becomes of readings: the ledger as metrics.

import EnergyReadings
import IngestPipeline
import Metrics
import Monitoring
import PayloadDecoding
import PostgresStore

/// Made once: to find a counter by its labels would take a dictionary for each batch and kind.
struct LedgerCounters {
  private let received, stored, duplicates, zeros: [Counter]
  private let inFlight: [Meter]
  private let skipped, sampleOutcomes, registerEvents, charges: [Counter]
  private let messages, unknownFields, repaired: Counter

  init(_ registry: MetricRegistry) {
    func counter(_ metric: MetricDescription, _ labels: [(String, String)] = []) -> Counter {
      Counter(label: metric.name, dimensions: labels, factory: registry)
    }
    func byKind(_ metric: MetricDescription) -> [Counter] {
      IngestMetrics.kinds.map { counter(metric, [("kind", $0)]) }
    }
    func by(
      _ label: String, _ metric: MetricDescription, _ names: [StaticString]
    ) -> [Counter] {
      names.map { counter(metric, [(label, "\($0)")]) }
    }
    received = byKind(IngestMetrics.readingsReceived)
    stored = byKind(IngestMetrics.readingsStored)
    duplicates = byKind(IngestMetrics.readingsDuplicate)
    zeros = byKind(IngestMetrics.readingsZero)
    inFlight = IngestMetrics.kinds.map {
      Meter(
        label: IngestMetrics.readingsInFlight.name, dimensions: [("kind", $0)], factory: registry)
    }
    skipped = by("reason", IngestMetrics.valuesSkipped, SkipReason.allCases.map(\.name))
    sampleOutcomes = by(
      "outcome", IngestMetrics.registerSamples, SampleOutcome.allCases.map(\.name))
    registerEvents = by(
      "event", IngestMetrics.registerEvents, RegisterEvent.Kind.allCases.map(\.name))
    charges = by("outcome", IngestMetrics.chargeReports, ChargeOutcome.allCases.map(\.name))
    messages = counter(IngestMetrics.messagesReceived)
    unknownFields = counter(IngestMetrics.unknownFields)
    repaired = counter(IngestMetrics.batchesRepaired)
  }

  /// Counts what a batch holds as it is closed.
  func closed(_ batch: Batch) {
    for kind in received.indices {
      received[kind].increment(by: batch.received[kind])
      inFlight[kind].increment(by: Double(batch.received[kind]))
    }
  }

  /// Counts what became of it. The samples of registers count as received only now.
  func committed(_ ledger: BatchLedger) {
    for kind in received.indices {
      received[kind].increment(by: ledger.samples[kind])
      stored[kind].increment(by: ledger.stored[kind])
      duplicates[kind].increment(by: ledger.duplicates[kind])
      zeros[kind].increment(by: ledger.zeros[kind])
    }
  }

  /// What was in flight is not any more: after everything that it has become was counted.
  func landed(_ ledger: BatchLedger) {
    for kind in inFlight.indices {
      inFlight[kind].decrement(by: Double(ledger.received[kind] - ledger.samples[kind]))
    }
  }

  /// Counts what is not part of the balance.
  func besides(_ ledger: BatchLedger) {
    for index in skipped.indices { skipped[index].increment(by: ledger.skipped[index]) }
    for index in sampleOutcomes.indices {
      sampleOutcomes[index].increment(by: ledger.sampleOutcomes[index])
    }
    for index in charges.indices { charges[index].increment(by: ledger.charges[index]) }
    for index in registerEvents.indices {
      registerEvents[index].increment(by: ledger.registerEvents[index])
    }
    messages.increment(by: ledger.messages)
    unknownFields.increment(by: ledger.unknownFields)
    if ledger.wasRepaired { repaired.increment() }
  }
}
