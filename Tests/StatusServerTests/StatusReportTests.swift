// What the status says about figures and their recent past.

import Metrics
import Monitoring
import Testing

@testable import StatusServer

@Suite struct StatusReportTests {
  private let registry = MetricRegistry.ingestor(version: "1")
  private let start = ContinuousClock.now

  private func count(_ metric: MetricDescription, _ amount: Int) {
    Counter(label: metric.name, dimensions: [("kind", "consumption")], factory: registry)
      .increment(by: amount)
  }

  private func moment(_ seconds: Int) -> Moment {
    Moment(
      time: start + .seconds(seconds), ledger: Ledger(registry: registry),
      commits: registry.histogramSnapshot(of: IngestMetrics.commitSeconds.name))
  }

  private func report(_ now: Moment, _ past: RecentPast) -> StatusReport {
    StatusReport(
      version: "1", uptime: .seconds(5), components: Readiness(components: []).components,
      now: now, past: past)
  }

  @Test func ratesAreOfTheLastTenSeconds() {
    count(IngestMetrics.readingsReceived, 1_000_000)
    count(IngestMetrics.readingsStored, 1_000_000)
    var past = RecentPast(first: moment(0))
    for second in 1...100 {
      count(IngestMetrics.readingsReceived, second <= 80 ? 5 : 200)
      count(IngestMetrics.readingsStored, second <= 80 ? 5 : 200)
      past.add(moment(second))
    }
    let report = report(moment(100), past)
    #expect(report.ratesWindowSeconds == 10)
    #expect(report.ratesPerSecond["consumption"]?.stored == 200)
    #expect(report.ratesPerSecond["total"]?.received == 200)
    #expect(report.ratesPerSecond["production"]?.received == 0)
    #expect(
      report.summary
        == "All well: 200 readings stored a second; nothing rejected in the last minute.")
  }

  @Test func commitsAreOfTheLastMinute() {
    let commits = registry.histogram(IngestMetrics.commitSeconds.name)
    commits.observe(5, count: 1000)
    var past = RecentPast(first: moment(0))
    for second in 1...70 { past.add(moment(second)) }
    commits.observe(0.009, count: 10)
    let report = report(moment(71), past)
    #expect(report.commits.count == 10)
    #expect(report.commits.windowSeconds == 60)
    // Half of the way through the bucket from 5 to 10 ms.
    #expect(report.commits.p50Seconds.map { abs($0 - 0.0075) < 1e-9 } == true)
  }

  @Test func metersAreThoseOfGridHealth() {
    Meter(
      label: IngestMetrics.registryDevices.name, dimensions: [("kind", "production")],
      factory: registry
    ).set(7)
    #expect(ProgramFigures(of: registry).meters == .init(expected: 7, heard: nil))
    // As the monitoring service brings them.
    let counts = MeterCounts()
    registry.addCollector { counts.collect(into: &$0) }
    counts.replace(
      with: [("A", 3), ("B", 2)].map { code, heard in
        GridMeters(
          gridCode: code, registered: 5, heard: heard, late: 1, silent: 4 - heard)
      })
    #expect(
      ProgramFigures(of: registry).meters == .init(expected: 10, heard: 5, late: 2, silent: 3))
    #expect(ProgramFigures(of: registry).residentBytes > 1_000_000)
    #expect(ProgramFigures(of: registry).cpuSeconds > 0)
  }

  @Test func aStalePastDoesNotMakeRates() {
    let past = RecentPast(first: moment(0))
    count(IngestMetrics.readingsReceived, 3600)
    count(IngestMetrics.readingsStored, 3600)
    // The process was stopped for an hour: the mean over it is what is known.
    #expect(report(moment(3600), past).ratesPerSecond["total"]?.received == 1)
    // And before a tenth of a second there is nothing to say.
    #expect(report(moment(0), past).ratesPerSecond["total"]?.received == 0)
  }

  @Test func keysAreSnakeCaseAndKindsAreKept() throws {
    let json = try report(moment(1), RecentPast(first: moment(0))).json()
    for key in ["uptime_seconds", "rejected_by_reason", "rates_per_second", "in_flight"] {
      #expect(json.contains("\"\(key)\":"))
    }
    #expect(json.contains("\"consumption\":{\"duplicate\":0,"))
  }
}

