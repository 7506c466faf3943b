// What a batch goes through when PostgreSQL finds fault with it, or goes away in the middle.

import EnergyReadings
import PostgresStore
import SeededRandom
import TestServices
import Testing

@Suite struct RepairTests {
  @Test func tenThousandRowsAndTheSameAgain() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    for second in 0..<10_000 { batch.consumption("c-\(second % 100)", second: second) }
    let first = try batch.commit(over: connection)
    #expect(first.stored[1] == 10_000 && !first.wasRepaired)
    let before = try digest("grid.energy_consumption", connection)
    let second = try batch.commit(over: connection)
    #expect(second.stored[1] == 0 && second.duplicates[1] == 10_000 && second.refused.isEmpty)
    #expect(try digest("grid.energy_consumption", connection) == before)
    #expect(try connection.value("SELECT count(*) FROM ingest.dead_letters") == "0")
  }

  /// Each measured value makes a contradiction; the first delivery stands as it is.
  @Test func aContradictionLeavesTheStoredRow() throws {
    let connection = try storeDatabase()
    var first = ReadingRows()
    first.production(equipment: "a")
    first.production("p-2")
    first.consumption(breakdown: #"{"tv": 1}"#)
    first.storage()
    try first.commit(over: connection)
    let tables = ["grid.energy_production", "grid.energy_consumption", "grid.storage_operations"]
    let before = try tables.map { try digest($0, connection) }
    var second = ReadingRows()
    second.production(equipment: "b")
    second.production("p-2", efficiency: 9_000)
    second.consumption(breakdown: #"{"tv": 2}"#)
    second.storage(microKWh: 2_000_000)
    let outcome = try second.commit(over: connection)
    #expect(outcome.refused.count == 4)
    #expect(Set(outcome.refused.map(\.rejection.reason)) == [.conflictingDuplicate])
    for row in outcome.refused {
      #expect(row.rejection.detail.contains("1.000000 kWh"))
    }
    for kind in 0..<3 { #expect(outcome.stored[kind] == 0 && outcome.duplicates[kind] == 0) }
    #expect(try tables.map { try digest($0, connection) } == before)
    #expect(try charge("b-1", connection) == "0.001000")
    #expect(
      try connection.query(
        "SELECT kind, payload_index, reason FROM ingest.dead_letters ORDER BY kind, payload_index")
        == [
          ["consumption", "0", "conflicting_duplicate"],
          ["production", "0", "conflicting_duplicate"],
          ["production", "1", "conflicting_duplicate"], ["storage", "0", "conflicting_duplicate"],
        ])
  }

  /// Faults that show in a way of their own: each is one row's, and names what was broken.
  struct Fault: CustomTestStringConvertible {
    var change: String
    var sqlState: String
    var constraint: String?
    var testDescription: String { sqlState }

    static let all = [
      // Found by COPY itself, before any constraint.
      Fault(
        change: "ALTER TABLE grid.energy_consumption ALTER consumer_id TYPE varchar(8)",
        sqlState: "22001"),
      Fault(
        change: "ALTER TABLE grid.energy_consumption ALTER energy_amount TYPE numeric(7,6)",
        sqlState: "22003"),
      // Found by another unique constraint than the id's.
      Fault(
        change: """
          INSERT INTO grid.energy_consumption (consumer_id, energy_amount, consumer_type,
            location_json) VALUES ('c-the-bad-one', 1, 'residential', '{}');
          CREATE UNIQUE INDEX only_once ON grid.energy_consumption (consumer_id)
            WHERE consumer_id LIKE 'c-the%'
          """, sqlState: "23505", constraint: "only_once"),
      // Found only when the transaction is about to commit.
      Fault(
        change: """
          CREATE TABLE known (id varchar(100) PRIMARY KEY); INSERT INTO known VALUES ('c-1');
          ALTER TABLE grid.energy_consumption ADD CONSTRAINT is_known FOREIGN KEY (consumer_id)
            REFERENCES known DEFERRABLE INITIALLY DEFERRED
          """, sqlState: "23503", constraint: "is_known"),
      // Found by an index whose entries have a largest size.
      Fault(
        change: "CREATE INDEX big ON grid.energy_consumption ((location_json->>'note'))",
        sqlState: "54000"),
      // Found by a trigger of somebody else's.
      Fault(
        change: """
          CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF new.consumer_id = 'c-the-bad-one' THEN RAISE EXCEPTION 'not this one'; END IF;
            RETURN new; END $$;
          CREATE TRIGGER refuse BEFORE INSERT ON grid.energy_consumption
            FOR EACH ROW EXECUTE FUNCTION refuse()
          """, sqlState: "P0001"),
    ]
  }

  @Test(arguments: Fault.all)
  func aFaultIsTheRowsAlone(fault: Fault) throws {
    let connection = try storeDatabase()
    try connection.execute(fault.change)
    let before = try connection.value("SELECT count(*) FROM grid.energy_consumption")
    var batch = ReadingRows()
    for second in 0..<20 { batch.consumption(second: second) }
    // Too large to be compressed into a page of an index.
    var noise: UInt64 = 1
    let note = (0..<3_000).map { _ in
      noise = noise &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return String(noise >> 32, radix: 36)
    }
    batch.consumption(
      "c-the-bad-one", microKWh: 11_000_000, location: #"{"note": "\#(note.joined())"}"#)
    for second in 20..<40 { batch.consumption(second: second) }
    let outcome = try batch.commit(over: connection)
    #expect(outcome.stored[1] == 40)
    #expect(outcome.refused.map(\.row) == [20])
    let rejection = try #require(outcome.refused.first?.rejection)
    #expect(rejection.reason == .rejectedByDatabase)
    #expect(rejection.sqlState == fault.sqlState && rejection.constraint == fault.constraint)
    #expect(
      try connection.value("SELECT count(*) - \(before ?? "") FROM grid.energy_consumption") == "40"
    )
  }

  /// One kind at fault takes nothing from the others, and a refused operation moves no charge.
  @Test func kindsDoNotHarmEachOther() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    for second in 0..<100 {
      batch.production(second: second)
      batch.consumption(second: second)
      batch.storage(second: second, microKWh: 10_000)
      batch.storage(second % 2 == 0 ? "nobody" : "b-2", second: second, microKWh: 10_000)
    }
    let outcome = try batch.commit(over: connection)
    #expect(outcome.stored[0] == 100 && outcome.stored[1] == 100 && outcome.stored[2] == 150)
    #expect(outcome.refused.allSatisfy { $0.kind == .storage && $0.rejection.sqlState == "23503" })
    #expect(outcome.refused.map(\.row) == (0..<50).map { 4 * $0 + 1 })
    #expect(try charge("b-1", connection) == "0.001000")
    #expect(try charge("b-2", connection) == "0.000500")
  }

  /// Seeded: whatever stands where in a batch, each row meets its own fate, over all the merges
  /// that the bisection makes of it.
  @Test(arguments: [1, 2, 3]) func everyRowMeetsItsFate(seed: UInt64) throws {
    let connection = try storeDatabase()
    var random = SeededGenerator(seed: seed)
    let fates = (0..<1_000).map { _ in random.number(1...25) }
    var first = ReadingRows()
    var batch = ReadingRows()
    for (second, fate) in fates.enumerated() {
      switch fate {
      case 1:
        batch.consumption(second: second, location: #"{"a": "\u0000"}"#)
      case 2:
        batch.consumption(second: second, microKWh: 2)
        first.consumption(second: second, microKWh: 1)
      case 3:
        batch.consumption(second: second, microKWh: 1)
        first.consumption(second: second, microKWh: 1)
      default: batch.consumption(second: second)
      }
    }
    try first.commit(over: connection)
    let outcome = try batch.commit(over: connection)
    func rows(_ reason: RejectionReason) -> [Int] {
      outcome.refused.filter { $0.rejection.reason == reason }.map(\.row)
    }
    #expect(rows(.rejectedByDatabase) == fates.indices.filter { fates[$0] == 1 })
    #expect(rows(.conflictingDuplicate) == fates.indices.filter { fates[$0] == 2 })
    #expect(outcome.duplicates[1] == fates.count { $0 == 3 })
    #expect(outcome.stored[1] == fates.count { $0 > 3 })
    #expect(
      try connection.value("SELECT count(*) FROM grid.energy_consumption")
        == "\(fates.count { $0 > 1 })")
    #expect(
      try connection.value(
        "SELECT count(*) FROM grid.energy_consumption WHERE energy_amount = 0.000001")
        == "\(fates.count { $0 == 2 || $0 == 3 })")
    // The session is as good as before.
    #expect(try batch.commit(over: connection).duplicates[1] == fates.count { $0 > 2 })
  }

  /// The worst that one hostile meter can do to a batch.
  @Test func aBatchOfNothingButFaults() throws {
    let connection = try storeDatabase()
    var batch = ReadingRows()
    for second in 0..<1_000 { batch.consumption(second: second, location: #"{"a": "\u0000"}"#) }
    let outcome = try batch.commit(over: connection)
    #expect(outcome.refused.map(\.row) == Array(0..<1_000))
    #expect(try connection.value("SELECT count(*) FROM ingest.dead_letters") == "1000")
  }

  // MARK: Dead letters

  @Test func aDeadLetterTellsTheWholeStory() throws {
    let connection = try storeDatabase()
    let payload: [UInt8] = [0, 0xFF, 0x27, 0x5C]
    try commit(connection) { arena in
      DeadLetter(
        receivedAt: Timestamp(microseconds: ReadingRows.start + 1),
        topic: arena.append("a/\0/é".utf8.span), payload: arena.append(payload.span), index: 7,
        kind: .storage, device: arena.append("b\\1".utf8.span),
        rejection: Rejection(
          .implausible, path: "$[7].energy_amount", detail: "more than\0the battery holds",
          rule: "capacity", constraint: "some_check", sqlState: "23514"))
    }
    #expect(
      try connection.query(
        """
        SELECT received_at = '2026-06-10T00:00:00.000001Z', last_received_at = received_at, topic,
          payload, payload_bytes, payload_index, kind, device_id, reason, rule, constraint_name,
          sqlstate, json_path, detail, attempts, resolved_at
        FROM ingest.dead_letters
        """) == [
          [
            "t", "t", "a/\u{FFFD}/é", #"\x00ff275c"#, nil, "7", "storage", #"b\1"#, "implausible",
            "capacity", "some_check", "23514", "$[7].energy_amount",
            "more than\u{FFFD}the battery holds", "1", nil,
          ]
        ])
  }

  @Test func aHugePayloadIsKeptByItsBeginning() throws {
    let connection = try storeDatabase()
    let payload = [UInt8](repeating: 0x61, count: 1 << 20 + 1)
    try commit(connection) { arena in
      DeadLetter(
        receivedAt: Timestamp(microseconds: 0), topic: arena.append("t"),
        payload: arena.append(payload.span), index: nil, kind: nil, device: .absent,
        rejection: Rejection(.malformedPayload, detail: ""))
    }
    #expect(
      try connection.query("SELECT length(payload), payload_bytes FROM ingest.dead_letters")
        == [["\(1 << 20)", "\(1 << 20 + 1)"]])
  }

  /// The same bad message twice in one batch is one row, told as often as it came.
  @Test func theSameDeadLetterTwiceInABatch() throws {
    let connection = try storeDatabase()
    for detail in ["first", "second"] {
      try commit(connection, times: 2) { arena in
        DeadLetter(
          receivedAt: Timestamp(microseconds: ReadingRows.start), topic: arena.append("t"),
          payload: arena.append("p"), index: nil, kind: nil, device: .absent,
          rejection: Rejection(
            .implausible, path: "$.\(detail)", detail: detail, rule: detail, constraint: detail,
            sqlState: detail))
      }
    }
    #expect(
      try connection.query(
        """
        SELECT attempts, detail, json_path, rule, constraint_name, sqlstate
        FROM ingest.dead_letters
        """) == [["4", "second", "$.second", "second", "second", "second"]])
  }

  private func commit(
    _ connection: PostgresConnection, times: Int = 1, _ letter: (inout ByteArena) -> DeadLetter
  ) throws {
    _ = try BatchStore(connection).commit(BatchRows()) { _, buffer in
      var arena = ByteArena()
      for _ in 0..<times {
        let letter = letter(&arena)
        buffer.append(letter, in: arena)
      }
    }
  }

  // MARK: Lost connections

  /// The server ends the session between two rows: on the straight way, which sees 5,000 and 11
  /// rows, in the repair, and while dead letters are written.
  @Test(arguments: [
    ("grid.energy_consumption", 2_500), ("grid.energy_consumption", 5_100),
    ("grid.storage_operations", 5), ("grid.storage_operations", 14), ("ingest.dead_letters", 0),
  ])
  func aSessionEndsInTheMiddle(table: String, rowsBefore: Int) throws {
    let url = try TestServices.migratedDatabase()
    let owner = try storeDatabase(url)
    var batch = ReadingRows()
    batch.storage("nobody")
    for second in 0..<5_000 { batch.consumption(second: second) }
    for second in 0..<10 { batch.storage(second: second, microKWh: 100_000) }
    // What a sequence counts is not rolled back.
    try owner.execute(
      """
      CREATE SEQUENCE rows_seen;
      CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('rows_seen') > \(rowsBefore) THEN
          PERFORM pg_terminate_backend(pg_backend_pid());
        END IF;
        RETURN new; END $$;
      CREATE TRIGGER hang_up BEFORE INSERT ON \(table)
        FOR EACH ROW EXECUTE FUNCTION hang_up()
      """)
    let connection = try PostgresConnection(url: url)
    let error = try #require(throws: PostgresError.self) { try batch.commit(over: connection) }
    #expect(error.remedy == .retry && connection.isBroken)
    for name in ["grid.energy_consumption", "grid.storage_operations", "ingest.dead_letters"] {
      #expect(try owner.value("SELECT count(*) FROM \(name)") == "0", "\(name)")
    }
    #expect(try charge("b-1", owner) == "0.000000")
    try owner.execute("DROP TRIGGER hang_up ON \(table)")
    let outcome = try batch.commit(over: PostgresConnection(url: url))
    #expect(outcome.stored[1] == 5_000 && outcome.stored[2] == 10)
    #expect(try owner.value("SELECT count(*) FROM grid.energy_consumption") == "5000")
    #expect(try owner.value("SELECT count(*) FROM ingest.dead_letters") == "1")
    #expect(try charge("b-1", owner) == "0.001000")
  }

  /// A redelivery may reach another worker while the first still commits.
  @Test func twoWorkersWithTheSameReadings() async throws {
    let url = try TestServices.migratedDatabase()
    let owner = try storeDatabase(url)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<2 {
        group.addTask {
          let lane = PostgresLane(url: url, applicationName: "worker \(worker)")
          try await lane.run { (connection) throws(PostgresError) in
            for round in 0..<20 { try Self.redelivered(round, worker: worker, connection) }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try owner.value("SELECT count(*) FROM grid.energy_consumption") == "400")
    #expect(try owner.value("SELECT count(*) FROM grid.storage_operations") == "400")
    #expect(try owner.value("SELECT attempts FROM ingest.dead_letters") == "40")
    #expect(try charge("b-1", owner) == "0.000200" && charge("b-2", owner) == "0.000200")
  }

  /// The round's readings in the worker's own order; a deadlock is tried again, as the pipeline does.
  private static func redelivered(
    _ round: Int, worker: Int, _ connection: PostgresConnection
  ) throws(PostgresError) {
    var batch = ReadingRows()
    for step in 0..<20 {
      let second = round * 20 + (worker == 0 ? step : 19 - step)
      batch.consumption(second: second)
      batch.storage(second % 2 == 0 ? "b-1" : "b-2", second: second, microKWh: 1_000)
    }
    batch.storage("nobody")
    while true {
      do throws(PostgresError) {
        try batch.commit(over: connection)
        return
      } catch {
        guard error.remedy == .retry, !connection.isBroken else { throw error }
      }
    }
  }

  private func digest(_ table: String, _ connection: PostgresConnection) throws -> String? {
    try connection.value(
      "SELECT md5(string_agg(stored::text, '' ORDER BY id)) FROM \(table) AS stored")
  }

  private func charge(_ battery: String, _ connection: PostgresConnection) throws -> String? {
    try connection.value(
      "SELECT current_charge FROM grid.energy_storage WHERE storage_id = '\(battery)'")
  }
}
