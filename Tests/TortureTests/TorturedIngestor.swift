// One `meter-ingestor run` that is killed, stopped, frozen and started again.

import Foundation
import FoundationNetworking
import PrivateServices
import Synchronization
import TestServices

/// An ingestor process and its successors, which share settings and client id.
final class TorturedIngestor: Sendable {
  /// Of the two ingestors; also the last letter of their client ids.
  static let names = ["a", "b"]

  let name: String
  private let arguments: [String]
  private let environment: [String: String]
  private let directory: String
  private let state = Mutex(State())

  private struct State {
    var child: ChildProcess?
    var starts = 0
  }

  /// - Parameters:
  ///   - directory: for its logs, one for each start.
  ///   - settings: beside those that every torture needs.
  init(
    _ index: Int, database: String, broker: String, directory: String, settings: [String: String]
  ) {
    name = TorturedIngestor.names[index]
    self.directory = directory
    environment = [
      "POSTGRES_URL": database, "MQTT_URL": broker, TorturedIngestor.mark: directory,
    ]
    let all = [
      "http.listen": "127.0.0.1:0", "mqtt.client-id": "torture-\(name)",
      "mqtt.share-group": "torture", "mqtt.topics": "gridtokenx/v1/\(MeterFleet.grid)/#",
      // Shorter than usual, so that a dead connection is given up within the run.
      "mqtt.keep-alive": "20s",
    ].merging(settings) { $1 }
    arguments =
      [TestServices.program, "run"]
      + all.sorted { $0.key < $1.key }.flatMap { ["--set", "\($0.key)=\($0.value)"] }
  }

  /// Whether the program has a setting of that name.
  static func has(setting: String, scratch: String) throws -> Bool {
    let output = scratch + "/settings"
    var child = try ChildProcess(
      [TestServices.program, "config", "--defaults", "--json"], output: output, errors: "/dev/null")
    guard child.waitForExit(atMost: .seconds(30)) == 0 else { return false }
    return try String(contentsOfFile: output, encoding: .utf8).contains("\"\(setting)\"")
  }

  /// The variable that all ingestors of a run carry, with the run's directory.
  private static let mark = "TORTURE_DIRECTORY"

  /// Sees to it that no ingestor of a run outlives this process.
  static func endWithUs(directory: String) throws {
    try LastWill.leave(
      #"grep -lzsxF "\#(mark)=$1" /proc/[0-9]*/environ | cut -d/ -f3 | xargs -r kill -KILL"#,
      directory)
  }

  // MARK: What happens to it

  /// Starts it; no effect while it runs.
  func start() throws {
    try state.withLock { state in
      if state.child != nil { return }
      state.starts += 1
      state.child = try ChildProcess(
        arguments, environment: environment, output: log(of: state.starts))
    }
  }

  /// SIGKILL; returns once it is gone.
  func kill() {
    var child = take()
    if let pid = child?.pid { Foundation.kill(pid, SIGKILL) }
    _ = child?.waitForExit(atMost: .seconds(10))
  }

  /// SIGTERM.
  ///
  /// - Returns: the status, nil where it did not end within 20 s and was killed; and how long it
  ///   took.
  func stop() -> (status: Int32?, took: Duration) {
    guard var child = take() else { return (nil, .zero) }
    let begin = ContinuousClock.now
    Foundation.kill(child.pid, SIGTERM)
    let status = child.waitForExit(atMost: .seconds(20))
    if status == nil {
      Foundation.kill(child.pid, SIGKILL)
      _ = child.waitForExit(atMost: .seconds(10))
    }
    return (status, ContinuousClock.now - begin)
  }

  func freeze() { signal(SIGSTOP) }
  func wake() { signal(SIGCONT) }

  /// The status, if it has ended by itself.
  func endedByItself() -> Int32? {
    state.withLock { state in
      guard let status = state.child?.exitStatus() else { return nil }
      state.child = nil
      return status
    }
  }

