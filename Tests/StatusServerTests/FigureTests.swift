// The figures of the page are those of the database, by the very queries that the page shows.

import Foundation
import Hummingbird
import Metrics
import Monitoring
import PostgresStore
import Synchronization
import TestServices
import Testing

@testable import StatusServer

@Suite(.timeLimit(.minutes(2))) struct FigureTests {
  private let database: String
  private let connection: PostgresConnection

  init() throws {
    database = try TestServices.migratedDatabase()
    connection = try PostgresConnection(url: database)
  }

  private var reader: FigureReader {
    let lane = PostgresLane(url: database, applicationName: "figures")
    return { sql, parameters in try await lane.readOnly(sql, parameters, atMost: 2_000) }
  }

  /// A neighbourhood of one meter of each kind, a dead letter, a flag and two windows of health.
  private func furnish() throws {
    try connection.execute(
      """
      INSERT INTO grid.locations (province, district, grid_code, substation, coordinates,
        capacity_mw, current_load_mw)
      VALUES ('Bangkok', 'Chatuchak', 'BKK-30', 's', '(1,2)', 1.5, 0.25);
      INSERT INTO monitoring.grid_health (grid_code, health_score, stability_index,
        congestion_level, active_connections, energy_flow_in, energy_flow_out, recorded_at)
      VALUES ('BKK-30', 0.5, 0.6, 'low', 2, 1.25, 0.5, now() - interval '2 minutes'),
        ('BKK-30', 0.75, 0.6, 'high', 3, 2.5, 1, now() - interval '1 minute');
      INSERT INTO grid.energy_storage (storage_id, storage_operator, storage_type, capacity_mwh,
        location_json, installed_at) VALUES ('b-1', 'us', 'lithium', 1, '{}', now());
      INSERT INTO blockchain.registered_producers (producer_id, producer_name, producer_type,
        energy_sources, location_json, capacity_kw)
      VALUES ('p-1', 'Roof', 'residential', '{solar}', '{"grid_code": "BKK-30"}', 5);
      INSERT INTO grid.energy_production (producer_id, energy_amount, energy_source, location_json,
        timestamp)
      SELECT 'p-1', 1.000001 * n, 'solar', '{}', now() - n * interval '5 minutes'
      FROM generate_series(1, 100) AS n WHERE n <> 7;
      INSERT INTO grid.energy_consumption (consumer_id, energy_amount, consumer_type, location_json,
        timestamp)
      SELECT 'c-1', 0.5, 'residential', '{}', now() - n * interval '1 hour'
      FROM generate_series(1, 30) AS n;
      INSERT INTO grid.storage_operations (storage_id, operation_type, energy_amount,
        price_per_unit, grid_location, executed_at)
      VALUES ('b-1', 'charge', 2, 1, 'BKK-30', now() - interval '1 hour'),
        ('b-1', 'discharge', 3, 1, 'BKK-30', now() - interval '2 hours')
      """)
    try furnishNotices()
  }

  /// What happened to the producer besides its readings.
  private func furnishNotices() throws {
    try connection.execute(
      """
      INSERT INTO ingest.reading_flags (reading_id, kind, device_id, at, rule, detail)
      VALUES (uuid_generate_v4(), 'production', 'p-1', now(), 'spike', 'high');
      INSERT INTO ingest.meter_states (kind, device_id, last_at, last_energy_kwh, repeats,
        level_kwh, last_sequence)
      VALUES ('production', 'p-1', now(), 1.000001, 1, 0.9, 7);
      INSERT INTO ingest.grid_meters VALUES ('BKK-30', 9, 6, 2, 1, now());
      INSERT INTO ingest.register_state (device_id, register, measure, last_at, last_value)
      VALUES ('p-1', '1.8.0', 'register', now(), 5000001), ('p-1', 'w', 'power', NULL, NULL);
      INSERT INTO ingest.register_events (at, device_id, register, event, before_value, after_value)
      VALUES (now(), 'p-1', '1.8.0', 'rollover', 999999999999, 17);
      INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload, reason,
        rule, device_id, json_path, detail, attempts)
      VALUES (uuid_generate_v4(), now(), now(), E't\\n"', '\\x00ff', 'implausible', 'spike',
        'p-1', '$.a', E'"quoted" \\\\ and\\nbroken', 3);
      INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload, reason,
        device_id, resolved_at, resolution)
      VALUES (uuid_generate_v4(), now(), now(), 't', '', 'missing_field', 'p-1', now(), 'stored')
      """)
  }

  /// What an ingestor tells that has run for a while.
  private func count(in registry: MetricRegistry) {
    let labels = [("kind", "production"), ("reason", "out_of_range")]
    registry.counter(IngestMetrics.readingsRejected.name, labels: labels).increment()
    registry.histogram(IngestMetrics.commitSeconds.name).observe(0.004)
    for gauge in [IngestMetrics.brokerDropped, IngestMetrics.spoolMessages] {
      Meter(label: gauge.name, factory: registry).set(2)
    }
    let counts = MeterCounts()
    registry.addCollector { counts.collect(into: &$0) }
    counts.replace(
      with: [GridMeters(gridCode: "BKK-30", registered: 9, heard: 6, late: 2, silent: 1)])
  }

  private func described(
    _ document: [String: any Sendable], of path: String, _ status: String
  ) -> [String: Any]? {
    let paths = document["paths"] as? [String: [String: [String: Any]]]
    let responses = paths?[path]?["get"]?["responses"] as? [String: [String: Any]]
    let content = responses?[status]?["content"] as? [String: [String: Any]]
    return content?["application/json"]?["schema"] as? [String: Any]
  }

  /// Each answer is what openapi.json says, everything that openapi.json says is in an answer, and
  /// each figure is what its own query gives in another session.
  @Test func everyAnswerIsAsDescribedAndCanBeAskedAgain() async throws {
    try furnish()
    try await withRunningServer(components: ["postgres"], figures: reader) { server in
      count(in: server.registry)
      let check = SchemaCheck(document: try await server.json("/api/v1/openapi.json"))
      let paths = try #require(check.document["paths"] as? [String: any Sendable])
      var members: Set<String> = []
      for path in paths.keys {
        let schema = try #require(described(check.document, of: path, "200"), "\(path)")
        let answer = try await server.json(path.replacing("{id}", with: "p-1"))
        #expect(check.problems(answer, schema) == [], "\(path)")
        check.note(answer, schema, at: path)
        members.formUnion(check.described(schema, at: path))
        guard let query = answer["query"] as? String else { continue }
        let figure = try #require(answer.first { $0.key != "query" }?.value)
        let rows = try connection.query(query)
        if path == "/api/v1/energy" {
          try expectSameBuckets(figure, rows)
        } else {
          let again = try JSONSerialization.jsonObject(with: Data((rows[0][0] ?? "").utf8))
          #expect((again as? NSObject) == (figure as? NSObject), "\(path)")
        }
      }
      #expect(members.subtracting(check.seen) == [], "described, and never seen")
      #expect(members.count > 100)
    }
  }

  /// The paths of the interface are those that are described, and so is what may go wrong on each.
  @Test func everyPathIsDescribed() async throws {
    try await withRunningServer { server in
      let document = try await server.json("/api/v1/openapi.json")
      let paths = try #require(document["paths"] as? [String: [String: [String: Any]]])
      #expect(servedPaths == Set(paths.keys))
      for (path, operations) in paths {
        #expect(Array(operations.keys) == ["get"], "\(path)")
        let responses = operations["get"]?["responses"] as? [String: Any] ?? [:]
        let isFigure = !path.contains("openapi") && !path.contains("status")
        let wanted =
          ["200", "401"] + (isFigure ? ["503"] : [])
          + (path.contains("{id}") ? ["400", "404"] : [])
        #expect(responses.keys.sorted() == wanted.sorted(), "\(path)")
      }
    }
  }

  /// Without a database, and of a meter whose id is none.
  @Test(arguments: [
    ("/api/v1/energy", 503), ("/api/v1/grids", 503), ("/api/v1/rejections", 503),
    ("/api/v1/notices", 503), ("/api/v1/meters/{id}", 503), ("/api/v1/meters/{id}", 400),
  ])
  func failuresAreAsDescribed(path: String, status: Int) async throws {
    try await withRunningServer { server in
      let document = try await server.json("/api/v1/openapi.json")
      let asked = path.replacing("{id}", with: status == 400 ? "%FF" : "x")
      let answer = try await server.ask(asked)
      #expect(answer.status == status)
      let schema = try #require(described(document, of: path, "\(status)"))
      let object = try JSONSerialization.jsonObject(with: Data(answer.body.utf8))
      #expect(SchemaCheck(document: document).problems(object, schema) == [])
    }
  }

  /// What the router answers under /api.
  private var servedPaths: Set<String> {
    let source = StatusSource(
      registry: MetricRegistry(), readiness: Readiness(components: []), version: "1")
    let figures = FigureBoard(read: nil)
    let routes = StatusRoutes(
      source: source, figures: figures, feed: EventFeed(source: source, figures: figures),
      access: .thisMachine)
    let paths = routes.router().routes.map(\.description).compactMap { route in
      route.wholeMatch(of: /GET (\/api\/.*)/).map { $0.output.1.replacing(":id", with: "{id}") }
    }
    return Set(paths.map { String($0) })
  }

  private func expectSameBuckets(_ figure: Any, _ rows: [[String?]]) throws {
    let buckets = try #require((figure as? [String: Any])?["buckets"] as? [[String: Any]])
    #expect(buckets.count == EnergyChart.bucketCount)
    let filled = buckets.filter { bucket in
      ["production", "consumption", "discharge", "charge"].contains {
        (bucket[$0] as? NSNumber)?.doubleValue != 0
      }
    }
    let again = try rows.map {
      try JSONSerialization.jsonObject(with: Data(($0[1] ?? "").utf8)) as? NSDictionary
    }
    #expect(filled.map { $0 as NSDictionary } == again)
    #expect(filled.count > 24)
  }

  @Test func aBucketHoldsWhatEndedInItAndLateReadingsToo() async throws {
    var chart = EnergyChart()
    let now = Date(timeIntervalSince1970: 1_781_000_100)
    func production(_ answer: FigureAnswer, _ begins: Date) throws -> Double? {
      let json = try JSONSerialization.jsonObject(with: Data((answer.json ?? "").utf8))
      let buckets = (json as? [String: Any])?["buckets"] as? [[String: Any]]
      let bucket = buckets?.first { $0["begins"] as? String == begins.formatted(.iso8601) }
      return (bucket?["production"] as? NSNumber)?.doubleValue
    }
    func store(_ amount: String, endedAt seconds: Int) throws {
      try connection.query(
        """
        INSERT INTO grid.energy_production (producer_id, energy_amount, energy_source,
          location_json, timestamp) VALUES ('p-1', $1, 'solar', '{}', to_timestamp($2::bigint))
        """, [amount, "\(seconds)"])
    }
    // 1,780,999,200 is a whole quarter of an hour.
    let quarter = 1_780_999_200
    let before = Date(timeIntervalSince1970: Double(quarter - 900))
    try store("1.5", endedAt: quarter)
    try store("2.25", endedAt: quarter + 1)
    var answer = try await chart.refreshed(reader, now: now)
    #expect(try production(answer, before) == 1.5)
    #expect(try production(answer, Date(timeIntervalSince1970: Double(quarter))) == 2.25)
    let oldest = Date(timeIntervalSince1970: Double(quarter + 900 - 86_400))
    #expect(try production(answer, oldest) == 0)
    try store("0.000001", endedAt: quarter - 5)
    try store("7", endedAt: quarter + 901 - 86_400)
    answer = try await chart.refreshed(reader, now: now)
    #expect(try production(answer, before) == 1.500001)
    #expect(try production(answer, oldest) == 7)
  }

  /// Where a bucket takes PostgreSQL 20 ms, the day is summed in pieces: each refresh ends soon, and
  /// after some of them every bucket is known.
  @Test func aLargeDayIsSummedPieceByPiece() async throws {
    let lane = PostgresLane(url: database, applicationName: "figures")
    let longest = Mutex(0)
    let slow: FigureReader = { sql, parameters in
      let seconds = (Int(parameters[1]) ?? 0) - (Int(parameters[0]) ?? 0)
      let buckets = seconds / EnergyChart.bucketSeconds
      longest.withLock { $0 = max($0, buckets) }
      _ = try await lane.readOnly("SELECT pg_sleep(\(buckets) * 0.02)", [], atMost: 60_000)
      return try await lane.readOnly(sql, parameters, atMost: 2_000)
    }
    func known(_ answer: FigureAnswer) -> Int {
      (answer.json ?? "").matches(of: /"begins"/).count
    }
    var chart = EnergyChart()
    let now = Date(timeIntervalSince1970: 1_781_000_100)
    var counts: [Int] = []
    repeat {
      counts.append(known(try await chart.refreshed(slow, now: now)))
    } while counts.last != EnergyChart.bucketCount && counts.count < 50
    #expect(counts.last == EnergyChart.bucketCount, "\(counts)")
    #expect(counts.count > 3, "\(counts)")
    #expect(longest.withLock { $0 } < 16)
  }

  /// A hundred viewers cost the database what one does.
  @Test func manyAsksAreOneQuery() async throws {
    let count = Mutex(0)
    let inner = reader
    let board = FigureBoard { sql, parameters in
      count.withLock { $0 += 1 }
      return try await inner(sql, parameters)
    }
    await withTaskGroup { tasks in
      for _ in 0..<100 { tasks.addTask { _ = try? await board.answer(.grids) } }
    }
    _ = try await board.answer(.grids)
    #expect(count.withLock { $0 } == 1)
  }

  @Test func aDatabaseThatIsAwayIsSaidSo() async throws {
    let lane = PostgresLane(url: "postgresql://u@127.0.0.1:1/none", applicationName: "figures")
    let away: FigureReader = { try await lane.readOnly($0, $1, atMost: 100) }
    try await withRunningServer(figures: away) { server in
      let answer = try await server.ask("/api/v1/grids")
      #expect(answer.status == 503)
      #expect(answer.body.hasPrefix(#"{"error":"connect at 127.0.0.1:1/none: "#), "\(answer.body)")
    }
    try await withRunningServer { server in
      let answer = try await server.ask("/api/v1/energy")
      #expect(answer.status == 503)
    }
  }

  @Test func aSlowQueryIsCancelledAndNothingCanBeChanged() async throws {
    let lane = PostgresLane(url: database, applicationName: "figures")
    let slow = await #expect(throws: PostgresError.self) {
      try await lane.readOnly("SELECT pg_sleep(60)", [], atMost: 20)
    }
    #expect(slow?.sqlState == "57014")
    let change = await #expect(throws: PostgresError.self) {
      try await lane.readOnly("DELETE FROM grid.energy_production", [], atMost: 1_000)
    }
    #expect(change?.sqlState == "25006")
    #expect(try await lane.readOnly("SELECT $1::text", ["x"], atMost: 1_000) == [["x"]])
  }

  @Test func aMeterThatNobodyKnowsIsNotFound() async throws {
    try await withRunningServer(figures: reader) { server in
      for id in ["nobody", "%00", "it's%20$1%20'--", String(repeating: "x", count: 401)] {
        let answer = try await server.ask("/api/v1/meters/" + id)
        #expect(answer.status == 404, "\(id)")
        #expect(answer.body == #"{"error":"no meter of this id is known"}"#)
      }
      #expect(try await server.ask("/api/v1/meters/%FF").status == 400)
    }
  }

  /// An id of quotes, parameters and markup is data in the query that is shown, too.
  @Test func aHostileIDStaysData() async throws {
    let id = "<img src=x onerror=alert('$1')>"
    try connection.query(
      """
      INSERT INTO grid.energy_consumption (consumer_id, energy_amount, consumer_type,
        location_json, timestamp) VALUES ($1, 1, 'residential', '{}', now())
      """, [id])
    try await withRunningServer(figures: reader) { server in
      let path = try #require(id.addingPercentEncoding(withAllowedCharacters: .alphanumerics))
      let answer = try await server.json("/api/v1/meters/" + path)
      #expect((answer["meter"] as? [String: Any])?["device_id"] as? String == id)
      let again = try connection.query(try #require(answer["query"] as? String))
      #expect(again[0][0]?.contains("onerror=alert('$1')>") == true)
    }
  }
}
