// `devices list`: what was turned away is listed, registered by the lines that it writes, and stored.

import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct DeviceListTests {
  @Test func theLinesThatAreListedRegister() async throws {
    let database = try TestServices.migratedDatabase()
    let (broker, grid) = (TestServices.shared.mqttURL, "G-\(getpid() % 100_000)-D")
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let environment = ["POSTGRES_URL": database, "MQTT_URL": broker]
    let ingestor = try RunningIngestor(
      database: database, broker: broker, grid: grid, settings: ["ingest.tariff": "0.1"])
    try await ingestor.waitUntilReady()
    let capture = folder + "/capture.ndjson"
    let time = Date().ISO8601Format()
    let lines = [
      ("consumption/c-,\"1", #"{\"timestamp\":\"\#(time)\",\"energy_amount\":0.25}"#),
      ("production/p-1", #"{\"timestamp\":\"\#(time)\",\"energy_amount\":0.5}"#),
      (
        "storage/b-1",
        #"{\"timestamp\":\"\#(time)\",\"energy_amount\":0.75,\"operation_type\":\"charge\"}"#
      ),
    ].map { topic, payload in
      let topic = "gridtokenx/v1/\(grid)/\(topic)".replacing("\"", with: "\\\"")
      return #"{"t_ms":0,"topic":"\#(topic)","qos":1,"payload":"\#(payload)"}"#
    }
    try lines.joined(separator: "\n").write(toFile: capture, atomically: true, encoding: .utf8)
    #expect(try run(["replay", capture], environment: environment).status == 0)
    try await eventually("three dead letters: \(ingestor.log)") {
      try value("SELECT count(*) FROM ingest.dead_letters", in: database) == "3"
    }
    let table = try run(["devices", "list"], environment: environment)
    #expect(table.output.contains("consumption  c-,\"1   \(grid)"), "\(table.output)")
    #expect(table.output.contains("\nconsumer,\"c-,\"\"1\",\"c-,\"\"1\",residential,"))
    let csv = try run(["devices", "list", "--csv"], environment: environment)
    #expect(csv.output.split(separator: "\n").count == 4)
    let file = folder + "/new.csv"
    try csv.output.write(toFile: file, atomically: true, encoding: .utf8)
    let registered = try run(["register", file], environment: environment)
    #expect(registered.status == 0, "\(registered.output) \(registered.errors)")
    #expect(registered.output.hasSuffix("3 new, 0 changed, 0 unchanged, 0 refused\n"))
    for table in ["energy_consumption", "energy_production", "storage_operations"] {
      try await eventually("stored in \(table): \(ingestor.log)") {
        try value("SELECT count(*) FROM grid.\(table)", in: database) == "1"
      }
    }
    let none = try run(["devices", "list", "--json"], environment: environment)
    #expect(none.output == "[]\n", "\(none.output)")
    let all = try run(["devices", "list", "--registered"], environment: environment)
    #expect(all.output.split(separator: "\n").count == 4, "\(all.output)")
    ingestor.signal(SIGTERM)
    #expect(ingestor.waitForExit() == 0)
  }

  @Test(arguments: [
    ["--registered", "--silent"], ["--csv", "--json"], ["--csv", "--silent"], ["--kind", "gas"],
    ["--limit", "-1"],
  ])
  func calledWrongly(arguments: [String]) throws {
    #expect(try run(["devices", "list"] + arguments).status == 2)
  }
}
