// `ingest.sources` as users set it: mistakes end every command, and what is heard is stored.

import Foundation
import MQTTSession
import MeterSimulator
import PostgresStore
import PrivateServices
import Synchronization
import TestServices
import Testing

@Suite struct SourceFileTests {
  /// Writes `sources.yaml` into a folder.
  private func write(_ yaml: String, to folder: String) throws -> String {
    let path = folder + "/sources.yaml"
    try yaml.write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }

  @Test func aMistakeIsNamedByFileLineEntryAndKey() throws {
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = try write(
      "- format: opendtu\n- topic: a/{device}\n  value: /e\n  unit: kvarh\n", to: folder)
    let outcome = try run(["config"], environment: ["INGEST_SOURCES": path])
    #expect(outcome.status == 2)
    #expect(
      outcome.errors.contains("\(path):4: source 2: unit: \"kvarh\" is none of Wh, kWh"),
      "\(outcome.errors)")
    let missing = try run(["config"], environment: ["INGEST_SOURCES": path + ".none"])
    #expect(missing.status == 2)
    #expect(missing.errors.contains("cannot be read"), "\(missing.errors)")
  }

  /// Births and what refers to them reach one worker, in no group.
  @Test func whatIsHeardInOrderIsNotShared() throws {
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = try write("- {format: sparkplug, topic: \"spBv1.0/Plant/#\"}", to: folder)
    func config(topics: String, workers: Int) throws -> Outcome {
      try run(
        ["config"],
        environment: [
          "INGEST_SOURCES": path, "MQTT_TOPICS": topics, "INGEST_WORKERS": "\(workers)",
        ])
    }
    for topics in ["#", "gridtokenx/v1/#,+/+/#"] {
      #expect(try config(topics: topics, workers: 1).status == 0)
      let shared = try config(topics: topics, workers: 2)
      #expect(shared.status == 2)
      #expect(
        shared.errors.contains("mqtt.topics") && shared.errors.contains("list them apart"),
        "\(shared.errors)")
    }
    #expect(try config(topics: "gridtokenx/v1/#,spBv1.0/#", workers: 2).status == 0)
    let alone = try config(topics: "spBv1.0/#", workers: 2)
    #expect(alone.status == 2 && alone.errors.contains("nothing is left to share"))
  }

  /// An interval goes all the way: subscribed by the source's filter, decoded, stored. What the file
  /// says is followed while the session goes on.
  @Test func whatASourcePublishesIsStored() async throws {
    let database = try TestServices.migratedDatabase()
    let (broker, root) = (TestServices.shared.mqttURL, TestServices.freshName())
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = try write(source(root, unit: "kWh"), to: folder)
    let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "fixtures").path
    let registered = try run(
      ["register", fixtures + "/hostile-day.registry.json"],
      environment: ["POSTGRES_URL": database])
    #expect(registered.status == 0, "\(registered.errors)")
    let ingestor = try RunningIngestor(
      database: database, broker: broker, grid: nil, settings: ["ingest.sources": path])
    try await ingestor.waitUntilReady()
    try publish(0.125, on: root, minutesAgo: 9, to: broker, from: folder)
    try await eventually("0.125 kWh: \(ingestor.log)") { try sum(in: database) == "0.125000" }
    let doctor = try run(
      ["doctor"],
      environment: ["POSTGRES_URL": database, "MQTT_URL": broker, "INGEST_SOURCES": path])
    #expect(doctor.output.contains("ok   sources: 1 topic filters in \(path)"), "\(doctor.output)")

    _ = try write("- nonsense", to: folder)
    ingestor.signal(SIGHUP)
    try await eventually("a mistake: \(ingestor.log)") {
      ingestor.log.contains("sources not reloaded") && ingestor.log.contains(":1: source 1:")
    }
    try publish(0.5, on: root, minutesAgo: 6, to: broker, from: folder)
    try await eventually("0.625 kWh: \(ingestor.log)") { try sum(in: database) == "0.625000" }
    _ = try write(source(root, unit: "Wh"), to: folder)
    ingestor.signal(SIGHUP)
    try await eventually("a reload: \(ingestor.log)") { ingestor.log.contains("sources reloaded") }
    try publish(375, on: root, minutesAgo: 3, to: broker, from: folder)
    try await eventually("1 kWh: \(ingestor.log)") { try sum(in: database) == "1.000000" }
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0)
  }

  /// What is neither stored nor an error is told as well, with an example, and is in no ledger.
  @Test func whatIsSkippedIsToldByReason() throws {
    let database = try TestServices.migratedDatabase()
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = try write(register("x", "m", device: "h-c1"), to: folder)
    try registerConsumers(in: database, folder)
    let time = Int(Date().timeIntervalSince1970) - 600
    let payloads = [
      "", #"{\"e\":null,\"t\":\#(time)}"#, #"{\"e\":0.5,\"t\":\#(time)}"#, #"{\"p\":1}"#,
    ]
    let lines = payloads.map { #"{"t_ms":0,"topic":"x/m/1","qos":1,"payload":"\#($0)"}"# }
    let capture = folder + "/capture.ndjson"
    try lines.joined(separator: "\n").write(toFile: capture, atomically: true, encoding: .utf8)
    let environment = ["POSTGRES_URL": database, "INGEST_SOURCES": path]
    let table = try run(["validate", capture], environment: environment)
    #expect(table.status == 0, "\(table.output)")
    let words = table.output.split(separator: "\n").map {
      $0.split(separator: " ").joined(separator: " ")
    }
    #expect(words.contains("stored 1"))
    #expect(words.contains("skipped 1 empty_payload"), "\(table.output)")
    #expect(words.contains("skipped 2 no_value"))
    #expect(words.contains { $0.hasSuffix("capture.ndjson:2: x/m/1") }, "\(table.output)")
    let replay = try run(["replay", "--direct", capture, "--json"], environment: environment)
    let ledger = try JSONSerialization.jsonObject(with: Data(replay.output.utf8)) as? [String: Any]
    #expect(ledger?["received"] as? Int == 1, "\(replay.output)")
    #expect(
      ledger?["skipped_by_reason"] as? [String: Int] == ["empty_payload": 1, "no_value": 2],
      "\(replay.output)")
  }

  // MARK: - Reload

  /// A source that reads totals of its own branch of the topics.
  private func register(_ root: String, _ branch: String, device: String) -> String {
    "- {topic: \"\(root)/\(branch)/{meter}\", device: \(device), register: \(branch), "
      + "value: /e, unit: kWh, mode: interval, kind: consumption, time: [/t, unix_s]}\n"
  }

  /// New topics are heard, with what the broker retains for them, and old ones no more, on one and the
  /// same session; what another source publishes all the while is stored whole.
  @Test(arguments: [1, 2])
  func subscriptionsFollowTheFileOnTheLiveSession(workers: Int) async throws {
    let database = try TestServices.migratedDatabase()
    let (broker, root) = (TestServices.shared.mqttURL, TestServices.freshName())
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (stays, goes) = (
      register(root, "stays", device: "h-c1"), register(root, "goes", device: "h-c2")
    )
    let path = try write(stays + goes, to: folder)
    try registerConsumers(in: database, folder)
    let publisher = try ReloadPublisher(broker, root)
    let ingestor = try RunningIngestor(
      database: database, broker: broker, grid: nil,
      settings: ["ingest.sources": path, "ingest.workers": "\(workers)"])
    try await ingestor.waitUntilReady()
    // At the moment of subscription this is there already.
    try publisher.publish("comes", at: 1, retain: true)
    try publisher.publish("goes", at: 1)
    try await eventually("the first of goes: \(ingestor.log)") {
      try count("h-c2", in: database) == 1
    }
    let traffic = try ReloadTraffic(ReloadPublisher(broker, root), "stays")
    try await eventually("some of stays: \(ingestor.log)") {
      try count("h-c1", in: database) ?? 0 > 50
    }
    _ = try write(stays + register(root, "comes", device: "h-c3"), to: folder)
    ingestor.signal(SIGHUP)
    try await eventually("all workers follow: \(ingestor.log)") {
      ingestor.log.ranges(of: "subscriptions follow the sources").count == workers
    }
    // Told is not yet done: a worker asks with its next acknowledgements.
    try await eventually("what comes: \(ingestor.log)") {
      try publisher.publish("comes", at: 2)
      // Brokers differ in whether a shared subscription gets what is retained; MQTT 5.0, 4.8.2 says no.
      return try count("h-c3", in: database) ?? 0 >= (workers == 1 ? 2 : 1)
    }
    if workers == 1 { try publisher.publish("goes", at: 2) }
    let published = try traffic.stop()
    try await eventually("all \(published) of stays: \(ingestor.log)") {
      try count("h-c1", in: database) == published
    }
    // What goes was published before the last of it.
    #expect(try count("h-c2", in: database) == 1)
    #expect(try await ingestor.metric("meter_ingestor_mqtt_reconnects_total") == 0)
    #expect(ingestor.log.ranges(of: "connected to the MQTT broker").count == workers)
    #expect(try letters(root, in: database) == "0")
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0)
  }

  @Test func overlappingSourcesLeaveTheOldOnesInForce() async throws {
    let database = try TestServices.migratedDatabase()
    let (broker, root) = (TestServices.shared.mqttURL, TestServices.freshName())
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let stays = register(root, "stays", device: "h-c1")
    let path = try write(stays, to: folder)
    try registerConsumers(in: database, folder)
    let ingestor = try RunningIngestor(
      database: database, broker: broker, grid: nil, settings: ["ingest.sources": path])
    try await ingestor.waitUntilReady()
    _ = try write(stays + register(root, "+", device: "h-c2"), to: folder)
    try await eventually("both filters named: \(ingestor.log)") {
      ingestor.log.contains("\"\(root)/+/{meter}\" and \"\(root)/stays/{meter}\" match the same")
    }
    #expect(!ingestor.log.contains("subscriptions follow the sources"))
    try ReloadPublisher(broker, root).publish("stays", at: 1)
    try await eventually("stored: \(ingestor.log)") { try count("h-c1", in: database) == 1 }
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0)
  }

  /// A file that vanishes is told once, and followed again when it is back.
  @Test func aFileThatIsGoneIsTold() async throws {
    let (database, folder) = (try TestServices.migratedDatabase(), scratchFolder())
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let stays = register(TestServices.freshName(), "stays", device: "h-c1")
    let path = try write(stays, to: folder)
    let ingestor = try RunningIngestor(
      database: database, broker: TestServices.shared.mqttURL, grid: nil,
      settings: ["ingest.sources": path])
    try await ingestor.waitUntilReady()
    try FileManager.default.removeItem(atPath: path)
    try await eventually("it is gone: \(ingestor.log)") { ingestor.log.contains("\(path) is gone") }
    #expect(ingestor.log.contains("sources not reloaded; those before stay in force"))
    // Two looks more.
    try await Task.sleep(for: .seconds(5))
    #expect(ingestor.log.ranges(of: "\(path) is gone").count == 1)
    _ = try write(stays, to: folder)
    try await eventually("it is back: \(ingestor.log)") {
      ingestor.log.contains("sources reloaded")
    }
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0)
  }

  private func letters(_ root: String, in database: String) throws -> String? {
    try value(
      "SELECT count(*) FROM ingest.dead_letters WHERE starts_with(topic, '\(root)/')", in: database)
  }

  // MARK: - Victron

  /// A device that publishes nothing but its serial number until it is told that somebody listens.
  @Test func aSilentDeviceIsFoundAndWokenAndWhatItPublishesIsStored() async throws {
    let database = try TestServices.migratedDatabase()
    let (broker, root) = (TestServices.shared.mqttURL, TestServices.freshName())
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let portal = "c0619ab1"
    let path = try write(
      "- {format: victron, root: \(root)/N, devices: {\(portal)/grid/30: h-c1, "
        + "\(portal)/battery/1: b-1}}", to: folder)
    try registerConsumers(in: database, folder)
    try PostgresConnection(url: database).execute(
      """
      INSERT INTO grid.energy_storage (storage_id, storage_operator, storage_type, capacity_mwh,
        location_json, installed_at) VALUES ('b-1', 'us', 'lithium', 0.01, '{}', now())
      """)
    let device = try SilentDevice(broker, root, portal)
    let client = TestServices.freshName()
    let ingestor = try RunningIngestor(
      database: database, broker: broker, grid: nil, client: client,
      settings: ["ingest.sources": path, "spool.directory": folder + "/spool"])
    try await ingestor.waitUntilReady()
    try await eventually("it is woken: \(ingestor.log)") { try device.isWoken() }
    try device.publish("grid/30/Ac/Energy/Forward", "1234.5")
    try device.publish("battery/1/Soc", "64.25")
    try await eventually("the first total: \(ingestor.log)") {
      try value("SELECT last_value FROM ingest.register_state", in: database) == "1234500000"
    }
    try device.publish("grid/30/Ac/Energy/Forward", "1234.75")
    try await eventually("an interval: \(ingestor.log)") { try sum(in: database) == "0.250000" }
    // 64.25 % of 10 kWh.
    try await eventually("the charge: \(ingestor.log)") {
      try value("SELECT current_charge FROM grid.energy_storage", in: database) == "0.006425"
    }
    #expect(
      try await ingestor.metric("meter_ingestor_charge_reports_total", "applied") == 1)
    #expect(try await ingestor.metric("meter_ingestor_register_samples_total", "first") == 1)
    #expect(try await ingestor.metric("meter_ingestor_register_samples_total", "interval") == 1)
    try device.publish("battery/1/Soc", "null")
    try await eventually("it has no value: \(ingestor.log)") {
      try await ingestor.metric("meter_ingestor_values_skipped_total", "no_value") == 1
    }
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0)
    // Its session still listens for serial numbers: whoever takes it over reads them as no reading.
    try device.publish("grid/30/Ac/Energy/Forward", "1235")
    try device.publish("system/0/Serial", "\"\(portal)\"")
    let drained = try run(
      [
        "drain", "--client-id", "\(client)-0", "--set", "ingest.sources=\(path)",
        "--set", "spool.directory=\(folder)/spool",
      ], environment: ["POSTGRES_URL": database, "MQTT_URL": broker])
    #expect(drained.status == 0, "\(drained.errors)")
    #expect(try sum(in: database) == "0.500000")
    #expect(try letters(root, in: database) == "0")
  }

  private func registerConsumers(in database: String, _ folder: String) throws {
    let rows = (1...3).map { "consumer,h-c\($0),House,residential,G-1\n" }.joined()
    let file = folder + "/consumers.csv"
    try ("kind,id,name,type,grid_code\n" + rows).write(
      toFile: file, atomically: true, encoding: .utf8)
    let registered = try run(["register", file], environment: ["POSTGRES_URL": database])
    #expect(registered.status == 0, "\(registered.errors)")
  }

  private func count(_ device: String, in database: String) throws -> Int? {
    try value(
      "SELECT count(*) FROM grid.energy_consumption WHERE consumer_id = '\(device)'", in: database
    ).flatMap { Int($0) }
  }

  private func source(_ root: String, unit: String) -> String {
    """
    sources:
      - topic: \(root)/{device}/energy
        value: /energy
        unit: \(unit)
        mode: interval
        kind: consumption
        time: [/t, unix_s]
        devices: {fridge: h-c1}
    """
  }

  private func sum(in database: String) throws -> String? {
    try value(
      """
      SELECT sum(energy_amount)::text FROM grid.energy_consumption WHERE consumer_id = 'h-c1'
      """, in: database)
  }

  /// Publishes one interval through the broker, as a capture is replayed.
  private func publish(
    _ energy: Double, on root: String, minutesAgo: Int, to broker: String, from folder: String
  ) throws {
    let time = Int(Date().timeIntervalSince1970) - 60 * minutesAgo
    let payload = #"{\"energy\":\#(energy),\"t\":\#(time)}"#
    let line = #"{"t_ms":0,"topic":"\#(root)/fridge/energy","qos":1,"payload":"\#(payload)"}"#
    let capture = folder + "/capture.ndjson"
    try line.write(toFile: capture, atomically: true, encoding: .utf8)
    let sent = try run(["replay", capture], environment: ["MQTT_URL": broker])
    #expect(sent.status == 0, "\(sent.errors)")
  }
}

