// `ingest.sources` as users set it: mistakes end every command, and what is heard is stored.

import Foundation
import PostgresStore
import PrivateServices
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
