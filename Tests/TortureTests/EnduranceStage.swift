// One ingestor behind two links, its services and its meters: for runs with one fault that lasts.

import EnergyReadings
import Foundation
import PostgresStore
import PrivateServices
import TestServices

/// What an ``EnduranceStage`` is set up with.
struct EnduranceSettings: Sendable {
  var seed: UInt64 = 1
  /// Readings that the meters publish together, each second, at first.
  var readingsPerSecond: Int
  var hasSpool = true
  /// Where the spool is; nil is a directory beside the services.
  var spoolDirectory: String?
  /// Whether every third reading comes in a message of nearly 1 MiB, the largest that is decoded.
  var hasLargeMessages = false
  /// Of the ingestor.
  var settings: [String: String] = [:]
}

/// Blocks for long: for a thread of its own.
final class EnduranceStage: Sendable {
  let services: PrivateServices
  let ingestor: TorturedIngestor
  let brokerLink: FaultyLink
  let databaseLink: FaultyLink
  let publishers: [MeterPublisher]
  let log = FaultLog()
  private let database: String
  private let settings: EnduranceSettings

  /// Starts the services; nothing is published yet.
  init(_ settings: EnduranceSettings) throws {
    self.settings = settings
    services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path,
      // When each row was committed is what latencies are told from.
      postgres: .init(fsync: false, settings: ["track_commit_timestamp": "on"]))
    try TorturedIngestor.endWithUs(directory: services.directory)
    database = try TortureRun.prepareDatabase(services)
    brokerLink = try FaultyLink(to: services.mqttPort, seed: settings.seed &+ 1)
    databaseLink = try FaultyLink(to: services.postgresPort, seed: settings.seed &+ 2)
    let spool = settings.spoolDirectory ?? services.directory + "/spool"
    ingestor = TorturedIngestor(
      0, database: TortureRun.url(port: databaseLink.port),
      broker: "mqtt://127.0.0.1:\(brokerLink.port)", directory: services.directory,
      settings: (settings.hasSpool ? ["spool.directory": spool] : [:])
        .merging(settings.settings) { $1 })
    let begin = Timestamp.now.microseconds / 1_000_000 * 1_000_000
    publishers = ReadingKind.allCases.map { [broker = services.mqttURL] kind in
      MeterPublisher(
        kind: kind,
        settings: PublisherSettings(
          broker: broker, readingsPerSecond: max(1, settings.readingsPerSecond / 3),
          seed: settings.seed, begin: begin, clock: MeterClock(),
          messageSize: settings.hasLargeMessages && kind == .production ? 7_000...7_500 : nil))
    }
  }

  deinit { end() }

  /// Ends everything.
  func end() {
    ingestor.kill()
    for publisher in publishers { _ = publisher.finish(atMost: .milliseconds(0)) }
    for link in [brokerLink, databaseLink] { try? link.close() }
    try? services.stop()
  }

  /// Something that was waited for did not come.
  struct TooLate: Error, CustomStringConvertible {
    var description: String
  }

  /// Waits for something that nobody announces.
  ///
  /// - Throws: ``TooLate``.
  func wait(
    for what: String, atMost seconds: Double = 30, until condition: () throws -> Bool
  ) throws {
    let deadline = log.elapsed + seconds
    while try !condition() {
      if log.elapsed > deadline {
        throw TooLate(description: "not within \(seconds) s: \(what); \(ingestor)")
      }
      Thread.sleep(forTimeInterval: 0.05)
    }
  }

  /// Notes a problem where something is not as it must be.
  func expect(_ isAsItMustBe: Bool, _ otherwise: @autoclosure () -> String) {
    if !isAsItMustBe { log.problem(otherwise()) }
  }

  // MARK: The run

  /// Starts the ingestor and, once it is ready, the meters.
  func begin() throws {
    try startIngestor()
    for publisher in publishers { publisher.start() }
  }

  func startIngestor() throws {
    try ingestor.start()
    try wait(for: "ready") { ingestor.isReady }
  }

  func pace(readingsPerSecond: Int) {
    for publisher in publishers { publisher.pace(readingsPerSecond: max(1, readingsPerSecond / 3)) }
  }

  /// Readings that the broker has taken and the ingestor has not settled, since both began; nil while
  /// the ingestor does not answer.
  func backlog() -> Int? {
    guard let ledger = ingestor.ledger() else { return nil }
    return acknowledged - ledger.stored - ledger.zero
  }

  var published: Int { publishers.reduce(0) { $0 + $1.journal.count } }
  var acknowledged: Int { publishers.reduce(0) { $0 + $1.journal.acknowledged } }
  private var required: Int { publishers.reduce(0) { $0 + $1.journal.required } }

  /// Ends publishing once the broker has acknowledged everything.
  func finishPublishing() {
    for publisher in publishers where !publisher.finish(atMost: .seconds(120)) {
      log.problem("the broker did not acknowledge all messages of \(publisher.journal.kind)")
    }
  }

  /// Waits until all rows are there and the ingestor has been idle for two seconds, in which what
  /// comes twice could be stored twice.
  ///
  /// - Returns: the last ledger.
  /// - Throws: ``TooLate`` when nothing has moved for a minute.
  @discardableResult
  func settle() throws -> IngestorLedger {
    let connection = try PostgresConnection(url: database)
    var last: IngestorLedger?
    var movedAt = log.elapsed
    while true {
      let now = ingestor.ledger()
      if now != last || now == nil { movedAt = log.elapsed }
      last = now
      let rows = try TortureRun.rowCount(over: connection)
      if let now, now.isBalanced, log.elapsed - movedAt >= 2, rows >= required { return now }
      if now != nil, log.elapsed - movedAt >= 60 {
        throw TooLate(description: "nothing moves: \(rows) rows of \(required); \(ingestor)")
      }
      Thread.sleep(forTimeInterval: 0.1)
    }
  }

  /// SIGTERM; whether it ends in time and in order is a problem or not.
  func stopIngestor() {
    let (status, took) = ingestor.stop()
    let seconds = (took / .seconds(1)).rounded(places: 2)
    log.stopTook(seconds)
    if status != 0 || seconds > 10 {
      log.problem("after SIGTERM: \(status.map { "status \($0)" } ?? "no end") in \(seconds) s")
    }
  }

  // MARK: The verdict

  func rows() throws -> RowVerdict {
    try RowVerdict(publishers.map(\.journal), over: PostgresConnection(url: database))
  }

  func books() throws -> BooksVerdict {
    try BooksVerdict(over: PostgresConnection(url: database))
  }

  func commitTimes() throws -> CommitTimes {
    try CommitTimes(publishers.map(\.journal), over: PostgresConnection(url: database))
  }
}
