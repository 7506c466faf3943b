// What somebody else has written, from PyPI: what his publishers publish is stored as they meant it, and
// his schema reads our dashboards as we mean them.

import Foundation
import PrivateServices
import TestServices
import Testing

@Suite(.enabled(if: ThirdParty.isInstalled)) struct ThirdPartyTests {
  /// mqtt-spb-wrapper names its metrics; a node that uses aliases is asked for its birth, since it
  /// was born before anybody listened, and what it said before is a dead letter.
  @Test func sparkplugByAnotherLibrary() async throws {
    let group = TestServices.freshName()
    let ingestor = try await listening(
      """
      - format: sparkplug
        topic: "spBv1.0/\(group)/#"
        unit: kWh
        registers: {Energy/Produced: production}
        devices: {\(group)/gateway/meter: h-c1, \(group)/edge/sub: h-c2, \(group)/gateway/inverter: h-p1}
      """)
    let expected = try ThirdParty.publish("sparkplug.py", group)
    try await ingestor.expectStored(expected)
    let letters = try value(
      "SELECT string_agg(reason || ' ' || topic, ', ') FROM ingest.dead_letters",
      in: ingestor.database)
    #expect(letters == "missing_birth spBv1.0/\(group)/DDATA/edge/sub")
  }

  @Test func senMLByAnotherLibrary() async throws {
    let root = TestServices.freshName()
    let ingestor = try await listening(
      """
      - format: senml
        topic: "\(root)/+"
        devices: {as-json: h-c1, as-cbor: h-c2}
        export: none
      """)
    let expected = try ThirdParty.publish("senml.py", root)
    try await ingestor.expectStored(expected)
    #expect(try value("SELECT count(*) FROM ingest.dead_letters", in: ingestor.database) == "0")
  }

  /// Grafana itself is in no Debian and on no PyPI; the schema that it reads dashboards by is.
  @Test func theDashboardsAreGrafanas() throws {
    let said = try ThirdParty.run("deploy/grafana/check.py")
    #expect(said.count == 1 && said[0].hasSuffix(" panels"), "\(said)")
  }

  private func listening(_ sources: String) async throws -> Listener {
    let listener = try Listener(sources)
    try await listener.program.waitUntilReady()
    return listener
  }
}

/// An ingestor with sources, and devices that it knows.
private struct Listener {
  let database: String
  let program: RunningIngestor

  init(_ sources: String) throws {
    database = try TestServices.migratedDatabase()
    let registered = try run(
      ["register", ThirdParty.root + "/fixtures/hostile-day.registry.json"],
      environment: ["POSTGRES_URL": database])
    try #require(registered.status == 0, "\(registered.errors)")
    let folder = scratchFolder()
    try sources.write(toFile: folder + "/sources.yaml", atomically: true, encoding: .utf8)
    program = try RunningIngestor(
      database: database, broker: TestServices.shared.mqttURL, grid: nil,
      settings: [
        "ingest.sources": folder + "/sources.yaml", "ingest.workers": "2",
        "ingest.batch-size": "3",
      ])
  }

  /// Waits for exactly these intervals.
  func expectStored(_ expected: [String]) async throws {
    #expect(!expected.isEmpty)
    let query = """
      SELECT string_agg(concat_ws(' ', device, energy_amount, extract(epoch FROM at)::bigint), E'\\n'
        ORDER BY device, at) FROM (
          SELECT consumer_id AS device, energy_amount, timestamp AS at FROM grid.energy_consumption
          UNION ALL
          SELECT producer_id, energy_amount, timestamp FROM grid.energy_production) AS stored
      """
    let wanted = expected.joined(separator: "\n")
    try await eventually("\(wanted)\n\(program.log.suffix(4_000))") {
      try value(query, in: database) == wanted
    }
  }
}

private enum ThirdParty {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path
  private static let folder = root + "/.build/third-party-publishers"

  static let isInstalled: Bool = {
    let log = scratchFolder() + "/log"
    var child = try? ChildProcess(
      [root + "/deploy/third-party-publishers/install", folder], output: log)
    if child?.waitForExit(atMost: .seconds(300)) == 0 { return true }
    let reason = (try? String(contentsOfFile: log, encoding: .utf8)) ?? "install did not start"
    print("skipped: \(reason)")
    return false
  }()

  /// Runs a publisher to its end.
  ///
  /// - Returns: what it says must be stored, line by line.
  static func publish(_ name: String, _ root: String) throws -> [String] {
    try run(
      "deploy/third-party-publishers/" + name, "\(TestServices.shared.mqttPort)", root)
  }

  /// Runs a script to its end.
  ///
  /// - Returns: its lines.
  static func run(_ script: String, _ arguments: String...) throws -> [String] {
    let log = scratchFolder() + "/out"
    var child = try ChildProcess(
      [folder + "/bin/python", "-B", root + "/" + script] + arguments, output: log,
      errors: log + ".errors")
    let status = child.waitForExit(atMost: .seconds(60))
    func text(_ file: String) -> String {
      String(decoding: FileManager.default.contents(atPath: file) ?? Data(), as: UTF8.self)
    }
    try #require(status == 0, "\(text(log))\(text(log + ".errors"))")
    return text(log).split(separator: "\n").map(String.init)
  }
}