/// Publishes intervals of one meter, each acknowledged by the broker before the next.
private final class ReloadPublisher {
  private let publisher: MQTTPublisher
  private let root: String
  private let start = Int(Date().timeIntervalSince1970) - 86_400

  init(_ broker: String, _ root: String) throws {
    self.root = root
    publisher = try MQTTPublisher(MQTTSettings(url: broker, clientID: TestServices.freshName()))
  }

  deinit { try? publisher.finish() }

  func publish(_ branch: String, at second: Int, retain: Bool = false) throws {
    try publisher.publish(
      topic: "\(root)/\(branch)/m", payload: Array(#"{"e":0.001,"t":\#(start + second)}"#.utf8),
      retain: retain)
    while publisher.acknowledged < publisher.published {
      try publisher.exchange(milliseconds: 100)
    }
  }
}

/// Publishes on a thread of its own until it is stopped.
// Unchecked: the publisher is used by the thread only.
private final class ReloadTraffic: @unchecked Sendable {
  private let publisher: ReloadPublisher
  private let isStopped = Atomic<Bool>(false)
  private let outcome = Mutex<Result<Int, any Error>?>(nil)
  private let isDone = DispatchSemaphore(value: 0)

  init(_ publisher: ReloadPublisher, _ branch: String) {
    self.publisher = publisher
    Thread { [self] in
      let result = Result {
        var second = 0
        while !isStopped.load(ordering: .relaxed) {
          try self.publisher.publish(branch, at: second)
          second += 1
        }
        return second
      }
      outcome.withLock { $0 = result }
      isDone.signal()
    }.start()
  }

