// What became of one reading that was not simply stored, for reports.

import EnergyReadings
import PostgresStore

/// A rejection or a flag.
public struct Verdict: Sendable {
  /// Why it is turned away; nil: it is stored with a flag.
  public var reason: RejectionReason?
  /// Name of the rule or constraint, where one was broken.
  public var rule: String?
  public var device: String
  /// JSON path of the offending value; empty where none applies.
  public var path: String
  public var detail: String

  init(_ letter: DeadLetter, in arena: borrowing ByteArena) {
    reason = letter.rejection.reason
    rule = letter.rejection.rule ?? letter.rejection.constraint
    device = arena.string(letter.device)
    path = letter.rejection.path
    detail = letter.rejection.detail
  }

  init(rule: String, device: String, detail: String) {
    reason = nil
    self.rule = rule
    self.device = device
    path = ""
    self.detail = detail
  }
}
