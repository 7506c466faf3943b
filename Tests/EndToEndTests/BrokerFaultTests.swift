// A broker that forgets, restarts, drops or serves somebody else under the same name.

import Foundation
import MQTTSession
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite(.serialized) struct BrokerFaultTests {
  /// Two clients of one name: each connection ends the other's. The ingestor says what to do, and
  /// comes back ever more slowly, so that nobody fights.
  @Test(arguments: ["5", "3"])
  func anotherClientHasTheSameName(_ version: String) async throws {
    let ingestion = try Ingestion(TestServices.shared, settings: ["mqtt.version": version])
    try await ingestion.ingestor.waitUntilReady()
    let rival = Rival(ingestion.services.mqttURL, "\(ingestion.client)-0")
    let lost = try rival.fight(for: .seconds(7))
    #expect((1...6).contains(lost), "\(lost) times in 7 s\n\(ingestion.ingestor.log)")
    let log = ingestion.ingestor.log
    #expect(log.contains("another client has the id \(ingestion.client)-0"), "\(log)")
    #expect(log.contains("mqtt.client-id"))
    #expect(try await ingestion.ingestor.get("/readyz")?.status == 503)
    // The other one has gone: all goes on, and nothing is missing.
    try ingestion.publishAll()
    try await ingestion.expectAllStored()
  }

  /// The real broker is the witness: Debian 12 has 2.0.11.
  @Test(arguments: ["", "some-group"])
  func aBrokerThatForgetsSharedSubscriptions(group: String) async throws {
    let ingestion = try Ingestion(TestServices.shared, settings: ["mqtt.share-group": group])
    try await ingestion.ingestor.waitUntilReady()
    try ingestion.publishAll()
    try await ingestion.expectAllStored()
    let version = try brokerVersion()
    let isWarned = ingestion.ingestor.log.contains("forgets shared subscriptions")
    #expect(isWarned == (!group.isEmpty && version.lexicographicallyPrecedes([2, 0, 19])))
  }

  /// What the broker says of itself: `mosquitto version 2.0.11`.
  private func brokerVersion() throws -> [Int] {
    let session = try MQTTSession(
      MQTTSettings(url: TestServices.shared.mqttURL, clientID: TestServices.freshName()))
    var text: String?
    session.onMessage = { text = String(decoding: $0.payload, as: UTF8.self) }
    try session.connect()
    try session.listen(to: "$SYS/broker/version")
    let end = ContinuousClock.now + .seconds(10)
    while text == nil, .now < end {
      try session.flush()
      _ = session.wait(milliseconds: 100)
      try session.receive()
    }
    session.endSession()
    let words = try #require(text).split(separator: " ")
    return try #require(words.last).split(separator: ".").compactMap { Int($0) }
  }

  /// The broker restarts with nothing: subscribed again, and said.
  @Test func aSessionThatTheBrokerForgot() async throws {
    let ingestion = try Ingestion(TestServices.start())
    try await ingestion.ingestor.waitUntilReady()
    try ingestion.services.stopBroker(SIGKILL)
    try await eventually("the end is noticed") {
      try await ingestion.ingestor.get("/readyz")?.status == 503
    }
    try ingestion.services.startBroker()
    try await ingestion.ingestor.waitUntilReady()
    let log = ingestion.ingestor.log
    #expect(log.contains("has lost the session of \(ingestion.client)-0"), "\(log)")
    #expect(try await ingestion.ingestor.metric("meter_ingestor_mqtt_sessions_lost_total") == 1)
    try ingestion.publishAll()
    try await ingestion.expectAllStored()
    try ingestion.services.stop()
  }

  /// The broker saves its sessions and restarts: that is no loss.
  @Test func aSessionThatTheBrokerKept() async throws {
    let ingestion = try Ingestion(TestServices.start())
    try await ingestion.ingestor.waitUntilReady()
    try ingestion.services.stopBroker()
    try await eventually("the end is noticed") {
      try await ingestion.ingestor.get("/readyz")?.status == 503
    }
    try ingestion.services.startBroker()
    try await ingestion.ingestor.waitUntilReady()
    #expect(try await ingestion.ingestor.metric("meter_ingestor_mqtt_sessions_lost_total") == 0)
    try ingestion.publishAll()
    try await ingestion.expectAllStored()
    try ingestion.services.stop()
  }

  /// The connection ends while acknowledgements are held: the messages come again, and are known.
  @Test func acknowledgementsDieWithTheConnection() async throws {
    let ingestion = try Ingestion(TestServices.start())
    try await ingestion.ingestor.waitUntilReady()
    let lock = try PostgresConnection(url: ingestion.database)
    try lock.execute("BEGIN; LOCK TABLE grid.energy_consumption IN EXCLUSIVE MODE")
    try ingestion.publishAll()
    try await eventually("a COPY that waits") {
      try value(
        """
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
          AND wait_event_type = 'Lock' AND query LIKE 'COPY grid.%'
        """, in: ingestion.database) == "1"
    }
    try ingestion.services.stopBroker()
    try lock.execute("COMMIT")
    try ingestion.services.startBroker()
    try await ingestion.expectAllStored()
    try await eventually("redelivered\n\(ingestion.ingestor.log.suffix(3_000))") {
      try await ingestion.ingestor.metric("meter_ingestor_readings_duplicate_total") > 0
    }
    #expect(try await ingestion.ingestor.metric("meter_ingestor_readings_rejected_total") == 0)
    #expect(try value(KnownReadings.tally, in: ingestion.database) == ingestion.known.expectedTally)
    try ingestion.services.stop()
  }

  /// What the broker does not grant is said at the start.
  @Test func theAuditAtTheStart() async throws {
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path,
      broker: .init(settings: [
        "max_keepalive 60", "max_packet_size 100000", "max_inflight_messages 20",
      ]), postgres: .init(fsync: false))
    let ingestion = try Ingestion(services)
    try await ingestion.ingestor.waitUntilReady()
    let log = ingestion.ingestor.log
    #expect(log.contains("every 60 s instead of 300 s"), "\(log)")
    #expect(log.contains("packets of 100000 bytes at most"), "\(log)")
    #expect(log.contains("has 20 unacknowledged messages under way at most"), "\(log)")
    try services.stop()
  }

  /// Nothing is said of a broker that does as it is asked.
  @Test func theAuditIsQuietWhereAllIsWell() async throws {
    let ingestion = try Ingestion(TestServices.shared)
    try await ingestion.ingestor.waitUntilReady()
    #expect(!ingestion.ingestor.log.contains("mosquitto:"))
    #expect(!ingestion.ingestor.log.contains("instead of"))
  }

  /// A broker that throws messages away, here another client's, says so in $SYS.
  @Test func theBrokerDropsMessages() async throws {
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path,
      broker: .init(settings: ["sys_interval 1", "max_queued_messages 5"]),
      postgres: .init(fsync: false))
    let ingestion = try Ingestion(services)
    try await ingestion.ingestor.waitUntilReady()
    try await eventually("the first count") {
      try await ingestion.ingestor.get("/metrics")?.text
        .contains("meter_ingestor_broker_dropped_messages") == true
    }
    let absent = Rival(services.mqttURL, TestServices.freshName())
    try absent.subscribeAndLeave("dropped/#")
    for _ in 0..<100 {
      #expect(
        try runTool(
          "mosquitto_pub",
          ["-p", "\(services.mqttPort)", "-q", "1", "-t", "dropped/x", "-m", "x"]) == 0)
    }
    try await eventually("a warning\n\(ingestion.ingestor.log)") {
      ingestion.ingestor.log.contains("max_queued_messages 0")
    }
    try await eventually("the count of all that were dropped") {
      try await ingestion.ingestor.metric("meter_ingestor_broker_dropped_messages") > 50
    }
    try services.stop()
  }

  /// SIGTERM under full load: nothing that was received is left hanging.
  @Test func stoppedUnderFullLoad() async throws {
    let ingestion = try Ingestion(TestServices.shared, intervals: 600)
    try await ingestion.ingestor.waitUntilReady()
    async let published: Void = onThread { try ingestion.publishAll() }
    try await eventually("a commit") { ingestion.ingestor.log.contains("batch committed") }
    let start = ContinuousClock.now
    ingestion.ingestor.signal(SIGTERM)
    #expect(ingestion.ingestor.waitForExit() == 0, "\(ingestion.ingestor.log.suffix(2_000))")
    #expect(ContinuousClock.now - start < .seconds(10))
    try await published
    try ingestion.ingestor.killAndRestart()
    try await ingestion.expectAllStored()
    // Committed and acknowledged, or neither.
    #expect(try await ingestion.ingestor.metric("meter_ingestor_readings_duplicate_total") == 0)
  }
}

