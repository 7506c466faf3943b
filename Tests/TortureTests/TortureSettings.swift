// What a torture run is asked for: by its caller's environment, or the short run of the suite.

import Foundation

/// The size of a run.
struct TortureSettings: Sendable {
  /// From which the schedule of faults and the readings follow.
  var seed: UInt64 = 1
  /// Seconds in which faults begin; the calm after them and the verdict come on top.
  var seconds = 75
  /// Readings that the meters publish together, each second.
  var readingsPerSecond = 1_000
  /// Directory that gets `report.txt` and `report.json`; nil writes none.
  var reportDirectory: String?
  /// Whether database, logs and what the broker logged of each packet are left behind for a look.
  var keepsData = false

  /// Faults of the run: one each five seconds, and not fewer than the suite's short run needs.
  var faultCount: Int { max(24, seconds / 5) }

  /// A mistake in the environment.
  struct Mistake: Error, CustomStringConvertible {
    var description: String
  }

  /// Reads `TORTURE_SEED`, `TORTURE_MINUTES`, `TORTURE_RATE`, `TORTURE_KEEP` and `TORTURE_REPORT`, which
  /// `deploy/torture` sets; without them it is the short run.
  ///
  /// - Throws: ``Mistake`` that names the variable.
  init(environment: [String: String] = ProcessInfo.processInfo.environment) throws {
    func number(_ name: String, _ range: ClosedRange<Int>) throws -> Int? {
      guard let text = environment[name] else { return nil }
      guard let value = Int(text), range.contains(value) else {
        throw Mistake(
          description: "\(name)=\(text): expected \(range.lowerBound)…\(range.upperBound)")
      }
      return value
    }
    if let seed = try number("TORTURE_SEED", 0...Int.max) { self.seed = UInt64(seed) }
    if let minutes = try number("TORTURE_MINUTES", 1...10_080) { seconds = minutes * 60 }
    if let rate = try number("TORTURE_RATE", 10...100_000) { readingsPerSecond = rate }
    reportDirectory = environment["TORTURE_REPORT"]
    keepsData = environment["TORTURE_KEEP"] == "1"
  }
}
