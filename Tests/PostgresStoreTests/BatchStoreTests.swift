// One batch, one transaction: everything in it is stored, recognised or refused, exactly.

import EnergyReadings
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct BatchStoreTests {
  @Test func everyColumnArrives() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    batch.production(microKWh: 1, equipment: "inverter \"7\"", efficiency: 9_876)
    batch.production("p-2", microKWh: 999_999_999_999_999)
    batch.consumption("mètre-é", microKWh: 10_000, breakdown: #"{"tv": 0.01}"#)
    batch.consumption(second: 1, grid: #"G"\1"#, location: #"{ "district": "D" }"#)
    batch.consumption(second: 2, grid: "G-2", location: "{}")
    batch.storage(microKWh: 12_345_678, .discharge)
    let outcome = try batch.commit(over: connection)
    #expect(outcome.stored[0] == 2 && outcome.stored[1] == 3 && outcome.stored[2] == 1)
    #expect(!outcome.wasRepaired && outcome.refused.isEmpty)
    let production = try connection.query(
      """
      SELECT producer_id, energy_amount, energy_source, location_json, efficiency, quality_score,
        equipment_id, timestamp = '2026-06-10T00:00:00Z', verified
      FROM grid.energy_production ORDER BY producer_id
      """)
    let place = #"{"grid_code": "G-1"}"#
    #expect(
      production == [
        ["p-1", "0.000001", "solar", place, "0.9876", "1.0000", "inverter \"7\"", "t", "f"],
        ["p-2", "999999999.999999", "solar", place, "1.0000", "1.0000", nil, "t", "f"],
      ])
    let consumption = try connection.query(
      """
      SELECT consumer_id, energy_amount, location_json, appliance_breakdown
      FROM grid.energy_consumption ORDER BY timestamp
      """)
    #expect(
      consumption == [
        ["mètre-é", "0.010000", place, #"{"tv": 0.01}"#],
        ["c-1", "1.000000", #"{"district": "D", "grid_code": "G\"\\1"}"#, "{}"],
        ["c-1", "1.000000", #"{"grid_code": "G-2"}"#, "{}"],
      ])
    let storage = try connection.query(
      """
      SELECT storage_id, operation_type, energy_amount, price_per_unit, grid_location,
        settlement_status FROM grid.storage_operations
      """)
    #expect(storage == [["b-1", "discharge", "12.345678", "2.500000", "G-1", "pending"]])
  }

  /// The id is the same in Swift and in SQL, for every kind and channel.
  @Test func idsAreTheDatabasesOwn() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    for second in 0..<300 {
      batch.production("p-\(second)-ü", second: second * 7)
      batch.consumption("c\(second)", second: second * 1_000_003)
      batch.storage(second: second, second % 2 == 0 ? .charge : .discharge)
    }
    try batch.commit(over: connection)
    let wrong = try connection.value(
      """
      SELECT count(*) FROM (
        SELECT id, ingest.reading_id('production', producer_id, timestamp) AS expected
        FROM grid.energy_production
        UNION ALL SELECT id, ingest.reading_id('consumption', consumer_id, timestamp)
        FROM grid.energy_consumption
        UNION ALL SELECT id, ingest.reading_id('storage', storage_id, executed_at, operation_type)
        FROM grid.storage_operations) AS ids
      WHERE id <> expected
      """)
    #expect(wrong == "0")
  }

  @Test func aSecondDeliveryChangesNothing() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    batch.production()
    batch.consumption()
    batch.storage(microKWh: 5_000_000)
    try batch.commit(over: connection)
    let again = try batch.commit(over: connection)
    for kind in 0..<3 { #expect(again.stored[kind] == 0 && again.duplicates[kind] == 1) }
    #expect(again.wasRepaired && again.refused.isEmpty)
    #expect(
      try connection.value(
        "SELECT current_charge FROM grid.energy_storage WHERE storage_id = 'b-1'") == "0.005000")
  }

  @Test func duplicatesAndContradictions() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    batch.consumption(microKWh: 1)
    batch.consumption(microKWh: 1)
    batch.consumption(microKWh: 2)
    batch.consumption(second: 1)
    let outcome = try batch.commit(over: connection)
    #expect(outcome.stored[1] == 2 && outcome.duplicates[1] == 1)
    #expect(outcome.refused.map(\.row) == [2])
    #expect(outcome.refused.first?.rejection.reason == .conflictingDuplicate)
    #expect(
      try connection.value("SELECT min(energy_amount) FROM grid.energy_consumption") == "0.000001")
    // What enrichment added may differ: that is no contradiction.
    var later = ReadingRows()
    later.consumption(microKWh: 1, type: "commercial")
    let repeated = try later.commit(over: connection)
    #expect(repeated.duplicates[1] == 1 && repeated.refused.isEmpty)
  }

  /// Each way in which only PostgreSQL can find a row to be bad, at each place.
  @Test(arguments: [[0], [4_321], [9_999], [0, 1, 2, 5_000, 9_998, 9_999]])
  func badRowsHarmNoNeighbour(places: [Int]) throws {
    let connection = try storeDatabase()
    try connection.execute(
      "ALTER TABLE grid.energy_consumption ADD CONSTRAINT no_giants CHECK (energy_amount < 1000)")
    var batch = ReadingRows()
    for row in 0..<10_000 {
      switch places.firstIndex(of: row).map({ $0 % 2 }) {
      case 0: batch.consumption(second: row, location: #"{"a": "\u0000"}"#)
      case 1: batch.consumption(second: row, microKWh: 5_000_000_000)
      default: batch.consumption(second: row)
      }
    }
    batch.production()
    let outcome = try batch.commit(over: connection)
    #expect(outcome.stored[1] == 10_000 - places.count && outcome.stored[0] == 1)
    #expect(outcome.refused.map(\.row) == places)
    for (index, row) in outcome.refused.enumerated() {
      if index % 2 == 0 {
        #expect(row.rejection.reason == .rejectedByDatabase && row.rejection.sqlState == "22P05")
      } else {
        #expect(row.rejection.reason == .checkViolation)
        #expect(row.rejection.constraint == "no_giants")
      }
    }
    #expect(
      try connection.value("SELECT count(*) FROM grid.energy_consumption")
        == "\(10_000 - places.count)")
    #expect(try connection.value("SELECT count(*) FROM ingest.dead_letters") == "\(places.count)")
  }

  @Test func allRowsBadIsNoReasonToStop() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    for second in 0..<50 { batch.storage("nobody", second: second) }
    let outcome = try batch.commit(over: connection)
    #expect(outcome.refused.count == 50 && outcome.stored[2] == 0)
    #expect(Set(outcome.refused.map(\.rejection.sqlState)) == ["23503"])
  }

  @Test func theSameDeadLetterAgainIsCounted() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    batch.storage("nobody")
    try batch.commit(over: connection)
    try connection.execute("UPDATE ingest.dead_letters SET resolved_at = now()")
    try batch.commit(over: connection)
    #expect(
      try connection.query(
        "SELECT attempts, resolved_at, reason, topic, kind, payload_index FROM ingest.dead_letters")
        == [["2", nil, "rejected_by_database", "a/topic", "storage", "0"]])
  }

  /// Steps below the 1 Wh of `current_charge` are not lost, and the book stays within the battery.
  @Test func theChargeFollowsToTheMicroKWh() throws {
    let connection = try storeDatabase()
    for second in 0..<10 {
      var batch = ReadingRows()
      batch.storage(second: second, microKWh: 400)
      batch.storage("b-2", second: second, microKWh: 300_000_000, .charge)
      try batch.commit(over: connection)
    }
    let charges =
      "SELECT string_agg(current_charge::text, ' ' ORDER BY storage_id) FROM grid.energy_storage"
    #expect(try connection.value(charges) == "0.000004 1.000000")
    var batch = ReadingRows()
    batch.storage(second: 99, microKWh: 5_000_000, .discharge)
    batch.storage("b-2", second: 99, microKWh: 250_000_000, .discharge)
    try batch.commit(over: connection)
    #expect(try connection.value(charges) == "0.000000 0.750000")
  }

  @Test func aMissingTableIsNamedAndNothingIsStored() throws {
    let connection = try storeDatabase()
    try connection.execute("ALTER TABLE grid.storage_operations RENAME TO elsewhere")
    var batch = ReadingRows()
    batch.consumption()
    batch.storage()
    let error = try #require(throws: PostgresError.self) { try batch.commit(over: connection) }
    #expect(error.isMissingSchema && error.remedy == .unknown)
    #expect("\(error)".contains("grid.storage_operations") && "\(error)".contains("migrate"))
    #expect(try connection.value("SELECT count(*) FROM grid.energy_consumption") == "0")
    try connection.execute("ALTER TABLE grid.elsewhere RENAME TO storage_operations")
    #expect(try batch.commit(over: connection).stored[1] == 1)
  }

  @Test func aLostConnectionStoresNothingTwice() throws {
    let url = try TestServices.migratedDatabase()
    let connection = try PostgresConnection(url: url, applicationName: "victim")
    var batch = ReadingRows()
    batch.consumption()
    try batch.commit(over: connection)
    try PostgresConnection(url: url).execute(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'"
        + " AND datname = current_database()")
    let error = try #require(throws: PostgresError.self) { try batch.commit(over: connection) }
    #expect(error.remedy == .retry)
    #expect(connection.isBroken)
    let outcome = try batch.commit(over: PostgresConnection(url: url))
    #expect(outcome.stored[1] == 0 && outcome.duplicates[1] == 1)
  }

  /// Batches that touch the same batteries in opposite order wait for each other.
  @Test func workersWithTheSameBatteriesDoNotDeadlock() async throws {
    let connection = try storeDatabase()
    let url = TestServices.shared.url(
      database: try #require(try connection.value("SELECT current_database()")))
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<2 {
        group.addTask {
          let lane = PostgresLane(url: url, applicationName: "worker \(worker)")
          try await lane.run { (connection) throws(PostgresError) in
            for round in 0..<50 {
              var batch = ReadingRows()
              let second = worker * 1_000 + round
              batch.storage(worker == 0 ? "b-1" : "b-2", second: second, microKWh: 1_000)
              batch.storage(worker == 0 ? "b-2" : "b-1", second: second, microKWh: 1_000)
              try batch.commit(over: connection)
            }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(
      try connection.value("SELECT sum(current_charge) FROM grid.energy_storage") == "0.000200")
  }

  /// The role has what it needs, and no more.
  @Test func theRoleSuffices() throws {
    let owner = try storeDatabase()
    let name = TestServices.freshName()
    try owner.execute("CREATE ROLE \(name) LOGIN IN ROLE meter_ingestor")
    let database = try #require(try owner.value("SELECT current_database()"))
    let connection = try PostgresConnection(
      url: TestServices.shared.url(database: database, user: name))
    var batch = ReadingRows()
    batch.production()
    batch.consumption()
    batch.storage()
    batch.storage("nobody")
    #expect(try batch.commit(over: connection).refused.count == 1)
    #expect(try batch.commit(over: connection).duplicates[2] == 1)
    for forbidden in [
      "UPDATE trading.trades SET settlement_status = 'settled'",
      "DELETE FROM grid.energy_consumption", "UPDATE grid.energy_production SET verified = true",
      "UPDATE grid.energy_storage SET capacity_mwh = 2", "DROP TABLE ingest.dead_letters",
    ] {
      let error = #expect(throws: PostgresError.self) { try connection.execute(forbidden) }
      #expect(error?.sqlState == "42501", "\(forbidden)")
    }
  }
}
