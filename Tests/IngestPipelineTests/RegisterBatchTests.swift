// From samples of registers to rows, events and dead letters, in a real database.

import CheckRules
import EnergyReadings
import IngestPipeline
import PostgresStore
import TestServices
import Testing

@Suite struct RegisterBatchTests {
  private let url: String
  private let connection: PostgresConnection

  init() throws {
    url = try TestServices.migratedDatabase()
    connection = try PostgresConnection(url: url)
    let place = RegistryFile.DeviceLocation(gridCode: "G-9")
    try RegistryWriter(connection).upsert(
      RegistryFile(
        producers: [
          .init(
            producerID: "house", producerName: "House", producerType: "residential",
            energySources: ["solar"], location: place, capacityKW: "10")
        ],
        consumers: [
          .init(
            consumerID: "house", consumerName: "House", consumerType: "residential",
            location: place)
        ],
        storages: [
          .init(
            storageID: "battery", storageOperator: "us", storageType: "lithium", capacityMWh: "1",
            location: place, installedAt: "2026-01-01T00:00:00Z")
        ]))
  }

  private func batch(
    _ samples: [MeterSample], _ states: MeterStates = MeterStates()
  ) throws -> Batch {
    var settings = EnrichmentSettings()
    settings.tariff = 2_000_000
    let batch = Batch(enrichment: settings, states: states)
    let reference = try ReferenceData.load(.init(), over: connection)
    for sample in samples { batch.add(sample, by: reference) }
    return batch
  }

