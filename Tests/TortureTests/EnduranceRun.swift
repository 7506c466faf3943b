// Overload and outage, from empty tables to the verdict. Blocks for minutes: for a thread of its own.

import EnergyReadings
import Foundation
import PrivateServices

/// What lasts.
enum EnduranceScenario: String, Codable, Sendable, CaseIterable {
  /// Meters publish half as much again as the database takes.
  case overload
  /// The database is away.
  case outage
}

/// The size of a run.
struct EnduranceSize: Sendable {
  var scenario: EnduranceScenario
  /// Seconds that the fault lasts.
  var seconds: Int
  /// Readings a second: during an overload, and all the time around an outage.
  var readingsPerSecond: Int
  var hasSpool = true
  var hasLargeMessages = false

  /// Readings a second while all is well.
  var calmRate: Int {
    scenario == .overload ? max(30, readingsPerSecond / 10) : readingsPerSecond
  }
  /// Seconds of calm before the fault, and after the recovery.
  var calmSeconds: Int { max(3, min(20, seconds / 4)) }

  /// What counts as prompt, ms from publish to commit: a large message alone takes two seconds on the
  /// way to a slow database.
  var promptMilliseconds: Int64 { hasLargeMessages ? 6_000 : 1_000 }

  /// What the database's link carries during an overload, bytes a second: about two thirds of what
  /// is published, whose rows have some 250 bytes each in COPY.
  var bytesPerSecond: Int { readingsPerSecond * 250 * 2 / 3 }
}

/// One run of one scenario.
final class EnduranceRun {
  private let size: EnduranceSize
  private let stage: EnduranceStage
  private var peakSpool = (messages: 0, bytes: 0)
  private var wasNotReady = false

  init(_ size: EnduranceSize) throws {
    self.size = size
    stage = try EnduranceStage(
      EnduranceSettings(
        readingsPerSecond: size.calmRate, hasSpool: size.hasSpool,
        hasLargeMessages: size.hasLargeMessages))
  }

  func end() { stage.end() }

  /// Lets it all happen.
  ///
  /// - Throws: what keeps the harness itself from working; what the ingestor does wrong is in the
  ///   report.
  func run() throws -> EnduranceReport {
    if size.scenario == .overload {
      try stage.databaseLink.behave(.slow(bytesPerSecond: size.bytesPerSecond))
    }
    try stage.begin()
    let beganAt = now
    watch(for: size.calmSeconds)
    stage.log.say("\(size.scenario) for \(size.seconds) s")
    let faultAt = now
    try beginFault()
    watch(for: size.seconds)
    try endFault()
    let calmAt = now
    stage.log.say("over; waiting until all that waits is in")
    let caughtUp = awaitRecovery()
    // What is published from now on may just not be prompt yet.
    watch(for: size.calmSeconds + Int(size.promptMilliseconds) / 1_000)
    stage.finishPublishing()
    let endedAt = now
    let ledger = try stage.settle()
    let peak = stage.ingestor.peakMemoryKiB ?? .max
    stage.stopIngestor()
    if !caughtUp { stage.log.problem("what waits did not get less; \(stage.ingestor)") }
    return try report([beganAt, faultAt, calmAt, endedAt], ledger, peak)
  }

  /// ms since 1970.
  private var now: Int64 { Timestamp.now.microseconds / 1_000 }

  private func beginFault() throws {
    switch size.scenario {
    case .overload: stage.pace(readingsPerSecond: size.readingsPerSecond)
    case .outage: try stage.services.stopPostgres(.fast)
    }
  }

  private func endFault() throws {
    switch size.scenario {
    case .overload: stage.pace(readingsPerSecond: size.calmRate)
    case .outage:
      wasNotReady = !stage.ingestor.isReady
      try stage.services.startPostgres()
    }
  }

  /// Lets time pass, and looks at the spool meanwhile.
  private func watch(for seconds: Int) {
    let end = stage.log.elapsed + Double(seconds)
    while stage.log.elapsed < end {
      look()
      Thread.sleep(forTimeInterval: max(0, min(0.5, end - stage.log.elapsed)))
    }
  }

  private func look() {
    peakSpool.messages = max(
      peakSpool.messages, Int(stage.ingestor.metric("spool_messages") ?? 0))
    peakSpool.bytes = max(peakSpool.bytes, Int(stage.ingestor.metric("spool_bytes") ?? 0))
  }

  /// Waits until no more is under way than two seconds' worth and one large message; meters go on publishing.
  ///
  /// - Returns: false when it has not got less for a minute.
  private func awaitRecovery() -> Bool {
    let enough = size.calmRate * 2 + (size.hasLargeMessages ? 7_500 : 0)
    var least = Int.max
    var leastAt = stage.log.elapsed
    while true {
      if let backlog = stage.backlog() {
        if backlog <= enough { return true }
        if backlog < least { (least, leastAt) = (backlog, stage.log.elapsed) }
      }
      if stage.log.elapsed - leastAt > 60 { return false }
      look()
      Thread.sleep(forTimeInterval: 0.2)
    }
  }

  /// - Parameter times: of the beginning, the fault, its end, and the end; ms since 1970.
  private func report(
    _ times: [Int64], _ ledger: IngestorLedger, _ peakMemoryKiB: Int
  ) throws -> EnduranceReport {
    let commits = try stage.commitTimes()
    let recoveredAt = commits.recovered(after: times[2], limit: size.promptMilliseconds)
    return EnduranceReport(
      scenario: size.scenario, seconds: size.seconds, readingsPerSecond: size.readingsPerSecond,
      hasSpool: size.hasSpool, hasLargeMessages: size.hasLargeMessages,
      published: stage.published, acknowledged: stage.acknowledged, rows: try stage.rows(),
      books: try stage.books(), outOfOrder: commits.outOfOrder, ledger: ledger,
      latencies: [
        // What was published in its last second may have met the fault.
        commits.latencies(of: "before", from: times[0], to: times[1] - 1_000),
        commits.latencies(of: "during", from: times[1], to: times[2]),
        commits.latencies(of: "recovering", from: times[2], to: recoveredAt),
        commits.latencies(of: "after", from: recoveredAt, to: max(recoveredAt, times[3])),
      ],
      storedDuring: commits.rate(from: times[1], to: times[2]),
      waitingAtItsEnd: commits.waiting(at: times[2]),
      storedWhileRecovering: commits.rate(from: times[2], to: recoveredAt),
      recoveredAfter: (Double(recoveredAt - times[2]) / 1_000).rounded(places: 1),
      wasNotReady: wasNotReady, peakMemoryKiB: peakMemoryKiB, peakSpoolMessages: peakSpool.messages,
      peakSpoolBytes: peakSpool.bytes, stop: stage.log.slowestStop, problems: stage.log.problems)
  }
}
