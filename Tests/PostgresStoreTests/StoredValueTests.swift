// What other services read: each value as PostgreSQL prints it, against a literal, and what a batch
// leaves of its neighbours' values when some of its rows or dead letters are at fault.

import EnergyReadings
import PostgresStore
import TestServices
import Testing

@Suite struct StoredValueTests {
  /// Millionths, and the text that they are: around each base-10,000 digit of a `numeric`. A wrong
  /// weight or a lost digit survives a binary round trip; it does not survive this.
  private static let amounts: [(Int64, String)] = [
    (1, "0.000001"), (99, "0.000099"), (100, "0.000100"), (9_999, "0.009999"),
    (10_000, "0.010000"), (10_001, "0.010001"), (999_999, "0.999999"), (1_000_000, "1.000000"),
    (1_000_001, "1.000001"), (1_000_100, "1.000100"), (9_999_000_000, "9999.000000"),
    (10_000_000_000, "10000.000000"), (10_000_000_001, "10000.000001"),
    (100_000_000_000_000, "100000000.000000"), (100_000_000_000_001, "100000000.000001"),
    (123_456_789_012_345, "123456789.012345"), (999_999_999_999_999, "999999999.999999"),
  ]

  @Test func amountsAndPricesAreTheirDigits() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    for (index, amount) in Self.amounts.enumerated() {
      batch.production(second: index, microKWh: amount.0)
      batch.consumption(second: index, microKWh: amount.0)
      var operation = batch.reading(
        .storage, "b-1", microKWh: amount.0, ReadingRows.start + Int64(index))
      operation.price = Self.amounts[Self.amounts.count - 1 - index].0
      batch.rows.append(operation, in: batch.arena)
    }
    #expect(try !batch.commit(over: connection).wasRepaired)
    let texts = Self.amounts.map(\.1)
    for table in ["grid.energy_production", "grid.energy_consumption"] {
      #expect(
        try connection.query("SELECT energy_amount FROM \(table) ORDER BY timestamp")
          == texts.map { [$0] }, "\(table)")
    }
    #expect(
      try connection.query(
        "SELECT energy_amount, price_per_unit FROM grid.storage_operations ORDER BY executed_at")
        == zip(texts, texts.reversed()).map { [$0, $1] })
  }

  /// Four decimals, and what stands in the columns of a reading that gave nothing.
  @Test func sharesAndAbsentTexts() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    let shares: [(Int32, String)] = [
      (0, "0.0000"), (1, "0.0001"), (100, "0.0100"), (9_876, "0.9876"), (10_000, "1.0000"),
    ]
    for (index, share) in shares.enumerated() {
      var reading = batch.reading(
        .production, "p-1", microKWh: 1, ReadingRows.start + Int64(index))
      reading.energySource = batch.text("wind")
      reading.efficiency = share.0
      reading.qualityScore = shares[shares.count - 1 - index].0
      batch.rows.append(reading, in: batch.arena)
    }
    var operation = batch.reading(.storage, "b-1", microKWh: 1, ReadingRows.start, grid: "G-9")
    operation.price = 1
    operation.gridLocation = batch.text("feeder 7")
    batch.rows.append(operation, in: batch.arena)
    try batch.commit(over: connection)
    #expect(
      try connection.query(
        """
        SELECT efficiency, quality_score, equipment_id FROM grid.energy_production
        ORDER BY timestamp
        """) == zip(shares, shares.reversed()).map { [$0.1, $1.1, nil] })
    #expect(
      try connection.query("SELECT grid_location, price_per_unit FROM grid.storage_operations")
        == [["feeder 7", "0.000001"]])
  }

  /// Microseconds on both sides of PostgreSQL's epoch and of ours, in every table.
  @Test func timesAreExactToTheMicrosecond() throws {
    let connection = try storeDatabase()
    let times: [(Int64, String)] = [
      (-1, "1969-12-31 23:59:59.999999+00"), (0, "1970-01-01 00:00:00+00"),
      (946_684_799_999_999, "1999-12-31 23:59:59.999999+00"),
      (946_684_800_000_000, "2000-01-01 00:00:00+00"),
      (946_684_800_000_001, "2000-01-01 00:00:00.000001+00"),
      (1_709_164_800_000_500, "2024-02-29 00:00:00.0005+00"),
      (1_781_049_600_123_456, "2026-06-10 00:00:00.123456+00"),
      (253_402_300_799_999_999, "9999-12-31 23:59:59.999999+00"),
    ]
    var batch = ReadingRows()
    for (time, _) in times {
      for (kind, device) in [
        (ReadingKind.production, "p-1"), (.consumption, "c-1"), (.storage, "b-1"),
      ] {
        var reading = batch.reading(kind, device, microKWh: 1, time)
        reading.energySource = batch.text("solar")
        reading.consumerType = batch.text("residential")
        reading.price = 1
        batch.rows.append(reading, in: batch.arena)
      }
    }
    try batch.commit(over: connection)
    try connection.execute("SET TIME ZONE 'UTC'")
    for (table, column, rest) in [
      ("grid.energy_production", "timestamp", "'production', producer_id, timestamp"),
      ("grid.energy_consumption", "timestamp", "'consumption', consumer_id, timestamp"),
      ("grid.storage_operations", "executed_at", "'storage', storage_id, executed_at, 'charge'"),
    ] {
      #expect(
        try connection.query(
          "SELECT \(column)::text, id = ingest.reading_id(\(rest)) FROM \(table) ORDER BY \(column)"
        ) == times.map { [$0.1, "t"] }, "\(table)")
    }
  }

  // MARK: Batteries

  /// An unknown battery at either end and in the middle of 10,000 operations: the other batteries'
  /// charge is the sum of what was stored.
  @Test func unknownBatteriesMoveNoCharge() throws {
    let connection = try storeDatabase()
    let places = [0, 5_000, 9_999]
    var batch = ReadingRows()
    for row in 0..<10_000 {
      batch.storage(places.contains(row) ? "nobody" : "b-1", second: row, microKWh: 400)
    }
    let outcome = try batch.commit(over: connection)
    #expect(outcome.refused.map(\.row) == places && outcome.stored[2] == 9_997)
    for row in outcome.refused {
      #expect(row.rejection.reason == .rejectedByDatabase && row.rejection.sqlState == "23503")
      #expect(row.rejection.detail.contains("nobody"))
    }
    // 9,997 × 0.4 Wh = 3,998.8 Wh, of which the column holds 3,999 and the remainder -0.2.
    #expect(try book(of: "b-1", connection) == ["0.003999", "-0.000200"])
  }

  /// Of a batch that is partly known already, only the news counts, and once.
  @Test func onlyNewOperationsMoveTheCharge() throws {
    let connection = try storeDatabase()
    var first = ReadingRows()
    first.storage(second: 0, microKWh: 400)
    first.storage(second: 1, microKWh: 400)
    try first.commit(over: connection)
    #expect(try book(of: "b-1", connection) == ["0.000001", "-0.000200"])
    var second = ReadingRows()
    for time in [1, 2, 2, 0, 3] { second.storage(second: time, microKWh: 400) }
    // Contradicts what is stored, so it is refused and moves nothing.
    second.storage(second: 0, microKWh: 900_000)
    // The other channel of the same time: a reading of its own.
    second.storage(second: 3, microKWh: 100, .discharge)
    let outcome = try second.commit(over: connection)
    #expect(outcome.stored[2] == 3 && outcome.duplicates[2] == 3)
    #expect(outcome.refused.map(\.row) == [5])
    // 0.8 + 0.4 + 0.4 - 0.1 Wh.
    #expect(try book(of: "b-1", connection) == ["0.000002", "-0.000500"])
    #expect(try book(of: "b-2", connection) == ["0.000000", nil])
  }

  /// Charge in MWh, and the remainder below 1 Wh in kWh.
  private func book(of battery: String, _ connection: PostgresConnection) throws -> [String?] {
    try connection.query(
      """
      SELECT current_charge, remainder_kwh
      FROM grid.energy_storage LEFT JOIN ingest.storage_remainders USING (storage_id)
      WHERE storage_id = $1
      """, [battery])[0]
  }

  // MARK: Dead letters

  /// Readings do not go in without the dead letters of their batch.
  @Test func readingsAndDeadLettersGoTogether() throws {
    let connection = try storeDatabase()
    try connection.execute("ALTER TABLE ingest.dead_letters RENAME TO elsewhere")
    var batch = ReadingRows()
    batch.consumption()
    batch.storage(microKWh: 5_000_000)
    batch.storage("nobody")
    let error = try #require(throws: PostgresError.self) { try batch.commit(over: connection) }
    #expect(error.isMissingSchema)
    #expect(try connection.value("SELECT count(*) FROM grid.energy_consumption") == "0")
    #expect(try book(of: "b-1", connection) == ["0.000000", nil])
    try connection.execute("ALTER TABLE ingest.elsewhere RENAME TO dead_letters")
    let outcome = try batch.commit(over: connection)
    #expect(outcome.stored[1] == 1 && outcome.stored[2] == 1 && outcome.refused.count == 1)
  }

  /// MQTT lets a topic have 65,535 bytes, all of which may be a device's name. An index holds no
  /// such text, and a dead letter that cannot be stored would keep its batch out for ever.
  @Test func aDeviceNameOfAnyLengthIsNoReasonToStop() throws {
    let connection = try storeDatabase()
    var noise: UInt64 = 7
    let name = (0..<5_000).map { _ in
      noise = noise &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return String(noise >> 32, radix: 36)
    }.joined()
    var batch = ReadingRows()
    batch.consumption()
    let outcome = try BatchStore(connection).commit(batch.rows) { _, buffer in
      var arena = ByteArena()
      for device in [String(name.prefix(100)), name] {
        buffer.append(
          DeadLetter(
            receivedAt: Timestamp(microseconds: ReadingRows.start),
            topic: arena.append("t/\(device)".utf8.span), payload: arena.append("p"), index: nil,
            kind: .consumption, device: arena.append(device.utf8.span),
            rejection: Rejection(.malformedPayload, detail: "too long")), in: arena)
      }
    }
    #expect(outcome.stored[1] == 1)
    let letters = try connection.query(
      "SELECT topic, device_id FROM ingest.dead_letters ORDER BY length(topic)")
    #expect(letters.map { $0[0] } == ["t/\(name.prefix(100))", "t/\(name)"])
    // The name that a device may have is whole; the other is recognised, and is nobody else's.
    #expect(letters.first?[1] == String(name.prefix(100)))
    let kept = try #require(letters.last?[1])
    #expect(name.hasPrefix(kept) && kept.count > 100)
  }
}
