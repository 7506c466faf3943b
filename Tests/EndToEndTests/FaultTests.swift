// What really happens: kills, outages, wrong passwords. Nothing is lost, nothing stored twice.

import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite(.serialized) struct FaultTests {
  @Test func killedInTheMiddleOfAReplay() async throws {
    let services = TestServices.shared
    let database = try TestServices.migratedDatabase()
    let known = KnownReadings(intervals: 300, grid: TestServices.freshName())
    try known.register(in: database)
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid,
      settings: ["ingest.batch-size": "500"])
    try await ingestor.waitUntilReady()
    let part = known.readings.count / 6
    for round in 0..<6 {
      try known.publish(round * part..<(round + 1) * part, to: services.mqttURL)
      // It has begun with these, and has not finished: there it dies.
      try await eventually("a commit\n\(ingestor.log)") {
        ingestor.log.contains("batch committed")
      }
      try ingestor.killAndRestart()
    }
    try await known.expectStored(in: database, ingestor.log)
    #expect(try value("SELECT count(*) FROM ingest.dead_letters", in: database) == "0")
  }

  @Test func theDatabaseDiesWhileMessagesFlow() async throws {
    let services = TestServices.start()
    let database = try migrated(services)
    let known = KnownReadings(intervals: 200, grid: TestServices.freshName())
    try known.register(in: database)
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid,
      settings: ["ingest.batch-size": "500"])
    try await ingestor.waitUntilReady()
    let half = known.readings.count / 2
    try known.publish(0..<half, to: services.mqttURL)
    try services.stopPostgres(.immediate)
    try known.publish(half..<known.readings.count, to: services.mqttURL)
    try await eventually("not ready\n\(ingestor.log)") {
      try await ingestor.get("/readyz")?.status == 503
    }
    #expect(
      try await ingestor.get("/readyz")?.text.contains("127.0.0.1:\(services.postgresPort)") == true
    )
    try services.startPostgres()
    try await known.expectStored(in: database, ingestor.log)
    try await ingestor.expectBalancedLedger(received: known.readings.count)
    try await ingestor.waitUntilReady()
    try services.stop()
  }

  @Test func theBrokerRestartsInTheMiddle() async throws {
    let services = TestServices.start()
    let database = try migrated(services)
    let known = KnownReadings(intervals: 200, grid: TestServices.freshName())
    try known.register(in: database)
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid,
      settings: ["ingest.batch-size": "500"])
    try await ingestor.waitUntilReady()
    let half = known.readings.count / 2
    try known.publish(0..<half, to: services.mqttURL)
    try services.stopBroker()
    try services.startBroker()
    try known.publish(half..<known.readings.count, to: services.mqttURL)
    try await known.expectStored(in: database, ingestor.log)
    try services.stop()
  }

  /// SIGTERM while the database is away: what is in hand is not stored, so it is not acknowledged
  /// either, and comes again.
  @Test func stoppedWhileTheDatabaseIsAway() async throws {
    let services = TestServices.start()
    let database = try migrated(services)
    let known = KnownReadings(intervals: 20, grid: TestServices.freshName())
    try known.register(in: database)
    let client = TestServices.freshName()
    let first = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid, client: client)
    try await first.waitUntilReady()
    try services.stopPostgres(.fast)
    try known.publish(0..<known.readings.count, to: services.mqttURL)
    try await eventually("a failed commit\n\(first.log)") { first.log.contains("commit failed") }
    first.signal(SIGTERM)
    #expect(first.waitForExit() == 0, "\(first.log)")
    try services.startPostgres()
    #expect(try value(KnownReadings.tally, in: database) == nil)
    let second = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid, client: client)
    try await known.expectStored(in: database, second.log)
    try services.stop()
  }

  @Test func stoppedInTheMiddleOfABatch() async throws {
    let services = TestServices.shared
    let database = try TestServices.migratedDatabase()
    let known = KnownReadings(intervals: 200, grid: TestServices.freshName())
    try known.register(in: database)
    let client = TestServices.freshName()
    let first = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid, client: client,
      settings: ["ingest.batch-size": "1000"])
    try await first.waitUntilReady()
    try known.publish(0..<known.readings.count, to: services.mqttURL)
    first.signal(SIGTERM)
    #expect(first.waitForExit() == 0, "\(first.log)")
    let second = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid, client: client)
    try await known.expectStored(in: database, second.log)
    // What was committed was acknowledged: nothing comes twice after a clean stop.
    #expect(try await second.metric("meter_ingestor_readings_duplicate_total") == 0)
  }

  @Test func nobodyIsThereAtTheStart() async throws {
    let services = TestServices.start()
    let database = try migrated(services)
    let known = KnownReadings(intervals: 1, grid: TestServices.freshName())
    try known.register(in: database)
    try services.stopPostgres()
    try services.stopBroker()
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid)
    try await eventually("a line that names the database\n\(ingestor.log)") {
      ingestor.log.contains("database not usable")
        && ingestor.log.contains("127.0.0.1:\(services.postgresPort)")
    }
    try await eventually("the status page\n\(ingestor.log)") {
      try await ingestor.get("/readyz")?.status == 503
    }
    #expect(try await ingestor.get("/healthz")?.status == 200)
    try services.startPostgres()
    try await eventually("a line that names the broker\n\(ingestor.log)") {
      ingestor.log.contains("broker not usable")
        && ingestor.log.contains("127.0.0.1:\(services.mqttPort)")
    }
    try services.startBroker()
    try await ingestor.waitUntilReady()
    try known.publish(0..<known.readings.count, to: services.mqttURL)
    try await known.expectStored(in: database, ingestor.log)
    try services.stop()
  }

  @Test func aTableIsMissing() async throws {
    let services = TestServices.shared
    let database = try TestServices.emptyDatabase()
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: TestServices.freshName())
    try await eventually("a line that names it\n\(ingestor.log)") {
      ingestor.log.contains("grid.energy_production") && ingestor.log.contains("migrate")
    }
    try Migrator(PostgresConnection(url: database)).migrate()
    try await ingestor.waitUntilReady()
  }

  @Test func wrongPasswordsAreNotPrinted() async throws {
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path,
      broker: .init(users: ["meter": "right-one"]),
      postgres: .init(fsync: false, requirePasswords: true))
    try PostgresConnection(url: services.postgresURL).execute(
      "CREATE ROLE ingestor LOGIN PASSWORD 'right-one'")
    let url = services.url(database: "postgres", user: "ingestor", password: "wr0ng-secret")
    let ingestor = try RunningIngestor(
      database: url,
      broker: services.mqttURL(user: "meter", password: "wr0ng-secret"), grid: "G")
    try await eventually("a refused login\n\(ingestor.log)") {
      ingestor.log.contains("Check user and password in POSTGRES_URL")
    }
    let doctor = try run(
      ["doctor"],
      environment: [
        "POSTGRES_URL": url,
        "MQTT_URL": services.mqttURL(user: "meter", password: "wr0ng-secret"),
      ])
    #expect(doctor.status == 1)
    #expect(doctor.output.contains("FAIL broker"))
    #expect(doctor.output.contains("Check user and password in MQTT_URL"))
    for text in [ingestor.log, doctor.output, doctor.errors] {
      #expect(!text.contains("wr0ng-secret"))
    }
    try services.stop()
  }

  private func migrated(_ services: PrivateServices) throws -> String {
    let database = try services.createDatabase("ingest_test")
    try Migrator(PostgresConnection(url: database)).migrate()
    return database
  }
}
