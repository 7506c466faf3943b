// The first migration of a whole server, where the role meter_ingestor does not exist yet.

import Foundation
import PostgresStore
import PrivateServices
import Synchronization
import TestServices
import Testing

@Suite struct FirstMigrationTests {
  private static let roleExists =
    "SELECT count(*) FROM pg_roles WHERE rolname = 'meter_ingestor'"

  /// An owner who may not create roles gets everything else, and is told what remains to be done.
  @Test func anOwnerWithoutRightsIsToldWhatRemains() throws {
    let services = TestServices.start()
    let admin = try PostgresConnection(url: services.postgresURL)
    try admin.execute("CREATE ROLE owner LOGIN")
    try admin.execute("CREATE DATABASE owned OWNER owner")
    let connection = try PostgresConnection(url: services.url(database: "owned", user: "owner"))
    var notices: [String] = []
    connection.onNotice { notices.append($0) }
    #expect(try Migrator(connection).migrate() == Migration.all.map(\.version))
    #expect(try admin.value(Self.roleExists) == "0")
    #expect(notices.contains { $0.contains("role meter_ingestor is missing") }, "\(notices)")
    #expect(notices.contains { $0.contains("ingest.grant_rights('meter_ingestor')") })
    // What it tells is what helps.
    try admin.execute("CREATE ROLE meter_ingestor NOLOGIN")
    try connection.execute("SELECT ingest.grant_rights('meter_ingestor')")
    try admin.execute("CREATE ROLE meter LOGIN IN ROLE meter_ingestor")
    var batch = ReadingRows()
    batch.consumption()
    let meter = try PostgresConnection(url: services.url(database: "owned", user: "meter"))
    #expect(try batch.commit(over: meter).stored[1] == 1)
    #expect(try batch.commit(over: meter).duplicates[1] == 1)
    try services.stop()
  }

  /// Two databases of one server: the second to create the role waits for the first, and goes on.
  @Test func theRoleOfAnotherDatabaseIsTakenOver() throws {
    let services = TestServices.start()
    let other = try PostgresConnection(url: services.postgresURL)
    try other.execute("CREATE DATABASE second")
    try other.execute("BEGIN; CREATE ROLE meter_ingestor NOLOGIN")
    let url = services.url(database: "second")
    let migration = BackgroundMigration(of: url, applicationName: "second migration")
    // Where this fails, `other` goes, and with it what the migration waits for.
    try waitForSession("second migration", toWaitAt: services.postgresURL)
    try other.execute("COMMIT")
    #expect(try migration.versions() == Migration.all.map(\.version))
    #expect(try other.value(Self.roleExists) == "1")
    #expect(
      try PostgresConnection(url: url).value(
        "SELECT has_table_privilege('meter_ingestor', 'grid.energy_consumption', 'INSERT')")
        == "t")
    try services.stop()
  }

  /// Looks, over a connection of its own, until the session waits for another's transaction.
  private func waitForSession(_ name: String, toWaitAt url: String) throws {
    let observer = try PostgresConnection(url: url)
    let deadline = ContinuousClock.now + .seconds(30)
    let waiting = """
      SELECT count(*) FROM pg_stat_activity
      WHERE application_name = '\(name)' AND wait_event = 'transactionid'
      """
    while try observer.value(waiting) != "1" {
      try #require(ContinuousClock.now < deadline, "the migration never waited")
    }
  }
}

/// One migration on a thread of its own: a task would have to wait for one of the pool, all of which
/// other tests may hold.
private final class BackgroundMigration: Sendable {
  private let end = DispatchSemaphore(value: 0)
  private let outcome = Mutex<Result<[Int], PostgresError>?>(nil)

  init(of url: String, applicationName: String) {
    Thread.detachNewThread { [self] in
      let result = Result { () throws(PostgresError) in
        try Migrator(PostgresConnection(url: url, applicationName: applicationName)).migrate()
      }
      outcome.withLock { $0 = result }
      end.signal()
    }
  }

  /// Waits for the end.
  ///
  /// - Returns: the versions applied.
  func versions() throws -> [Int] {
    end.wait()
    return try outcome.withLock { $0 }?.get() ?? []
  }
}
