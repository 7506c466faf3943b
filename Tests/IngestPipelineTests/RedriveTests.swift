// Dead letters that are tried again: what passes is closed, what does not keeps its history.

import CheckRules
import EnergyReadings
import IngestPipeline
import PayloadDecoding
import PostgresStore
import TestServices
import Testing

@Suite struct RedriveTests {
  private let connection: PostgresConnection

  init() throws { connection = try PostgresConnection(url: TestServices.migratedDatabase()) }

  private func store(_ topic: String, _ payload: String, at time: Timestamp = .now) throws {
    let batch = Batch(enrichment: EnrichmentSettings())
    batch.add(
      topic: topic.utf8.span, payload: payload.utf8.span, receivedAt: time,
      by: try ReferenceData.load(.init(), over: connection))
    _ = try batch.commit(to: BatchStore(connection))
  }

  private func redrive(_ change: (inout DeadLetterFilter) -> Void = { _ in }) throws
    -> RedriveReport
  {
    var filter = DeadLetterFilter()
    change(&filter)
    let redrive = Redrive(connection, enrichment: .init()) { (connection) throws(PostgresError) in
      try ReferenceData.load(.init(), over: connection)
    }
    return try redrive.run(filter)
  }

  private func report(passed: Int = 0, refused: Int = 0, incomplete: Int = 0) -> RedriveReport {
    var report = RedriveReport()
    report.passed = passed
    report.refused = refused
    report.incomplete = incomplete
    return report
  }

  private func value(_ sql: String) throws -> String? {
    try connection.query(sql).first?.first.flatMap(\.self)
  }

  private let letters = """
    SELECT string_agg(concat_ws(' ', reason, json_path, attempts, resolution,
      jsonb_array_length(history)), ', ' ORDER BY payload_index, id) FROM ingest.dead_letters
    """

  private func register(_ consumer: String) throws {
    try connection.query(
      """
      INSERT INTO blockchain.registered_consumers (consumer_id, consumer_name, consumer_type,
        location_json) VALUES ($1, 'x', 'residential', '{}')
      """, [consumer])
  }