  /// The most memory that the running process has had, in KiB (proc(5), VmHWM); nil when none runs.
  var peakMemoryKiB: Int? {
    guard let pid = state.withLock({ $0.child?.pid }),
      let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
      let match = status.firstMatch(of: #/VmHWM:\s*(\d+) kB/#)
    else { return nil }
    return Int(match.1)
  }

  private func take() -> ChildProcess? {
    state.withLock { state in
      defer { state.child = nil }
      return state.child
    }
  }

  private func signal(_ number: Int32) {
    if let pid = state.withLock({ $0.child?.pid }) { Foundation.kill(pid, number) }
  }

  // MARK: What it says

  private func log(of start: Int) -> String { "\(directory)/ingestor-\(name)-\(start).log" }

  /// The log since its last start.
  var log: String {
    let path = log(of: state.withLock { $0.starts })
    return String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
  }

  /// A page of its server, where it answers within two seconds.
  func get(_ path: String) -> (status: Int, text: String)? {
    guard let match = try? /url=(http:\/\/[0-9.:]+)/.firstMatch(in: log),
      let url = URL(string: match.1 + path)
    else { return nil }
    let answer = Answer()
    let request = URLRequest(url: url, timeoutInterval: 2)
    URLSession.shared.dataTask(with: request) { data, response, _ in
      if let data, let response = response as? HTTPURLResponse {
        answer.value.withLock { $0 = (response.statusCode, String(decoding: data, as: UTF8.self)) }
      }
      answer.arrived.signal()
    }.resume()
    answer.arrived.wait()
    return answer.value.withLock { $0 }
  }

  private final class Answer: Sendable {
    let value = Mutex<(status: Int, text: String)?>(nil)
    let arrived = DispatchSemaphore(value: 0)
  }

  /// The sum of a metric over its series; nil while it does not answer.
  func metric(_ name: String) -> Double? {
    guard let text = get("/metrics")?.text else { return nil }
    return text.split(separator: "\n")
      .filter { $0.hasPrefix("meter_ingestor_\(name){") || $0.hasPrefix("meter_ingestor_\(name) ") }
      .reduce(0) { $0 + (Double($1.split(separator: " ").last ?? "") ?? 0) }
  }

  var isReady: Bool { self.get("/readyz")?.status == 200 }

  /// Its account of readings; nil while it does not answer.
  func ledger() -> IngestorLedger? {
    get("/metrics").map { IngestorLedger(name: name, metrics: $0.text) }
  }
}

extension TorturedIngestor: CustomStringConvertible {
  /// Which one, and the end of what it said.
  var description: String { "ingestor \(name), whose log ends with\n\(log.suffix(2_000))\n" }
}

/// What a process says became of the readings it received since it started.
struct IngestorLedger: Codable, Sendable, Equatable {
  var name: String
  var received = 0
  var stored = 0
  var duplicate = 0
  var zero = 0
  var rejected = 0
  var inFlight = 0
  /// By its own account.
  var imbalance = 0

  /// Whether every reading is accounted for.
  var isBalanced: Bool {
    imbalance == 0 && inFlight == 0 && received == stored + duplicate + zero + rejected
  }

  init(name: String, metrics: String) {
    self.name = name
    let fields: [(String, WritableKeyPath<IngestorLedger, Int>)] = [
      ("readings_received_total", \.received), ("readings_stored_total", \.stored),
      ("readings_duplicate_total", \.duplicate), ("readings_zero_total", \.zero),
      ("readings_rejected_total", \.rejected), ("readings_in_flight", \.inFlight),
      ("ledger_imbalance_readings", \.imbalance),
    ]
    for line in metrics.split(separator: "\n") where line.hasPrefix("meter_ingestor_") {
      let metric = line.dropFirst("meter_ingestor_".count).prefix { $0 != "{" && $0 != " " }
      guard let field = fields.first(where: { $0.0 == metric })?.1,
        let value = line.split(separator: " ").last.flatMap({ Double($0) })
      else { continue }
      // Imbalances of kinds must not cancel each other.
      self[keyPath: field] += Int(field == \.imbalance ? abs(value) : value)
    }
  }
}
