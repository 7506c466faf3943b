// The status as JSON: what `/api/v1/status` answers and the page shows.

import FoundationEssentials
import Monitoring

/// Everything that the page shows.
public struct StatusReport: Codable, Sendable, Hashable {
  /// The state in a word.
  public enum State: String, Codable, Sendable {
    case well
    /// Works, but readings were rejected in the last minute or are unaccounted for.
    case attention
    case notReady = "not_ready"
  }

  /// A part that must be well; `failure` says what is wrong when it is not.
  public struct Component: Codable, Sendable, Hashable {
    public let name: String
    public let ready: Bool
    public let failure: String?
  }

  /// Readings since the start of the process.
  public struct Line: Codable, Sendable, Hashable {
    public let received: Int
    public let stored: Int
    public let duplicate: Int
    public let zero: Int
    public let rejected: Int
    public let inFlight: Int
    /// Received and not accounted for by the others; 0 when none is lost.
    public let imbalance: Int
  }

  /// Readings a second over the last ``StatusReport/ratesWindowSeconds``.
  public struct Rates: Codable, Sendable, Hashable {
    public let received: Double
    public let stored: Double
    public let rejected: Double
    /// Stored before with the same content.
    public let duplicate: Double
    /// Heard, and 0 kWh.
    public let zero: Double
  }

  /// Commits of the last ``windowSeconds``. The quantiles are estimates from the buckets of
  /// `meter_ingestor_commit_seconds`, absent when there was no commit.
  public struct Commits: Codable, Sendable, Hashable {
    public let count: Int
    public let p50Seconds: Double?
    public let p99Seconds: Double?
    public let windowSeconds: Double
  }

  /// Meters, not messages.
  public struct Meters: Codable, Sendable, Hashable {
    /// Registered ones.
    public let expected: Int
    /// Those of them that were heard within the meters' interval; absent while nobody counts them.
    public let heard: Int?
    /// Those that were not, but before they count as silent; absent like ``heard``.
    public let late: Int?
    /// Those that were not for longer, or never; absent like ``heard``.
    public let silent: Int?

    init(expected: Int, heard: Int?, late: Int? = nil, silent: Int? = nil) {
      self.expected = expected
      self.heard = heard
      self.late = late
      self.silent = silent
    }
  }

  /// What the program itself takes, and what waits or was lost around it.
  public struct Program: Codable, Sendable, Hashable {
    /// Seconds of CPU in a second, of the last ``StatusReport/ratesWindowSeconds``.
    public let cpuCores: Double
    public let residentBytes: Int
    /// Messages that wait in the spool for the database; absent where there is no spool.
    public let spoolMessages: Int?
    /// Messages that the broker says it has dropped; absent where it does not tell.
    public let brokerDroppedMessages: Int?
  }

  public let version: String
  public let uptimeSeconds: Double
  public let state: State
  /// The state in a sentence.
  public let summary: String
  public let ready: Bool
  public let components: [Component]
  /// By kind, and `total`.
  public let ledger: [String: Line]
  public let rejectedByReason: [String: Int]
  /// By kind, and `total`.
  public let ratesPerSecond: [String: Rates]
  /// At most 10 s; less in the first seconds.
  public let ratesWindowSeconds: Double
  public let commits: Commits
  public let meters: Meters
  public let program: Program

  init(
    version: String, uptime: Duration, components: [Readiness.Component], now: Moment,
    past: RecentPast
  ) {
    let before = past.earliest(within: .seconds(10), before: now.time)
    let minuteAgo = past.earliest(within: .seconds(60), before: now.time)
    let elapsed = before.time.duration(to: now.time).seconds
    let lines = now.ledger.lines + [now.ledger.total]
    let earlier = before.ledger.lines + [before.ledger.total]
    self.version = version
    uptimeSeconds = uptime.seconds
    ready = components.allSatisfy(\.isReady)
    self.components = components.map {
      Component(name: $0.name, ready: $0.isReady, failure: $0.failure)
    }
    ledger = Dictionary(uniqueKeysWithValues: lines.map { ($0.kind, Line($0)) })
    rejectedByReason = now.ledger.rejectedByReason
    ratesPerSecond = Dictionary(
      uniqueKeysWithValues: zip(lines, earlier).map { line, earlier in
        (line.kind, Rates(from: earlier, to: line, seconds: elapsed))
      })
    ratesWindowSeconds = elapsed
    commits = Commits(from: minuteAgo, to: now)
    meters = now.program.meters
    program = Program(from: before.program, to: now.program, seconds: elapsed)
    (state, summary) = StatusSentence(
      components: components, now: now.ledger.total, minuteAgo: minuteAgo.ledger.total,
      storedPerSecond: ratesPerSecond["total"]?.stored ?? 0, medianCommit: commits.p50Seconds,
      meters: meters
    ).judge()
  }

  /// Snake-case keys, sorted.
  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}

extension StatusReport.Line {
  init(_ line: Ledger.Line) {
    self.init(
      received: line.received, stored: line.stored, duplicate: line.duplicate, zero: line.zero,
      rejected: line.rejected, inFlight: line.inFlight, imbalance: line.imbalance)
  }
}

extension StatusReport.Rates {
  init(from earlier: Ledger.Line, to later: Ledger.Line, seconds: Double) {
    func rate(_ count: Int) -> Double {
      // Shorter spans than a clock's tick of the page would show leaps, not rates.
      seconds < 0.1 ? 0 : (Double(count) / seconds * 10).rounded() / 10
    }
    self.init(
      received: rate(later.received - earlier.received),
      stored: rate(later.stored - earlier.stored),
      rejected: rate(later.rejected - earlier.rejected),
      duplicate: rate(later.duplicate - earlier.duplicate),
      zero: rate(later.zero - earlier.zero))
  }
}

extension StatusReport.Commits {
  init(from earlier: Moment, to later: Moment) {
    let window: HistogramSnapshot? =
      if let commits = later.commits, let before = earlier.commits {
        commits.since(before)
      } else {
        later.commits
      }
    // To the microsecond; an estimate knows no more.
    func estimate(_ fraction: Double) -> Double? {
      window?.quantile(fraction).map { ($0 * 1e6).rounded() / 1e6 }
    }
    self.init(
      count: window?.count ?? 0, p50Seconds: estimate(0.5), p99Seconds: estimate(0.99),
      windowSeconds: earlier.time.duration(to: later.time).seconds)
  }
}

extension StatusReport.Program {
  init(from earlier: ProgramFigures, to later: ProgramFigures, seconds: Double) {
    let share = seconds < 0.1 ? 0 : (later.cpuSeconds - earlier.cpuSeconds) / seconds
    self.init(
      cpuCores: (share * 1000).rounded() / 1000, residentBytes: later.residentBytes,
      spoolMessages: later.spoolMessages, brokerDroppedMessages: later.brokerDropped)
  }
}

extension Duration {
  /// To the millisecond, which is what people read.
  fileprivate var seconds: Double { ((self / .milliseconds(1)).rounded()) / 1000 }
}
