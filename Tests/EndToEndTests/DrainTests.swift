// A worker goes for good: what the broker routed to it while it was away is committed, and its
// session ends.

import Foundation
import MQTTSession
import PrivateServices
import TestServices
import Testing

@Suite struct DrainTests {
  private let services = TestServices.shared

  /// A group of two, one of which is away: the broker gives it its share all the same.
  @Test func theShareOfAMemberThatIsAway() async throws {
    let group = try Group(services)
    group.leaving.signal(SIGTERM)
    #expect(group.leaving.waitForExit() == 0, "\(group.leaving.log)")
    let half = group.known.readings.count / 2
    try group.known.publish(0..<half, to: services.mqttURL)
    let outcome = try group.drain()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let result = try verdict(of: outcome)
    #expect(result["had_session"] as? Bool == true)
    let drained = try #require(result["messages"] as? Int)
    #expect(drained > 0 && drained < half)
    // From now on everything goes to the one that stays.
    try group.known.publish(half..<group.known.readings.count, to: services.mqttURL)
    try await group.known.expectStored(in: group.database, group.staying.log)
    try await group.staying.expectBalancedLedger(received: group.known.readings.count - drained)
    let settled = ["stored", "duplicate", "zero", "rejected"].compactMap { result[$0] as? Int }
    #expect(settled.reduce(0, +) == drained)
    // The broker knows no such session any more, nor what it last said of itself.
    #expect(try group.sessionIsPresent() == false)
    let again = try group.drain()
    #expect(again.status == 0, "\(again.errors)")
    #expect(try verdict(of: again)["had_session"] as? Bool == false)
  }

  /// Meters go on publishing meanwhile: none of it may be routed to a session that is about to end.
  @Test func whileMessagesFlow() async throws {
    let group = try Group(services)
    group.leaving.signal(SIGTERM)
    #expect(group.leaving.waitForExit() == 0, "\(group.leaving.log)")
    var publisher = try ChildProcess(
      [
        "/bin/sh", "-c",
        """
        while :; do mosquitto_pub -p \(services.mqttPort) -q 1 -m '{}' \
          -t gridtokenx/v1/\(group.known.grid)/consumption/x; done
        """,
      ], output: "/dev/null")
    // Collected too: an exit test that runs later in this process looks at any child that has ended.
    defer {
      kill(-publisher.pid, SIGKILL)
      _ = publisher.waitForExit(atMost: .seconds(5))
    }
    let start = ContinuousClock.now
    let outcome = try group.drain()
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(ContinuousClock.now - start < .seconds(20))
  }

  /// MQTT 3.1.1 has no expiry: a clean session ends the old one.
  @Test func anOldBroker() async throws {
    let group = try Group(services, settings: ["mqtt.version": "3"])
    group.leaving.signal(SIGTERM)
    #expect(group.leaving.waitForExit() == 0, "\(group.leaving.log)")
    try group.known.publish(0..<group.known.readings.count, to: services.mqttURL)
    let outcome = try group.drain()
    #expect(outcome.status == 0, "\(outcome.errors)")
    try await group.known.expectStored(in: group.database, group.staying.log)
    #expect(try group.sessionIsPresent() == false)
  }

  /// What was killed with messages in hand and in its spool: nothing of it is lost.
  @Test func whatAKilledWorkerLeft() async throws {
    let stage = try Stage(intervals: 40)
    try await stage.ingestor.waitUntilReady()
    let half = stage.known.readings.count / 2
    try stage.services.stopPostgres(.fast)
    try stage.known.publish(0..<half, to: stage.services.mqttURL)
    try await stage.expectSpooled(half)
    let running = try drain(stage)
    #expect(running.status == 1)
    stage.ingestor.signal(SIGKILL)
    #expect(stage.ingestor.waitForExit() != nil)
    try stage.known.publish(half..<stage.known.readings.count, to: stage.services.mqttURL)
    // Without a database nothing is touched.
    #expect(try drain(stage).status == 1)
    try stage.services.startPostgres()
    let outcome = try drain(stage)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let result = try verdict(of: outcome)
    #expect(result["spooled"] as? Int == half)
    #expect(result["messages"] as? Int == stage.known.readings.count - half)
    try await stage.expectAllStored()
  }

  /// Beside the worker that still has it.
  @Test func aWorkerThatRuns() async throws {
    let stage = try Stage(intervals: 1, services: services)
    try await stage.ingestor.waitUntilReady()
    let outcome = try drain(stage)
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("\(stage.client)-0 is still running, stop it first"))
    #expect(!stage.ingestor.log.contains("another client"))
  }

  private func drain(_ stage: Stage) throws -> Outcome {
    try run(
      [
        "drain", "--client-id", "\(stage.client)-0", "--json",
        "--set", "mqtt.topics=gridtokenx/v1/\(stage.known.grid)/#",
        "--set", "spool.directory=\(stage.spool)",
      ], environment: ["POSTGRES_URL": stage.database, "MQTT_URL": stage.services.mqttURL])
  }
}

private func verdict(of outcome: Outcome) throws -> [String: Any] {
  let json = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
  return try #require(json as? [String: Any], "\(outcome.output)")
}

/// Two ingestors in one shared subscription, one of which is going to leave.
private struct Group {
  let services: PrivateServices
  let database: String
  let known: KnownReadings
  let client = TestServices.freshName()
  let staying: RunningIngestor
  let leaving: RunningIngestor
  private let settings: [String: String]

  init(_ services: PrivateServices, settings: [String: String] = [:]) throws {
    self.services = services
    database = try TestServices.migratedDatabase()
    known = KnownReadings(intervals: 20, grid: TestServices.freshName())
    try known.register(in: database)
    let all = ["mqtt.share-group": client].merging(settings) { $1 }
    self.settings = all
    staying = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid, settings: all)
    leaving = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid, client: client,
      settings: all)
    for ingestor in [staying, leaving] { try wait(for: ingestor) }
  }

  private func wait(for ingestor: RunningIngestor) throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while !ingestor.log.contains("connected to the MQTT broker"), .now < deadline { usleep(20_000) }
    #expect(ingestor.log.contains("connected to the MQTT broker"))
  }

  func drain() throws -> Outcome {
    var arguments = ["drain", "--client-id", "\(client)-0", "--json"]
    for (key, value) in settings { arguments += ["--set", "\(key)=\(value)"] }
    arguments += ["--set", "mqtt.topics=gridtokenx/v1/\(known.grid)/#"]
    return try run(
      arguments, environment: ["POSTGRES_URL": database, "MQTT_URL": services.mqttURL])
  }

  /// Whether the broker knows the session of the one that left. The look leaves none behind.
  func sessionIsPresent() throws -> Bool? {
    var settings = try MQTTSettings(url: services.mqttURL, clientID: "\(client)-0")
    settings.sessionExpiry = 0
    let session = try MQTTSession(settings)
    try session.connect()
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
      _ = session.wait(milliseconds: 100)
      try session.receive()
      for case .connected(let isPresent) in session.takeEvents() {
        session.endSession()
        return isPresent
      }
    }
    return nil
  }
}
