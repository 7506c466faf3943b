// No reading costs an allocation: the micro-benchmark counts them, here they are judged.

import Foundation
import PrivateServices
import TestServices
import Testing

@Suite struct AllocationTests {
  private struct Measurement: Decodable {
    var step: String
    var traffic: String
    var readings: Int
    var nanosecondsPerReading: Double
    var allocations: Int
  }

  /// Memory that is kept may still grow in a round of 10,000 readings: a table that doubles.
  private static let growth = 10

  @Test func theHotPathDoesNotAllocate() throws {
    let measured = try measure()
    #expect(
      Set(measured.map(\.step)) == ["decode", "enrich", "judge", "id", "encode", "path"]
        && Set(measured.map(\.traffic)).count == 7 && measured.count == 42)
    for measurement in measured {
      #expect(measurement.readings == 10_000 && measurement.nanosecondsPerReading > 0)
      #expect(
        measurement.allocations < Self.growth,
        """
        \(measurement.step) of \(measurement.traffic) allocates \(measurement.allocations) times \
        in \(measurement.readings) readings; see deploy/micro-bench
        """)
    }
  }

  private struct FormatCost: Decodable {
    var format, shape: String
    var allocationsPerReading: Double
  }

  @Test func noDecoderAllocates() throws {
    let formats = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "fixtures/formats").path
    let costs = try JSONDecoder().decode(
      [FormatCost].self, from: run(["--json", "--rounds", "2", "--formats", formats]))
    #expect(costs.count > 25)
    // Sparkplug's messages are made by swift-protobuf, an array and an object a metric.
    for cost in costs where cost.format != "sparkplug" {
      #expect(cost.allocationsPerReading < 0.01, "\(cost.format), \(cost.shape)")
    }
  }

  private func measure() throws -> [Measurement] {
    try JSONDecoder().decode([Measurement].self, from: run(["--json", "--rounds", "2"]))
  }

  /// What the micro-benchmark prints.
  private func run(_ arguments: [String]) throws -> Data {
    let output = FileManager.default.temporaryDirectory
      .appendingPathComponent("micro-bench-\(UUID().uuidString)").path
    let errors = output + "-errors"
    defer {
      for file in [output, errors] { try? FileManager.default.removeItem(atPath: file) }
    }
    let program = URL(filePath: TestServices.program).deletingLastPathComponent()
      .appendingPathComponent("micro-bench").path
    var child = try ChildProcess(
      [program] + arguments, output: output, errors: errors)
    let status = child.waitForExit(atMost: .seconds(120))
    if status == nil {
      kill(child.pid, SIGKILL)
      _ = child.waitForExit(atMost: .seconds(5))
    }
    let said = try? String(contentsOfFile: errors, encoding: .utf8)
    try #require(status == 0, "micro-bench: \(said ?? "did not start")")
    return try Data(contentsOf: URL(filePath: output))
  }
}
