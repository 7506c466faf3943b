// Dead letters as they are read back: in one line, with their payload, or with all that is known.

import EnergyReadings

/// How many letters have one reason and rule.
public struct DeadLetterCount: Sendable, Equatable {
  public var reason: String
  /// The plausibility rule or constraint; nil where the reason says it all.
  public var rule: String?
  public var letters: Int
  /// Different devices among them.
  public var devices: Int
  /// When the first of them first came.
  public var firstAt: Timestamp
  /// When any of them last came.
  public var lastAt: Timestamp
  /// One of them.
  public var example: ReadingID

  init(_ row: [String?]) {
    reason = row[0] ?? ""
    rule = row[1]
    letters = row[2].flatMap { Int($0) } ?? 0
    devices = row[3].flatMap { Int($0) } ?? 0
    firstAt = time(row[4])
    lastAt = time(row[5])
    example = id(row[6])
  }
}

/// Why a letter was turned away, now or at an earlier attempt.
public struct DeadLetterVerdict: Sendable, Equatable, Codable {
  /// When, RFC 3339; nil for the verdict in force.
  public var at: String?
  /// The code, such as `check_violation`.
  public var reason: String
  /// Name of the plausibility rule.
  public var rule: String?
  public var constraint: String?
  public var sqlstate: String?
  /// Where in the payload, such as `$.energy_amount`; nil where no place is at fault.
  public var path: String?
  public var detail: String?

  public init(
    at: String? = nil, reason: String, rule: String? = nil, constraint: String? = nil,
    sqlstate: String? = nil, path: String? = nil, detail: String? = nil
  ) {
    self.at = at
    self.reason = reason
    self.rule = rule
    self.constraint = constraint
    self.sqlstate = sqlstate
    self.path = path
    self.detail = detail
  }
}

/// A letter without its payload.
public struct DeadLetterEntry: Sendable, Equatable {
  public var id: ReadingID
  /// When it first came.
  public var receivedAt: Timestamp
  /// When it last came.
  public var lastReceivedAt: Timestamp
  public var topic: String
  public var kind: String?
  public var device: String?
  public var verdict: DeadLetterVerdict
  /// How often it was turned away, 1 or more.
  public var attempts: Int
  /// nil while it is open.
  public var resolvedAt: Timestamp?
  /// `stored`, `duplicate`, `zero` or `discarded`; nil while it is open.
  public var resolution: String?

  static let columns = """
    letter.id, \(utc("letter.received_at")), \(utc("letter.last_received_at")), letter.topic,
    letter.kind, letter.device_id, letter.reason, letter.rule, letter.constraint_name,
    letter.sqlstate, letter.json_path, letter.detail, letter.attempts,
    \(utc("letter.resolved_at")), letter.resolution
    """

  init(_ row: ArraySlice<String?>) {
    id = PostgresStore.id(row[0])
    receivedAt = time(row[1])
    lastReceivedAt = time(row[2])
    topic = row[3] ?? ""
    kind = row[4]
    device = row[5]
    verdict = DeadLetterVerdict(
      reason: row[6] ?? "", rule: row[7], constraint: row[8], sqlstate: row[9], path: row[10],
      detail: row[11])
    attempts = row[12].flatMap { Int($0) } ?? 1
    resolvedAt = row[13].map { time($0) }
    resolution = row[14]
  }
}

/// What came: enough to try it again.
public struct DeadLetterContent: Sendable, Equatable {
  public var id: ReadingID
  public var receivedAt: Timestamp
  public var topic: String
  /// The rejected reading's own bytes, or the whole message.
  public var payload: [UInt8]
  /// Length of the payload as it arrived, bytes, where `payload` holds only its beginning; else
  /// nil.
  public var payloadBytes: Int?
  /// Place among several readings of one message.
  public var index: Int32?
  public var kind: ReadingKind?

  /// Whether `payload` is all that came.
  public var isWhole: Bool { payloadBytes == nil }

  /// The place behind this letter, for the next page.
  public var cursor: DeadLetterArchive.Cursor { .init(receivedAt: receivedAt, id: id) }

  static let columns = """
    letter.id, \(utc("letter.received_at")), letter.topic, encode(letter.payload, 'hex'),
    letter.payload_bytes, letter.payload_index, letter.kind
    """

  init(_ row: ArraySlice<String?>) {
    id = PostgresStore.id(row[0])
    receivedAt = time(row[1])
    topic = row[2] ?? ""
    payload = [UInt8](hexadecimal: row[3] ?? "")
    payloadBytes = row[4].flatMap { Int($0) }
    index = row[5].flatMap { Int32($0) }
    kind = row[6].flatMap { ReadingKind(topicLevel: $0.utf8.span) }
  }
}

/// All that is known of a letter.
public struct DeadLetterFile: Sendable, Equatable {
  public var entry: DeadLetterEntry
  public var content: DeadLetterContent
  /// Earlier verdicts, oldest first.
  public var history: [DeadLetterVerdict]
}

/// What a look-up by the beginning of an id found.
public enum DeadLetterSearch: Sendable, Equatable {
  case nothing
  case one(DeadLetterFile)
  /// Ids that all begin so, ten at most.
  case several([ReadingID])
}

/// A time as RFC 3339 text that does not depend on the session's time zone.
func utc(_ expression: String) -> String {
  #"to_char(\#(expression) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#
}

/// The time that ``utc(_:)`` wrote. It writes no other form for the years that a clock shows.
private func time(_ text: String?) -> Timestamp {
  (try? Timestamp(rfc3339: (text ?? "").utf8.span)) ?? Timestamp(microseconds: 0)
}

/// An id as PostgreSQL writes it.
private func id(_ text: String?) -> ReadingID {
  text.flatMap { ReadingID($0) } ?? ReadingID(high: 0, low: 0)
}

extension [UInt8] {
  /// The bytes that pairs of lower-case hexadecimal digits say, as PostgreSQL's encode writes them.
  fileprivate init(hexadecimal text: String) {
    let digits = text.utf8.span
    self.init()
    reserveCapacity(digits.count / 2)
    var index = 0
    while index + 1 < digits.count {
      append(digits[index].hexValue << 4 | digits[index + 1].hexValue)
      index += 2
    }
  }
}

extension UInt8 {
  fileprivate var hexValue: UInt8 {
    self <= UInt8(ascii: "9") ? self &- UInt8(ascii: "0") : self &- UInt8(ascii: "a") &+ 10
  }
}
