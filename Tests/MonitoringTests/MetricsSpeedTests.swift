// What metrics cost on the way of a reading.

import Foundation
import Metrics
import Testing

@testable import Monitoring

@Suite struct MetricsSpeedTests {
  /// The goal is 100 ns a reading of metrics and grid health together. Grid health looks at the tables
  /// later, in a session of its own; of the metrics only arrivals look at each reading, the others at
  /// each batch. CPU time, since others use the machine too.
  @Test func aReadingCostsATenthOfAMicrosecond() {
    let registry = MetricRegistry.ingestor(version: "1")
    let arrivals = ArrivalHistograms(registry: registry)
    let counters = IngestMetrics.kinds.map {
      Counter(
        label: IngestMetrics.readingsStored.name, dimensions: [("kind", $0)], factory: registry)
    }
    let (batches, size) = (200, 1_000)
    let begin = clock()
    for batch in 0..<batches {
      var tally = arrivals.makeTally()
      let committed = Int64(batch) * 1_000_000
      for reading in 0..<size {
        // From some seconds late to some ahead: every bucket is looked for.
        tally.observe(readAt: committed + Int64(reading - 900) * 7_000, committedAt: committed)
      }
      arrivals.merge(tally)
      for counter in counters { counter.increment(by: size / 4) }
    }
    let nanoseconds = Double(clock() - begin) * 1_000 / Double(batches * size)
    print("metrics: \((nanoseconds * 10).rounded() / 10) ns of CPU a reading")
    #expect(nanoseconds < 100)
    let latency = registry.histogramSnapshot(of: IngestMetrics.publishToCommitSeconds.name)
    let ahead = registry.histogramSnapshot(of: IngestMetrics.clockAheadSeconds.name)
    #expect(latency?.count == batches * 901 && ahead?.count == batches * 99)
  }

  @Test func historyTellsNothingOfLatency() {
    let registry = MetricRegistry.ingestor(version: "1")
    let arrivals = ArrivalHistograms(registry: registry)
    var tally = arrivals.makeTally()
    for seconds in [0, 3_599, 3_600, 86_400, -1, -90_000] as [Int64] {
      tally.observe(readAt: -seconds * 1_000_000, committedAt: 0)
    }
    arrivals.merge(tally)
    func snapshot(_ metric: MetricDescription) -> HistogramSnapshot? {
      registry.histogramSnapshot(of: metric.name)
    }
    #expect(snapshot(IngestMetrics.publishToCommitSeconds)?.sum == 3_599)
    #expect(snapshot(IngestMetrics.publishToCommitSeconds)?.count == 2)
    #expect(snapshot(IngestMetrics.clockAheadSeconds)?.sum == 90_001)
  }
}
