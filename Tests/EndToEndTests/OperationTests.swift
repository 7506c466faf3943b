// What operators rely on: the status topic, and a role without more rights than needed.

import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct OperationTests {
  private let services = TestServices.shared

  @Test func theStatusTopicTellsWhetherItLives() async throws {
    let database = try TestServices.migratedDatabase()
    let client = TestServices.freshName()
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: TestServices.freshName(), client: client)
    let topic = "gridtokenx/v1/ingestor/\(client)-0/status"
    try await expectRetained("online", on: topic)
    ingestor.signal(SIGKILL)
    try await expectRetained("offline", on: topic)
    try ingestor.killAndRestart()
    try await expectRetained("online", on: topic)
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0, "\(ingestor.log)")
    try await expectRetained("offline", on: topic)
  }

  private func expectRetained(_ state: String, on topic: String) async throws {
    let file = scratchFolder() + "/said"
    defer {
      let folder = URL(fileURLWithPath: file).deletingLastPathComponent()
      try? FileManager.default.removeItem(at: folder)
    }
    try await eventually("\(state) on \(topic)") {
      try? FileManager.default.removeItem(atPath: file)
      // One message, or none within a second.
      var tool = try ChildProcess(
        [
          "/usr/bin/env", "mosquitto_sub", "-p", "\(services.mqttPort)", "-t", topic, "-C", "1",
          "-W", "1",
        ], output: file)
      _ = tool.waitForExit(atMost: .seconds(20))
      let said = String(
        decoding: FileManager.default.contents(atPath: file) ?? Data(), as: UTF8.self)
      return said == state + "\n"
    }
  }

  /// The role of the migrations is enough, and the doctor names what is missing without it.
  @Test func theRoleHasTheRightsThatAreNeeded() async throws {
    let database = try TestServices.migratedDatabase()
    let role = TestServices.freshName()
    let owner = try PostgresConnection(url: database)
    try owner.execute("CREATE ROLE \(role) LOGIN")
    let name = try #require(URLComponents(string: database)?.path.dropFirst())
    let url = services.url(database: String(name), user: role)
    let environment = ["POSTGRES_URL": url, "MQTT_URL": services.mqttURL]
    let without = try run(["doctor"], environment: environment)
    #expect(without.status == 1)
    #expect(without.output.contains("FAIL"), "\(without.output)")
    #expect(without.output.contains("meter_ingestor"), "\(without.output)")

    try owner.execute("GRANT meter_ingestor TO \(role)")
    let with = try run(["doctor"], environment: environment)
    #expect(with.status == 0, "\(with.output)")
    let known = KnownReadings(intervals: 1, grid: TestServices.freshName())
    try known.register(in: database)
    let ingestor = try RunningIngestor(
      database: url, broker: services.mqttURL, grid: known.grid,
      settings: ["metrics.interval": "1s"])
    try await ingestor.waitUntilReady()
    try known.publish(0..<known.readings.count, to: services.mqttURL)
    try await known.expectStored(in: database, ingestor.log)
    try await eventually("system metrics\n\(ingestor.log)") {
      try value("SELECT count(*) FROM monitoring.system_metrics", in: database) != "0"
    }
    #expect(!ingestor.log.contains("superuser"))
    #expect(!ingestor.log.contains("permission denied"))
  }
}
