// When something was measured: the times that payloads give, and what stands in where there is none.

import EnergyReadings

/// When something was measured.
struct Moment: Sendable {
  var timestamp: Timestamp
  /// Whether it is the time of arrival, for want of another.
  var isArrival = false

  /// An interval that comes again is known by its time: by that of arrival it would be stored again.
  func mustBeTold(at path: @autoclosure () -> String) throws(Rejection) {
    guard isArrival else { return }
    throw Rejection(
      .outOfRange, path: path(),
      detail: "the clock was never set, and an interval without a time could be stored twice")
  }
}

/// How a time is written.
enum TimeNotation: Sendable {
  case unixSeconds
  case unixMilliseconds
  /// With offset.
  case rfc3339
  /// A date and time without offset, in this zone; one with an offset is taken by that.
  case local(LocalZone)
  /// A number since 1970 or RFC 3339, told apart by its look; without an offset, in this zone.
  case any(LocalZone?)
}

/// Where a source finds the time.
enum TimeOrigin: Sendable {
  case arrival
  case payload(JSONPointer, TimeNotation)
}

extension SourcedMessage {
  /// When the message arrived.
  var arrival: Moment { Moment(timestamp: message.receivedAt, isArrival: true) }

  /// The time of a node.
  ///
  /// A clock that was never set shows the time since its start, counted from 1970 (or, with some
  /// chips, 2000): what lies before 2015 is the time of arrival where the source allows that.
  ///
  /// - Parameter path: where the node stands.
  func moment(
    _ node: JSONNode, at path: @autoclosure () -> String, as notation: TimeNotation,
    with parser: JSONParser, in arena: inout ByteArena
  ) throws(Rejection) -> Moment {
    guard node.kind == .string || node.kind == .number else {
      throw Rejection(.wrongType, path: path(), detail: "expected a time, found a \(node.kind)")
    }
    let text = parser.text(of: node, in: &arena)
    return try moment(
      text, isNumber: node.kind == .number, at: path(), as: notation, in: &arena)
  }

  /// The time that a text writes.
  func moment(
    _ text: ByteSlice, isNumber: Bool, at path: @autoclosure () -> String,
    as notation: TimeNotation, in arena: inout ByteArena
  ) throws(Rejection) -> Moment {
    let timestamp: Timestamp
    do throws(Timestamp.ParseError) {
      timestamp = try arena.timestamp(
        text, isNumber: isNumber, as: notation, near: message.receivedAt)
    } catch {
      switch error {
      case .notATimestamp:
        throw Rejection(
          .wrongType, path: path(), detail: "expected \(notation), found \(arena.string(text))")
      case .missingOffset:
        throw Rejection(
          .wrongType, path: path(),
          detail: "a local time names no moment; set the source's zone: Europe/Amsterdam, or, of a "
            + "mapping, time: [/…, local:Europe/Amsterdam]")
      case .outOfRange:
        throw Rejection(.outOfRange, path: path(), detail: "no such date or time")
      }
    }
    return try moment(timestamp, at: path())
  }

  /// A time that was read, or that of arrival where the clock was never set.
  func moment(
    _ timestamp: Timestamp, at path: @autoclosure () -> String
  ) throws(Rejection) -> Moment {
    // 2015-01-01T00:00:00Z.
    guard timestamp.microseconds < 1_420_070_400_000_000 else {
      return Moment(timestamp: timestamp)
    }
    guard source.options.allowsArrival else {
      throw Rejection(
        .outOfRange, path: path(), detail: "the clock was never set: it shows \(timestamp)")
    }
    return arrival
  }
}

extension ByteArena {
  fileprivate mutating func timestamp(
    _ text: ByteSlice, isNumber: Bool, as notation: TimeNotation, near arrival: Timestamp
  ) throws(Timestamp.ParseError) -> Timestamp {
    switch notation {
    case .unixSeconds: return try self[text].epoch(scale: 6)
    case .unixMilliseconds: return try self[text].epoch(scale: 3)
    case .rfc3339: return try Timestamp(rfc3339: self[text])
    case .local(let zone): return try local(text, zone, near: arrival)
    case .any(let zone):
      if isNumber { return try Timestamp(epoch: self[text]) }
      guard let zone else { return try Timestamp(rfc3339: self[text]) }
      return try local(text, zone, near: arrival)
    }
  }

  /// A time with offset as it stands, or else the moment that clocks of the zone show it.
  private mutating func local(
    _ text: ByteSlice, _ zone: LocalZone, near arrival: Timestamp
  ) throws(Timestamp.ParseError) -> Timestamp {
    if self[text].hasOffset { return try Timestamp(rfc3339: self[text]) }
    let copy = append(text)
    // `2019-03-20 12:57` has no seconds.
    _ = append(text.count == 16 ? ":00Z" : "Z")
    let zoned = ByteSlice(offset: Int(copy.offset), count: count - Int(copy.offset))
    let shown = try Timestamp(rfc3339: self[zoned])
    return zone.moment(local: shown.microseconds, season: nil, near: arrival)
  }
}

extension Span where Element == UInt8 {
  /// Whether a `Z` or a sign follows the date.
  fileprivate var hasOffset: Bool {
    for index in stride(from: 10, to: count, by: 1) {
      switch self[index] {
      case UInt8(ascii: "Z"), UInt8(ascii: "z"), UInt8(ascii: "+"), UInt8(ascii: "-"): return true
      default: continue
      }
    }
    return false
  }

  /// A number since 1970 whose unit is 10^-`scale` microseconds' worth: 6 for seconds, 3 for ms.
  fileprivate func epoch(scale: Int) throws(Timestamp.ParseError) -> Timestamp {
    do throws(DecimalError) {
      return Timestamp(
        microseconds: try ExactDecimal.parse(self, integerDigits: 17 - scale, scale: scale))
    } catch {
      throw error == .notANumber ? .notATimestamp : .outOfRange
    }
  }
}

extension TimeNotation: CustomStringConvertible {
  var description: String {
    switch self {
    case .unixSeconds: "seconds since 1970"
    case .unixMilliseconds: "milliseconds since 1970"
    case .rfc3339: "RFC 3339 with offset"
    case .local(let zone): "a local time of \(zone.name)"
    case .any: "RFC 3339 or a number since 1970"
    }
  }
}
