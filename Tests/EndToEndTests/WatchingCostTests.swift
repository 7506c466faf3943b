// What it costs an ingestor to be watched: scrapes of a million meters, and a hundred viewers.

import Foundation
import Glibc
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct WatchingCostTests {
  private let services = TestServices.shared

  /// A million meters in a thousand places, and a day on which every kind of rejection occurs: the
  /// goals are 50 ms and 300 series.
  @Test func aScrapeOfAMillionMetersIsSmallAndQuick() async throws {
    let database = try TestServices.migratedDatabase()
    try PostgresConnection(url: database).execute(
      """
      INSERT INTO blockchain.registered_consumers (consumer_id, consumer_name, consumer_type,
        location_json)
      SELECT 'meter-' || n, 'x', 'residential', ('{"grid_code": "G-' || n % 1000 || '"}')::jsonb
      FROM generate_series(1, 1000000) AS n
      """)
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: nil,
      settings: ["spool.directory": folder, "ingest.workers": "2", "log.level": "info"])
    try await ingestor.waitUntilReady()
    try replayTheHostileDay(to: services.mqttURL)
    try await eventually("the count of meters\n\(ingestor.log.suffix(2_000))") {
      try await ingestor.metric("meter_ingestor_meters_registered") == 1_000_000
    }
    try await eventually("many reasons\n\(ingestor.log.suffix(2_000))") {
      let text = try await ingestor.get("/metrics")?.text ?? ""
      return Set(text.matches(of: /reason="\w+"/).map { String($0.output) }).count > 8
    }
    var times: [Double] = []
    var series = 0
    for _ in 1...25 {
      let begin = ContinuousClock.now
      let text = try await ingestor.get("/metrics")?.text ?? ""
      times.append((ContinuousClock.now - begin) / .milliseconds(1))
      series = text.split(separator: "\n").count { !$0.hasPrefix("#") }
    }
    let median = times.sorted()[times.count / 2]
    print("a scrape of 1,000,000 meters: \((median * 10).rounded() / 10) ms, \(series) series")
    #expect(median <= 50)
    #expect((100...300).contains(series))
  }

  private func replayTheHostileDay(to broker: String) throws {
    let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("fixtures/hostile-day.ndjson.gz").path
    let replay = try run(
      ["replay", fixture, "--speed", "max"], environment: ["MQTT_URL": broker])
    #expect(replay.status == 0, "\(replay.errors)")
  }

  /// A hundred open pages: the goals are 5 % of a core, and 20 kB a second for each.
  @Test func aHundredViewersCostLittle() async throws {
    let database = try TestServices.migratedDatabase()
    let known = KnownReadings(intervals: 20, grid: TestServices.freshName())
    try known.register(in: database)
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: known.grid,
      settings: ["log.level": "info"])
    try await ingestor.waitUntilReady()
    try known.publish(0..<known.readings.count, to: services.mqttURL)
    let url = try #require(ingestor.log.firstMatch(of: /url=(http:\/\/[0-9.:]+)/)?.1)
    let seconds = 10
    let alone = try await cpu(of: ingestor, over: seconds)
    // One process of many connections: it prints what each has received when the time is over.
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var viewers = try ChildProcess(
      [
        "/usr/bin/curl", "-sN", "--parallel", "--parallel-immediate", "--parallel-max", "100",
        "--max-time", "\(seconds + 3)", "-w", "%{size_download}\n", "-o", "/dev/null",
        "\(url)/events?[1-100]",
      ], output: folder + "/sizes")
    let watched = try await cpu(of: ingestor, over: seconds)
    #expect(viewers.waitForExit(atMost: .seconds(30)) != nil)
    let text = String(
      decoding: FileManager.default.contents(atPath: folder + "/sizes") ?? Data(), as: UTF8.self)
    let sizes = text.split(separator: "\n").compactMap { Int($0) }
    #expect(sizes.count == 100 && sizes.allSatisfy { $0 > 5_000 }, "\(text)")
    let each = (sizes.max() ?? 0) / (seconds + 3)
    print("100 viewers: \(watched - alone) of a core besides \(alone), \(each) bytes/s each")
    #expect(watched - alone < 0.05)
    #expect(each < 20_000)
  }

  /// The share of a core that it takes for a while; what it did before does not count.
  private func cpu(of ingestor: RunningIngestor, over seconds: Int) async throws -> Double {
    let before = try await ingestor.metric("process_cpu_seconds_total")
    try await Task.sleep(for: .seconds(seconds))
    let after = try await ingestor.metric("process_cpu_seconds_total")
    return (after - before) / Double(seconds)
  }
}
