// Where contestants meet: a database and a broker, emptied before each run and checked after it.

import Foundation
import MQTTSession
import PostgresStore
import PrivateServices

/// Services that the bench was given.
public struct GivenServices: Sendable {
  public var postgresURL: String
  public var mqttURL: String
  /// Whether rows that are in the tables already may be deleted.
  public var mayDeleteRows: Bool

  public init(postgresURL: String, mqttURL: String, mayDeleteRows: Bool) {
    self.postgresURL = postgresURL
    self.mqttURL = mqttURL
    self.mayDeleteRows = mayDeleteRows
  }
}

/// The services and a folder for files, both gone with the stage if they are private.
final class BenchStage {
  /// The database that contestants write to now.
  private(set) var postgresURL: String
  let mqttURL: String
  /// Folder for captures, COPY files and logs.
  let scratch: String
  private let services: PrivateServices?
  private var database: PostgresConnection
  private var databasePID: Int32?

  /// Private services, as large as a small server's.
  init(privateIn directory: String) throws {
    let services = try PrivateServices.start(
      in: directory,
      postgres: PostgresOptions(settings: [
        // One checkpoint in the middle of a run would be measured in one round and not in another.
        "max_wal_size": "8GB", "shared_buffers": "512MB", "track_commit_timestamp": "on",
      ]))
    self.services = services
    postgresURL = try services.createDatabase("bench")
    mqttURL = services.mqttURL
    scratch = services.directory + "/bench"
    try FileManager.default.createDirectory(
      atPath: scratch, withIntermediateDirectories: true)
    database = try PostgresConnection(url: postgresURL, applicationName: "meter-ingestor bench")
    try Migrator(database).migrate()
    databasePID = try BenchStage.backend(of: database)
    try prepareSession()
  }

  /// Services of somebody else's.
  ///
  /// - Throws: ``BenchError`` with code `usage` when the tables hold rows that may not be deleted.
  init(given: GivenServices) throws {
    services = nil
    postgresURL = given.postgresURL
    mqttURL = given.mqttURL
    scratch =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("meter-ingestor-bench-\(UUID().uuidString)").path
    database = try PostgresConnection(url: postgresURL, applicationName: "meter-ingestor bench")
    databasePID = nil
    let filled = try BenchStage.tablesWithRows(database)
    if !filled.isEmpty, !given.mayDeleteRows {
      throw BenchError(
        .usage,
        "\(database.target) holds rows in \(filled.joined(separator: ", ")), which the bench would "
          + "delete; give it an empty database, or say --yes-use-this-database")
    }
    try FileManager.default.createDirectory(
      atPath: scratch, withIntermediateDirectories: true)
    try prepareSession()
  }

  deinit {
    if services == nil { try? FileManager.default.removeItem(atPath: scratch) }
  }

  func close() throws { try services?.stop() }

  var isPrivate: Bool { services != nil }
  var isEncrypted: Bool { mqttURL.hasPrefix("mqtts:") }

  private static let tables = [
    "grid.energy_production", "grid.energy_consumption", "grid.storage_operations",
    "ingest.meter_states", "ingest.dead_letters", "ingest.reading_flags",
  ]

  private static func tablesWithRows(_ database: PostgresConnection) throws -> [String] {
    try tables.filter { table in
      guard try database.query("SELECT to_regclass($1)", [table])[0][0] != nil else {
        throw BenchError(
          .failed, "\(database.target) has no table \(table): run meter-ingestor migrate first")
      }
      return try !database.query("SELECT 1 FROM \(table) LIMIT 1").isEmpty
    }
  }

  private static func backend(of database: PostgresConnection) throws -> Int32? {
    Int32(try database.query("SELECT pg_backend_pid()")[0][0] ?? "")
  }

  private func prepareSession() throws {
    try database.execute("SET work_mem = '256MB'; SET max_parallel_workers_per_gather = 0")
  }

  // MARK: Before a run

  /// Empties the tables; what is written of earlier runs is on the disk afterwards.
  func empty() throws {
    try database.execute("TRUNCATE \(BenchStage.tables.joined(separator: ", "))")
    // Only a superuser, or pg_checkpoint from version 15 on, may; it steadies the figures.
    if isPrivate { try database.execute("CHECKPOINT") }
  }

  /// Makes a second database whose table holds `rows` older readings, with ids that are ordered in
  /// time as the ingestor's.
  func makeFilledDatabase(rows: Int, meters: Int, before begin: Int) throws {
    guard let services else { return }
    try services.createDatabase(BenchStage.filled)
    try inFilledDatabase {
      try Migrator(database).migrate()
      try fill(rows, meters, before: begin)
    }
  }

  private static let filled = "bench_filled"

