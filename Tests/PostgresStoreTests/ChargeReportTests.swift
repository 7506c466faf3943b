// What batteries say that they hold, and the book beside it: migration 0010.

import EnergyReadings
import PostgresStore
import SeededRandom
import TestServices
import Testing

@Suite struct ChargeReportTests {
  /// One step: an operation or a report of b-1, which has a capacity of 1 MWh.
  private enum Step {
    case operation(second: Int, microKWh: Int64, StorageOperation)
    case energy(second: Int, microKWh: Int64)
    case share(second: Int, millionths: Int64)

    func add(to batch: inout ReadingRows) {
      switch self {
      case .operation(let second, let amount, let operation):
        batch.storage(second: second, microKWh: amount, operation)
      case .energy(let second, let amount):
        batch.charge("b-1", second: second, amount, .energy)
      case .share(let second, let millionths):
        batch.charge("b-1", second: second, millionths, .share)
      }
    }
  }

  private func commit(
    _ steps: Step..., over connection: PostgresConnection
  ) throws -> InlineArray<4, Int> {
    var batch = ReadingRows()
    for step in steps { step.add(to: &batch) }
    return try batch.commit(over: connection).charges
  }

  /// What the battery holds to the millionth of a kWh.
  private func held(_ connection: PostgresConnection) throws -> String? {
    try connection.value(
      """
      SELECT trim_scale(current_charge * 1000 + coalesce(remainder_kwh, 0))
      FROM grid.energy_storage LEFT JOIN ingest.storage_remainders USING (storage_id)
      WHERE storage_id = 'b-1'
      """)
  }

  @Test func aReportIsTheTruthAndTheBookCountsOnFromIt() throws {
    let connection = try storeDatabase()
    _ = try commit(
      .operation(second: 0, microKWh: 7_000_000, .charge), over: connection)
    #expect(try held(connection) == "7")
    let first = try commit(.share(second: 10, millionths: 642_500), over: connection)
    #expect(first[0] == 1 && first[1] == 0)
    #expect(try held(connection) == "642.5")
    // Before the report: it is in it. After: it counts.
    _ = try commit(.operation(second: 5, microKWh: 100_000_000, .charge), over: connection)
    #expect(try held(connection) == "642.5")
    _ = try commit(.operation(second: 15, microKWh: 2_500_000, .discharge), over: connection)
    #expect(try held(connection) == "640")
    // Late: there is a newer one.
    let late = try commit(.energy(second: 9, microKWh: 1), over: connection)
    #expect(late[1] == 1)
    let again = try commit(.share(second: 10, millionths: 1), over: connection)
    #expect(again[1] == 1)
    #expect(try held(connection) == "640")
    // Newer than the last, older than an operation that is stored.
    _ = try commit(.energy(second: 12, microKWh: 300_000_400), over: connection)
    #expect(try held(connection) == "297.5004")
  }

