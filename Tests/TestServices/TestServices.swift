// The real services that all tests of one run share: a private PostgreSQL and a private broker,
// started once, and gone with the test process.

import Foundation
import PostgresStore
import PrivateServices
import Synchronization

public enum TestServices {
  /// The services. Started by whoever asks first; the reaper ends them with this process.
  public static let shared: PrivateServices = start()

  /// Services of a test's own, for tests that stop or break them.
  public static func start() -> PrivateServices {
    do {
      return try PrivateServices.start(
        in: FileManager.default.temporaryDirectory.path, postgres: .init(fsync: false))
    } catch {
      fatalError("the tests need PostgreSQL and mosquitto: \(error)")
    }
  }

  /// A new, migrated database of a test's own. Takes some 50 ms: it is copied from a template.
  ///
  /// - Returns: its URL, as superuser.
  public static func migratedDatabase() throws -> String {
    try template.withLock { isReady in
      if !isReady {
        let url = try shared.createDatabase("migrated")
        try Migrator(PostgresConnection(url: url)).migrate()
        isReady = true
      }
      return try shared.createDatabase(freshName(), template: "migrated")
    }
  }

  /// A new, empty database of a test's own.
  public static func emptyDatabase() throws -> String { try shared.createDatabase(freshName()) }

  /// A name that no other test uses: for databases, clients and topics.
  public static func freshName() -> String {
    "test_\(counter.add(1, ordering: .relaxed).newValue)_\(getpid())"
  }

  /// The built program.
  public static var program: String {
    ProcessInfo.processInfo.environment["METER_INGESTOR_BINARY"]
      ?? Bundle.main.bundleURL.deletingLastPathComponent().appendingPathComponent("meter-ingestor")
      .path
  }

  private static let template = Mutex(false)
  private static let counter = Atomic<Int>(0)
}
