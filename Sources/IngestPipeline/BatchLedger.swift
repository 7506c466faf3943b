// What became of the readings of one batch.

import CheckRules
import EnergyReadings
import PayloadDecoding
import PostgresStore

/// What a sample of a register came to.
public enum SampleOutcome: UInt8, Sendable, CaseIterable {
  /// An interval with energy, which the database may still refuse.
  case interval
  /// The first of its register: from now on there are intervals.
  case first
  /// A total that did not rise, or power that flowed to nobody.
  case unchanged
  /// Late, or once more: its energy is in an interval already.
  case known
  /// Turned away.
  case refused

  /// The stable name in metrics.
  public var name: StaticString {
    switch self {
    case .interval: "interval"
    case .first: "first"
    case .unchanged: "unchanged"
    case .known: "known"
    case .refused: "refused"
    }
  }
}

/// What became of the readings of a batch, by kind; the last entry is readings of unknown kind.
public struct BatchLedger: Sendable {
  public static let unknownKind = 3

  public internal(set) var received: InlineArray<4, Int> = .init(repeating: 0)
  /// Those of them that came as samples of a register: which kind they are is known only with the
  /// commit, when a net register has risen or fallen.
  public internal(set) var samples: InlineArray<4, Int> = .init(repeating: 0)
  public internal(set) var stored: InlineArray<4, Int> = .init(repeating: 0)
  /// Stored before; of totals: their energy is in an interval already.
  public internal(set) var duplicates: InlineArray<4, Int> = .init(repeating: 0)
  /// Heard, and nothing to store; of totals: the first, and those that did not rise.
  public internal(set) var zeros: InlineArray<4, Int> = .init(repeating: 0)
  /// Rejections by kind and reason, with the rule or constraint that was broken and the id of the
  /// dead letter; few, so a list.
  public internal(set) var rejected:
    [(kind: Int, reason: RejectionReason, rule: String?, letter: ReadingID)] = []
  /// How often stored readings break each rule, by ``PlausibilityRule/rawValue``.
  public internal(set) var flagged = [Int](repeating: 0, count: PlausibilityRule.allCases.count)
  public internal(set) var messages = 0
  public internal(set) var unknownFields = 0
  /// What messages hold and no reading is made of, by ``SkipReason/rawValue``: not part of the
  /// balance.
  public internal(set) var skipped: InlineArray<5, Int> = .init(repeating: 0)
  /// What samples came to, by ``SampleOutcome/rawValue``.
  public internal(set) var sampleOutcomes: InlineArray<5, Int> = .init(repeating: 0)
  /// What happened to registers, by ``RegisterEvent/Kind/rawValue``.
  public internal(set) var registerEvents: InlineArray<6, Int> = .init(repeating: 0)
  /// What became of batteries' states of charge, by ``ChargeOutcome/rawValue``: they are no readings.
  public internal(set) var charges: InlineArray<4, Int> = .init(repeating: 0)
  public internal(set) var wasRepaired = false
  /// Dead letters that were tried again, and how many of them were refused once more.
  public internal(set) var redriven = 0
  public internal(set) var redrivenAgain = 0
}
