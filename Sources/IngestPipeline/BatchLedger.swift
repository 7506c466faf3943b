// What became of the readings of one batch.

import CheckRules
import EnergyReadings

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
  /// Rejections by kind and reason, with the rule or constraint that was broken; few, so a list.
  public internal(set) var rejected: [(kind: Int, reason: RejectionReason, rule: String?)] = []
  /// How often stored readings break each rule, by ``PlausibilityRule/rawValue``.
  public internal(set) var flagged = [Int](repeating: 0, count: PlausibilityRule.allCases.count)
  public internal(set) var messages = 0
  public internal(set) var unknownFields = 0
  public internal(set) var wasRepaired = false
  /// Dead letters that were tried again, and how many of them were refused once more.
  public internal(set) var redriven = 0
  public internal(set) var redrivenAgain = 0
}
