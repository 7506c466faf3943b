// The program as its users see it: started, watched, signalled, asked for its output.

import Foundation
import FoundationNetworking
import PostgresStore
import PrivateServices
import TestServices
import Testing

/// What a command that ended left behind.
struct Outcome {
  var status: Int32
  var output: String
  var errors: String
}

/// Runs the program to its end, at most a minute.
func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Outcome {
  let folder = scratchFolder()
  defer { try? FileManager.default.removeItem(atPath: folder) }
  var child = try ChildProcess(
    [TestServices.program] + arguments, environment: environment, output: folder + "/out",
    errors: folder + "/err")
  let ended = child.waitForExit(atMost: .seconds(60))
  if ended == nil { kill(child.pid, SIGKILL) }
  func text(_ name: String) -> String {
    String(
      decoding: FileManager.default.contents(atPath: folder + "/" + name) ?? Data(), as: UTF8.self)
  }
  let status = try #require(ended, "did not end: \(arguments) \(text("err"))")
  return Outcome(status: status, output: text("out"), errors: text("err"))
}

/// A folder of a test's own.
func scratchFolder() -> String {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
  try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  return path
}

/// Waits for a condition that somebody else brings about, 30 s at most.
func eventually(
  _ what: @autoclosure () -> String, _ condition: () async throws -> Bool
) async throws {
  let deadline = ContinuousClock.now + .seconds(30)
  while try await !condition() {
    if ContinuousClock.now > deadline {
      Issue.record("not within 30 s: \(what())")
      throw CancellationError()
    }
    try await Task.sleep(for: .milliseconds(20))
  }
}

/// One value of a query.
func value(_ sql: String, in database: String) throws -> String? {
  try PostgresConnection(url: database).query(sql).first?.first.flatMap(\.self)
}

/// `meter-ingestor run` in the background.
final class RunningIngestor {
  private var child: ChildProcess
  private let folder = scratchFolder()
  private let arguments: [String]
  private let environment: [String: String]

  /// Starts it.
  ///
  /// - Parameters:
  ///   - grid: the grid code it listens to, so that tests on one broker do not hear each other; nil
  ///     listens to everything.
  init(
    database: String, broker: String, grid: String?, client: String = TestServices.freshName(),
    settings: [String: String] = [:]
  ) throws {
    var all = ["http.listen": "127.0.0.1:0", "mqtt.client-id": client, "log.level": "debug"]
    if let grid { all["mqtt.topics"] = "gridtokenx/v1/\(grid)/#" }
    all.merge(settings) { $1 }
    arguments =
      [TestServices.program, "run"] + all.flatMap { ["--set", "\($0.key)=\($0.value)"] }
    environment = ["POSTGRES_URL": database, "MQTT_URL": broker]
    child = try ChildProcess(arguments, environment: environment, output: folder + "/log")
  }

  deinit {
    kill(child.pid, SIGKILL)
    _ = child.waitForExit(atMost: .seconds(5))
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// Everything it has said.
  var log: String {
    String(decoding: FileManager.default.contents(atPath: folder + "/log") ?? Data(), as: UTF8.self)
  }

  func signal(_ number: Int32) { kill(child.pid, number) }

  /// The exit status, waiting as long as is allowed.
  func waitForExit(_ limit: Duration = .seconds(10)) -> Int32? {
    child.waitForExit(atMost: limit)
  }

  /// Kills it without warning and starts it again.
  func killAndRestart() throws {
    kill(child.pid, SIGKILL)
    _ = child.waitForExit(atMost: .seconds(10))
    try? FileManager.default.removeItem(atPath: folder + "/log")
    child = try ChildProcess(arguments, environment: environment, output: folder + "/log")
  }

  /// A page of its server: status and text; nil while it does not listen.
  func get(_ path: String) async throws -> (status: Int, text: String)? {
    guard let match = try /url=(http:\/\/[0-9.:]+)/.firstMatch(in: log),
      let url = URL(string: match.1 + path)
    else { return nil }
    guard let (data, response) = try? await URLSession.shared.data(from: url) else { return nil }
    return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
  }

  func waitUntilReady() async throws {
    try await eventually("ready\n\(log)") { try await get("/readyz")?.status == 200 }
  }

  /// The sum of a metric over its labels, or of the series that contain `label`.
  func metric(_ name: String, _ label: String = "") async throws -> Double {
    let text = try await get("/metrics")?.text ?? ""
    return text.split(separator: "\n").filter {
      ($0.hasPrefix(name + "{") || $0.hasPrefix(name + " "))
        && (label.isEmpty || $0.contains(label))
    }.reduce(0) { $0 + (Double($1.split(separator: " ").last ?? "") ?? 0) }
  }

  /// Checks that every reading is accounted for, once none is in flight.
  func expectBalancedLedger(received: Int) async throws {
    try await eventually("\(received) received\n\(log.suffix(2_000))") {
      // In this order: what is received is in flight until it is settled.
      guard try await metric("meter_ingestor_readings_received_total") == Double(received) else {
        return false
      }
      return try await metric("meter_ingestor_readings_in_flight") == 0
    }
    var settled = 0.0
    for outcome in ["stored", "duplicate", "zero", "rejected"] {
      settled += try await metric("meter_ingestor_readings_\(outcome)_total")
    }
    #expect(settled == Double(received))
    #expect(try await metric("meter_ingestor_ledger_imbalance_readings") == 0)
  }
}
