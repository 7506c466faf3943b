// The battery rules of migration 0007, and the book that they judge by.

import PostgresStore
import SeededRandom
import TestServices
import Testing

@Suite struct BatteryFlagsTests {
  /// An operation in the making: seconds since some time, and kWh as SQL writes it.
  struct Operation {
    var battery: String
    var second: Int
    var kWh: String

    init(_ battery: String, _ second: Int, _ kWh: String) {
      (self.battery, self.second, self.kWh) = (battery, second, kWh)
    }

    fileprivate var time: String {
      "(timestamptz '2026-06-10 00:00Z' + interval '\(second) seconds')"
    }
    fileprivate var operation: String { kWh.hasPrefix("-") ? "discharge" : "charge" }
    fileprivate var opposite: String { kWh.hasPrefix("-") ? "charge" : "discharge" }
    fileprivate func id(of operation: String) -> String {
      "ingest.reading_id('storage', '\(battery)', \(time), '\(operation)')"
    }
  }

  /// Place and rule of each flag; the detail is for people.
  private func flags(
    _ operations: [Operation], tolerance: String = "0", _ connection: PostgresConnection
  ) throws -> [String] {
    func array(_ type: String, _ element: (Operation) -> String) -> String {
      "ARRAY[\(operations.map(element).joined(separator: ","))]::\(type)[]"
    }
    return try connection.query(
      """
      SELECT position || ' ' || rule FROM ingest.battery_flags(
        \(array("uuid") { $0.id(of: $0.operation) }), \(array("uuid") { $0.id(of: $0.opposite) }),
        \(array("text") { "'\($0.battery)'" }), \(array("timestamptz", \.time)),
        \(array("numeric", \.kWh)), \(tolerance))
      ORDER BY position, rule
      """
    ).compactMap { $0[0] }
  }

  private func setCharge(_ mWh: String, _ connection: PostgresConnection) throws {
    try connection.execute("UPDATE grid.energy_storage SET current_charge = \(mWh)")
  }

  // MARK: The rules

  /// Each edge, and a millionth of a kWh beyond it: 1,000 kWh of capacity, 400 held, 2 % tolerance.
  @Test(arguments: [
    ("600", "0", []), ("600.000001", "0", ["1 charge_above_capacity"]),
    ("620", "0.02", []), ("620.000001", "0.02", ["1 charge_above_capacity"]),
    ("-400", "0", []), ("-400.000001", "0", ["1 discharge_above_charge"]),
    ("-420", "0.02", []), ("-420.000001", "0.02", ["1 discharge_above_charge"]),
  ])
  func edges(kWh: String, tolerance: String, expected: [String]) throws {
    let connection = try storeDatabase()
    try setCharge("0.4", connection)
    #expect(try flags([.init("b-1", 0, kWh)], tolerance: tolerance, connection) == expected)
  }

