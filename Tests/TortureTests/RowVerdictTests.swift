// Sabotage: whatever is done to stored readings, the verdict names it.

import EnergyReadings
import PostgresStore
import TestServices
import Testing

@Suite struct RowVerdictTests {
  private let journals = ReadingKind.allCases.map {
    Journal(kind: $0, devices: MeterFleet.devices)
  }
  private let connection: PostgresConnection

  /// Three readings of two meters of each kind, acknowledged and stored as they are.
  init() throws {
    connection = try PostgresConnection(url: TestServices.migratedDatabase())
    try RegistryWriter(connection).upsert(MeterFleet.registry)
    for journal in journals {
      for device in 0..<2 {
        for number in 0..<3 {
          let entry = Journal.Entry(
            time: 1_795_132_800_000_001 + Int64(number) * 100_000,
            microKWh: Int64(100_000 * (number + 1) + device))
          journal.add(device: device, time: entry.time, microKWh: entry.microKWh)
          journal.acknowledge(device: device, number..<number + 1)
          try store(journal.kind, device, number, entry)
        }
      }
    }
    try connection.execute(
      """
      SELECT ingest.apply_storage_operations(
        array_agg(storage_id),
        array_agg(CASE operation_type WHEN 'charge' THEN energy_amount ELSE -energy_amount END))
      FROM grid.storage_operations
      """)
  }

  private func store(
    _ kind: ReadingKind, _ device: Int, _ number: Int, _ entry: Journal.Entry
  ) throws {
    let fields = MeterFleet.columns(kind, number: number, entry).split(separator: " ")
      .map(String.init)
    let target =
      switch kind {
      case .production:
        """
        grid.energy_production (producer_id, timestamp, energy_amount, energy_source, efficiency,
          quality_score, equipment_id, location_json)
        SELECT $1, $2, $3::text::numeric, $4, $5::text::numeric, $6::text::numeric, $7, '{}'
        """
      case .consumption:
        """
        grid.energy_consumption (consumer_id, timestamp, energy_amount, consumer_type,
          appliance_breakdown, location_json)
        SELECT $1, $2, $3::text::numeric, $4, jsonb_build_object('all', $5::text::numeric), '{}'
        """
      case .storage:
        """
        grid.storage_operations (storage_id, executed_at, energy_amount, operation_type,
          price_per_unit, grid_location)
        SELECT $1, $2, $3::text::numeric, $4, $5::text::numeric, $6
        """
      }
    try connection.query(
      "INSERT INTO \(target)",
      [MeterFleet.id(kind, device), Timestamp(microseconds: entry.time).description] + fields)
  }

  private func verdict() throws -> RowVerdict { try RowVerdict(journals, over: connection) }

  @Test func theIntactIsClean() throws {
    let verdict = try verdict()
    #expect(verdict.isClean, "\(verdict.examples)")
    #expect(verdict.required == 18 && verdict.stored == 18)
    #expect(try BooksVerdict(over: connection).isClean)
  }

  /// A meter that writes down what it never sent.
  @Test func whatWasNeverSentIsLost() throws {
    journals[0].add(device: 5, time: 1_795_132_800_000_001, microKWh: 1)
    #expect(try verdict().isClean)
    journals[0].acknowledge(device: 5, 0..<1)
    let verdict = try verdict()
    #expect(verdict.lost == 1 && !verdict.isClean)
    #expect(verdict.examples.first?.hasPrefix("lost: production-5 2026-11-20T") == true)
  }

