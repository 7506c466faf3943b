// Dead letters as operators see them: found by every condition, counted, closed, paged, pruned.

import EnergyReadings
import PostgresStore
import SeededRandom
import TestServices
import Testing

/// Letters made by hand: the first came at 2026-06-10T00:00:00Z, each a minute after the last.
private struct Letters {
  let connection: PostgresConnection
  var archive: DeadLetterArchive { DeadLetterArchive(connection) }

  init() throws { connection = try PostgresConnection(url: TestServices.migratedDatabase()) }

  /// Adds a letter; `values` are SQL expressions by column.
  func add(_ number: Int, _ values: [String: String] = [:]) throws {
    let at = "timestamptz '2026-06-10T00:00:00Z' + interval '\(number) minutes'"
    var all = [
      "id": "'\(Letters.id(number))'", "received_at": at, "last_received_at": at,
      "topic": "'gridtokenx/v1/G-1/consumption/c-\(number)'", "payload": "'\\x7b7d'",
      "device_id": "'c-\(number)'", "kind": "'consumption'", "reason": "'missing_field'",
    ]
    all.merge(values) { $1 }
    let columns = all.keys.sorted()
    try connection.execute(
      """
      INSERT INTO ingest.dead_letters (\(columns.joined(separator: ", ")))
      VALUES (\(columns.map { all[$0] ?? "NULL" }.joined(separator: ", ")))
      """)
  }

  static func id(_ number: Int) -> ReadingID {
    ReadingID(high: 0xABCD_0000_0000_8000, low: 0x8000_0000_0000_0000 + UInt64(number))
  }

  /// The numbers of the letters that a filter selects, newest first.
  func numbers(_ change: (inout DeadLetterFilter) -> Void) throws -> [Int] {
    var filter = DeadLetterFilter()
    change(&filter)
    let listed = try archive.list(filter, limit: 1_000).map { number($0.id) }
    // Whatever reads through a filter must select the same.
    #expect(try archive.count(filter) == listed.count)
    let page = try archive.page(filter, after: nil, limit: 1_000)
    #expect(page.map { number($0.id) }.reversed() == listed)
    #expect(try archive.counts(filter).reduce(0) { $0 + $1.letters } == listed.count)
    return listed
  }

  func number(_ id: ReadingID) -> Int { Int(id.low & 0xFFFF_FFFF) }
}

@Suite struct DeadLetterArchiveTests {
  private func time(_ minute: Int) -> Timestamp {
    Timestamp(microseconds: ReadingRows.start + Int64(minute) * 60_000_000)
  }

