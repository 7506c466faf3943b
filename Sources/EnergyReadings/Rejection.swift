/// Why a reading is turned away: stable codes, the same in dead letters, metrics, logs and
/// documentation.
public enum RejectionReason: UInt8, Sendable, CaseIterable, Hashable {
  case malformedPayload
  case unknownTopic
  case unsupportedFormat
  case missingField
  case wrongType
  case outOfRange
  case deviceMismatch
  case unregisteredDevice
  case checkViolation
  case implausible
  case conflictingDuplicate
  case rejectedByDatabase
  case badSignature
  /// Only a birth that was not heard could say what it means (Sparkplug).
  case missingBirth

  /// The snake_case code.
  public var code: StaticString {
    switch self {
    case .malformedPayload: "malformed_payload"
    case .unknownTopic: "unknown_topic"
    case .unsupportedFormat: "unsupported_format"
    case .missingField: "missing_field"
    case .wrongType: "wrong_type"
    case .outOfRange: "out_of_range"
    case .deviceMismatch: "device_mismatch"
    case .unregisteredDevice: "unregistered_device"
    case .checkViolation: "check_violation"
    case .implausible: "implausible"
    case .conflictingDuplicate: "conflicting_duplicate"
    case .rejectedByDatabase: "rejected_by_database"
    case .badSignature: "bad_signature"
    case .missingBirth: "missing_birth"
    }
  }
}

/// The whole story of one rejection, for the dead letter that keeps it.
public struct Rejection: Error, Sendable {
  public var reason: RejectionReason
  /// JSON path of the offending value, such as `$.energy_amount`; empty where none applies.
  public var path: String
  /// One sentence for people: what is wrong and what would be right.
  public var detail: String
  /// Name of the plausibility rule.
  public var rule: String?
  /// Name of the CHECK or other constraint.
  public var constraint: String?
  /// PostgreSQL's error code, where it was the database that refused.
  public var sqlState: String?

  public init(
    _ reason: RejectionReason, path: String = "", detail: String, rule: String? = nil,
    constraint: String? = nil, sqlState: String? = nil
  ) {
    self.reason = reason
    self.path = path
    self.detail = detail
    self.rule = rule
    self.constraint = constraint
    self.sqlState = sqlState
  }
}

extension Rejection {
  /// The same, its path counted from the root of a payload of several readings: `$.x` of element 3
  /// is `$[3].x`.
  public func inside(element index: Int32?) -> Rejection {
    guard let index, path.hasPrefix("$") else { return self }
    var copy = self
    copy.path = "$[\(index)]" + path.dropFirst()
    return copy
  }
}
