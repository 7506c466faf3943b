// What a cumulative reading costs from its sample to the commit, and what many registers occupy.

import CheckRules
import EnergyReadings
import Foundation
import IngestPipeline
import PostgresStore
import TestServices
import Testing

@Suite struct RegisterSpeedTests {
  private static let registers = 100_000
  private static let batchSize = 1_000

  /// The goals are 15 µs on an idle machine, PostgreSQL's work included, and 64 MiB. What else the
  /// machine does slows all alike, so the bound on the time is a ratio.
  @Test func manyRegistersAreQuickAndSmall() throws {
    let connection = try PostgresConnection(url: TestServices.migratedDatabase())
    try Self.registerMeters(connection)
    let reference = try ReferenceData.load(.init(), over: connection)
    let batch = Batch(enrichment: EnrichmentSettings())
    // The first batch makes the memory that is reused.
    try store(0..<Self.batchSize, round: 0, batch, reference, connection)
    let before = residentBytes()
    let sight = try Self.measure {
      for start in stride(from: Self.batchSize, to: Self.registers, by: Self.batchSize) {
        try store(start..<start + Self.batchSize, round: 0, batch, reference, connection)
      }
    }
    let grown = residentBytes() - before
    // As PostgreSQL's own cleaning would, in its time.
    try connection.execute("VACUUM ANALYZE ingest.register_state")
    let start = processMicroseconds()
    let counting = try Self.measure {
      for start in stride(from: 0, to: Self.registers, by: Self.batchSize) {
        try store(start..<start + Self.batchSize, round: 1, batch, reference, connection)
      }
    }
    let own = processMicroseconds()
    let plain = try Self.measure {
      for start in stride(from: 0, to: Self.registers, by: Self.batchSize) {
        for meter in start..<start + Self.batchSize { addInterval(of: meter, to: batch, reference) }
        let ledger = try batch.commit(to: BatchStore(connection))
        #expect(ledger.stored[1] == Self.batchSize)
        batch.removeAll()
      }
    }
    print(
      "registers: \(sight) µs at first sight, \(counting) µs a total that rose, "
        + "of which \((own - start) / Self.registers) µs are CPU of this process; "
        + "\(plain) µs an interval of the meter's own; \(grown >> 20) MiB for \(Self.registers)")
    #expect(counting < 4 * plain)
    #expect(grown < 64 << 20)
  }

  private static func registerMeters(_ connection: PostgresConnection) throws {
    try connection.execute(
      """
      INSERT INTO blockchain.registered_consumers (consumer_id, consumer_name, consumer_type,
        location_json)
      SELECT 'meter-' || i, 'x', 'residential', '{"grid_code": "G-1"}'
      FROM generate_series(0, \(registers - 1)) AS i
      """)
  }

  /// µs a register.
  private static func measure(_ body: () throws -> Void) rethrows -> Double {
    let time = try ContinuousClock().measure(body)
    return (time / .microseconds(1) / Double(registers) * 10).rounded() / 10
  }

  /// Stores a total of each meter, in no order that the table would like.
  private func store(
    _ meters: Range<Int>, round: Int64, _ batch: Batch, _ reference: ReferenceData,
    _ connection: PostgresConnection
  ) throws {
    for index in meters {
      let meter = index * 7_919 % Self.registers
      batch.add(
        MeterSample(
          "meter-\(meter)", microKWh: Int64(meter) + 5_000_000_000 + round * 250_000,
          microseconds: round * 900_000_000), by: reference)
    }
    let ledger = try batch.commit(to: BatchStore(connection))
    #expect((round == 0 ? ledger.zeros[1] : ledger.stored[1]) == meters.count)
    batch.removeAll()
  }

  private func addInterval(of index: Int, to batch: Batch, _ reference: ReferenceData) {
    let meter = index * 7_919 % Self.registers
    let payload = #"{"timestamp":\#(MeterSample.start + 1_800),"energy_amount":0.25}"#
    batch.add(
      topic: "gridtokenx/v1/G-1/consumption/meter-\(meter)".utf8.span, payload: payload.utf8.span,
      receivedAt: Timestamp(microseconds: MeterSample.start * 1_000_000), by: reference)
  }

  private func processMicroseconds() -> Int { clock() * 1_000_000 / Int(CLOCKS_PER_SEC) }

  /// What this process occupies (proc(5), statm: resident pages).
  private func residentBytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}
