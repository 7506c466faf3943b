// Faults while a batch is provably on its way: a lock holds the worker within its COPY meanwhile.

import CPacketBuffer
import Foundation
import MeterSimulator
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct MidBatchTests {
  /// Two ingestors hear the same meters; one is killed again and again, and must end with the same
  /// rows and the same charge of every battery as the other.
  @Test func killedWithinACopy() async throws {
    let services = TestServices.shared
    let known = KnownReadings(intervals: 60, grid: TestServices.freshName())
    let killed = try Ingest(known, services)
    let spared = try Ingest(known, services)
    try await killed.ingestor.waitUntilReady()
    try await spared.ingestor.waitUntilReady()
    let part = known.readings.count / 4
    for round in 0..<4 {
      let lock = try TableLock(in: killed.database)
      try known.publish(round * part..<(round + 1) * part, to: services.mqttURL)
      try await killed.waitUntilBlocked()
      // The batch, and what was received behind it, was never acknowledged.
      #expect(try killed.count() < known.readings[..<((round + 1) * part)].count { !$0.isZero })
      try killed.ingestor.killAndRestart()
      try lock.release()
    }
    try await known.expectStored(in: killed.database, killed.ingestor.log)
    try await known.expectStored(in: spared.database, spared.ingestor.log)
    for content in [KnownReadings.ids, KnownReadings.charges] {
      let expected = try value(content, in: spared.database)
      #expect(try value(content, in: killed.database) == expected)
      #expect(expected?.isEmpty == false)
    }
    #expect(try value("SELECT count(*) FROM ingest.dead_letters", in: killed.database) == "0")
  }

  /// A lock, a full disk, a machine that stands still: the database neither answers nor hangs up.
  @Test func aSilentDatabaseIsReported() async throws {
    let services = TestServices.shared
    let known = KnownReadings(intervals: 1, grid: TestServices.freshName())
    let ingest = try Ingest(known, services)
    try await ingest.ingestor.waitUntilReady()
    let lock = try TableLock(in: ingest.database)
    try known.publish(0..<known.readings.count, to: services.mqttURL)
    try await ingest.waitUntilBlocked()
    try await eventually("not ready\n\(ingest.ingestor.log)") {
      try await ingest.ingestor.get("/readyz")?.status == 503
    }
    #expect(ingest.ingestor.log.contains("127.0.0.1:\(services.postgresPort)"))
    #expect(ingest.ingestor.log.contains("no answer for 10 s"))
    try lock.release()
    try await known.expectStored(in: ingest.database, ingest.ingestor.log)
    try await ingest.ingestor.waitUntilReady()
    try await ingest.ingestor.expectBalancedLedger(received: known.readings.count)
  }

  /// The thread within libpq cannot be interrupted; what it holds comes again.
  @Test func stoppedWhileTheDatabaseIsSilent() async throws {
    let services = TestServices.shared
    let known = KnownReadings(intervals: 1, grid: TestServices.freshName())
    let ingest = try Ingest(known, services)
    try await ingest.ingestor.waitUntilReady()
    let lock = try TableLock(in: ingest.database)
    try known.publish(0..<known.readings.count, to: services.mqttURL)
    try await ingest.waitUntilBlocked()
    ingest.ingestor.signal(SIGTERM)
    #expect(ingest.ingestor.waitForExit() == 0, "\(ingest.ingestor.log)")
    try lock.release()
    try ingest.ingestor.killAndRestart()
    try await known.expectStored(in: ingest.database, ingest.ingestor.log)
  }

  /// While one batch is committed the next is taken: the acknowledgements of the first leave as soon as
  /// it is stored, and those of the second do not leave with them.
  @Test(.enabled(if: cpb_is_active(), "a sanitizer stands in the place of the packet buffer"))
  func aBatchIsAcknowledgedWhileTheNextIsOpen() async throws {
    let services = TestServices.shared
    let known = KnownReadings(intervals: 20, grid: TestServices.freshName())
    let ingest = try Ingest(known, services)
    try await ingest.ingestor.waitUntilReady()
    let gate = try SecondBatchGate(in: ingest.database)
    try known.publish(0..<known.readings.count, to: services.mqttURL)
    try await ingest.waitUntilBlocked()
    let stored = try ingest.count()
    #expect(stored > 0 && stored < known.readings.count)
    try await eventually("the first batch is counted\n\(ingest.ingestor.log.suffix(2_000))") {
      try await ingest.ingestor.metric("meter_ingestor_readings_stored_total") == Double(stored)
    }
    let received = Double(known.readings.count)
    try await eventually("all is taken, or as much as two batches hold") {
      try await ingest.ingestor.metric("meter_ingestor_readings_received_total")
        >= min(received, Double(stored) + 500)
    }
    try ingest.ingestor.killAndRestart()
    try gate.open()
    try await known.expectStored(in: ingest.database, ingest.ingestor.log)
    #expect(try await ingest.ingestor.metric("meter_ingestor_readings_duplicate_total") == 0)
  }

  /// The kernel takes the connection and the broker says nothing.
  @Test func aSilentBrokerIsReported() async throws {
    let services = TestServices.start()
    let database = try TestServices.migratedDatabase()
    services.pauseBroker()
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: TestServices.freshName())
    try await eventually("a line that names the broker\n\(ingestor.log)") {
      ingestor.log.contains("broker not usable")
    }
    #expect(ingestor.log.contains("127.0.0.1:\(services.mqttPort): no answer within 10 s"))
    #expect(try await ingestor.get("/readyz")?.status == 503)
    services.resumeBroker()
    try await ingestor.waitUntilReady()
    try services.stop()
  }
}

