// The real Prometheus, with the rules of deploy/prometheus, before a running ingestor.

import Foundation
import FoundationNetworking
import Glibc
import PrivateServices
import TestServices
import Testing

@Suite(.enabled(if: RunningPrometheus.isInstalled)) struct AlertTests {
  @Test func anAlertFiresWhenNoMeterIsHeard() async throws {
    let services = TestServices.shared
    let known = KnownReadings(intervals: 1, grid: TestServices.freshName())
    let ingestor = try RunningIngestor(
      database: try TestServices.migratedDatabase(), broker: services.mqttURL, grid: known.grid)
    try await ingestor.waitUntilReady()
    let address = try #require(ingestor.log.firstMatch(of: /url=http:\/\/([0-9.:]+)/)?.1)
    let prometheus = try RunningPrometheus(scraping: String(address))
    // Meters publish until Prometheus has seen a rate; then they stop.
    try await eventually("a rate\n\(prometheus.log)") {
      try known.publish(0..<5, to: services.mqttURL)
      let rate = try await prometheus.ask(
        "query?query=sum(rate(meter_ingestor_readings_received_total%5B4s%5D))%3E0")
      return rate.contains("\"value\"")
    }
    #expect(!(try await prometheus.isFiring("NoMetersHeard")))
    try await eventually("the alert\n\(prometheus.log)") {
      try await prometheus.isFiring("NoMetersHeard")
    }
    #expect(!(try await prometheus.isFiring("IngestorDown")))
    ingestor.signal(SIGKILL)
    try await eventually("the other alert\n\(prometheus.log)") {
      try await prometheus.isFiring("IngestorDown")
    }
  }
}

/// A Prometheus whose seconds are minutes: it scrapes each second, and windows are short.
private final class RunningPrometheus {
  private static let program = "/usr/bin/prometheus"

  static let isInstalled: Bool = {
    let isThere = FileManager.default.isExecutableFile(atPath: program)
    if !isThere { print("skipped: no \(program); `apt-get install prometheus` brings it") }
    return isThere
  }()

  private var child: ChildProcess
  private let folder = scratchFolder()

  init(scraping target: String) throws {
    let deploy = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("deploy/prometheus")
    let rules = try String(
      contentsOf: deploy.appendingPathComponent("alerts.yml"), encoding: .utf8)
    try rules.replacing(/\[\d+m\]/, with: "[4s]").replacing(/for: \d+[mh]/, with: "for: 1s")
      .write(toFile: folder + "/alerts.yml", atomically: true, encoding: .utf8)
    let configuration = try String(
      contentsOf: deploy.appendingPathComponent("prometheus.yml"), encoding: .utf8)
    try configuration.replacing("127.0.0.1:8080", with: target).replacing("15s", with: "1s")
      .write(toFile: folder + "/prometheus.yml", atomically: true, encoding: .utf8)
    child = try ChildProcess(
      [
        Self.program, "--config.file=\(folder)/prometheus.yml",
        "--storage.tsdb.path=\(folder)/data", "--web.listen-address=127.0.0.1:0",
      ], output: folder + "/log")
  }

  deinit {
    kill(child.pid, SIGKILL)
    _ = child.waitForExit(atMost: .seconds(5))
    try? FileManager.default.removeItem(atPath: folder)
  }

  var log: String {
    let data = FileManager.default.contents(atPath: folder + "/log") ?? Data()
    return String(decoding: data, as: UTF8.self)
  }

  /// Empty while it does not answer yet.
  func ask(_ path: String) async throws -> String {
    guard let port = log.firstMatch(of: /Listening on" address=127.0.0.1:([0-9]+)/)?.1 else {
      return ""
    }
    let url = try #require(URL(string: "http://127.0.0.1:\(port)/api/v1/\(path)"))
    guard let (data, _) = try? await URLSession.shared.data(from: url) else { return "" }
    return String(decoding: data, as: UTF8.self)
  }

  func isFiring(_ alert: String) async throws -> Bool {
    try await ask("query?query=ALERTS%7Balertname=%22\(alert)%22,alertstate=%22firing%22%7D")
      .contains("\"value\"")
  }
}