  @Test func eachElementOfAnArrayIsALetter() throws {
    let time = #""timestamp":"2026-06-10T07:0"#
    try store(
      "gridtokenx/v1/G/consumption/c-1",
      #"[{\#(time)0:00Z","energy_amount":1},{\#(time)1:00Z","energy_amount":-2}]"#)
    #expect(
      try value(letters)
        == "unregistered_device 1 0, unregistered_device 1 0")
    try register("c-1")
    #expect(try redrive() == report(passed: 1, refused: 1))
    // The place is told as it was in the whole payload.
    #expect(
      try value(letters)
        == "unregistered_device 1 stored 0, check_violation $[1].energy_amount 2 1")
    #expect(
      try value("SELECT history -> 0 ->> 'reason' FROM ingest.dead_letters WHERE attempts = 2")
        == "unregistered_device")
    #expect(try redrive() == report(refused: 1))
    #expect(
      try value("SELECT energy_amount FROM grid.energy_consumption") == "1.000000")
  }

  /// One message of a prosumer makes two readings; a letter is about one of them.
  @Test func oneOfTwoReadings() throws {
    try register("prosumer")
    try store(
      "gridtokenx/ami/telemetry/prosumer",
      #"{"timestamp":"2026-06-10T07:00:00","energy_generated":2,"energy_consumed":3}"#)
    #expect(try value(letters)?.hasPrefix("unregistered_device") == true)
    #expect(try value("SELECT count(*) FROM ingest.dead_letters") == "1")
    try connection.execute(
      """
      INSERT INTO blockchain.registered_producers (producer_id, producer_name, producer_type,
        energy_sources, location_json, capacity_kw)
      VALUES ('prosumer', 'x', 'residential', '{solar}', '{}', 5)
      """)
    #expect(try redrive { $0.isRegisteredMeanwhile = true } == report(passed: 1))
    #expect(try value("SELECT sum(energy_amount) FROM grid.energy_production") == "2.000000")
    #expect(try value("SELECT sum(energy_amount) FROM grid.energy_consumption") == "3.000000")
  }

  @Test func onlyWhatIsRegisteredMeanwhile() throws {
    for device in ["c-1", "c-2"] {
      try store(
        "gridtokenx/v1/G/consumption/\(device)",
        #"{"timestamp":"2026-06-10T07:00:00Z","energy_amount":1}"#)
    }
    try register("c-2")
    #expect(try redrive { $0.isRegisteredMeanwhile = true } == report(passed: 1))
    #expect(try redrive { $0.isRegisteredMeanwhile = true } == report())
  }

  /// A reading that was too early stays so: it is judged by when it was received.
  @Test func timeIsThatOfTheFirstArrival() throws {
    let received = Timestamp(microseconds: Timestamp.now.microseconds - 7 * 86_400_000_000)
    let ahead = Timestamp(microseconds: received.microseconds + 3 * 86_400_000_000)
    try store(
      "gridtokenx/v1/G/consumption/c-1",
      #"{"timestamp":"\#(ahead)","energy_amount":1,"consumer_type":"municipal"}"#, at: received)
    #expect(try redrive() == report(refused: 1))
    #expect(try value("SELECT rule FROM ingest.dead_letters") == "future_timestamp")
  }

  @Test func whatIsStoredMeanwhileIsNotStoredTwice() throws {
    let payload = #"{"timestamp":"2026-06-10T07:00:00Z","energy_amount":1}"#
    try store("gridtokenx/v1/G/consumption/c-1", payload)
    try register("c-1")
    try store("gridtokenx/v1/G/consumption/c-1", payload)
    #expect(try redrive() == report(passed: 1))
    #expect(try value("SELECT count(*) FROM grid.energy_consumption") == "1")
  }

  @Test func aZeroIsHeardAndClosed() throws {
    try store(
      "gridtokenx/v1/G/heat/c-1", #"{"timestamp":"2026-06-10T07:00:00Z","energy_amount":0}"#)
    try connection.execute(
      "UPDATE ingest.dead_letters SET topic = 'gridtokenx/v1/G/consumption/c-1'")
    #expect(try redrive() == report(passed: 1))
    #expect(try value("SELECT resolution FROM ingest.dead_letters") == "zero")
  }

  /// An array in an array was one letter; tried again it is as many readings as it holds.
  @Test func nothingThatALetterHoldsIsLeftOut() throws {
    try register("c-1")
    func reading(_ minute: Int) -> String {
      #"{"timestamp":"2026-06-10T07:0\#(minute):00Z","energy_amount":1}"#
    }
    try store(
      "gridtokenx/v1/G/consumption/c-1",
      "[\(reading(0)),[\(reading(1)),\(reading(2))],[\(reading(3)),5]]")
    #expect(try value(letters) == "wrong_type $[1] 1 0, wrong_type $[2] 1 0")
    #expect(try redrive() == report(passed: 2))
    #expect(try value("SELECT count(*) FROM grid.energy_consumption") == "4")
    // What was bad among them is a letter of its own.
    #expect(
      try value("SELECT count(*) FROM ingest.dead_letters WHERE resolved_at IS NULL") == "1")
  }

  @Test func theBeginningOfAPayloadIsNoPayload() throws {
    try connection.execute(
      """
      INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload,
        payload_bytes, reason) VALUES (gen_random_uuid(), now(), now(), 't', '\\x7b', 9999999, 'x')
      """)
    #expect(try redrive() == report(incomplete: 1))
    #expect(try value("SELECT count(*) FROM ingest.dead_letters WHERE resolved_at IS NULL") == "1")
  }

  /// The database's own refusals are tried again too, and their letter stays the same one.
  @Test func refusedByTheDatabaseAgain() throws {
    try connection.execute(
      """
      CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql
        AS 'begin raise exception ''no''; end';
      CREATE TRIGGER no BEFORE INSERT ON grid.energy_consumption
        FOR EACH ROW EXECUTE FUNCTION public.no()
      """)
    let payload =
      #"{"timestamp":"2026-06-10T07:00:00Z","energy_amount":1,"consumer_type":"municipal"}"#
    try store("gridtokenx/v1/G/consumption/c-1", payload)
    #expect(try redrive() == report(refused: 1))
    #expect(try value(letters) == "rejected_by_database 2 1")
    try connection.execute("DROP TRIGGER no ON grid.energy_consumption")
    #expect(try redrive() == report(passed: 1))
  }

  /// It makes no row, and its letter is settled all the same.
  @Test func aStateOfCharge() throws {
    try connection.execute(
      """
      INSERT INTO grid.energy_storage (storage_id, storage_operator, storage_type, capacity_mwh,
        location_json, installed_at) VALUES ('b-1', 'us', 'lithium', 0.01, '{}', now())
      """)
    let sources = try SourceFile.table(
      yaml: "- {topic: \"b/{device}\", time: [/t, unix_s], state_of_charge: [/soc, percent]}",
      name: "sources")
    var settings = PlausibilitySettings()
    settings[.tooOld] = .reject
    let batch = Batch(enrichment: EnrichmentSettings())
    let longAgo = Timestamp.now.microseconds / 1_000_000 - 500 * 86_400
    batch.add(
      topic: "b/b-1".utf8.span, payload: "{\"t\":\(longAgo),\"soc\":25}".utf8.span,
      receivedAt: .now, by: try ReferenceData.load(settings, sources: sources, over: connection))
    _ = try batch.commit(to: BatchStore(connection))
    #expect(try value("SELECT rule FROM ingest.dead_letters") == "too_old")
    let redrive = { [connection] (settings: PlausibilitySettings) in
      try Redrive(connection, enrichment: .init()) { (connection) throws(PostgresError) in
        try ReferenceData.load(settings, sources: sources, over: connection)
      }.run(DeadLetterFilter())
    }
    #expect(try redrive(settings) == report(refused: 1))
    settings[.tooOld] = .off
    #expect(try redrive(settings) == report(passed: 1))
    #expect(try value("SELECT resolution FROM ingest.dead_letters") == "zero")
    #expect(try value("SELECT current_charge FROM grid.energy_storage") == "0.002500")
  }

  /// By a process that was not given the source: there it would look like an unknown topic.
  @Test func aTopicOfNoSourceHere() throws {
    let sources = try SourceFile.table(yaml: "- format: opendtu", name: "sources")
    let batch = Batch(enrichment: EnrichmentSettings())
    batch.add(
      topic: "solar/1161/0/yieldtotal".utf8.span, payload: "12.5".utf8.span, receivedAt: .now,
      by: try ReferenceData.load(.init(), sources: sources, over: connection))
    _ = try batch.commit(to: BatchStore(connection))
    var expected = RedriveReport()
    expected.unexpected = 1
    #expect(try redrive() == expected)
    #expect(try value(letters) == "unregistered_device 1 0")
  }
}