  @discardableResult
  private func store(_ samples: MeterSample...) throws -> BatchLedger {
    let ledger = try batch(samples).commit(to: BatchStore(connection))
    // Whatever became of them, each is accounted for.
    for kind in 0..<4 {
      let ends = ledger.stored[kind] + ledger.duplicates[kind] + ledger.zeros[kind]
      #expect(
        ledger.received[kind] == ends + ledger.rejected.count { $0.kind == kind }, "kind \(kind)")
    }
    #expect(samples.count == (0..<4).reduce(0) { $0 + ledger.samples[$1] })
    return ledger
  }

  private func rows(_ sql: String) throws -> [String] {
    try connection.query(sql).map { $0.map { $0 ?? "null" }.joined(separator: " ") }
  }

  private let consumption = """
    SELECT energy_amount, extract(epoch FROM timestamp)::bigint - \(MeterSample.start)
    FROM grid.energy_consumption ORDER BY timestamp, energy_amount
    """
  private let letters = """
    SELECT reason, coalesce(rule, constraint_name, sqlstate) FROM ingest.dead_letters ORDER BY 1, 2
    """

  @Test func aTotalBecomesAnInterval() throws {
    let first = try store(.init("house", kWh: 1_000, at: 0))
    #expect(first.zeros[1] == 1)
    let second = try store(
      .init("house", kWh: 1_000.25, at: 900), .init("house", kWh: 1_000.75, at: 1_800))
    #expect(second.stored[1] == 2)
    let again = try store(
      .init("house", kWh: 1_000.25, at: 900), .init("house", kWh: 1_000.75, at: 2_700))
    #expect(again.duplicates[1] == 1 && again.zeros[1] == 1)
    #expect(try rows(consumption) == ["0.250000 900", "0.500000 1800"])
    #expect(
      try rows("SELECT DISTINCT consumer_type, location_json FROM grid.energy_consumption")
        == [#"residential {"grid_code": "G-9"}"#])
    #expect(
      try rows(
        """
        SELECT measure, last_value, first_value, num_nulls(floor_at, fallen_at, candidate_at), carry
        FROM ingest.register_state
        """) == ["register 1000750000 1000000000 3 0"])
  }

  @Test func whatSamplesCameToIsCounted() throws {
    let ledger = try store(
      .init("house", kWh: 1_000, at: 0), .init("house", kWh: 1_000.25, at: 900),
      .init("house", kWh: 1_000.25, at: 1_800), .init("house", kWh: 1_000.1, at: 450),
      .init("house", kWh: 5, at: 2_700), .init("house", register: "x", kWh: -1, at: 0))
    let outcomes = SampleOutcome.allCases.map {
      "\($0.name) \(ledger.sampleOutcomes[Int($0.rawValue)])"
    }
    #expect(outcomes == ["interval 1", "first 1", "unchanged 2", "known 1", "refused 1"])
    let events = RegisterEvent.Kind.allCases.filter { ledger.registerEvents[Int($0.rawValue)] > 0 }
    #expect(events == [.reset] && ledger.registerEvents[Int(events[0].rawValue)] == 1)
  }

  @Test func theIDIsThatOfTheRegister() throws {
    try store(
      .init("house", register: "1.8.1", kWh: 10, at: 0),
      .init("house", register: "1.8.2", kWh: 20, at: 0))
    try store(
      .init("house", register: "1.8.1", kWh: 11, at: 900),
      .init("house", register: "1.8.2", kWh: 21, at: 900))
    #expect(try rows(consumption) == ["1.000000 900", "1.000000 900"])
    #expect(
      try rows(
        """
        SELECT count(*) FROM grid.energy_consumption WHERE id IN (
          ingest.reading_id('consumption', consumer_id, timestamp, 'register:1.8.1'),
          ingest.reading_id('consumption', consumer_id, timestamp, 'register:1.8.2'))
        """) == ["2"])
  }

  @Test func aNetRegisterIsCountedByWhatItBecame() throws {
    let ledger = try store(
      .init("house", kWh: 5, at: 0, .netRegister), .init("house", kWh: 4, at: 900, .netRegister),
      .init("house", kWh: 6, at: 1_800, .netRegister))
    #expect(ledger.stored[0] == 1 && ledger.received[0] == 1)
    #expect(ledger.stored[1] == 1 && ledger.received[1] == 2)
    #expect(try rows("SELECT energy_amount FROM grid.energy_production") == ["1.000000"])
    #expect(try rows(consumption) == ["2.000000 1800"])
  }

  /// Who is to be registered is whoever the interval would belong to.
  @Test func theFallOfANetRegisterIsRefusedAsProduction() throws {
    try connection.execute("DELETE FROM blockchain.registered_producers")
    try store(
      .init("house", kWh: 5, at: 0, .netRegister), .init("house", kWh: 4, at: 900, .netRegister))
    #expect(
      try connection.query("SELECT kind, reason FROM ingest.dead_letters")
        == [["production", "unregistered_device"]])
  }

  @Test func powerIsEstimated() throws {
    try store(
      .init("battery", milliwatts: 2_000_000, at: 0),
      .init("battery", milliwatts: 2_000_000, at: 360),
      .init("battery", milliwatts: -6_000_000, at: 720))
    #expect(
      try rows(
        """
        SELECT operation_type, o.energy_amount, price_per_unit, rule
        FROM grid.storage_operations o JOIN ingest.reading_flags f ON reading_id = o.id
        ORDER BY executed_at
        """) == ["charge 0.200000 2.000000 estimated", "discharge 0.200000 2.000000 estimated"])
    #expect(try rows("SELECT current_charge FROM grid.energy_storage") == ["0.000000"])
  }

  @Test func whatHappenedToARegisterIsNoted() throws {
    var rollover = MeterSample("house", register: "old", kWh: 99_999.5, at: 0)
    rollover.digits = 5
    try store(rollover, .init("house", register: "new", kWh: 5_000, at: 0))
    var wrapped = MeterSample("house", register: "old", kWh: 0.5, at: 900)
    wrapped.digits = 5
    try store(wrapped, .init("house", register: "new", kWh: 3, at: 900))
    #expect(try rows(consumption) == ["1.000000 900"])
    #expect(
      try rows(
        """
        SELECT register, event, before_value, after_value, extract(epoch FROM at)::bigint
          - \(MeterSample.start) FROM ingest.register_events ORDER BY register
        """) == ["new reset 5000000000 3000000 900", "old rollover 99999500000 500000 900"])
  }

  @Test func aYearsWorthIsADeadLetter() throws {
    try store(.init("house", kWh: 1_000, at: 0))
    let ledger = try store(
      .init("house", kWh: 4_500, at: 900), .init("house", kWh: 1_000.5, at: 1_800))
    #expect(ledger.rejected.map(\.reason) == [.implausible])
    #expect(try rows(consumption) == ["0.500000 1800"])
    #expect(try rows(letters) == ["implausible implausible_step"])
    #expect(try rows("SELECT event FROM ingest.register_events") == ["implausible_step"])
  }

  /// The register stays as it was, and the energy is in the next interval. A battery is known, but not
  /// as a consumer.
  @Test func whatIsTurnedAwayIsNotLost() throws {
    try store(.init("battery", kWh: 10, at: 0))
    try store(.init("battery", kWh: 11, at: 900))
    #expect(try rows(letters) == ["unregistered_device null"])
    try connection.execute(
      """
      INSERT INTO blockchain.registered_consumers (consumer_id, consumer_name, consumer_type,
        location_json) VALUES ('battery', 'x', 'municipal', '{}')
      """)
    try store(.init("battery", kWh: 12, at: 1_800))
    #expect(try rows(consumption) == ["2.000000 1800"])
    // What is redriven now came late.
    #expect(try store(.init("battery", kWh: 11, at: 900)).duplicates[1] == 1)
  }

  /// Names that anybody can think of leave nothing but dead letters.
  @Test func nothingIsRememberedOfAStranger() throws {
    try store(.init("stranger", kWh: 10, at: 0))
    try store(.init("stranger", kWh: 11, at: 900), .init("house", kWh: 1, at: 0))
    #expect(try rows(letters) == ["unregistered_device null", "unregistered_device null"])
    #expect(try rows("SELECT device_id FROM ingest.register_state") == ["house"])
    try connection.execute(
      """
      INSERT INTO blockchain.registered_consumers (consumer_id, consumer_name, consumer_type,
        location_json) VALUES ('stranger', 'x', 'municipal', '{}')
      """)
    // What is redriven then may come behind what is new.
    try store(.init("stranger", kWh: 12, at: 1_800))
    try store(.init("stranger", kWh: 10, at: 0), .init("stranger", kWh: 11, at: 900))
    #expect(try rows(consumption) == ["2.000000 1800"])
  }

  private static let refuseFiveToSix = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF new.energy_amount BETWEEN 5 AND 6 THEN RAISE 'five to six'; END IF;
      RETURN new;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON grid.energy_consumption
    FOR EACH ROW EXECUTE FUNCTION refuse();
    """

  /// What only PostgreSQL can judge: the sample is turned away, its neighbours are stored, and what
  /// follows it counts from before it.
  @Test func whatTheDatabaseRefusesIsNotLost() throws {
    try connection.execute(Self.refuseFiveToSix)
    let ledger = try store(
      .init("house", kWh: 100, at: 0), .init("house", register: "2", kWh: 70, at: 0),
      .init("house", kWh: 105.5, at: 900), .init("house", register: "2", kWh: 71, at: 900),
      .init("house", kWh: 108, at: 1_800), .init("house", kWh: 109, at: 2_700))
    #expect(ledger.wasRepaired && ledger.rejected.map(\.reason) == [.rejectedByDatabase])
    #expect(try rows(consumption) == ["1.000000 900", "8.000000 1800", "1.000000 2700"])
    #expect(try rows(letters) == ["rejected_by_database P0001"])
  }

  /// Each interval that takes the place of a refused one is refused too: its register is left alone
  /// after some rounds, and the others do not suffer.
  @Test func aHopelessRegisterIsLeftAlone() throws {
    try connection.execute(Self.refuseFiveToSix)
    try store(
      .init("house", kWh: 100, at: 0), .init("house", register: "2", kWh: 70, at: 0))
    let batch = try batch(
      (1...9).map { MeterSample("house", kWh: 105 + Double($0) / 10, at: 900 + Int64($0)) }
        + [.init("house", register: "2", kWh: 71, at: 900)])
    let ledger = try batch.commit(to: BatchStore(connection))
    #expect(ledger.stored[1] == 1 && ledger.rejected.count == 9)
    #expect(try rows(consumption) == ["1.000000 900"])
    #expect(
      try rows(
        "SELECT last_value FROM ingest.register_state WHERE register = '1.8.0'") == ["100000000"])
  }

  @Test func aRegisterNeedsAName() throws {
    let ledger = try store(
      .init("house", register: "", kWh: 1, at: 0),
      .init("house", register: "a\0b", kWh: 1, at: 0),
      .init(String(repeating: "ä", count: 101), kWh: 1, at: 0),
      .init("house", register: String(repeating: "ä", count: 100), kWh: 1, at: 0),
      .init("house", kWh: 1, at: -4_000_000_000), .init("house", kWh: 1, at: 999_999_999))
    #expect(
      ledger.rejected.map(\.reason) == [
        .outOfRange, .outOfRange, .outOfRange, .implausible, .implausible,
      ])
    #expect(try rows("SELECT count(*) FROM ingest.register_state") == ["1"])
  }

  /// An attempt that fails leaves the batch as it was.
  @Test func theSecondAttemptIsTheFirst() throws {
    try store(.init("house", kWh: 10, at: 0))
    let other = try PostgresConnection(url: url)
    try other.execute("BEGIN; SELECT FROM ingest.register_state FOR UPDATE")
    try connection.execute("SET lock_timeout = '50ms'")
    let batch = try batch([
      .init("house", kWh: 11, at: 900), .init("house", kWh: 10, at: 0),
      .init("house", kWh: 12, at: 1_800), .init("stranger", kWh: 3, at: 0),
    ])
    for _ in 0..<2 {
      #expect(throws: PostgresError.self) { try batch.commit(to: BatchStore(connection)) }
      #expect(batch.count == 4 && batch.received[1] == 0)
    }
    try other.execute("ROLLBACK")
    let ledger = try batch.commit(to: BatchStore(connection))
    #expect(ledger.stored[1] == 2 && ledger.duplicates[1] == 1 && ledger.rejected.count == 1)
    #expect(ledger.received[1] == 4)
    #expect(try rows(consumption) == ["1.000000 900", "1.000000 1800"])
  }

  /// The rules' memory of a meter is that of the process: the second way of storing a batch must not
  /// take what the first one judged for old.
  @Test func theRepairJudgesAsTheFirstAttempt() throws {
    let states = MeterStates()
    func store(_ samples: [MeterSample]) throws -> BatchLedger {
      let batch = try batch(samples, states)
      return try batch.commit(to: BatchStore(connection))
    }
    _ = try store((0...9).map { .init("house", kWh: 100 + Double($0), at: 900 * $0) })
    // What the next one finds under its id.
    try connection.execute(
      """
      INSERT INTO grid.energy_consumption (id, consumer_id, energy_amount, consumer_type,
        location_json, timestamp)
      SELECT ingest.reading_id('consumption', 'house', at, 'register:2'), 'house', 1,
        'residential', '{}', at FROM to_timestamp(\(MeterSample.start + 9_000)) AS at
      """)
    let ledger = try store([
      .init("house", kWh: 149, at: 9_000), .init("house", register: "2", kWh: 1, at: 0),
      .init("house", register: "2", kWh: 2, at: 9_000),
    ])
    #expect(ledger.wasRepaired && ledger.stored[1] == 1 && ledger.duplicates[1] == 1)
    #expect(try rows("SELECT rule FROM ingest.reading_flags") == ["spike"])
  }

  @Test func arrivalTimeIsMarked() throws {
    var samples = [MeterSample("house", kWh: 1, at: 0), MeterSample("house", kWh: 2, at: 900)]
    for index in samples.indices { samples[index].isTimeOfArrival = true }
    try store(samples[0])
    try store(samples[1])
    #expect(try rows("SELECT rule FROM ingest.reading_flags") == ["arrival_time"])
  }

  @Test func theRoleHasTheRightsForIt() throws {
    try connection.execute("SET ROLE meter_ingestor")
    try store(.init("house", kWh: 50, at: 0), .init("house", kWh: 1, at: 900))
    #expect(try rows("SELECT event FROM ingest.register_events") == ["reset"])
    try connection.execute("DELETE FROM ingest.register_state; DELETE FROM ingest.register_events")
  }
}

/// A register's sample as tests write it.
struct MeterSample {
  /// 2026-06-10T00:00:00Z.
  static let start: Int64 = 1_781_049_600

  var device: String
  var register: String
  var measure: RegisterSample.Measure
  var value: Int64
  var microseconds: Int64
  var digits: UInt8 = 0
  var maximumWatts: Int64 = 0
  var isTimeOfArrival = false

  init(
    _ device: String, register: String = "1.8.0", microKWh: Int64, microseconds: Int64,
    _ measure: RegisterSample.Measure = .register
  ) {
    self.device = device
    self.register = register
    self.measure = measure
    value = microKWh
    self.microseconds = microseconds
  }

  init(
    _ device: String, register: String = "1.8.0", kWh: Double, at second: Int64,
    _ measure: RegisterSample.Measure = .register
  ) {
    self.init(
      device, register: register, microKWh: Int64((kWh * 1_000_000).rounded()),
      microseconds: second * 1_000_000, measure)
  }

  init(_ device: String, milliwatts: Int64, at second: Int64) {
    self.init(
      device, register: "power", microKWh: milliwatts, microseconds: second * 1_000_000, .power)
  }

  /// With its texts in the arena.
  func sample(in arena: inout ByteArena) -> RegisterSample {
    let isBattery = measure == .power
    var sample = RegisterSample(
      device: arena.append(device.utf8.span), register: arena.append(register.utf8.span),
      measure: measure, value: value,
      timestamp: Timestamp(microseconds: MeterSample.start * 1_000_000 + microseconds),
      flow: isBattery ? .init(.storage, .charge) : .init(.consumption),
      opposite: isBattery ? .init(.storage, .discharge) : .init(.production))
    sample.digits = digits
    sample.maximumWatts = maximumWatts
    sample.isTimeOfArrival = isTimeOfArrival
    return sample
  }
}

extension Batch {
  /// Takes one sample as one message.
  func add(_ sample: MeterSample, by reference: ReferenceData) {
    let payload = "\(sample.value) \(sample.microseconds) \(sample.register)"
    add(
      topic: "meters/\(sample.device)".utf8.span, payload: payload.utf8.span,
      receivedAt: Timestamp(microseconds: MeterSample.start * 1_000_000), by: reference
    ) { [sample.sample(in: &$0)] }
  }
}
