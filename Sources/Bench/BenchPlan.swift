// What a run of the bench measures, with how much, and against whom.

/// What is measured; the raw values are the names that `--only` takes.
public enum Measure: String, CaseIterable, Codable, Sendable {
  case rawCopy = "raw-copy"
  case rawCopyMany = "raw-copy-n"
  /// In the order in which messages of 100 readings are stored: a hundred times of a few hundred meters.
  case rawCopy100 = "raw-copy-100"
  case psqlCopy = "psql-copy"
  case broker
  case direct
  case directMany = "direct-n"
  case endToEnd1 = "end-to-end-1"
  case endToEnd100 = "end-to-end-100"
  case latency
  case prefilled
  case against
}

/// Another ingestor: a shell command under the contract of `deploy/bench-baselines/README.md`.
public struct Rival: Sendable, Equatable {
  /// The file name of the command's first word; goals know `shell` and `python`.
  public let name: String
  public let command: String

  public init(command: String) {
    self.command = command
    let word = command.split(separator: " ").first ?? ""
    let file = word.split(separator: "/").last ?? word
    name = String(file.split(separator: ".").first ?? "rival")
  }
}

/// The sizes of a run. The defaults are those of the published table.
public struct BenchPlan: Sendable {
  /// Absolute path of the program whose `run` and `replay` are measured.
  public var program: String
  /// Readings of the raw COPY, the direct replay and the end-to-end run with 100 a message, of which it
  /// is a multiple.
  public var readings = 1_000_000
  /// Readings of the end-to-end run with one a message.
  public var endToEndReadings = 500_000
  /// Meters that the readings are spread over, 1…1,000,000.
  public var meters = 10_000
  /// How often everything is measured, ≥ 1, one after the other within a round.
  public var rounds = 3
  /// Connections of `raw-copy-n` and workers of `direct-n`, ≥ 1.
  public var workers = 2
  public var seed: UInt64 = 1
  /// Rows that the tables of `prefilled` hold beforehand; 0 leaves that measure out.
  public var prefill = 0
  /// Seconds of each run that measures latency.
  public var latencySeconds = 10
  /// Settings of the ingestor under test, as `key=value`.
  public var settings: [String] = []
  public var measures: [Measure] = Measure.allCases
  public var rivals: [Rival] = []

  public init(program: String) { self.program = program }

  /// A run of seconds: whether everything works, not how fast it is.
  public mutating func makeQuick() {
    readings = 10_000
    endToEndReadings = 2_000
    rounds = 1
    latencySeconds = 1
    meters = 500
    if prefill > 0 { prefill = min(prefill, 20_000) }
  }

  /// - Throws: ``BenchError`` with code `usage` that names the option.
  public func check() throws(BenchError) {
    let limits = [
      ("--readings", readings, 1...100_000_000),
      ("--messages", endToEndReadings, 100...100_000_000), ("--meters", meters, 1...1_000_000),
      ("--rounds", rounds, 1...100), ("--workers", workers, 1...64),
      ("--prefill", prefill, 0...1_000_000_000),
    ]
    for (option, value, range) in limits where !range.contains(value) {
      throw BenchError(
        .usage, "\(option) \(value): expected \(range.lowerBound)…\(range.upperBound)")
    }
    if readings % 100 != 0 {
      throw BenchError(.usage, "--readings \(readings): expected a multiple of 100")
    }
    if max(readings, endToEndReadings) / meters > 30_000 {
      throw BenchError(
        .usage, "--meters \(meters): more than 30000 readings of each would be too old to accept")
    }
  }
}

/// Why there is no result.
public struct BenchError: Error, CustomStringConvertible {
  public enum Code: Sendable {
    /// The bench was asked for something that it does not do.
    case usage
    /// A contestant lost, invented or altered readings.
    case wrongRows
    /// A contestant or a service did not do its work.
    case failed
  }

  public let code: Code
  public let description: String

  public init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}
