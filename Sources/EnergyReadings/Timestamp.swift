// Points in time as meters write them, exact to the microsecond.

import Glibc

/// Microseconds since 1970-01-01T00:00:00Z, PostgreSQL's resolution of `timestamptz`.
public struct Timestamp: Sendable, Hashable, Comparable {
  public var microseconds: Int64

  @inlinable
  public init(microseconds: Int64) { self.microseconds = microseconds }

  /// This machine's wall clock.
  public static var now: Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
  }

  /// The time of the clock's last tick, at most 10 ms ago (clock_gettime(2),
  /// CLOCK_REALTIME_COARSE), for a third of what ``now`` costs: for each message of many.
  public static var lastTick: Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME_COARSE, &time)
    return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
  }

  @inlinable
  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.microseconds < right.microseconds
  }

  /// Why a text or number is not a point in time.
  public enum ParseError: Error, Equatable, Sendable {
    /// Neither RFC 3339 nor a number.
    case notATimestamp
    /// A local time: without an offset nobody knows which moment is meant.
    case missingOffset
    /// A date that the calendar or the column does not have.
    case outOfRange
  }
}

extension Int64 {
  /// Microseconds to whole milliseconds, towards the past.
  var flooredMilliseconds: Int64 { self >= 0 ? self / 1_000 : -((999 - self) / 1_000) }
}

extension Timestamp {
  /// Reads an epoch number: seconds below 10^11, milliseconds below 10^14, microseconds below
  /// 10^17, told apart by magnitude; a fraction is kept to the microsecond.
  public init(epoch text: Span<UInt8>) throws(ParseError) {
    do {
      let magnitude = try ExactDecimal.parse(text, integerDigits: 17, scale: 0).magnitude
      let scale = magnitude < 100_000_000_000 ? 6 : magnitude < 100_000_000_000_000 ? 3 : 0
      self.init(
        microseconds: try ExactDecimal.parse(text, integerDigits: 18 - scale, scale: scale))
    } catch {
      throw error == .notANumber ? .notATimestamp : .outOfRange
    }
  }

  /// Reads an RFC 3339 timestamp with offset, such as `2026-06-10T07:00:00.25+07:00`; a blank
  /// instead of `T` and a seconds value of 60 are taken as RFC 3339 allows. Fractions beyond the
  /// microsecond are rounded.
  public init(rfc3339 text: Span<UInt8>) throws(ParseError) {
    guard text.count >= 19, text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-"),
      text[10] | 0x20 == UInt8(ascii: "t") || text[10] == UInt8(ascii: " "),
      text[13] == UInt8(ascii: ":"), text[16] == UInt8(ascii: ":"),
      let year = text.number(at: 0, digits: 4), let month = text.number(at: 5, digits: 2),
      let day = text.number(at: 8, digits: 2), let hour = text.number(at: 11, digits: 2),
      let minute = text.number(at: 14, digits: 2), let second = text.number(at: 17, digits: 2)
    else { throw .notATimestamp }
    guard (1...12).contains(month), day >= 1, day <= CalendarDate.length(month: month, year: year),
      hour < 24, minute < 60, second <= 60
    else { throw .outOfRange }
    var index = 19
    let fraction = try text.fraction(at: &index)
    let offset = try text.offsetSeconds(at: index)
    let seconds =
      CalendarDate(year: year, month: month, day: day).daysSinceEpoch * 86_400 + hour * 3_600
      + minute * 60
      + second - offset
    self.init(microseconds: Int64(seconds) * 1_000_000 + Int64(fraction))
  }
}

extension Span where Element == UInt8 {
  /// The number that `digits` decimal digits at `start` write.
  fileprivate func number(at start: Int, digits: Int) -> Int? {
    guard start + digits <= count else { return nil }
    var value = 0
    for index in start..<(start + digits) {
      let digit = self[index] &- UInt8(ascii: "0")
      if digit > 9 { return nil }
      value = value * 10 + Int(digit)
    }
    return value
  }

  /// Microseconds of `.ddd…` at `index`, which moves behind it; 0 without a fraction.
  fileprivate func fraction(at index: inout Int) throws(Timestamp.ParseError) -> Int {
    guard index < count, self[index] == UInt8(ascii: ".") else { return 0 }
    index += 1
    let start = index
    var value = 0
    var roundsUp = false
    while index < count, self[index] &- UInt8(ascii: "0") < 10 {
      let digit = Int(self[index] &- UInt8(ascii: "0"))
      if index - start < 6 { value = value * 10 + digit }
      if index - start == 6 { roundsUp = digit >= 5 }
      index += 1
    }
    if index == start { throw .notATimestamp }
    for _ in 0..<Swift.max(0, 6 - (index - start)) { value *= 10 }
    return value + (roundsUp ? 1 : 0)
  }

  /// Seconds east of UTC that `Z`, `+hh:mm` or `-hh:mm` at `start` says, up to the end of the text.
  fileprivate func offsetSeconds(at start: Int) throws(Timestamp.ParseError) -> Int {
    if start == count { throw .missingOffset }
    if self[start] | 0x20 == UInt8(ascii: "z"), start + 1 == count { return 0 }
    let isWest = self[start] == UInt8(ascii: "-")
    guard isWest || self[start] == UInt8(ascii: "+"), count == start + 6,
      self[start + 3] == UInt8(ascii: ":"), let hours = number(at: start + 1, digits: 2),
      let minutes = number(at: start + 4, digits: 2)
    else { throw .notATimestamp }
    if hours > 23 || minutes > 59 { throw .outOfRange }
    return (hours * 3_600 + minutes * 60) * (isWest ? -1 : 1)
  }
}

extension Timestamp: CustomStringConvertible {
  /// RFC 3339 in UTC, with six decimals.
  public var description: String {
    let day = Int64(86_400_000_000)
    let days = Int(microseconds >= 0 ? microseconds / day : (microseconds - day + 1) / day)
    let date = CalendarDate(daysSinceEpoch: days)
    let rest = microseconds - Int64(days) * day
    func two(_ value: Int64) -> String { (value < 10 ? "0" : "") + String(value) }
    let time = [rest / 3_600_000_000, rest / 60_000_000 % 60, rest / 1_000_000 % 60].map(two)
    let fraction = String(1_000_000 + rest % 1_000_000).dropFirst()
    let year =
      String(repeating: "0", count: max(0, 4 - String(date.year).count)) + String(date.year)
    let calendar = "\(year)-\(two(Int64(date.month)))-\(two(Int64(date.day)))"
    return "\(calendar)T\(time.joined(separator: ":")).\(fraction)Z"
  }
}