/// An ingestor of its own database that hears known readings.
private struct Ingest {
  let database: String
  let ingestor: RunningIngestor

  init(_ known: KnownReadings, _ services: PrivateServices) throws {
    database = try TestServices.migratedDatabase()
    try known.register(in: database)
    ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid,
      settings: ["ingest.batch-size": "500"])
  }

  func count() throws -> Int {
    Int(try value(KnownReadings.tally, in: database)?.split(separator: " ").first ?? "0") ?? 0
  }

  /// Waits until the worker stands at the lock with its COPY.
  func waitUntilBlocked() async throws {
    let waiting = """
      SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'COPY grid.%'
      """
    try await eventually("a COPY that waits\n\(ingestor.log.suffix(2_000))") {
      try value(waiting, in: database) == "1"
    }
  }
}

/// Keeps everybody from storing readings of consumption, but not from reading them.
private struct TableLock {
  private let connection: PostgresConnection

  init(in database: String) throws {
    connection = try PostgresConnection(url: database)
    try connection.execute("BEGIN; LOCK TABLE grid.energy_consumption IN EXCLUSIVE MODE")
  }

  func release() throws { try connection.execute("COMMIT") }
}

/// Lets the first batch with consumption pass, and keeps the second until it is opened.
private struct SecondBatchGate {
  private let connection: PostgresConnection

  init(in database: String) throws {
    connection = try PostgresConnection(url: database)
    try connection.execute(
      """
      CREATE FUNCTION wait_for_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM grid.energy_consumption) THEN
          PERFORM pg_advisory_xact_lock_shared(1);
        END IF;
        RETURN NULL;
      END $$;
      CREATE TRIGGER gate BEFORE INSERT ON grid.energy_consumption
        FOR EACH STATEMENT EXECUTE FUNCTION wait_for_the_gate();
      SELECT pg_advisory_lock(1)
      """)
  }

  func open() throws { try connection.execute("SELECT pg_advisory_unlock(1)") }
}

extension KnownReadings {
  /// A fingerprint of the ids of all rows.
  fileprivate static let ids = """
    SELECT md5(string_agg(id::text, ' ' ORDER BY id)) FROM (
      SELECT id FROM grid.energy_production UNION ALL SELECT id FROM grid.energy_consumption
      UNION ALL SELECT id FROM grid.storage_operations) AS stored
    """
  fileprivate static let charges = """
    SELECT string_agg(storage_id || '=' || current_charge, ' ' ORDER BY storage_id)
    FROM grid.energy_storage
    """
}