  @Test func eachConditionSelects() throws {
    let letters = try Letters()
    try letters.add(1, ["reason": "'implausible'", "rule": "'spike'"])
    try letters.add(2, ["reason": "'check_violation'", "constraint_name": "'c_check'"])
    try letters.add(3, ["topic": "'gridtokenx/v1/G-10/consumption/c-1'", "device_id": "'c-1'"])
    try letters.add(4, ["resolved_at": "now()", "resolution": "'stored'"])
    try letters.add(5, ["topic": "'50%_off'", "device_id": "NULL", "kind": "NULL"])
    #expect(try letters.numbers { _ in } == [5, 3, 2, 1])
    #expect(try letters.numbers { $0.state = .resolved } == [4])
    #expect(try letters.numbers { $0.state = .all } == [5, 4, 3, 2, 1])
    #expect(try letters.numbers { $0.reason = "implausible" } == [1])
    #expect(try letters.numbers { $0.rule = "spike" } == [1])
    #expect(try letters.numbers { $0.rule = "c_check" } == [2])
    #expect(try letters.numbers { $0.device = "c-1" } == [3, 1])
    #expect(
      try letters.numbers { $0.topic = .exactly("gridtokenx/v1/G-1/consumption/c-1") } == [1])
    #expect(try letters.numbers { $0.topic = .exactly("gridtokenx/v1/G-1") } == [])
    #expect(try letters.numbers { $0.topic = .beginning("gridtokenx/v1/G-1/") } == [2, 1])
    #expect(try letters.numbers { $0.topic = .beginning("gridtokenx/v1/G-1") } == [3, 2, 1])
    #expect(try letters.numbers { $0.topic = .beginning("50%") } == [5])
    #expect(try letters.numbers { $0.topic = .beginning("5%") } == [])
    #expect(try letters.numbers { $0.since = time(2) } == [5, 3, 2])
    #expect(try letters.numbers { $0.until = time(2) } == [1])
    #expect(
      try letters.numbers {
        $0.since = time(2)
        $0.until = time(5)
        $0.device = "c-2"
      } == [2])
    #expect(try letters.numbers { $0.id = .init(Letters.id(3)) } == [3])
    #expect(try letters.numbers { $0.id = .init("ABCD0000-0000-8") } == [5, 3, 2, 1])
    #expect(try letters.numbers { $0.id = .init("abce") } == [])
  }

  @Test(arguments: ["'; DROP TABLE ingest.dead_letters; --", "$1", "\\", "a\0b", "%", "ไฟ\u{202E}"])
  func whatOperatorsTypeIsNoSQL(text: String) throws {
    let letters = try Letters()
    try letters.add(1, ["device_id": "'a'", "topic": "'a'"])
    #expect(try letters.numbers { $0.reason = text } == [])
    #expect(try letters.numbers { $0.rule = text } == [])
    #expect(try letters.numbers { $0.device = text } == [])
    #expect(try letters.numbers { $0.topic = .exactly(text) } == [])
    #expect(try letters.numbers { $0.topic = .beginning(text) } == [])
    #expect(try letters.numbers { _ in } == [1])
  }

  @Test(arguments: ["", "-", "xyz", "12 ", "abcd0000-0000-8000-8000-0000000000011", "é"])
  func noIDs(text: String) { #expect(DeadLetterIDPrefix(text) == nil) }

  @Test func whatHasBeenRegisteredMeanwhile() throws {
    let letters = try Letters()
    try RegistryWriter(letters.connection).upsert(
      RegistryFile(consumers: [
        .init(
          consumerID: "c-1", consumerName: "House", consumerType: "residential",
          location: .init(gridCode: "G-1", district: "D"))
      ]))
    let unregistered = ["reason": "'unregistered_device'"]
    try letters.add(1, unregistered)
    try letters.add(2, unregistered)
    // A consumer is no producer of the same name.
    try letters.add(3, unregistered.merging(["device_id": "'c-1'", "kind": "'production'"]) { $1 })
    try letters.add(4, ["device_id": "'c-1'"])
    try letters.add(
      5, unregistered.merging(["device_id": "'c-1'", "resolved_at": "now()"]) { $1 })
    #expect(try letters.numbers { $0.isRegisteredMeanwhile = true } == [1])
  }

  @Test func countsComeByReasonAndRuleBiggestFirst() throws {
    let letters = try Letters()
    for number in 1...3 { try letters.add(number, ["reason": "'implausible'", "rule": "'spike'"]) }
    try letters.add(4, ["reason": "'implausible'", "rule": "'future'", "device_id": "NULL"])
    try letters.add(
      5,
      [
        "reason": "'implausible'", "rule": "'spike'", "device_id": "'c-3'",
        "last_received_at": "timestamptz '2026-06-10T01:00:00.000001Z'",
      ])
    let counts = try letters.archive.counts(DeadLetterFilter())
    #expect(counts.map(\.rule) == ["spike", "future"])
    #expect(counts.map(\.letters) == [4, 1])
    #expect(counts.map(\.devices) == [3, 0])
    #expect(counts[0].firstAt == time(1))
    #expect(counts[0].lastAt == Timestamp(microseconds: time(60).microseconds + 1))
    #expect(counts[0].example == Letters.id(1))
  }

  @Test func aLetterIsFoundWhole() throws {
    let letters = try Letters()
    try letters.add(
      7,
      [
        "payload": "'\\x00ff7f'", "payload_bytes": "4000000000", "payload_index": "3",
        "rule": "'r'", "constraint_name": "'c'", "sqlstate": "'22P05'", "json_path": "'$[3].x'",
        "detail": "'why'", "attempts": "2", "resolved_at": "timestamptz '2026-06-11T00:00:00Z'",
        "resolution": "'zero'",
        "history":
          #"'[{"at": "2026-06-10T00:00:00+00:00", "reason": "out_of_range", "path": "$"}]'"#,
      ])
    let found = try letters.archive.find(#require(DeadLetterIDPrefix("abcd0000")))
    guard case .one(let letter) = found else { throw UnexpectedSearch(found: found) }
    #expect(letter.entry.id == Letters.id(7))
    #expect(letter.entry.receivedAt == time(7))
    #expect(letter.entry.attempts == 2)
    #expect(letter.entry.resolvedAt == time(24 * 60))
    #expect(letter.entry.resolution == "zero")
    #expect(
      letter.entry.verdict
        == DeadLetterVerdict(
          reason: "missing_field", rule: "r", constraint: "c", sqlstate: "22P05", path: "$[3].x",
          detail: "why"))
    #expect(letter.content.payload == [0x00, 0xFF, 0x7F])
    #expect(letter.content.payloadBytes == 4_000_000_000)
    #expect(!letter.content.isWhole)
    #expect(letter.content.index == 3)
    #expect(letter.content.kind == .consumption)
    #expect(
      letter.history == [
        DeadLetterVerdict(at: "2026-06-10T00:00:00+00:00", reason: "out_of_range", path: "$")
      ])
  }

  private struct UnexpectedSearch: Error { var found: DeadLetterSearch }

  @Test func aBeginningThatFitsSeveralNamesThem() throws {
    let letters = try Letters()
    try letters.add(0x11)
    try letters.add(0x12)
    func find(_ text: String) throws -> DeadLetterSearch {
      try letters.archive.find(#require(DeadLetterIDPrefix(text)))
    }
    let common = "abcd0000-0000-8000-8000-00000000001"
    #expect(try find(common) == .several([Letters.id(0x12), Letters.id(0x11)]))
    #expect(try find(common + "3") == .nothing)
    guard case .one(let letter) = try find(common + "2") else {
      throw UnexpectedSearch(found: try find(common + "2"))
    }
    #expect(letter.entry.id == Letters.id(0x12))
  }

  @Test func discardingTwiceClosesOnce() throws {
    let letters = try Letters()
    try letters.add(1, ["reason": "'implausible'"])
    try letters.add(2)
    try letters.add(3, ["resolved_at": "now()", "resolution": "'stored'"])
    var filter = DeadLetterFilter()
    filter.reason = "missing_field"
    filter.state = .all
    #expect(try letters.archive.discard(filter) == 1)
    #expect(try letters.archive.discard(filter) == 0)
    let ends = try letters.connection.query(
      "SELECT resolution, resolved_at IS NULL FROM ingest.dead_letters ORDER BY id")
    #expect(ends == [[nil, "t"], ["discarded", "f"], ["stored", "f"]])
  }
}

