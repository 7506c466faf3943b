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

  private func measure() throws -> [Measurement] {
    let output = FileManager.default.temporaryDirectory
      .appendingPathComponent("micro-bench-\(UUID().uuidString)").path
    let errors = output + "-errors"
    defer {
      for file in [output, errors] { try? FileManager.default.removeItem(atPath: file) }
    }
    let program = URL(filePath: TestServices.program).deletingLastPathComponent()
      .appendingPathComponent("micro-bench").path
    var child = try ChildProcess(
      [program, "--json", "--rounds", "2"], output: output, errors: errors)
    let status = child.waitForExit(atMost: .seconds(120))
    if status == nil {
      kill(child.pid, SIGKILL)
      _ = child.waitForExit(atMost: .seconds(5))
    }
    let said = try? String(contentsOfFile: errors, encoding: .utf8)
    try #require(status == 0, "micro-bench: \(said ?? "did not start")")
    return try JSONDecoder().decode(
      [Measurement].self, from: Data(contentsOf: URL(filePath: output)))
  }
}