@Suite struct StatusSentenceTests {
  private func line(received: Int = 0, stored: Int = 0, rejected: Int = 0) -> Ledger.Line {
    var line = Ledger.Line(kind: "total")
    line.received = received
    line.stored = stored
    line.rejected = rejected
    return line
  }

  private func judge(
    now: Ledger.Line, minuteAgo: Ledger.Line, failing: Bool = false, pace: Double = 1234,
    commit: Double? = 0.009
  ) -> String {
    let readiness = Readiness(components: ["postgres"])
    if !failing { readiness.ok("postgres") }
    let (state, summary) = StatusSentence(
      components: readiness.components, now: now, minuteAgo: minuteAgo, storedPerSecond: pace,
      medianCommit: commit
    ).judge()
    return "\(state.rawValue): \(summary)"
  }

  @Test func theStateInWords() {
    let some = line(received: 10, stored: 10)
    #expect(
      judge(now: some, minuteAgo: line(), failing: true)
        == "not_ready: Not ready. postgres: not checked yet.")
    #expect(
      judge(now: line(received: 10, stored: 8), minuteAgo: line())
        == "attention: 2 readings are unaccounted for.")
    #expect(
      judge(now: line(received: 9, stored: 10), minuteAgo: line())
        == "attention: 1 reading is counted more than once.")
    #expect(
      judge(now: line(received: 2_000, stored: 1_997, rejected: 3), minuteAgo: line())
        == "attention: 3 of 2,000 readings rejected in the last minute; "
        + "1,234 readings stored a second; commits take 9 ms.")
    #expect(judge(now: line(), minuteAgo: line()) == "well: Ready; no reading has come yet.")
    #expect(
      judge(now: some, minuteAgo: some)
        == "well: Ready; no reading in the last minute, 10 readings stored since the start.")
    #expect(
      judge(now: some, minuteAgo: line(), pace: 2.5, commit: nil)
        == "well: All well: 2.5 readings stored a second; nothing rejected in the last minute.")
  }

  @Test func metersAreCountedWhereSomebodyCounts() {
    func summary(_ meters: StatusReport.Meters) -> String {
      StatusSentence(
        components: [], now: line(received: 10, stored: 10), minuteAgo: line(),
        storedPerSecond: 20, medianCommit: nil, meters: meters
      ).judge().1
    }
    #expect(
      summary(.init(expected: 2_000, heard: 1_999))
        == "All well: 1,999 of 2,000 meters heard; 20 readings stored a second; "
        + "nothing rejected in the last minute.")
    #expect(
      summary(.init(expected: 2_000, heard: 1_994, late: 5, silent: 1)).hasPrefix(
        "All well: 1,994 of 2,000 meters heard, 5 late, 1 silent; "))
    #expect(summary(.init(expected: 9, heard: 9, late: 0, silent: 0)).contains("heard; "))
    #expect(summary(.init(expected: 200, heard: 0, silent: 200)).hasPrefix("All well: 20 read"))
    #expect(summary(.init(expected: 2_000, heard: nil)).hasPrefix("All well: 20 readings"))
    #expect(summary(.init(expected: 0, heard: 0)).hasPrefix("All well: 20 readings"))
  }

  @Test(arguments: [
    (0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (-12_345, "-12,345"),
  ])
  func thousands(number: Int, text: String) {
    #expect(number.grouped == text)
  }

  @Test(arguments: [
    (0.0004, "less than 1 ms"), (0.0094, "9 ms"), (0.25, "250 ms"), (2.34, "2.3 s"),
  ])
  func durations(seconds: Double, text: String) {
    #expect(StatusSentence.duration(seconds) == text)
  }
}