@Suite struct DeadLetterPageTests {
  /// Every byte value and random lengths, and several letters at one moment.
  @Test func pagesCoverEveryLetterOnceByteForByte() throws {
    let letters = try Letters()
    var random = SeededGenerator(seed: 11)
    var expected: [ReadingID: [UInt8]] = [:]
    for number in 0..<64 {
      let bytes =
        number == 0
        ? Array(UInt8.min...UInt8.max)
        : (0..<random.number(0...80)).map { _ in UInt8(random.number(0...255)) }
      expected[Letters.id(number)] = bytes
      let hex = bytes.map { String(0x100 + Int($0), radix: 16).dropFirst() }.joined()
      let at = "timestamptz '2026-06-10T00:00:00.000001Z' + interval '\(number / 7) microseconds'"
      try letters.add(
        number, ["payload": "'\\x\(hex)'", "received_at": at, "last_received_at": at])
    }
    for limit in [1, 5, 64, 1_000] {
      var cursor: DeadLetterArchive.Cursor?
      var seen: [DeadLetterContent] = []
      while true {
        let page = try letters.archive.page(DeadLetterFilter(), after: cursor, limit: limit)
        #expect(page.count <= limit)
        guard let last = page.last else { break }
        cursor = last.cursor
        seen += page
      }
      #expect(seen.count == expected.count)
      #expect(seen.allSatisfy { expected[$0.id] == $0.payload }, "limit \(limit)")
      #expect(seen.map(\.receivedAt) == seen.map(\.receivedAt).sorted())
    }
  }

  /// A letter that is tried and refused keeps its place; one that is closed leaves none to skip.
  @Test func whatIsClosedMeanwhileHidesNothing() throws {
    let letters = try Letters()
    for number in 1...6 { try letters.add(number) }
    let first = try letters.archive.page(DeadLetterFilter(), after: nil, limit: 3)
    try letters.connection.execute(
      "UPDATE ingest.dead_letters SET resolved_at = now() WHERE device_id IN ('c-1', 'c-3', 'c-5')")
    let second = try letters.archive.page(DeadLetterFilter(), after: first.last?.cursor, limit: 3)
    #expect(second.map { letters.number($0.id) } == [4, 6])
  }

  /// A page holds 16 MiB and the letter that fills it, so that 2,000 of the largest do not need
  /// 4 GiB.
  @Test func aPageOfLargePayloadsIsShort() throws {
    let letters = try Letters()
    for number in 1...20 {
      try letters.add(number, ["payload": "decode(repeat('61', 1048576), 'hex')"])
    }
    let first = try letters.archive.page(DeadLetterFilter(), after: nil, limit: 2_000)
    #expect(first.count == 16)
    #expect(first.allSatisfy { $0.payload == [UInt8](repeating: 0x61, count: 1 << 20) })
    let second = try letters.archive.page(
      DeadLetterFilter(), after: first.last?.cursor, limit: 2_000)
    #expect(second.count == 4)
  }
}

@Suite struct DeadLetterPruneTests {
  private let century = Duration.seconds(100 * 365 * 86_400)

  private func left(_ letters: Letters) throws -> [Int] {
    try letters.numbers { $0.state = .all }
  }