  /// How many were published.
  func stop() throws -> Int {
    isStopped.store(true, ordering: .relaxed)
    isDone.wait()
    return try outcome.withLock { try $0?.get() ?? 0 }
  }
}

/// A GX device as its broker shows it, bridged behind a root of its own.
private final class SilentDevice {
  private let session: MQTTSession
  private let root: String
  private let portal: String
  private var isTold = false

  init(_ broker: String, _ root: String, _ portal: String) throws {
    (self.root, self.portal) = (root, portal)
    session = try MQTTSession(MQTTSettings(url: broker, clientID: TestServices.freshName()))
    session.onMessage = { [unowned self] message in
      // The first of a connection asks for everything: it is empty.
      isTold = isTold || message.payload.isEmpty
    }
    try session.connect()
    while !session.isConnected { try exchange() }
    try session.subscribe(["\(root)/R/\(portal)/keepalive"])
    try session.publish(
      topic: "\(root)/N/\(portal)/system/0/Serial", payload: Array(#"{"value":"x"}"#.utf8),
      retain: true)
    try exchange()
  }

  deinit { session.disconnect() }

  func isWoken() throws -> Bool {
    try exchange()
    return isTold
  }

  func publish(_ path: String, _ value: String) throws {
    try session.publish(
      topic: "\(root)/N/\(portal)/\(path)", payload: Array(#"{"value":\#(value)}"#.utf8))
    try exchange()
  }

  private func exchange() throws {
    try session.flush()
    _ = session.wait(milliseconds: 20)
    try session.receive()
  }
}