  /// Lets everything that `body` does happen in the second database.
  func inFilledDatabase<Value>(_ body: () throws -> Value) throws -> Value {
    guard let services else { return try body() }
    let (url, connection, pid) = (postgresURL, database, databasePID)
    defer { (postgresURL, database, databasePID) = (url, connection, pid) }
    postgresURL = services.url(database: BenchStage.filled)
    database = try PostgresConnection(url: postgresURL, applicationName: "meter-ingestor bench")
    databasePID = try BenchStage.backend(of: database)
    try prepareSession()
    return try body()
  }

  private func fill(_ rows: Int, _ meters: Int, before begin: Int) throws {
    try database.execute(
      """
      INSERT INTO grid.energy_consumption (\(RawCopy.columns))
      SELECT encode(substring(int8send((1000 * extract(epoch FROM at))::bigint) FROM 3)
          || substring(uuid_send(gen_random_uuid()) FROM 7), 'hex')::uuid,
        'm-' || lpad((n % \(meters))::text, 6, '0'), 0.5, 'residential', '{"district":"D1"}', '{}', at
      FROM generate_series(1, \(rows)) AS n,
        LATERAL (SELECT to_timestamp(\(begin) - 86400 - (\(rows) - n) * 0.09) AS at) AS moment
      """, as: "prefill")
    try database.execute("VACUUM (ANALYZE) grid.energy_consumption", as: "vacuum")
    if isPrivate { try database.execute("CHECKPOINT") }
  }

  /// Takes the readings since `begin` away again and leaves the older ones.
  func deleteReadings(since begin: Int) throws {
    try database.execute(
      "DELETE FROM grid.energy_consumption WHERE timestamp >= to_timestamp(\(begin))")
    try database.execute("TRUNCATE ingest.meter_states, ingest.reading_flags, ingest.dead_letters")
    try database.execute("VACUUM grid.energy_consumption", as: "vacuum")
    if isPrivate { try database.execute("CHECKPOINT") }
  }

  /// Lets the broker forget the sessions of a client that is gone; it would keep messages for them.
  func forget(clients: [String]) throws {
    for client in clients {
      var settings = try MQTTSettings(url: mqttURL, clientID: client)
      settings.cleanStart = true
      settings.sessionExpiry = 0
      let session = try MQTTSession(settings)
      try session.connect(within: .seconds(10))
      // The retained word that it is offline goes, too.
      try session.publish(
        topic: "gridtokenx/v1/ingestor/\(client)/status", payload: [], qos: 0, retain: true)
      try session.flush()
      session.disconnect()
    }
  }

  // MARK: During a run

  var storedRows: Int {
    get throws {
      Int(try database.query("SELECT count(*) FROM grid.energy_consumption")[0][0] ?? "") ?? 0
    }
  }

  /// CPU of PostgreSQL and of the broker up to now, without the bench's own questions; nil where
  /// they are not ours.
  var costs: (postgres: Double?, broker: Double?) {
    let server = services?.postgresPID.flatMap(ProcessCost.ofFamily)
    let own = databasePID.flatMap { ProcessCost($0)?.seconds } ?? 0
    return (
      server.map { $0 - own }, services?.brokerPID.flatMap { ProcessCost($0)?.seconds }
    )
  }

  /// When the last row was committed, in seconds of the Unix epoch; nil where the server does not
  /// note it or is not known to share our clock.
  func lastCommit() throws -> Double? {
    guard isPrivate else { return nil }
    let rows = try database.query(
      """
      SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))
      FROM (SELECT DISTINCT xmin FROM grid.energy_consumption) AS transactions
      """)
    return rows[0][0].flatMap { Double($0) }
  }

  /// Calls `body` with meter, time in seconds, and time of commit in µs of every row.
  func forEachCommit(_ body: (Int, Int, Int) -> Void) throws {
    try database.forEachRow(
      """
      SELECT substring(consumer_id FROM 3)::int, extract(epoch FROM timestamp)::bigint,
        (1000000 * extract(epoch FROM pg_xact_commit_timestamp(xmin)))::bigint
      FROM grid.energy_consumption
      """
    ) { row in
      let values = (0..<3).map { Int(row.string($0) ?? "") ?? 0 }
      body(values[0], values[1], values[2])
    }
  }

  // MARK: After a run

  /// - Throws: ``BenchError`` with code `wrongRows`, naming the contestant and what is wrong.
  func check(
    _ load: BenchLoad, storedBy name: String, lastWords: @autoclosure () -> String = ""
  ) throws {
    let rows = try database.query(StoredSums.query(since: load.begin))
    guard let complaint = load.sums.complaint(about: StoredSums(row: rows[0])) else { return }
    let letters = try database.query("SELECT count(*) FROM ingest.dead_letters")[0][0] ?? "0"
    throw BenchError(
      .wrongRows,
      "\(name): \(complaint)\(letters == "0" ? "" : "; \(letters) dead letters"). "
        + "No figure of this run is worth anything, so none is printed\(lastWords())")
  }
}
