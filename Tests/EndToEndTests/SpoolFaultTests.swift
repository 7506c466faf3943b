// The database is away: batches go to the spool, are acknowledged, and come back from it in order.

import Foundation
import MQTTSession
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite(.serialized) struct SpoolFaultTests {
  /// The whole way: spooled and acknowledged, so that even a broker that forgets everything, and an
  /// ingestor that is killed, lose nothing.
  @Test func whatIsSpooledNeedsNoBrokerAnyMore() async throws {
    let stage = try Stage(intervals: 100)
    try await stage.ingestor.waitUntilReady()
    try stage.services.stopPostgres(.immediate)
    try stage.publishAll()
    try await stage.expectSpooled(stage.known.readings.count)
    let ready = try #require(try await stage.ingestor.get("/readyz"))
    #expect(ready.status == 503)
    #expect(ready.text.contains("127.0.0.1:\(stage.services.postgresPort)"))
    // Nothing was saved yet: this broker begins with nothing.
    try stage.services.stopBroker(SIGKILL)
    try stage.ingestor.killAndRestart()
    try stage.services.startBroker()
    // It hears the broker although the database is still away, and notices what that one forgot.
    try await eventually("a lost session\n\(stage.ingestor.log)") {
      stage.ingestor.log.contains("has lost the session of \(stage.client)-0")
    }
    try stage.services.startPostgres()
    try await stage.expectAllStored()
    try await stage.expectEmptySpool()
    #expect(try await stage.ingestor.metric("meter_ingestor_readings_duplicate_total") == 0)
  }

  /// Everything is counted once, and what arrives while the spool is drained is stored, too.
  @Test func drainedBesideLiveMessages() async throws {
    let stage = try Stage(intervals: 300)
    try await stage.ingestor.waitUntilReady()
    let half = stage.known.readings.count / 2
    try stage.services.stopPostgres(.fast)
    try stage.known.publish(0..<half, to: stage.services.mqttURL)
    try await stage.expectSpooled(half)
    try stage.services.startPostgres()
    try stage.known.publish(half..<stage.known.readings.count, to: stage.services.mqttURL)
    try await stage.expectAllStored()
    try await stage.expectEmptySpool()
    try await stage.ingestor.expectBalancedLedger(received: stage.known.readings.count)
    let spooled = try await stage.ingestor.metric("meter_ingestor_spooled_total")
    #expect(try await stage.ingestor.metric("meter_ingestor_drained_total") == spooled)
    #expect(Int(spooled) >= half)
    try await stage.ingestor.waitUntilReady()
    // In order: no meter seems to have left out what was only on its way.
    #expect(try value("SELECT count(*) FROM ingest.reading_flags", in: stage.database) == "0")
  }

  /// SIGTERM while the database is away: spooled, acknowledged, over.
  @Test func stoppedWhileTheDatabaseIsAway() async throws {
    let stage = try Stage(intervals: 20)
    try await stage.ingestor.waitUntilReady()
    try stage.services.stopPostgres(.fast)
    try stage.publishAll()
    try await eventually("a failed commit\n\(stage.ingestor.log)") {
      stage.ingestor.log.contains("commit failed")
    }
    stage.ingestor.signal(SIGTERM)
    #expect(stage.ingestor.waitForExit() == 0, "\(stage.ingestor.log)")
    // What it had in hand is acknowledged; what it had not read yet stays with the broker.
    #expect(try stage.heldByBroker() < stage.known.readings.count)
    try stage.services.startPostgres()
    try stage.ingestor.killAndRestart()
    try await stage.expectAllStored()
    try await stage.expectEmptySpool()
    #expect(try await stage.ingestor.metric("meter_ingestor_readings_duplicate_total") == 0)
  }

  /// Somebody holds a lock for 10 s: the worker reads on, and the commit that was on its way all the
  /// time is not done twice.
  @Test func aLockThatIsHeldForTenSeconds() async throws {
    let stage = try Stage(intervals: 40, services: TestServices.shared)
    try await stage.ingestor.waitUntilReady()
    let lock = try PostgresConnection(url: stage.database)
    try lock.execute("BEGIN; LOCK TABLE grid.energy_consumption IN EXCLUSIVE MODE")
    let half = stage.known.readings.count / 2
    try stage.known.publish(0..<half, to: stage.services.mqttURL)
    try await stage.expectSpooled(half)
    try stage.known.publish(half..<stage.known.readings.count, to: stage.services.mqttURL)
    try await stage.expectSpooled(stage.known.readings.count)
    try await eventually("the silence is told\n\(stage.ingestor.log)") {
      stage.ingestor.log.contains("no answer for 10 s")
    }
    try lock.execute("COMMIT")
    try await stage.expectAllStored()
    try await stage.expectEmptySpool()
    try await stage.ingestor.expectBalancedLedger(received: stage.known.readings.count)
    #expect(try await stage.ingestor.metric("meter_ingestor_readings_duplicate_total") == 0)
    try await stage.ingestor.waitUntilReady()
  }

  /// What a database may say instead of taking a batch.
  enum Trouble: String, CaseIterable {
    case readOnly = "25006"
    case statementTimeout = "57014"
    case noMoreRights = "42501"
    case tableIsGone = "42P01"
    case serializationFailure = "40001"

    /// Statements that bring it about, in one database, and end it.
    var statements: (begin: String, end: String) {
      func setting(_ name: String, _ value: String) -> String {
        "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || "
          + "' SET \(name) TO \(value)'; PERFORM pg_terminate_backend(pid) FROM pg_stat_activity "
          + "WHERE datname = current_database() AND pid <> pg_backend_pid(); END $$"
      }
      let table = "grid.energy_consumption"
      let trigger = """
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          RAISE EXCEPTION 'no' USING ERRCODE = '\(rawValue)'; END $$;
        CREATE TRIGGER fail BEFORE INSERT ON \(table) FOR EACH STATEMENT EXECUTE FUNCTION fail()
        """
      switch self {
      case .readOnly:
        return (
          setting("default_transaction_read_only", "on"),
          "SET transaction_read_only = off; "
            + setting("default_transaction_read_only", "off")
        )
      case .statementTimeout, .noMoreRights, .serializationFailure:
        return (trigger, "DROP TRIGGER fail ON \(table); DROP FUNCTION fail()")
      case .tableIsGone:
        return (
          "ALTER TABLE \(table) RENAME TO gone",
          "ALTER TABLE grid.gone RENAME TO energy_consumption"
        )
      }
    }
  }

  @Test(arguments: Trouble.allCases)
  func spooledWhateverTheDatabaseSays(_ trouble: Trouble) async throws {
    let stage = try Stage(
      intervals: 10, services: TestServices.shared, settings: ["spool.after": "200ms"])
    try await stage.ingestor.waitUntilReady()
    let (begin, end) = trouble.statements
    try PostgresConnection(url: stage.database).execute(begin)
    try stage.publishAll()
    try await stage.expectSpooled(stage.known.readings.count)
    #expect(stage.ingestor.log.contains("SQLSTATE \(trouble.rawValue)"))
    let connection = try PostgresConnection(url: stage.database)
    try connection.execute(end)
    try await stage.expectAllStored()
    try await stage.expectEmptySpool()
    try await stage.ingestor.expectBalancedLedger(received: stage.known.readings.count)
    #expect(try value("SELECT count(*) FROM ingest.dead_letters", in: stage.database) == "0")
  }

  /// Full: it reads no more, says so, and the broker keeps the rest.
  @Test func aFullSpoolStopsReading() async throws {
    let stage = try Stage(
      intervals: 200, settings: ["spool.bytes": "1MiB", "ingest.batch-size": "500"])
    try await stage.ingestor.waitUntilReady()
    try stage.services.stopPostgres(.fast)
    try stage.publishAll()
    try await eventually("full\n\(stage.ingestor.log)") {
      try await stage.ingestor.get("/readyz")?.text.contains("is full") == true
    }
    #expect(try await stage.ingestor.metric("meter_ingestor_spool_refusing") == 1)
    let spooled = try await stage.ingestor.metric("meter_ingestor_spool_messages")
    #expect(spooled > 0 && Int(spooled) < stage.known.readings.count)
    #expect(try await stage.ingestor.metric("meter_ingestor_spool_bytes") <= 1_048_576)
    try stage.services.startPostgres()
    try await stage.expectAllStored()
    try await stage.expectEmptySpool()
    try await stage.ingestor.waitUntilReady()
    try await stage.ingestor.expectBalancedLedger(received: stage.known.readings.count)
    #expect(try await stage.ingestor.metric("meter_ingestor_spool_refusing") == 0)
  }

  /// SIGTERM with a full spool: what it did not take stays with the broker.
  @Test func stoppedWithAFullSpool() async throws {
    let stage = try Stage(
      intervals: 200, settings: ["spool.bytes": "1MiB", "ingest.batch-size": "500"])
    try await stage.ingestor.waitUntilReady()
    try stage.services.stopPostgres(.fast)
    try stage.publishAll()
    try await eventually("full\n\(stage.ingestor.log)") {
      try await stage.ingestor.metric("meter_ingestor_spool_refusing") == 1
    }
    stage.ingestor.signal(SIGTERM)
    #expect(stage.ingestor.waitForExit() == 0, "\(stage.ingestor.log)")
    try stage.services.startPostgres()
    try stage.ingestor.killAndRestart()
    try await stage.expectAllStored()
    try await stage.expectEmptySpool()
  }

  /// A file that was damaged while nobody had it: the rest is drained, and the log says what is not.
  @Test func aDamagedSpoolIsSalvaged() async throws {
    let stage = try Stage(intervals: 20)
    try await stage.ingestor.waitUntilReady()
    try stage.services.stopPostgres(.fast)
    try stage.publishAll()
    try await stage.expectSpooled(stage.known.readings.count)
    stage.ingestor.signal(SIGTERM)
    #expect(stage.ingestor.waitForExit() == 0, "\(stage.ingestor.log)")
    let file = "\(stage.spool)/\(stage.client)-0.spool.sqlite"
    let handle = try FileHandle(forUpdating: URL(filePath: file))
    let length = try handle.seekToEnd()
    try handle.seek(toOffset: length / 2)
    try handle.write(contentsOf: Data(repeating: 0xA5, count: 64))
    try handle.close()
    try stage.services.startPostgres()
    try stage.ingestor.killAndRestart()
    try await eventually("salvaged\n\(stage.ingestor.log)") {
      stage.ingestor.log.contains("messages salvaged")
    }
    try await stage.expectEmptySpool()
    let log = stage.ingestor.log
    let report = try #require(
      log.firstMatch(of: /(\d+) messages salvaged, (\d+) are lost/), "\(log)")
    let (salvaged, lost) = (Int(report.1) ?? 0, Int(report.2) ?? 0)
    #expect(salvaged + lost == stage.known.readings.count && lost > 0 && lost < 500)
    #expect(log.contains(".damaged-"))
    try await stage.ingestor.expectBalancedLedger(received: salvaged)
  }

  /// Two ingestors with one name: the second says so and leaves everything to the first.
  @Test func aSpoolThatIsInUse() async throws {
    let stage = try Stage(intervals: 1)
    try await stage.ingestor.waitUntilReady()
    let second = try RunningIngestor(
      database: stage.database, broker: stage.services.mqttURL, grid: "other", client: stage.client,
      settings: ["spool.directory": stage.spool])
    try await eventually("in use\n\(second.log)") { second.log.contains("is in use by process") }
    try await eventually("not ready\n\(second.log)") {
      try await second.get("/readyz")?.text.contains("is in use by process") == true
    }
  }

  /// Prints how fast the spool is drained.
  @Test func drainingSpeed() async throws {
    let stage = try Stage(intervals: 1_200, settings: ["log.level": "info"])
    try await stage.ingestor.waitUntilReady()
    try stage.services.stopPostgres(.fast)
    try stage.publishAll()
    let count = stage.known.readings.count
    try await stage.expectSpooled(count)
    try stage.services.startPostgres()
    try await eventually("draining") {
      try await stage.ingestor.metric("meter_ingestor_drained_total") > 0
    }
    let before = try await stage.ingestor.metric("meter_ingestor_drained_total")
    let start = ContinuousClock.now
    try await eventually("drained") {
      try await stage.ingestor.metric("meter_ingestor_drained_total") == Double(count)
    }
    let rate = (Double(count) - before) / ((ContinuousClock.now - start) / .seconds(1))
    print("drained \(Int(rate)) readings/s")
    // A tenth of what was measured: only a grave loss of speed is a failure here.
    #expect(rate > 5_000)
    try await stage.expectAllStored()
  }
}

