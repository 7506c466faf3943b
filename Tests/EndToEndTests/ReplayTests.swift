// Captures: written, replayed, replayed again, broken.

import EnergyReadings
import Foundation
import MeterSimulator
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct ReplayTests {
  private static let fixtures = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("fixtures").path

  @Test func fixturesTwiceStoreEachReadingOnce() throws {
    let database = try TestServices.migratedDatabase()
    let environment = ["POSTGRES_URL": database]
    let captures = ["clean-day", "hostile-day"].map { "\(Self.fixtures)/\($0).ndjson.gz" }
    for day in ["clean-day", "hostile-day"] {
      let registered = try run(
        ["register", "\(Self.fixtures)/\(day).registry.json"], environment: environment)
      #expect(registered.status == 0, "\(registered.errors)")
    }
    let first = try ledger(
      run(["replay", "--direct", "--json"] + captures, environment: environment))
    let rows = try value(KnownReadings.tally, in: database)
    let charge = try value("SELECT sum(current_charge) FROM grid.energy_storage", in: database)
    let second = try ledger(
      run(["replay", "--direct", "--json"] + captures, environment: environment))
    #expect(try value(KnownReadings.tally, in: database) == rows)
    #expect(
      try value("SELECT sum(current_charge) FROM grid.energy_storage", in: database) == charge)
    #expect(first.received == second.received)
    #expect(first.received > 1_000)
    #expect(second.stored == 0)
    #expect(second.duplicate == first.stored + first.duplicate)
    #expect(second.rejected == first.rejected)
  }

  /// Over several connections the batches of a capture that is given twice meet in the database.
  @Test func severalConnectionsStoreEachReadingOnce() throws {
    let database = try TestServices.migratedDatabase()
    let environment = ["POSTGRES_URL": database]
    let capture = "\(Self.fixtures)/clean-day.ndjson.gz"
    _ = try run(["register", "\(Self.fixtures)/clean-day.registry.json"], environment: environment)
    let counts = try ledger(
      run(
        ["replay", "--direct", "--json", capture, capture, "--set", "ingest.workers=3"]
          + ["--set", "ingest.batch-size=150"], environment: environment))
    #expect(counts.stored >= 1_000)
    #expect(counts.duplicate == counts.stored)
    #expect(counts.received == counts.stored + counts.duplicate + counts.zero)
    let rows = try value(KnownReadings.tally, in: database)
    _ = try run(["replay", "--direct", capture], environment: environment)
    #expect(try value(KnownReadings.tally, in: database) == rows)
  }

  /// Each line of the hostile fixture says what must become of its readings.
  @Test func everyHostileLineEndsAsItSays() throws {
    let database = try TestServices.migratedDatabase()
    let environment = ["POSTGRES_URL": database]
    let capture = "\(Self.fixtures)/hostile-day.ndjson.gz"
    _ = try run(
      ["register", "\(Self.fixtures)/hostile-day.registry.json"], environment: environment)
    let counts = try ledger(
      run(["replay", "--direct", "--json", capture], environment: environment))
    var expected: [String: Int] = [:]
    let connection = try PostgresConnection(url: database)
    let reader = try CaptureReader(file: capture)
    while case .message = try reader.next() {
      let words = (reader.comment ?? "").split(separator: " ").map(String.init)
      #expect(!words.isEmpty)
      for (index, word) in words.enumerated() {
        expected[word, default: 0] += 1
        if ["ok", "zero", "duplicate"].contains(word) { continue }
        #expect(
          try isDeadLetter(word, reader, index: words.count == 1 ? nil : index, connection),
          "\(word): \(reader.withMessage { "\($0.text) \($1.text.prefix(300))" })")
      }
    }
    #expect(counts.stored == expected["ok"])
    #expect(counts.zero == expected["zero"])
    #expect(counts.duplicate == expected["duplicate"])
    for (reason, count) in counts.rejectedByReason { #expect(count == expected[reason]) }
    #expect(counts.rejectedByReason.count == 13)
  }

  /// Whether the reader's message, or the reading at `index` in it, is a dead letter with that
  /// reason.
  private func isDeadLetter(
    _ reason: String, _ reader: CaptureReader, index: Int?, _ connection: PostgresConnection
  ) throws -> Bool {
    let (topic, payload) = reader.withMessage { topic, payload in
      (topic.text, payload.withUnsafeBufferPointer { Data($0) }.base64EncodedString())
    }
    let rows = try connection.query(
      """
      SELECT count(*) FROM ingest.dead_letters
      WHERE topic = $1 AND reason = $2 AND payload_index IS NOT DISTINCT FROM $3::int
        AND (payload = '' OR position(payload IN decode($4, 'base64')) > 0)
      """, [topic, reason, index.map(String.init), payload])
    return rows[0][0] != "0"
  }

  @Test func aBrokenLineIsNamedAndSkipped() throws {
    let database = try TestServices.migratedDatabase()
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func line(_ second: Int) -> String {
      #"{"t_ms":0,"topic":"gridtokenx/v1/G/consumption/c","qos":1,"payload":"#
        + #""{\"timestamp\":\#(1_781_000_000 + second),\"energy_amount\":1,"#
        + #"\"consumer_type\":\"residential\"}"}"#
    }
    let escape = #"{"t_ms":0,"topic":"a","payload":"\x"}"#
    let text = [line(1), #"{"t_ms":0,"topic":"#, line(2), escape].joined(separator: "\n")
    try text.write(toFile: folder + "/broken.ndjson", atomically: true, encoding: .utf8)
    let strict = try run(
      ["replay", "--direct", "--strict", "--json", folder + "/broken.ndjson"],
      environment: ["POSTGRES_URL": database])
    #expect(strict.status == 1)
    #expect(try ledger(strict, status: 1).stored == 1)
    let lenient = try run(
      ["replay", "--direct", "--json", folder + "/broken.ndjson"],
      environment: ["POSTGRES_URL": database])
    #expect(lenient.status == 1)
    #expect(lenient.errors.contains("broken.ndjson:2: "))
    #expect(
      lenient.errors.contains("broken.ndjson:4: payload has an escape that JSON does not have"))
    let counts = try ledger(lenient, status: 1)
    #expect(counts.stored == 1)
    #expect(counts.duplicate == 1)
  }

  /// 400 MB of messages that hold no reading: no batch is ever full of readings.
  @Test func aCaptureOfOtherMessagesNeedsLittleMemory() async throws {
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let pipe = folder + "/capture"
    try #require(mkfifo(pipe, 0o600) == 0)
    // A program that ends early must not end this one.
    signal(SIGPIPE, SIG_IGN)
    var child = try ChildProcess(
      [TestServices.program, "replay", "--direct", "--json", pipe],
      environment: ["POSTGRES_URL": try TestServices.migratedDatabase()], output: folder + "/out")
    defer { kill(child.pid, SIGKILL) }
    var descriptor: Int32 = -1
    try await eventually("the capture is read") {
      descriptor = open(pipe, O_WRONLY | O_NONBLOCK)
      return descriptor >= 0
    }
    _ = fcntl(descriptor, F_SETFL, 0)
    let writer = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    let line =
      #"{"t_ms":0,"topic":"gridtokenx/v1/ingestor/w/status","qos":1,"payload":""#
      + String(repeating: "x", count: 1_000) + "\"}\n"
    let block = Data(String(repeating: line, count: 1_000).utf8)
    for _ in 0..<400 { try writer.write(contentsOf: block) }
    let status = try String(contentsOfFile: "/proc/\(child.pid)/status", encoding: .utf8)
    let peak = try #require(status.firstMatch(of: #/VmHWM:\s*(\d+) kB/#).flatMap { Int($0.1) })
    try writer.close()
    let ended = child.waitForExit(atMost: .seconds(30))
    let output = try String(contentsOfFile: folder + "/out", encoding: .utf8)
    #expect(ended == 0, "\(output)")
    #expect(peak < 256 << 10, "\(peak) KiB")
  }

  /// What `capture` hears, `replay` says again, word for word.
  @Test func aCaptureComesBack() async throws {
    let services = TestServices.shared
    let known = KnownReadings(intervals: 10, grid: TestServices.freshName())
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let database = try TestServices.migratedDatabase()
    try known.register(in: database)
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid)
    try await ingestor.waitUntilReady()
    let capture = try RunningCapture(
      broker: services.mqttURL, topic: "gridtokenx/v1/\(known.grid)/#",
      count: known.readings.count, file: folder + "/heard.ndjson.gz")
    try await capture.waitUntilListening(services, known.grid)
    try known.publish(0..<known.readings.count, to: services.mqttURL)
    #expect(capture.waitForExit() == 0)
    try await known.expectStored(in: database, ingestor.log)
    let again = try run(
      ["replay", "--speed", "max", "--json", folder + "/heard.ndjson.gz"],
      environment: ["MQTT_URL": services.mqttURL])
    #expect(again.status == 0)
    #expect(again.output.contains("\"published\":\(known.readings.count)"))
    try await ingestor.expectBalancedLedger(received: known.readings.count * 2)
    let duplicates = try await ingestor.metric("meter_ingestor_readings_duplicate_total")
    #expect(Int(duplicates) == known.stored)
    #expect(try value(KnownReadings.tally, in: database) == known.expectedTally)
  }

  private func ledger(_ outcome: Outcome, status: Int32 = 0) throws -> Counts {
    #expect(outcome.status == status, "\(outcome.errors)")
    return try JSONDecoder().decode(Counts.self, from: Data(outcome.output.utf8))
  }
}

/// The ledger that `replay --direct --json` prints.
private struct Counts: Decodable {
  var received: Int
  var duplicate: Int
  var zero: Int
  var rejected: Int
  var rejectedByReason: [String: Int]
  private var byTable: [String: Int]

  var stored: Int { byTable.values.reduce(0, +) }

  enum CodingKeys: String, CodingKey {
    case received, duplicate, zero, rejected
    case rejectedByReason = "rejected_by_reason"
    case byTable = "stored"
  }
}
