// The real Prometheus, with the configuration of deploy/prometheus at the pace of a test.

import Foundation
import FoundationNetworking
import Glibc
import PrivateServices
import Testing

/// A Prometheus whose seconds are minutes: it scrapes each second, and windows are short.
final class RunningPrometheus {
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
        "--enable-feature=exemplar-storage",
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
  /// The present values of a query, those that are numbers.
  func values(of query: String) async throws -> [Double] {
    let text = query.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    let body = try await ask("query?query=\(text)")
    let answer = try? JSONDecoder().decode(QueryAnswer.self, from: Data(body.utf8))
    return (answer?.data?.result ?? []).compactMap { $0.value.number }.filter { !$0.isNaN }
  }
}

/// An instant query's answer, as far as it is looked at.
private struct QueryAnswer: Decodable {
  struct Body: Decodable { var result: [Series] }
  struct Series: Decodable { var value: Value }

  /// `[time, "number"]`
  struct Value: Decodable {
    var number: Double?

    init(from decoder: any Decoder) throws {
      var pair = try decoder.unkeyedContainer()
      _ = try pair.decode(Double.self)
      number = Double(try pair.decode(String.self))
    }
  }

  var data: Body?
}
