// Which dead letters are meant: conditions that all must hold, as a WHERE clause with parameters.

import EnergyReadings

/// Conditions on dead letters; those that are nil ask nothing, and all others must hold.
public struct DeadLetterFilter: Sendable, Equatable {
  /// Whether a letter still waits for somebody.
  public enum State: String, Sendable, CaseIterable {
    case open, resolved, all
  }

  /// Which topics.
  public enum Topic: Sendable, Equatable {
    case exactly(String)
    /// All that begin so; no character is a wildcard.
    case beginning(String)
  }

  /// Default ``State/open``.
  public var state = State.open
  /// The code, such as `check_violation`.
  public var reason: String?
  /// Name of the plausibility rule, or of the constraint, that was broken.
  public var rule: String?
  public var device: String?
  public var topic: Topic?
  /// First came at this time or later.
  public var since: Timestamp?
  /// First came before this time.
  public var until: Timestamp?
  public var id: DeadLetterIDPrefix?
  /// Whether only letters `unregistered_device` are meant whose device is in the registry by now.
  public var isRegisteredMeanwhile = false

  public init() {}

  /// Whether every letter of the state is meant.
  public var isUnconditional: Bool {
    var bare = DeadLetterFilter()
    bare.state = state
    return self == bare
  }
}

/// A dead letter's id, or its beginning.
public struct DeadLetterIDPrefix: Sendable, Equatable, CustomStringConvertible {
  /// The first and the last id that begin so.
  public let range: ClosedRange<String>
  /// As it was written.
  public let description: String
  /// Hexadecimal digits given, 1…32; 32 are a whole id.
  public let digitCount: Int

  /// Reads a UUID or its beginning, with or without hyphens; nil where `text` is none.
  public init?(_ text: String) {
    let digits = text.lowercased().filter { $0 != "-" }
    guard (1...32).contains(digits.utf8.count), digits.utf8.allSatisfy(\.isHexDigit) else {
      return nil
    }
    let missing = 32 - digits.utf8.count
    // PostgreSQL takes a UUID without hyphens (manual, 8.12).
    range =
      digits + String(repeating: "0", count: missing)...digits
      + String(repeating: "f", count: missing)
    description = text
    digitCount = digits.utf8.count
  }

  public init(_ id: ReadingID) {
    let digits = id.description.filter { $0 != "-" }
    range = digits...digits
    description = id.description
    digitCount = 32
  }
}

extension UInt8 {
  fileprivate var isHexDigit: Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self)
      || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self)
  }
}

/// Conditions in SQL, and the values of their parameters, which are numbered from $1.
struct SQLConditions {
  private(set) var parameters: [String?] = []
  private var conditions: [String] = []

  init() {}

  /// The conditions of a filter on `ingest.dead_letters AS letter`.
  init(_ filter: DeadLetterFilter) {
    switch filter.state {
    case .open: require("letter.resolved_at IS NULL")
    case .resolved: require("letter.resolved_at IS NOT NULL")
    case .all: break
    }
    if let reason = filter.reason { require("letter.reason = \(parameter(reason))") }
    if let rule = filter.rule {
      require("\(parameter(rule)) IN (letter.rule, letter.constraint_name)")
    }
    if let device = filter.device { require("letter.device_id = \(parameter(device))") }
    switch filter.topic {
    case .exactly(let topic): require("letter.topic = \(parameter(topic))")
    case .beginning(let start): require("starts_with(letter.topic, \(parameter(start)))")
    case nil: break
    }
    if let since = filter.since { require("letter.received_at >= \(parameter(since))") }
    if let until = filter.until { require("letter.received_at < \(parameter(until))") }
    if let id = filter.id {
      require(
        "letter.id BETWEEN \(parameter(id.range.lowerBound))::uuid "
          + "AND \(parameter(id.range.upperBound))::uuid")
    }
    if filter.isRegisteredMeanwhile { require(SQLConditions.isRegistered) }
  }

  /// `WHERE …`.
  var clause: String {
    "WHERE " + (conditions.isEmpty ? "true" : conditions.joined(separator: " AND "))
  }

  mutating func require(_ condition: String) { conditions.append(condition) }

  /// Adds a text as a parameter; its placeholder.
  mutating func parameter(_ text: String) -> String {
    // No stored text has a NUL, and as a C string the value would end there and match another.
    parameters.append(text.replacing("\0", with: "\u{FFFD}"))
    return "$\(parameters.count)"
  }

  mutating func parameter(_ time: Timestamp) -> String {
    parameter(time.description) + "::timestamptz"
  }

  /// `reason` is repeated, so that the index of exactly these letters serves.
  private static let isRegistered = """
    letter.reason = 'unregistered_device' AND letter.resolved_at IS NULL AND CASE letter.kind
      WHEN 'production' THEN EXISTS (SELECT FROM blockchain.registered_producers AS device
        WHERE device.producer_id = letter.device_id)
      WHEN 'consumption' THEN EXISTS (SELECT FROM blockchain.registered_consumers AS device
        WHERE device.consumer_id = letter.device_id)
      WHEN 'storage' THEN EXISTS (SELECT FROM grid.energy_storage AS device
        WHERE device.storage_id = letter.device_id)
      ELSE false END
    """
}