  @Test func oldOnesGoAndThoseThatKeepComingStay() throws {
    let letters = try Letters()
    func ago(_ first: String, _ last: String) -> [String: String] {
      [
        "received_at": "now() - interval '\(first)'",
        "last_received_at": "now() - interval '\(last)'",
      ]
    }
    try letters.add(1, ago("3 days", "3 days"))
    try letters.add(2, ago("3 days", "1 hour"))
    try letters.add(3, ago("1 hour", "1 hour"))
    try letters.add(4, ago("4 days", "3 days").merging(["resolved_at": "now()"]) { $1 })
    #expect(try letters.archive.prune(olderThan: .seconds(2 * 86_400), keeping: 10) == 2)
    #expect(try left(letters) == [3, 2])
    #expect(try letters.archive.prune(olderThan: .seconds(2 * 86_400), keeping: 10) == 0)
  }

  @Test func tooManyGoClosedOnesFirst() throws {
    let letters = try Letters()
    for number in 1...8 {
      try letters.add(number, number.isMultiple(of: 2) ? ["resolved_at": "now()"] : [:])
    }
    #expect(try letters.archive.prune(olderThan: century, keeping: 8) == 0)
    #expect(try letters.archive.prune(olderThan: century, keeping: 6) == 2)
    #expect(try left(letters) == [8, 7, 6, 5, 3, 1])
    #expect(try letters.archive.prune(olderThan: century, keeping: 2) == 4)
    #expect(try left(letters) == [7, 5])
    #expect(try letters.archive.prune(olderThan: century, keeping: 0) == 2)
    #expect(try left(letters) == [])
  }

  /// More than two transactions' worth.
  @Test func manyGoInChunks() throws {
    let letters = try Letters()
    try letters.connection.execute(
      """
      INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload, reason)
      SELECT uuid_generate_v4(), at, at, 't', '', 'unknown_topic'
      FROM generate_series(1, 25100) AS n, LATERAL (SELECT now() - n * interval '1 second') AS a (at)
      """)
    #expect(try letters.archive.prune(olderThan: century, keeping: 100) == 25_000)
    let youngest = try letters.connection.value(
      "SELECT now() - min(received_at) < interval '1 minute' + interval '100 seconds' "
        + "FROM ingest.dead_letters")
    #expect(youngest == "t")
    #expect(try letters.archive.prune(olderThan: .seconds(0), keeping: 100) == 100)
  }

  /// One that a batch holds is left alone, and one that somebody else prunes is not pruned twice.
  @Test func nobodyIsWaitedFor() throws {
    let url = try TestServices.migratedDatabase()
    let (pruning, other) = (
      try PostgresConnection(url: url), try PostgresConnection(url: url)
    )
    try pruning.execute(
      """
      INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload, reason)
      SELECT uuid_generate_v4(), to_timestamp(n), to_timestamp(n), n::text, '', 'unknown_topic'
      FROM generate_series(1, 3) AS n
      """)
    try pruning.execute("SET lock_timeout = '5s'")
    try other.execute("BEGIN; UPDATE ingest.dead_letters SET attempts = 2 WHERE topic = '1'")
    #expect(try DeadLetterArchive(pruning).prune(olderThan: .seconds(60), keeping: 3) == 2)
    try other.execute("COMMIT")
    #expect(try DeadLetterArchive(other).prune(olderThan: .seconds(60), keeping: 3) == 1)
  }

  /// Two that both saw ten too many would remove twenty.
  @Test func onePrunesAtATime() async throws {
    let url = try TestServices.migratedDatabase()
    let (first, second) = (
      PostgresLane(url: url, applicationName: "first"),
      PostgresLane(url: url, applicationName: "second")
    )
    let observer = try PostgresConnection(url: url)
    try observer.execute(
      """
      INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload, reason)
      SELECT uuid_generate_v4(), now(), now(), n::text, '', 'unknown_topic'
      FROM generate_series(1, 10) AS n
      """)
    @Sendable func prune(_ connection: PostgresConnection) throws(PostgresError) -> Int {
      try DeadLetterArchive(connection).prune(olderThan: .seconds(60), keeping: 4)
    }
    try observer.execute("BEGIN; LOCK TABLE ingest.dead_letters")
    async let removed = first.run(prune)
    // The first has begun, and waits for the table.
    let waiting = """
      SELECT count(*) FROM pg_locks
      WHERE NOT granted AND relation = 'ingest.dead_letters'::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      """
    let deadline = ContinuousClock.now + .seconds(20)
    while try observer.value(waiting) != "1" {
      try #require(ContinuousClock.now < deadline)
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(try await second.run(prune) == 0)
    try observer.execute("COMMIT")
    #expect(try await removed == 6)
    // And the next one is not kept out.
    #expect(try await second.run(prune) == 0)
    #expect(try observer.value("SELECT count(*) FROM ingest.dead_letters") == "4")
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    #expect(try observer.value(locks) == "0")
  }
}