/// An ingestor without a spool, and known readings.
private struct Ingestion: Sendable {
  let services: PrivateServices
  let database: String
  let known: KnownReadings
  let client = TestServices.freshName()
  // Unchecked: only the test's own task uses it; the publishing thread does not.
  nonisolated(unsafe) let ingestor: RunningIngestor

  init(
    _ services: PrivateServices, intervals: Int = 20, settings: [String: String] = [:]
  ) throws {
    self.services = services
    database = try services.createDatabase(TestServices.freshName())
    try Migrator(PostgresConnection(url: database)).migrate()
    known = KnownReadings(intervals: intervals, grid: TestServices.freshName())
    try known.register(in: database)
    ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid, client: client,
      settings: settings)
  }

  func publishAll() throws { try known.publish(0..<known.readings.count, to: services.mqttURL) }

  func expectAllStored() async throws {
    try await known.expectStored(in: database, ingestor.log)
  }
}

/// Another client.
private struct Rival {
  private let url: String
  private let clientID: String

  init(_ url: String, _ clientID: String) {
    self.url = url
    self.clientID = clientID
  }

  /// Connects, and again at once whenever it is pushed off.
  ///
  /// - Returns: how often that was.
  func fight(for time: Duration) throws -> Int {
    var lost = -1
    let end = ContinuousClock.now + time
    while ContinuousClock.now < end {
      lost += 1
      let session = try MQTTSession(MQTTSettings(url: url, clientID: clientID))
      do {
        try session.connect()
        while ContinuousClock.now < end {
          _ = session.wait(milliseconds: 100)
          try session.receive()
        }
      } catch { continue }
    }
    return lost
  }

  func subscribeAndLeave(_ filter: String) throws {
    let session = try MQTTSession(MQTTSettings(url: url, clientID: clientID))
    try session.connect()
    var isSubscribed = false
    let deadline = ContinuousClock.now + .seconds(10)
    while !isSubscribed, ContinuousClock.now < deadline {
      _ = session.wait(milliseconds: 100)
      try session.receive()
      for event in session.takeEvents() {
        if case .connected = event { try session.subscribe([filter]) }
        if case .subscribed = event { isSubscribed = true }
      }
      try session.flush()
    }
    #expect(isSubscribed)
    session.disconnect()
  }
}

/// Runs blocking work beside the test.
private func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
  try await withCheckedThrowingContinuation { continuation in
    Thread { continuation.resume(with: Result(catching: body)) }.start()
  }
}