/// An ingestor with a spool, services that may be broken, and known readings.
final class Stage {
  let services: PrivateServices
  let database: String
  let known: KnownReadings
  let client = TestServices.freshName()
  private let folder = scratchFolder()
  var spool: String { folder + "/spool" }
  let ingestor: RunningIngestor

  /// - Parameter services: the shared ones for tests that break nothing but their database.
  init(
    intervals: Int, services: PrivateServices? = nil, settings: [String: String] = [:]
  ) throws {
    self.services = services ?? TestServices.start()
    if services == nil {
      database = try self.services.createDatabase("ingest_test")
      try Migrator(PostgresConnection(url: database)).migrate()
    } else {
      database = try TestServices.migratedDatabase()
    }
    known = KnownReadings(intervals: intervals, grid: TestServices.freshName())
    try known.register(in: database)
    ingestor = try RunningIngestor(
      database: database, broker: self.services.mqttURL, grid: known.grid, client: client,
      settings: ["spool.directory": folder + "/spool"].merging(settings) { $1 })
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func publishAll() throws { try known.publish(0..<known.readings.count, to: services.mqttURL) }

  /// Waits until so many messages are in the spool.
  func expectSpooled(_ count: Int) async throws {
    try await eventually("\(count) in the spool\n\(ingestor.log.suffix(3_000))") {
      try await ingestor.metric("meter_ingestor_spool_messages") == Double(count)
    }
  }

  func expectEmptySpool() async throws {
    try await eventually("an empty spool\n\(ingestor.log.suffix(3_000))") {
      guard try await ingestor.get("/metrics") != nil else { return false }
      return try await ingestor.metric("meter_ingestor_spool_messages")
        + ingestor.metric("meter_ingestor_readings_in_flight") == 0
    }
  }

  func expectAllStored() async throws {
    try await known.expectStored(in: database, ingestor.log)
  }

  /// Messages that the broker still has for the worker, which must not run.
  func heldByBroker() throws -> Int {
    var count = 0
    let session = try MQTTSession(MQTTSettings(url: services.mqttURL, clientID: "\(client)-0"))
    session.onMessage = { message in
      if message.topic.first != UInt8(ascii: "$") { count += 1 }
    }
    try session.connect()
    // What it has comes at once after the connection.
    let deadline = ContinuousClock.now + .seconds(1)
    while ContinuousClock.now < deadline {
      _ = session.wait(milliseconds: 100)
      try session.receive()
    }
    return count
  }
}
