// Four workers share the messages of many registers, in any order, while transactions fail and
// connections break: what is stored adds up all the same.

import CheckRules
import Dispatch
import EnergyReadings
import IngestPipeline
import PostgresStore
import SeededRandom
import Synchronization
import TestServices
import Testing

@Suite struct RegisterConcurrencyTests {
  private static let workers = 4

  /// Each register has several lives, between which it is reset. The messages of a life are shuffled,
  /// some come again and some never, and each is given to whichever worker is free.
  @Test(arguments: [0x1E61, 0x1E62, 0x1E63] as [UInt64])
  func whateverHappensTheSumsAreRight(seed: UInt64) throws {
    let url = try TestServices.migratedDatabase()
    let connection = try PostgresConnection(url: url)
    try Self.failSometimes(connection)
    try Self.registerDevices(connection)
    let reference = try ReferenceData.load(.init(), over: connection)
    var random = SeededGenerator(seed: seed)
    var truth: [String: Int64] = [:]
    var arrived = 0
    let ends = Ends()
    for life in 0..<3 {
      var arrivals: [MeterSample] = []
      for device in 0..<40 {
        for register in ["1.8.1", "1.8.2"] {
          let samples = Self.life(life, "meter-\(device)", register, .register, &random)
          truth["meter-\(device)", default: 0] += Self.sum(of: samples)
          arrivals += samples
        }
      }
      if life == 0 {
        for device in 0..<20 {
          let samples = Self.life(0, "net-\(device)", "16.8.0", .netRegister, &random)
          truth["net-\(device)", default: 0] += Self.sum(of: samples)
          arrivals += samples
        }
      }
      arrivals += arrivals.filter { _ in random.oneIn(4) }
      arrivals.shuffle(using: &random)
      arrived += arrivals.count
      Self.deliver(arrivals, to: url, reference, ends, seed: seed &+ UInt64(life))
    }
    #expect(ends.received == arrived && ends.accounted == arrived && ends.failures > 0)
    #expect(try Self.sums(connection) == truth.filter { $0.value != 0 })
    #expect(
      try connection.query("SELECT count(*) FROM ingest.register_events WHERE event <> 'reset'")
        == [["0"]])
  }

  /// One change of a register in 151 lets its commit fail at the very end, as if another transaction
  /// had stood in its way; a sequence counts on whatever is rolled back.
  private static func failSometimes(_ connection: PostgresConnection) throws {
    try connection.execute(
      """
      CREATE SEQUENCE changes;
      CREATE FUNCTION fail_sometimes() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF nextval('changes') % 151 = 0 THEN
          RAISE 'as if there was a conflict' USING errcode = 'serialization_failure';
        END IF;
        RETURN NULL;
      END $$;
      CREATE CONSTRAINT TRIGGER fail_sometimes AFTER UPDATE ON ingest.register_state
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail_sometimes();
      """)
  }

  private static func registerDevices(_ connection: PostgresConnection) throws {
    try connection.execute(
      """
      INSERT INTO blockchain.registered_consumers (consumer_id, consumer_name, consumer_type,
        location_json)
      SELECT 'meter-' || i, 'x', 'residential', '{}'::jsonb FROM generate_series(0, 39) AS i
      UNION ALL SELECT 'net-' || i, 'x', 'residential', '{}'::jsonb FROM generate_series(0, 19) AS i;
      INSERT INTO blockchain.registered_producers (producer_id, producer_name, producer_type,
        energy_sources, location_json, capacity_kw)
      SELECT 'net-' || i, 'x', 'residential', '{solar}'::text[], '{}'::jsonb, 1000
      FROM generate_series(0, 19) AS i;
      """)
  }

  /// What of a life arrives, in the order in which it was measured.
  private static func life(
    _ life: Int, _ device: String, _ register: String, _ measure: RegisterSample.Measure,
    _ random: inout SeededGenerator
  ) -> [MeterSample] {
    // Each life begins far below where the one before ended.
    var value = Int64(3 - life) * 1_000_000_000 + Int64(random.number(0...9_000_000))
    var microseconds = Int64(life) * 30_000_000_000
    var samples: [MeterSample] = []
    for _ in 0..<random.number(2...12) {
      microseconds += Int64(random.number(1_000_000...1_800_000_000))
      let amount = random.number(measure == .netRegister ? -200_000...200_000 : 0...200_000)
      value += random.oneIn(4) ? 0 : Int64(amount)
      var sample = MeterSample(
        device, register: register, microKWh: value, microseconds: microseconds, measure)
      sample.maximumWatts = 20_000
      if !random.oneIn(5) { samples.append(sample) }
    }
    return samples
  }

  private static func sum(of samples: [MeterSample]) -> Int64 {
    guard let first = samples.first, let last = samples.last else { return 0 }
    return last.value - first.value
  }

  /// What is stored of each device: consumption less production, micro-kWh, where that is not 0.
  private static func sums(_ connection: PostgresConnection) throws -> [String: Int64] {
    var sums: [String: Int64] = [:]
    let rows = try connection.query(
      """
      SELECT device, (sum(kwh) * 1000000)::bigint FROM (
        SELECT consumer_id, energy_amount FROM grid.energy_consumption
        UNION ALL SELECT producer_id, -energy_amount FROM grid.energy_production
      ) AS stored (device, kwh) GROUP BY device HAVING sum(kwh) <> 0
      """)
    for row in rows { sums[row[0] ?? ""] = Int64(row[1] ?? "") }
    return sums
  }

  /// What became of the messages.
  private final class Ends: Sendable {
    private let counts = Mutex((received: 0, accounted: 0, failures: 0))
    var received: Int { counts.withLock(\.received) }
    var accounted: Int { counts.withLock(\.accounted) }
    var failures: Int { counts.withLock(\.failures) }

    func committed(_ ledger: BatchLedger) {
      counts.withLock { counts in
        for kind in 0..<4 {
          counts.received += ledger.received[kind]
          counts.accounted +=
            ledger.stored[kind] + ledger.duplicates[kind] + ledger.zeros[kind]
        }
      }
    }

    func failed() { counts.withLock { $0.failures += 1 } }
  }

  /// Lets the workers share the messages, in batches of random size.
  private static func deliver(
    _ arrivals: [MeterSample], to url: String, _ reference: ReferenceData, _ ends: Ends,
    seed: UInt64
  ) {
    let queue = Mutex(arrivals)
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      var random = SeededGenerator(seed: seed &* 31 &+ UInt64(worker))
      let batch = Batch(enrichment: EnrichmentSettings())
      var connection: PostgresConnection?
      while true {
        let count = random.number(1...60)
        let taken = queue.withLock { queue -> [MeterSample] in
          defer { queue.removeLast(min(count, queue.count)) }
          return queue.suffix(count)
        }
        if taken.isEmpty { return }
        for sample in taken { batch.add(sample, by: reference) }
        commit(batch, over: &connection, url, ends, &random)
        batch.removeAll()
      }
    }
  }

  /// Commits at last, however often that fails; now and then its connection is broken meanwhile, and
  /// nobody knows whether it did.
  private static func commit(
    _ batch: Batch, over connection: inout PostgresConnection?, _ url: String, _ ends: Ends,
    _ random: inout SeededGenerator
  ) {
    while true {
      do {
        let open = try connection ?? PostgresConnection(url: url)
        connection = open
        if random.oneIn(10), let backend = try open.query("SELECT pg_backend_pid()")[0][0] {
          DispatchQueue.global().async {
            let killer = try? PostgresConnection(url: url)
            _ = try? killer?.query("SELECT pg_terminate_backend($1)", [backend])
          }
        }
        ends.committed(try batch.commit(to: BatchStore(open)))
        return
      } catch {
        ends.failed()
        if let error = error as? PostgresError, error.remedy != .retry {
          Issue.record("\(error)")
          return
        }
        if connection?.isBroken ?? true { connection = nil }
      }
    }
  }
}
