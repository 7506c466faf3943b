// One run from empty tables to the verdict. Blocks for minutes: for a thread of its own.

import EnergyReadings
import Foundation
import MQTTSession
import PostgresStore
import PrivateServices
import SeededRandom
import TestServices

/// Services, ingestors, meters and faults of one run.
final class TortureRun: Sendable {
  private let settings: TortureSettings
  private let schedule: FaultSchedule
  private let services: PrivateServices
  private let database: String
  private let actions: FaultActions
  private let publishers: [MeterPublisher]
  private let log = FaultLog()

  private static let databaseName = "torture"
  private static let role = "torture"

  /// Starts the services and prepares everything; nothing is published yet.
  init(_ settings: TortureSettings) throws {
    self.settings = settings
    services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path,
      broker: .init(autosaveSeconds: 5, settings: settings.keepsData ? ["log_type all"] : []),
      keepData: settings.keepsData)
    try TorturedIngestor.endWithUs(directory: services.directory)
    database = try TortureRun.prepareDatabase(services)
    let hasSpool = try TorturedIngestor.has(
      setting: "spool.directory", scratch: services.directory)
    let disk = hasSpool ? SmallDisk() : nil
    schedule = FaultSchedule(
      seed: settings.seed, seconds: settings.seconds, count: settings.faultCount,
      hasDisk: disk != nil)
    let clock = MeterClock()
    actions = try TortureRun.actions(
      services, settings.seed, clock, disk, log, hasSpool: hasSpool)
    let publisher = PublisherSettings(
      broker: services.mqttURL, readingsPerSecond: max(1, settings.readingsPerSecond / 3),
      seed: settings.seed, begin: Timestamp.now.microseconds / 1_000_000 * 1_000_000, clock: clock)
    publishers = ReadingKind.allCases.map { MeterPublisher(kind: $0, settings: publisher) }
  }

  static func prepareDatabase(_ services: PrivateServices) throws -> String {
    let url = try services.createDatabase(databaseName)
    let connection = try PostgresConnection(url: url)
    try Migrator(connection).migrate()
    try connection.execute("CREATE ROLE \(role) LOGIN IN ROLE meter_ingestor")
    try RegistryWriter(connection).upsert(MeterFleet.registry)
    return url
  }

  /// The database through a link, as the role that ingestors have.
  static func url(port: Int) -> String {
    "postgresql://\(role)@127.0.0.1:\(port)/\(databaseName)"
  }

  /// Two ingestors, each behind two links of its own.
  private static func actions(
    _ services: PrivateServices, _ seed: UInt64, _ clock: MeterClock, _ disk: SmallDisk?,
    _ log: FaultLog, hasSpool: Bool
  ) throws -> FaultActions {
    var random = SeededGenerator(seed: seed &+ 1)
    let brokerLinks = try (0..<2).map { _ in
      try FaultyLink(to: services.mqttPort, seed: random.next())
    }
    let databaseLinks = try (0..<2).map { _ in
      try FaultyLink(to: services.postgresPort, seed: random.next())
    }
    let ingestors = (0..<2).map { index in
      let spool = (disk?.directory ?? services.directory) + "/spool-\(index)"
      return TorturedIngestor(
        index, database: url(port: databaseLinks[index].port),
        broker: "mqtt://127.0.0.1:\(brokerLinks[index].port)", directory: services.directory,
        settings: hasSpool ? ["spool.directory": spool] : [:])
    }
    return FaultActions(
      services: services, ingestors: ingestors, brokerLinks: brokerLinks,
      databaseLinks: databaseLinks, clock: clock, disk: disk, log: log)
  }

  deinit { end() }

  /// Ends everything.
  func end() {
    for ingestor in actions.ingestors { ingestor.kill() }
    for publisher in publishers { _ = publisher.finish(atMost: .milliseconds(0)) }
    for link in actions.brokerLinks + actions.databaseLinks { try? link.close() }
    try? services.stop()
  }

  // MARK: The run

  /// Lets it all happen.
  ///
  /// - Throws: what keeps the harness itself from working; what the ingestors do wrong is in the
  ///   report.
  func run() throws -> TortureReport {
    log.say(
      "seed \(settings.seed): \(schedule.faults.count) faults in \(settings.seconds) s, "
        + "\(settings.readingsPerSecond) readings/s, data in \(services.directory)")
    for fault in schedule.faults {
      log.say("scheduled at \(Double(fault.at) / 1_000) s for \(fault.lasting) ms: \(fault.title)")
    }
    for ingestor in actions.ingestors { try ingestor.start() }
    guard wait(atMost: 30, until: { actions.ingestors.allSatisfy(\.isReady) }) else {
      throw NeverReady(description: actions.ingestors.map(\.description).joined())
    }
    for publisher in publishers { publisher.start() }
    try sufferFaults()
    log.say("faults are over")
    let restarts = try actions.ingestors.compactMap(restartToFirstCommit)
    for publisher in publishers where !publisher.finish(atMost: .seconds(120)) {
      log.problem("the broker did not acknowledge all messages of \(publisher.journal.kind)")
    }
    let published = log.elapsed
    let ledgers = settle()
    let settledAfter = (log.elapsed - published).rounded(places: 1)
    for ingestor in actions.ingestors { actions.stop(ingestor) }
    return try report(ledgers, restarts, settledAfter)
  }

  /// The ingestors did not become ready within 30 s although nothing was broken yet.
  private struct NeverReady: Error, CustomStringConvertible {
    var description: String
  }

  /// Each target's faults on a thread of its own.
  private func sufferFaults() throws {
    let lanes = DispatchGroup()
    let begin = log.elapsed
    for (target, faults) in schedule.lanes {
      lanes.enter()
      let thread = Thread { [self] in
        suffer(faults, begin)
        lanes.leave()
      }
      thread.name = "\(target)"
      thread.start()
    }
    while lanes.wait(timeout: .now() + .milliseconds(200)) == .timedOut { try reviveTheDead() }
    try reviveTheDead()
  }

  private func suffer(_ faults: [ScheduledFault], _ begin: Double) {
    for fault in faults {
      Thread.sleep(forTimeInterval: max(0, begin + Double(fault.at) / 1_000 - log.elapsed))
      let start = log.elapsed
      log.say("\(fault.title), \(fault.lasting) ms")
      do {
        try actions.perform(fault)
      } catch {
        log.problem("\(fault.title) could not be done: \(error)")
      }
      log.happened(fault, from: start)
    }
  }

  /// An ingestor that ends by itself is a problem, but the others go on.
  private func reviveTheDead() throws {
    for ingestor in actions.ingestors {
      guard let status = ingestor.endedByItself() else { continue }
      log.problem(
        "ended by itself with status \(status): \(ingestor)")
      try ingestor.start()
    }
  }

  /// Kills one ingestor while meters publish, and takes the time.
  ///
  /// - Returns: seconds from its new start to its first commit; nil, and a problem, where none came.
  private func restartToFirstCommit(of ingestor: TorturedIngestor) throws -> Double? {
    guard wait(atMost: 60, until: { ingestor.isReady }) else {
      log.problem("\(ingestor) has not recovered 60 s after the last fault")
      return nil
    }
    ingestor.kill()
    let begin = log.elapsed
    try ingestor.start()
    guard wait(atMost: 60, until: { (ingestor.ledger()?.stored ?? 0) > 0 }) else {
      log.problem("\(ingestor) committed nothing for 60 s after its restart")
      return nil
    }
    return (log.elapsed - begin).rounded(places: 2)
  }

  /// Whether something comes true in time that nobody announces.
  private func wait(atMost seconds: Double, until condition: () -> Bool) -> Bool {
    let deadline = log.elapsed + seconds
    while !condition() {
      if log.elapsed > deadline { return false }
      Thread.sleep(forTimeInterval: 0.02)
    }
    return true
  }

  // MARK: Until everything is in

  /// Waits until all required rows are there and both ingestors have been idle for 3 s: duplicates
  /// that are still on their way could be stored. Gives up when nothing has moved for a minute.
  ///
  /// - Returns: the last ledgers.
  private func settle() -> [IngestorLedger] {
    let required = publishers.reduce(0) { $0 + $1.journal.required }
    log.say("waiting until all \(required) rows are in")
    var ledgers: [IngestorLedger] = []
    var movedAt = log.elapsed
    while true {
      try? reviveTheDead()
      let now = actions.ingestors.compactMap { $0.ledger() }
      if now != ledgers { movedAt = log.elapsed }
      ledgers = now
      let stoodStill = log.elapsed - movedAt
      let isIdle = now.count == 2 && now.allSatisfy(\.isBalanced) && stoodStill >= 3
      if isIdle, rowCount() >= required { return now }
      if stoodStill >= 60 {
        log.problem(
          "nothing moves: \(rowCount()) rows of \(required); "
            + actions.ingestors.map(\.description).joined())
        return now
      }
      Thread.sleep(forTimeInterval: 0.25)
    }
  }

  private func rowCount() -> Int {
    (try? TortureRun.rowCount(over: PostgresConnection(url: database))) ?? -1
  }

  /// Rows of all three tables.
  static func rowCount(over connection: PostgresConnection) throws -> Int {
    let sql = """
      SELECT (SELECT count(*) FROM grid.energy_production)
        + (SELECT count(*) FROM grid.energy_consumption)
        + (SELECT count(*) FROM grid.storage_operations)
      """
    return try connection.query(sql).first?.first.flatMap(\.self).flatMap { Int($0) } ?? -1
  }

  private func report(
    _ ledgers: [IngestorLedger], _ restarts: [Double], _ settledAfter: Double
  ) throws -> TortureReport {
    let connection = try PostgresConnection(url: database)
    return TortureReport(
      seed: settings.seed, faultSeconds: settings.seconds,
      seconds: log.elapsed.rounded(places: 1), program: TestServices.program,
      published: publishers.reduce(0) { $0 + $1.journal.count },
      acknowledged: publishers.reduce(0) { $0 + $1.journal.acknowledged },
      republishedMessages: publishers.reduce(0) { $0 + $1.republished },
      unheardMessages: publishers.reduce(0) { $0 + $1.unheard },
      rows: try RowVerdict(publishers.map(\.journal), over: connection),
      books: try BooksVerdict(over: connection), ledgers: ledgers,
      restartToFirstCommit: restarts, settledAfter: settledAfter,
      slowestStop: log.slowestStop, problems: log.problems, faults: log.occurrences)
  }
}
