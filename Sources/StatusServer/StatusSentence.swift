// The state of the ingestor in one sentence, for people who look for five seconds.

import Monitoring

/// Judges figures and says so in words.
struct StatusSentence {
  let components: [Readiness.Component]
  let now: Ledger.Line
  let minuteAgo: Ledger.Line
  let storedPerSecond: Double
  /// Seconds; nil when nothing was committed in the last minute.
  let medianCommit: Double?
  var meters = StatusReport.Meters(expected: 0, heard: nil)

  func judge() -> (StatusReport.State, String) {
    let failing = components.filter { !$0.isReady }
    if !failing.isEmpty {
      let reasons = failing.map { "\($0.name): \($0.failure ?? "failing")" }
      return (.notReady, "Not ready. " + reasons.joined(separator: "; ") + ".")
    }
    if now.imbalance != 0 {
      let what = now.imbalance > 0 ? "unaccounted for" : "counted more than once"
      return (.attention, "\(readings(abs(now.imbalance))) \(now.imbalance.isOne) \(what).")
    }
    let rejected = now.rejected - minuteAgo.rejected
    if rejected > 0 {
      let received = now.received - minuteAgo.received
      return (
        .attention,
        "\(rejected.grouped) of \(readings(received)) rejected in the last minute; \(pace)."
      )
    }
    if now.received == 0 { return (.well, "Ready; no reading has come yet.") }
    if now.received == minuteAgo.received {
      let stored = readings(now.stored)
      return (.well, "Ready; no reading in the last minute, \(stored) stored since the start.")
    }
    return (.well, "All well: \(heard)\(pace); nothing rejected in the last minute.")
  }

  /// Nothing while none is heard: readings come, so that these meters are not registered, or were not
  /// counted since the start.
  private var heard: String {
    guard meters.expected > 0, let heard = meters.heard, heard > 0 else { return "" }
    let missing = [("late", meters.late), ("silent", meters.silent)].compactMap { state, count in
      count.flatMap { $0 > 0 ? ", \($0.grouped) \(state)" : nil }
    }
    return "\(heard.grouped) of \(meters.expected.grouped) meters heard\(missing.joined()); "
  }

  private var pace: String {
    let commits = medianCommit.map { "; commits take \(Self.duration($0))" } ?? ""
    let stored = storedPerSecond < 10 ? "\(storedPerSecond)" : Int(storedPerSecond).grouped
    return "\(stored) readings stored a second\(commits)"
  }

  private func readings(_ count: Int) -> String {
    count == 1 ? "1 reading" : "\(count.grouped) readings"
  }

  static func duration(_ seconds: Double) -> String {
    switch seconds {
    case ..<0.001: "less than 1 ms"
    case ..<1: "\(Int((seconds * 1000).rounded())) ms"
    default: "\((seconds * 10).rounded() / 10) s"
    }
  }
}

extension Int {
  /// With a comma every three digits.
  var grouped: String {
    let digits = String(magnitude)
    let groups = digits.enumerated().map { index, digit in
      let left = digits.count - index
      return index > 0 && left % 3 == 0 ? ",\(digit)" : "\(digit)"
    }
    return (self < 0 ? "-" : "") + groups.joined()
  }

  fileprivate var isOne: String { magnitude == 1 ? "is" : "are" }
}