  @Test func ofOneBatchTheNewestCountsAndStrangersHarmNobody() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    batch.charge("b-1", second: 20, 500_000, .share)
    batch.charge("b-1", second: 30, 250_000, .share)
    batch.charge("nobody", second: 30, 250_000, .share)
    batch.charge("b-2", second: 30, 9_000_000_000, .energy)
    batch.storage(second: 40, microKWh: 1_000_000, .charge)
    let charges = try batch.commit(over: connection).charges
    #expect((charges[0], charges[1], charges[2], charges[3]) == (2, 1, 1, 0))
    #expect(try held(connection) == "251")
    // No more than it can hold.
    #expect(
      try connection.value(
        "SELECT current_charge = capacity_mwh FROM grid.energy_storage WHERE storage_id = 'b-2'")
        == "t")
  }

  /// In a batch that needs the repair, too.
  @Test func aRepairedBatchReportsOnce() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    batch.storage("nobody", second: 1)
    batch.storage(second: 40, microKWh: 1_000_000, .charge)
    batch.charge("b-1", second: 30, 250_000, .share)
    let outcome = try batch.commit(over: connection)
    #expect(outcome.wasRepaired && outcome.charges[0] == 1)
    #expect(try held(connection) == "251")
  }

  /// A rule of the platform's that a battery breaks refuses that battery's report alone.
  @Test func aConstraintRefusesOnlyItsBattery() throws {
    let connection = try storeDatabase()
    try connection.execute(
      """
      ALTER TABLE grid.energy_storage ADD CONSTRAINT half CHECK
        (storage_id <> 'b-1' OR current_charge < 0.5)
      """)
    var batch = ReadingRows()
    batch.charge("b-1", second: 1, 750_000, .share)
    batch.charge("b-2", second: 1, 750_000, .share)
    let charges = try batch.commit(over: connection).charges
    #expect((charges[0], charges[3]) == (1, 1))
    #expect(try held(connection) == "0")
    #expect(
      try connection.value(
        "SELECT current_charge / capacity_mwh = 0.75 FROM grid.energy_storage "
          + "WHERE storage_id = 'b-2'") == "t")
    #expect(try connection.value("SELECT count(*) FROM ingest.charge_reports") == "1")
  }

  /// The report has seen what came before it, so that nothing of that looks impossible.
  @Test func operationsBeforeTheReportAreNotJudgedByIt() throws {
    let connection = try storeDatabase()
    _ = try commit(.share(second: 10, millionths: 0), over: connection)
    var batch = ReadingRows()
    batch.rows.batteryRules = BatteryRules(
      names: ["discharge_above_charge", "charge_above_capacity"], tolerancePercent: 0)
    batch.storage(second: 5, microKWh: 5_000_000, .discharge)
    batch.storage(second: 15, microKWh: 5_000_000, .discharge)
    #expect(try batch.commit(over: connection).flagged == ["discharge_above_charge"])
    #expect(
      try connection.value(
        "SELECT string_agg(extract(epoch FROM at)::bigint - 1781049600 || '', ' ') "
          + "FROM ingest.reading_flags") == "15")
  }

  /// However operations and reports are shuffled and cut into batches, the charge is the newest report
  /// and what came after it.
  @Test(arguments: 1...4)
  func theOrderOfArrivalDoesNotMatter(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var steps: [Step] = []
    var expected: (reported: Int64, at: Int, since: Int64) = (0, 0, 0)
    for second in 1...40 {
      if Int.random(in: 0..<5, using: &random) == 0 {
        let millionths = Int64.random(in: 400_000...600_000, using: &random)
        steps.append(.share(second: second, millionths: millionths))
        expected = (millionths * 1_000, second, 0)
      } else {
        let amount = Int64.random(in: 1...999_999, using: &random)
        let operation: StorageOperation = Bool.random(using: &random) ? .charge : .discharge
        steps.append(.operation(second: second, microKWh: amount, operation))
        expected.since += operation == .charge ? amount : -amount
      }
    }
    // Begins with a report, or the bounds of the book would be met in some orders.
    steps.append(.share(second: 0, millionths: 500_000))
    if expected.at == 0 { expected.reported = 500_000_000 }
    let connection = try storeDatabase()
    var rest = steps.shuffled(using: &random)
    _ = try commit(.energy(second: -1, microKWh: 500_000_000), over: connection)
    while !rest.isEmpty {
      var batch = ReadingRows()
      let count = min(rest.count, Int.random(in: 1...6, using: &random))
      for step in rest.prefix(count) { step.add(to: &batch) }
      rest.removeFirst(count)
      try batch.commit(over: connection)
    }
    let microKWh = expected.reported + expected.since
    let held = try held(connection) ?? "nothing"
    #expect(
      try connection.value(
        """
        SELECT (current_charge * 1000 + coalesce(remainder_kwh, 0)) * 1000000 = \(microKWh)
        FROM grid.energy_storage LEFT JOIN ingest.storage_remainders USING (storage_id)
        WHERE storage_id = 'b-1'
        """) == "t", "\(held) kWh but \(microKWh) micro-kWh")
  }

  /// Two connections whose batches hold the same batteries crosswise do not wait for each other.
  @Test func crossedBatchesDoNotDeadlock() async throws {
    let url = try TestServices.migratedDatabase()
    _ = try storeDatabase(url)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<2 {
        let lane = PostgresLane(url: url, applicationName: "worker \(worker)")
        group.addTask {
          for round in 0..<30 {
            try await lane.run { (connection) throws(PostgresError) in
              var batch = ReadingRows()
              let second = 100 * round + worker
              batch.storage(worker == 0 ? "b-2" : "b-1", second: second, microKWh: 1_000)
              batch.charge(worker == 0 ? "b-1" : "b-2", second: second, 500_000, .share)
              try batch.commit(over: connection)
            }
          }
        }
      }
      try await group.waitForAll()
    }
  }
}