  /// Each with its effect: lost, duplicated, altered, unexpected.
  private static let sabotages: [(sql: String, effect: [Int])] = [
    ("DELETE FROM grid.energy_production WHERE equipment_id = 'e-1'", [2, 0, 0, 0]),
    ("DELETE FROM grid.storage_operations WHERE storage_id = 'storage-1'", [3, 0, 0, 0]),
    (
      """
      INSERT INTO grid.energy_consumption (consumer_id, timestamp, energy_amount, consumer_type,
        appliance_breakdown, location_json)
      SELECT consumer_id, timestamp, energy_amount, consumer_type, appliance_breakdown, '{}'
      FROM grid.energy_consumption WHERE energy_amount = 0.1
      """, [0, 1, 0, 0]
    ),
    (
      """
      UPDATE grid.energy_production SET energy_amount = energy_amount + 0.000001
      WHERE producer_id = 'production-1'
      """, [0, 0, 3, 0]
    ),
    ("UPDATE grid.energy_production SET quality_score = 0.5", [0, 0, 6, 0]),
    (
      """
      UPDATE grid.storage_operations SET operation_type = 'charge'
      WHERE operation_type = 'discharge' AND storage_id = 'storage-0'
      """, [0, 0, 1, 0]
    ),
    (
      """
      UPDATE grid.energy_consumption SET timestamp = timestamp + interval '1 microsecond'
      WHERE consumer_id = 'consumption-0' AND energy_amount = 0.1
      """, [1, 0, 0, 1]
    ),
    ("UPDATE grid.energy_consumption SET consumer_id = 'nobody'", [6, 0, 0, 6]),
  ]

  @Test(arguments: 0..<8) func sabotageIsNamed(number: Int) throws {
    let sabotage = RowVerdictTests.sabotages[number]
    try connection.execute(sabotage.sql)
    let verdict = try verdict()
    #expect(
      [verdict.lost, verdict.duplicated, verdict.altered, verdict.unexpected] == sabotage.effect,
      "\(sabotage.sql) \(verdict.examples)")
    #expect(!verdict.isClean)
  }

  @Test func aZeroThatIsStoredIsUnexpected() throws {
    journals[1].add(device: 9, time: 1_795_132_800_000_001, microKWh: 0)
    journals[1].acknowledge(device: 9, 0..<1)
    #expect(try verdict().isClean)
    try connection.execute(
      """
      INSERT INTO grid.energy_consumption (consumer_id, timestamp, energy_amount, consumer_type,
        location_json)
      VALUES ('consumption-9', timestamptz 'epoch' + 1795132800000001 * interval '1 microsecond',
        0.5, 'residential', '{}')
      """)
    #expect(try verdict().unexpected == 1)
  }

  @Test func anAcknowledgementThatNeverCameIsNoFault() throws {
    let entry = Journal.Entry(time: 1_795_132_800_000_001, microKWh: 100_000)
    journals[0].add(device: 5, time: entry.time, microKWh: entry.microKWh)
    try store(journals[0].kind, 5, 0, entry)
    let verdict = try verdict()
    #expect(verdict.isClean)
    #expect(verdict.unacknowledged == 1)
  }

  @Test func theBooksAreRead() throws {
    try connection.execute(
      """
      UPDATE grid.energy_storage SET current_charge = current_charge + 0.000001
      WHERE storage_id = 'storage-1';
      INSERT INTO ingest.reading_flags (reading_id, kind, device_id, at, rule)
      SELECT id, 'storage', storage_id, executed_at, 'spike' FROM grid.storage_operations
      LIMIT 2;
      INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload, reason)
      VALUES (gen_random_uuid(), now(), now(), 'x', 'y', 'out_of_range');
      """)
    let books = try BooksVerdict(over: connection)
    #expect(books.batteriesOff == 1)
    #expect(books.flags == ["spike": 2])
    #expect(books.deadLetters == ["out_of_range": 1])
  }

  @Test func anUnbalancedLedgerShows() {
    func ledger(_ stored: Int, imbalance: Int = 0) -> IngestorLedger {
      IngestorLedger(
        name: "a",
        metrics: """
          meter_ingestor_readings_received_total{kind="production"} 4
          meter_ingestor_readings_received_total{kind="storage"} 3
          meter_ingestor_readings_stored_total{kind="production"} \(stored)
          meter_ingestor_readings_duplicate_total{kind="storage"} 1
          meter_ingestor_readings_rejected_total{kind="storage",reason="wrong_type"} 1
          meter_ingestor_readings_zero_total{kind="storage"} 1
          meter_ingestor_readings_in_flight{kind="storage"} 0
          meter_ingestor_ledger_imbalance_readings{kind="production"} \(imbalance)
          meter_ingestor_ledger_imbalance_readings{kind="storage"} \(-imbalance)
          """)
    }
    #expect(ledger(4).isBalanced && ledger(4).received == 7)
    #expect(!ledger(3).isBalanced)
    #expect(!ledger(4, imbalance: 1).isBalanced)
  }
}
