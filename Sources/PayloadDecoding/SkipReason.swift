// Why something of a message is neither a reading nor an error: the everyday traffic of meters.

/// Why a value or a message is left out.
public enum SkipReason: UInt8, Sendable, CaseIterable {
  /// The payload is empty: bridges publish that for what is gone, and to clear a retained message.
  case emptyPayload
  /// The message is not one of those that the source is about: another method, or `where` says no.
  case otherMessage
  /// The value is absent, `null`, `unavailable` or NaN.
  case noValue
  /// A register that the source does not take: reactive energy, a tariff that is part of the total, a
  /// direction that is switched off.
  case otherRegister
  /// An interval below 0, where the source says of no one that it is theirs.
  case negative

  /// The stable name in metrics and reports.
  public var name: StaticString {
    switch self {
    case .emptyPayload: "empty_payload"
    case .otherMessage: "other_message"
    case .noValue: "no_value"
    case .otherRegister: "other_register"
    case .negative: "negative"
    }
  }
}
