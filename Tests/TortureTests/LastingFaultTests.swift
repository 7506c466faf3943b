// What goes on for a while, through the whole program, judged row by row: a stop under full load, a
// full disk, a slow broker, a spool that has to get shorter while meters publish too much.

import Foundation
import PrivateServices
import Testing

@Suite(.serialized) struct LastingFaultTests {
  /// How the database is when SIGTERM comes.
  enum Situation: CaseIterable {
    case healthy, awayWithSpool, awayWithoutSpool
  }

  /// SIGTERM under full load ends in order within 10 s; what was received is committed, in the spool,
  /// or still with the broker, and nothing of it is done twice.
  @Test(arguments: Situation.allCases)
  func stoppedUnderFullLoad(_ situation: Situation) async throws {
    let settings = EnduranceSettings(
      readingsPerSecond: 30_000, hasSpool: situation != .awayWithoutSpool,
      settings: ["spool.after": "500ms"])
    try await lasting(settings) { stage in
      try stage.wait(for: "commits") { (stage.ingestor.ledger()?.stored ?? 0) > 5_000 }
      if situation != .healthy { try stage.services.stopPostgres(.immediate) }
      switch situation {
      case .healthy: break
      case .awayWithSpool:
        try stage.wait(for: "a spool") { (stage.ingestor.metric("spool_messages") ?? 0) > 5_000 }
      case .awayWithoutSpool:
        try stage.wait(for: "a failed commit") { stage.ingestor.log.contains("commit failed") }
      }
      stage.stopIngestor()
      stage.finishPublishing()
      if situation != .healthy { try stage.services.startPostgres() }
      try stage.startIngestor()
      let ledger = try stage.settle()
      // Of what the database was about to commit when it went, nobody knows; the rest is told apart.
      if situation == .healthy { stage.expect(ledger.duplicate == 0, "\(ledger)") }
      stage.expect(ledger.received > 0, "nothing was left for the second run")
    }
  }

  /// Who comes to the rescue of a spool whose disk is full.
  enum Rescue: CaseIterable {
    case space, database
  }

  /// It reads no more and says so, the broker keeps the rest, and all goes on by itself.
  @Test(.enabled(if: geteuid() == 0, "only root may mount"), arguments: Rescue.allCases)
  func theDiskUnderTheSpoolIsFull(_ rescue: Rescue) async throws {
    // Root in a container may not be allowed to mount either.
    guard let disk = try await onThread({ SmallDisk() }) else { return }
    let settings = EnduranceSettings(
      readingsPerSecond: 6_000, spoolDirectory: disk.directory + "/spool", hasLargeMessages: true)
    try await lasting(settings) { stage in
      try stage.services.stopPostgres(.fast)
      try stage.wait(for: "a spool") { (stage.ingestor.metric("spool_messages") ?? 0) > 500 }
      disk.fill()
      try stage.wait(for: "it says so") {
        stage.ingestor.metric("spool_refusing") == 1
          && stage.ingestor.get("/readyz")?.text.contains("spool") == true
      }
      stage.expect(stage.ingestor.get("/readyz")?.status == 503, "ready with a full disk")
      stage.expect(
        stage.ingestor.log.contains("what comes stays with the broker"), "\(stage.ingestor)")
      try LastingFaultTests.expectSilence(of: stage)
      switch rescue {
      case .space:
        disk.empty()
        try stage.wait(for: "room") { stage.ingestor.metric("spool_refusing") == 0 }
        try stage.services.startPostgres()
      case .database:
        try stage.services.startPostgres()
        try stage.wait(for: "an empty spool") { stage.ingestor.metric("spool_messages") == 0 }
        disk.empty()
      }
      stage.finishPublishing()
      try stage.settle()
      stage.expect(stage.ingestor.isReady, "not ready: \(stage.ingestor)")
      stage.expect(try stage.commitTimes().outOfOrder == 0, "out of order")
    }
  }

  /// Meters go on, and once the buffers of the sockets are full nothing reaches the ingestor. They
  /// hold some 10 MB here; one that read on would get four times as much, until the broker waits for
  /// the acknowledgements of 65,535 messages.
  private static func expectSilence(of stage: EnduranceStage) throws {
    let begin = try stage.brokerLink.carried()
    var seen = (published: 0, carried: 0)
    stage.pace(readingsPerSecond: 20_000)
    try stage.wait(for: "it reads no more", atMost: 60) {
      let last = seen
      seen = (stage.published, try stage.brokerLink.carried())
      // Long enough for meters to publish something, and a reader to take it.
      Thread.sleep(forTimeInterval: 1)
      return seen.published > last.published && seen.carried == last.carried
    }
    stage.pace(readingsPerSecond: 600)
    let taken = seen.carried - begin
    stage.log.say("\(taken) bytes went on")
    stage.expect(taken < 20_000_000, "it read on: \(taken) bytes")
  }

  /// Little gets through and all of it late: no timeout, no second delivery, nothing lost.
  @Test func aSlowBroker() async throws {
    let settings = EnduranceSettings(
      readingsPerSecond: 150, settings: ["mqtt.keep-alive": "10s"])
    try await lasting(settings) { stage in
      try stage.wait(for: "commits") { (stage.ingestor.ledger()?.stored ?? 0) > 0 }
      // Half of what is published, for twice as long as the broker would wait for a dead client.
      try stage.brokerLink.behave(.slow(bytesPerSecond: 15_000, milliseconds: 300))
      Thread.sleep(forTimeInterval: 15)
      stage.finishPublishing()
      let ledger = try stage.settle()
      stage.expect(ledger.duplicate == 0, "delivered twice: \(ledger)")
      stage.expect(!stage.ingestor.log.contains("broker not usable"), "\(stage.ingestor)")
    }
  }

  /// However much arrives, the spool is drained: of what a commit took out of it, half may join it.
  @Test func theSpoolGetsShorterUnderAnOverload() async throws {
    let settings = EnduranceSettings(
      readingsPerSecond: 8_000, settings: ["ingest.batch-size": "1000", "spool.after": "3s"])
    try await lasting(settings) { stage in
      try stage.services.stopPostgres(.fast)
      try stage.wait(for: "a spool") { (stage.ingestor.metric("spool_messages") ?? 0) > 2_000 }
      try stage.databaseLink.behave(.slow(bytesPerSecond: 1_000_000))
      try stage.services.startPostgres()
      try stage.wait(for: "an empty spool", atMost: 25) {
        stage.ingestor.metric("spool_messages") == 0
      }
      stage.expect((stage.backlog() ?? 0) > 10_000, "that was no overload")
      try stage.databaseLink.behave(.pass)
      stage.finishPublishing()
      try stage.settle()
      stage.expect(try stage.commitTimes().outOfOrder == 0, "out of order")
    }
  }

  /// Lets it happen from the first reading to the verdict; `body` leaves everything settled.
  private func lasting(
    _ settings: EnduranceSettings, _ body: @escaping @Sendable (EnduranceStage) throws -> Void
  ) async throws {
    // On that thread nobody knows which test an expectation belongs to: so they are gathered.
    let problems = try await onThread {
      let stage = try EnduranceStage(settings)
      defer { stage.end() }
      try stage.begin()
      try body(stage)
      stage.stopIngestor()
      let (rows, books) = (try stage.rows(), try stage.books())
      stage.expect(rows.isClean && rows.required > 0, "\(rows)")
      stage.expect(books.isClean, "\(books)")
      stage.expect(stage.acknowledged == stage.published, "the broker did not take all")
      return stage.log.problems
    }
    #expect(problems == [])
  }
}