  /// What the book holds below 1 Wh counts as well.
  @Test func theRemainderCounts() throws {
    let connection = try storeDatabase()
    try connection.execute("SELECT ingest.apply_storage_operations('{b-1}', '{0.0004}')")
    #expect(try flags([.init("b-1", 0, "-0.0004")], connection).isEmpty)
    #expect(
      try flags([.init("b-1", 0, "-0.000401")], connection) == ["1 discharge_above_charge"])
  }

  /// Each operation is judged by what the earlier ones left, each battery by its own.
  @Test func severalOperationsOfOneCall() throws {
    let connection = try storeDatabase()
    let operations: [Operation] = [
      // Given out of order; in order of time b-1 goes 900, 1000 (of 1100), 0, 0 (of -1), 5.
      .init("b-1", 5, "5"), .init("b-1", 1, "900"), .init("b-1", 2, "200"),
      .init("b-2", 3, "-1"), .init("b-1", 3, "-1000"), .init("b-1", 4, "-1"),
      .init("b-2", 4, "1000"), .init("b-2", 5, "0.000001"),
    ]
    #expect(
      try flags(operations, connection) == [
        "3 charge_above_capacity", "4 discharge_above_charge", "6 discharge_above_charge",
        "8 charge_above_capacity",
      ])
    // Looking changes nothing.
    #expect(
      try connection.query("SELECT DISTINCT current_charge FROM grid.energy_storage")
        == [["0.000000"]])
    // At one time, they are judged as they are given.
    #expect(
      try flags([.init("b-1", 1, "1000"), .init("b-1", 1, "1")], connection)
        == ["2 charge_above_capacity"])
  }

  @Test func chargeAndDischargeAtOneTime() throws {
    let connection = try storeDatabase()
    try setCharge("0.5", connection)
    // Both in one call; the same time of another battery, and another time, are nothing to it.
    let both: [Operation] = [
      .init("b-1", 0, "1"), .init("b-2", 0, "-1"), .init("b-1", 0, "-1"), .init("b-1", 1, "-1"),
    ]
    #expect(
      try flags(both, connection) == ["1 simultaneous_operations", "3 simultaneous_operations"])
    // One of them was stored before.
    var earlier = ReadingRows()
    earlier.storage(second: 7)
    try earlier.commit(over: connection)
    let stored = "(timestamptz 'epoch' + interval '\(ReadingRows.start) microseconds')"
    #expect(
      try connection.value(
        "SELECT count(*) FROM grid.storage_operations WHERE executed_at = \(stored) + interval '7s'"
      ) == "1")
    #expect(
      try flags([.init("b-1", 7, "-1"), .init("b-2", 7, "-1")], connection)
        == ["1 simultaneous_operations"])
    // Twice the same is no opposite.
    #expect(try flags([.init("b-1", 7, "1")], connection).isEmpty)
    // One operation may break two rules.
    #expect(
      try flags([.init("b-1", 7, "-502")], connection)
        == ["1 discharge_above_charge", "1 simultaneous_operations"])
  }

  /// An old book may be out of range: it is taken for empty or full, as the update will take it.
  @Test func aBookOutOfRange() throws {
    let connection = try storeDatabase()
    try connection.execute(
      "ALTER TABLE grid.energy_storage DROP CONSTRAINT energy_storage_current_charge_check")
    try setCharge("-5", connection)
    #expect(
      try flags([.init("b-1", 0, "1000"), .init("b-1", 1, "1")], connection)
        == ["2 charge_above_capacity"])
    try setCharge("3.75", connection)
    #expect(
      try flags([.init("b-1", 0, "-1000"), .init("b-1", 1, "-1")], connection)
        == ["2 discharge_above_charge"])
  }

  @Test func whatIsNobodysBusiness() throws {
    let connection = try storeDatabase()
    #expect(try flags([], connection).isEmpty)
    #expect(
      try flags([.init("nobody", 0, "-1"), .init("b-1", 0, "-1")], connection)
        == ["2 discharge_above_charge"])
    for (call, code) in [
      ("'{}', '{}', '{b-1}', '{now}', '{1}', 0", "2202E"),
      ("'{}', '{}', '{}', '{}', '{}', NULL", "22023"),
      ("'{}', '{}', '{}', '{}', '{}', -0.01", "22023"),
      ("'{}', '{}', '{}', '{}', '{}', 'NaN'", "22023"),
    ] {
      let error = #expect(throws: PostgresError.self) {
        try connection.query("SELECT * FROM ingest.battery_flags(\(call))")
      }
      #expect(error?.sqlState == code)
    }
  }

  /// The same verdicts as a walk through the operations by hand, in kWh.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func aSeededWalk(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let connection = try storeDatabase()
    try setCharge("0.5", connection)
    let tolerance = random.number(0...9)
    let operations = (0..<500).map { _ in
      Operation(
        random.element(of: ["b-1", "b-2"]), random.number(0...400),
        "\(random.number(1...400) * (random.oneIn(2) ? 1 : -1))")
    }
    var held = ["b-1": 500, "b-2": 500]
    let moments = Set(operations.map { "\($0.battery) \($0.second) \($0.operation)" })
    var expected: [String] = []
    let ordered = operations.enumerated().sorted {
      ($0.element.second, $0.offset) < ($1.element.second, $1.offset)
    }
    for (offset, operation) in ordered {
      let book = (held[operation.battery] ?? 0) + (Int(operation.kWh) ?? 0)
      if operation.operation == "charge", book > 1_000 + 10 * tolerance {
        expected.append("\(offset + 1) charge_above_capacity")
      }
      if operation.operation == "discharge", book < -10 * tolerance {
        expected.append("\(offset + 1) discharge_above_charge")
      }
      if moments.contains("\(operation.battery) \(operation.second) \(operation.opposite)") {
        expected.append("\(offset + 1) simultaneous_operations")
      }
      held[operation.battery] = min(max(book, 0), 1_000)
    }
    #expect(Set(expected.map { $0.drop { $0 != " " } }).count == 3)
    #expect(
      try flags(operations, tolerance: "0.0\(tolerance)", connection).sorted() == expected.sorted(),
      "seed \(seed)")
  }

  // MARK: Side by side

  /// The battery is held until the book is written; what is inserted meanwhile needs not wait.
  @Test func theBatteryIsHeldUntilTheBookIsWritten() throws {
    let url = try TestServices.migratedDatabase()
    let first = try storeDatabase(url)
    let second = try PostgresConnection(url: url)
    try second.execute("SET lock_timeout = '100ms'")
    try first.execute("BEGIN")
    #expect(try flags([.init("b-1", 0, "1000")], first).isEmpty)
    let error = #expect(throws: PostgresError.self) {
      try flags([.init("b-1", 1, "1")], second)
    }
    #expect(error?.sqlState == "55P03")
    #expect(try flags([.init("b-2", 1, "1")], second).isEmpty)
    try second.execute(
      """
      INSERT INTO grid.storage_operations (storage_id, operation_type, energy_amount,
        price_per_unit, grid_location) VALUES ('b-1', 'charge', 1, 1, 'G')
      """)
    try first.execute("SELECT ingest.apply_storage_operations('{b-1}', '{1000}')")
    try first.execute("COMMIT")
    #expect(try flags([.init("b-1", 1, "1")], second) == ["1 charge_above_capacity"])
  }

  // MARK: The book

  @Test func anUnknownBatteryNamesTheConstraint() throws {
    let connection = try storeDatabase()
    let error = #expect(throws: PostgresError.self) {
      try connection.query("SELECT ingest.apply_storage_operations('{b-1,nobody}', '{1,1}')")
    }
    #expect(error?.sqlState == "23503")
    #expect(error?.constraint == "storage_operations_storage_id_fkey")
    #expect(error?.message.contains("nobody") == true)
    // And it is the name of the key that the operations have.
    #expect(
      try connection.value(
        """
        SELECT conrelid::regclass FROM pg_constraint
        WHERE conname = 'storage_operations_storage_id_fkey' AND contype = 'f'
        """) == "grid.storage_operations")
  }

  /// A battery whose old efficiency breaks a rule: its row cannot be updated, so the change waits,
  /// and nothing is lost or turned away.
  @Test func anOldBatteryThatCannotBeUpdated() throws {
    let connection = try PostgresConnection(url: TestServices.emptyDatabase())
    for migration in Migration.all.prefix(3) { try connection.execute(migration.sql) }
    _ = try connection.query(
      """
      INSERT INTO grid.energy_storage (storage_id, storage_operator, storage_type, capacity_mwh,
        efficiency, location_json, installed_at)
      VALUES ('b-1', '', '', 1, 1.2, '{}', now()), ('b-2', '', '', 1, 0.9, '{}', now())
      """)
    try Migrator(connection).migrate()
    func book() throws -> [[String?]] {
      try connection.query(
        """
        SELECT current_charge, coalesce(remainder_kwh, 0) FROM grid.energy_storage
          LEFT JOIN ingest.storage_remainders USING (storage_id) ORDER BY storage_id
        """)
    }
    var batch = ReadingRows()
    batch.storage("b-1", second: 0, microKWh: 600_000_400)
    batch.storage("b-2", second: 0, microKWh: 600_000_400)
    let outcome = try batch.commit(over: connection)
    #expect(outcome.stored[2] == 2 && !outcome.wasRepaired)
    #expect(try book() == [["0.000000", "600.000400"], ["0.600000", "0.000400"]])
    // The rules know what waits, and it is kept within the capacity.
    #expect(try flags([.init("b-1", 1, "400")], connection) == ["1 charge_above_capacity"])
    try connection.execute("SELECT ingest.apply_storage_operations('{b-1}', '{500}')")
    #expect(try book()[0] == ["0.000000", "1000.000000"])
    try connection.execute("UPDATE grid.energy_storage SET efficiency = 0.95")
    try connection.execute("SELECT ingest.apply_storage_operations('{b-1}', '{-0.0001}')")
    #expect(try book()[0] == ["1.000000", "-0.000100"])
  }

  /// A charge that was out of range is put right by the next operation, not a reason to refuse it.
  @Test func anOldChargeOutOfRangeIsPutRight() throws {
    let connection = try MigratorTests.Legacy.all[3].database()
    try Migrator(connection).migrate()
    #expect(
      try connection.query(
        "SELECT storage_id, current_charge, capacity_mwh FROM grid.energy_storage ORDER BY 1") == [
          ["battery-1", "-5.000000", "0.000001"], ["battery-2", "3.750000", "2.500000"],
        ])
    try connection.execute(
      "SELECT ingest.apply_storage_operations('{battery-1,battery-2}', '{1,-1}')")
    #expect(
      try connection.query("SELECT current_charge FROM grid.energy_storage ORDER BY storage_id")
        == [["0.000000"], ["2.500000"]])
  }
}
