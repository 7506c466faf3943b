// What deploy/prometheus and deploy/grafana ask for exists, and the alerts are tried. Whether the
// dashboards' queries answer is DashboardTests' matter.

import Foundation
import Monitoring
import PrivateServices
import Testing

@Suite(.timeLimit(.minutes(1))) struct DeployedFilesTests {
  private static let deploy = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("deploy")
  private static let promtool = "/usr/bin/promtool"

  private static let hasPromtool: Bool = {
    let isThere = FileManager.default.isExecutableFile(atPath: promtool)
    if !isThere { print("skipped: no \(promtool); `apt-get install prometheus` brings it") }
    return isThere
  }()

  private func text(_ path: String) throws -> String {
    try String(contentsOf: Self.deploy.appendingPathComponent(path), encoding: .utf8)
  }

  @Test(arguments: [
    "prometheus/alerts.yml", "prometheus/alerts_test.yml", "grafana/dashboards/ingestor.json",
    "grafana/dashboards/grid.json",
  ])
  func everyMetricIsInTheCatalogue(file: String) throws {
    let known = Set(IngestMetrics.catalogue.map(\.name))
    let named = try text(file).matches(of: /(meter_ingestor|process)_[a-z_]+[a-z]/)
      .map { String($0.output.0.replacing(/_bucket$/, with: "")) }
    #expect(named.count > 2)
    #expect(Set(named).subtracting(known) == [], "\(file)")
  }

  @Test(
    .enabled(if: hasPromtool),
    arguments: [
      ["check", "config", "prometheus/prometheus.yml"],
      ["test", "rules", "prometheus/alerts_test.yml"],
    ])
  func promtoolAgrees(arguments: [String]) throws {
    let output = FileManager.default.temporaryDirectory
      .appendingPathComponent(UUID().uuidString).path
    defer { try? FileManager.default.removeItem(atPath: output) }
    let file = Self.deploy.appendingPathComponent(arguments[2]).path
    var child = try ChildProcess(
      [Self.promtool, arguments[0], arguments[1], file], output: output)
    let status = child.waitForExit(atMost: .seconds(30))
    #expect(status == 0, "\((try? String(contentsOfFile: output, encoding: .utf8)) ?? "")")
  }

  /// Each alert is tried by alerts_test.yml: that it fires, or that it does not.
  @Test func everyAlertIsTried() throws {
    let alerts = try text("prometheus/alerts.yml").matches(of: /- alert: (\w+)/).map(\.output.1)
    let tried = try text("prometheus/alerts_test.yml")
    #expect(alerts.count == 16)
    for alert in alerts {
      #expect(
        tried.contains(try Regex("alertname: \(alert)\\n *eval_time")), "\(alert) never fires")
    }
  }
}
