// The promise, tortured: short in the suite, as long as one likes through `deploy/torture`.

import Foundation
import Testing

@Suite(.serialized) struct PromiseTests {
  /// Two ingestors, three kinds of meters, and everything that can break.
  @Test func nothingIsLostAndNothingIsStoredTwice() async throws {
    let settings = try TortureSettings()
    let report = try await onThread {
      let run = try TortureRun(settings)
      defer { run.end() }
      return try run.run()
    }
    if let directory = settings.reportDirectory {
      try report.text.write(
        toFile: directory + "/report.txt", atomically: true, encoding: .utf8)
      try report.json.write(
        toFile: directory + "/report.json", atomically: true, encoding: .utf8)
    } else {
      print(report.text)
    }
    #expect(report.isClean, "\(report.text)")
    #expect(report.faults.count >= 20)
    #expect(report.rows.required > 1_000)
  }
}

/// Runs what blocks on a thread of its own, off the pool that tasks share.
func onThread<Value: Sendable>(
  _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    let thread = Thread { continuation.resume(with: Result { try body() }) }
    thread.name = "torture"
    thread.start()
  }
}
