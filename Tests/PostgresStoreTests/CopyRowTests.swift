// Rows in binary COPY: byte for byte what PostgreSQL itself would write.

import EnergyReadings
import PostgresStore
import TestServices
import Testing

@Suite struct CopyRowTests {
  /// Where a `numeric` changes its number of base-10,000 digits, and a few in between.
  private static let amounts: [Int64] = [
    1, 99, 100, 9_999, 10_000, 99_999, 999_999, 1_000_000, 1_000_001, 12_345_678, 100_000_000,
    9_999_000_000, 10_000_000_000, 10_000_000_001, 123_456_789_012_345, 100_000_000_000_000,
    999_900_000_000_000, 999_999_999_999_999,
  ]

  /// PostgreSQL's epoch, the microseconds around it, and the ends of a microsecond count.
  private static let times: [Int64] = [
    946_684_800_000_000, 946_684_799_999_999, 946_684_800_000_001, 1_781_049_600_123_456,
    951_782_400_000_000, 0, -1, 253_402_300_799_999_999,
  ]

  @Test func productionRows() throws {
    try expectPostgresBytes(
      from: "grid.energy_production",
      columns: """
        id, producer_id, energy_amount, energy_source, location_json, efficiency, quality_score,
        equipment_id, "timestamp"
        """,
      Self.amounts.enumerated().map { index, amount in
        { batch in
          var reading = batch.reading(.production, "p-\(index)é", microKWh: amount, time(index))
          reading.energySource = batch.text("solar")
          reading.location = batch.text(#"{"grid_code": "G-1"}"#)
          reading.locationHasGridCode = true
          reading.efficiency = [0, 1, 9_876, 10_000][index % 4]
          reading.qualityScore = [10_000, 5_000, 100, 0][index % 4]
          if index % 2 == 0 { reading.equipment = batch.text("inverter \"\(index)\"") }
          return reading
        }
      })
  }

  @Test func consumptionRows() throws {
    try expectPostgresBytes(
      from: "grid.energy_consumption",
      columns: """
        id, consumer_id, energy_amount, consumer_type, location_json, appliance_breakdown,
        "timestamp"
        """,
      Self.amounts.enumerated().map { index, amount in
        { batch in
          var reading = batch.reading(.consumption, "c-\(index)", microKWh: amount, time(index))
          reading.consumerType = batch.text("residential")
          reading.gridCode = .absent
          if index % 2 == 0 { reading.applianceBreakdown = batch.text(#"{"tv": 0.1}"#) }
          return reading
        }
      })
  }

  @Test func storageRows() throws {
    try expectPostgresBytes(
      from: "grid.storage_operations",
      columns: """
        id, storage_id, operation_type, energy_amount, price_per_unit, grid_location, executed_at
        """,
      Self.amounts.enumerated().map { index, amount in
        { batch in
          var reading = batch.reading(.storage, "b-1", microKWh: amount, time(index))
          reading.operation = index % 2 == 0 ? .charge : .discharge
          reading.price = Self.amounts[Self.amounts.count - 1 - index]
          if index % 2 == 0 { reading.gridLocation = batch.text("feeder 7") }
          return reading
        }
      })
  }

  /// Each index its own time, the times of interest first; in ascending order nowhere.
  private func time(_ index: Int) -> Int64 {
    index < Self.times.count ? Self.times[index] : ReadingRows.start + Int64(index)
  }

  /// Stores the readings, lets PostgreSQL write the table as a binary COPY, and compares.
  private func expectPostgresBytes(
    from table: String, columns: String, _ readings: [(inout ReadingRows) -> Reading]
  ) throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    let buffer = CopyBuffer()
    for make in readings {
      let reading = make(&batch)
      batch.rows.append(reading, in: batch.arena)
      let id = ReadingID(
        kind: reading.kind, device: batch.arena[reading.device], timestamp: reading.timestamp,
        channel: reading.channel)
      buffer.append(reading, id: id, in: batch.arena)
    }
    let outcome = try batch.commit(over: connection)
    #expect(!outcome.wasRepaired && outcome.refused.isEmpty)
    let file = TestServices.freshName()
    // In the order of insertion; relative paths are those of the data directory.
    try connection.execute(
      """
      DO $$ BEGIN EXECUTE format(
        'COPY (SELECT \(columns) FROM \(table) ORDER BY ctid) TO %L (FORMAT binary)',
        current_setting('data_directory') || '/\(file)'); END $$
      """)
    let theirs = try connection.value("SELECT encode(pg_read_binary_file('\(file)'), 'hex')")
    var ours: [String] = []
    buffer.sendInOrder { piece in
      ours += piece.map(hexadecimal)
      return true
    }
    #expect(ours.joined() == theirs)
  }

  private func hexadecimal(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }

  /// The column that enrichment completes: whatever the object looks like, valid JSON comes out.
  @Test func theGridCodeJoinsTheLocation() throws {
    let connection = try storeDatabase()
    let objects: [(String?, String)] = [
      (nil, #"{"grid_code": "G\"\\1"}"#), ("{}", #"{"grid_code": "G\"\\1"}"#),
      ("{ \t\r\n }", #"{"grid_code": "G\"\\1"}"#),
      (#"{"a":{"b":[1]}}"#, #"{"a": {"b": [1]}, "grid_code": "G\"\\1"}"#),
      ("{\n \"district\": \"}\\\"{\"\n}", #"{"district": "}\"{", "grid_code": "G\"\\1"}"#),
    ]
    var batch = ReadingRows()
    for (second, object) in objects.enumerated() {
      batch.consumption(second: second, grid: #"G"\1"#, location: object.0)
    }
    try batch.commit(over: connection)
    let stored = try connection.query(
      "SELECT location_json FROM grid.energy_consumption ORDER BY timestamp")
    #expect(stored.map { $0[0] } == objects.map(\.1))
  }

  /// The id in Swift is the id in SQL, whatever the device is called and whenever it was.
  @Test func idsAgreeOnRandomCases() throws {
    let connection = try PostgresConnection(url: TestServices.migratedDatabase())
    try connection.execute("SELECT setseed(0.20260610)")
    let cases = try connection.query(
      """
      WITH drawn AS (
        SELECT (ARRAY['production', 'consumption', 'storage'])[1 + floor(random() * 3)::int] AS kind,
          (SELECT string_agg(chr((ARRAY[45, 48, 90, 233, 3617, 30000, 128267])
              [1 + floor(random() * 7)::int]), '')
            FROM generate_series(1, 1 + n % 100)) AS device,
          (ARRAY['', 'charge', 'discharge'])[1 + floor(random() * 3)::int] AS channel,
          floor((random() - 0.2) * 5e15)::bigint AS microseconds
        FROM generate_series(1, 2000) AS n)
      SELECT kind, device, channel, microseconds, ingest.reading_id(kind, device,
        timestamptz 'epoch' + microseconds * interval '1 microsecond', channel)
      FROM drawn
      """)
    #expect(cases.count == 2_000 && Set(cases.map { $0[1] }).count > 1_900)
    let channels: [String: StaticString] = ["": "", "charge": "charge", "discharge": "discharge"]
    for row in cases {
      let device = Array((row[1] ?? "").utf8)
      let kind = try #require(ReadingKind.allCases.first { $0.description == row[0] })
      let id = ReadingID(
        kind: kind, device: device.span,
        timestamp: Timestamp(microseconds: try #require(Int64(row[3] ?? ""))),
        channel: try #require(channels[row[2] ?? "?"]))
      #expect(id.description == row[4], "\(row)")
    }
  }
}
