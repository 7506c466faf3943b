// How long readings were on their way: the one part of the metrics that looks at each reading.

/// The histograms of readings' arrival: from publication to commit, and meters' clocks ahead.
public struct ArrivalHistograms: Sendable {
  private let publishToCommit: HistogramHandle
  private let clockAhead: HistogramHandle

  public init(registry: MetricRegistry) {
    publishToCommit = registry.histogram(IngestMetrics.publishToCommitSeconds.name)
    clockAhead = registry.histogram(IngestMetrics.clockAheadSeconds.name)
  }

  public func makeTally() -> ArrivalTally {
    ArrivalTally(latency: publishToCommit.makeTally(), ahead: clockAhead.makeTally())
  }

  /// Adds what was tallied, by a few atomic additions.
  public func merge(_ tally: ArrivalTally) {
    publishToCommit.merge(tally.latency)
    clockAhead.merge(tally.ahead)
  }
}

/// The arrivals of one batch, counted without atomics until they are merged.
public struct ArrivalTally: Sendable {
  fileprivate var latency: HistogramTally
  fileprivate var ahead: HistogramTally

  /// Counts a reading by its time and the time of its commit, both in µs since the Unix epoch.
  ///
  /// A meter publishes when its interval ends, so the reading's own time is when it was published;
  /// history that is sent more than an hour later says nothing about latency and is left out. A clock
  /// that is behind looks like a slow way; one that is ahead cannot.
  public mutating func observe(readAt: Int64, committedAt: Int64) {
    let microseconds = committedAt - readAt
    if (0..<3_600_000_000).contains(microseconds) {
      latency.observe(Double(microseconds) / 1_000_000)
    } else if microseconds < 0 {
      ahead.observe(Double(-microseconds) / 1_000_000)
    }
  }
}
