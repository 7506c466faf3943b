// Points in time and intervals, added as PostgreSQL adds them, in a time zone of a fixed offset.

import EnergyReadings

extension SQLInterval {
  static let day: Int64 = 86_400_000_000

  /// Reads what IntervalStyle `iso_8601` prints, such as `P1Y2M3DT4H5M6.7S`; each number may have a
  /// sign of its own.
  ///
  /// - Returns: nil where the text is none.
  init?(iso8601 text: String) {
    var rest = Substring(text)
    guard rest.first == "P", text.count > 1 else { return nil }
    rest.removeFirst()
    self.init()
    var isTime = false
    while let first = rest.first {
      if first == "T", !isTime {
        isTime = true
        rest.removeFirst()
        if rest.isEmpty { return nil }
        continue
      }
      let number = rest.prefix { "+-.0123456789".contains($0) }
      guard let unit = rest.dropFirst(number.count).first,
        let micros = SQLInterval.millionths(number), add(micros, unit: unit, isTime: isTime)
      else { return nil }
      rest = rest.dropFirst(number.count + 1)
    }
  }

  private static func millionths(_ number: Substring) -> Int64? {
    let bytes = Array(number.utf8)
    return try? ExactDecimal.parse(bytes.span, integerDigits: 12, scale: 6)
  }

  /// Adds `micros` millionths of a unit; whole ones, but for seconds.
  private mutating func add(_ micros: Int64, unit: Character, isTime: Bool) -> Bool {
    if unit == "S", isTime {
      return SQLInterval.add(micros, to: &microseconds)
    }
    guard micros % 1_000_000 == 0, let count = Int32(exactly: micros / 1_000_000) else {
      return false
    }
    switch (unit, isTime) {
    case ("Y", false):
      let (product, overflows) = count.multipliedReportingOverflow(by: 12)
      return !overflows && SQLInterval.add(product, to: &months)
    case ("M", false): return SQLInterval.add(count, to: &months)
    case ("D", false): return SQLInterval.add(count, to: &days)
    case ("H", true): return SQLInterval.add(Int64(count) * 3_600_000_000, to: &microseconds)
    case ("M", true): return SQLInterval.add(Int64(count) * 60_000_000, to: &microseconds)
    default: return false
    }
  }

  private static func add<Part: FixedWidthInteger>(_ value: Part, to part: inout Part) -> Bool {
    let (sum, overflows) = part.addingReportingOverflow(value)
    part = sum
    return !overflows
  }

  func negated() throws(Undecided) -> SQLInterval {
    guard months != .min, days != .min, microseconds != .min else { throw Undecided() }
    return SQLInterval(months: -months, days: -days, microseconds: -microseconds)
  }

  func adding(_ other: SQLInterval) throws(Undecided) -> SQLInterval {
    var sum = self
    guard SQLInterval.add(other.months, to: &sum.months),
      SQLInterval.add(other.days, to: &sum.days),
      SQLInterval.add(other.microseconds, to: &sum.microseconds)
    else { throw Undecided() }
    return sum
  }
}

/// Arithmetic on µs since 1970.
enum TimeArithmetic {
  /// Years 1 to 9999: further away, PostgreSQL has other limits and infinities.
  private static let range = -62_135_596_800_000_000...253_402_300_799_999_999 as ClosedRange<Int64>

  private static func checked(_ time: Int128) throws(Undecided) -> Int64 {
    guard let time = Int64(exactly: time), range.contains(time) else { throw Undecided() }
    return time
  }

  /// `time` and an interval: months first, to the last day of the month at most, then days, both on
  /// the clock `offset` seconds east of UTC, then the rest (`timestamptz_pl_interval` of
  /// src/backend/utils/adt/timestamp.c). Before 1970 the clocks of most zones were others.
  static func add(
    _ interval: SQLInterval, to time: Int64, offset: Int64
  ) throws(Undecided) -> Int64 {
    let day = Int128(SQLInterval.day)
    var result = try checked(Int128(time))
    let isLocal = interval.months != 0 || interval.days != 0
    if isLocal, time < 0 { throw Undecided() }
    if interval.months != 0 {
      let days = (result + offset * 1_000_000).flooredDivision(by: SQLInterval.day)
      let moved = CalendarDate(daysSinceEpoch: Int(days)).adding(months: Int(interval.months))
      result = try checked(Int128(result) + Int128(Int64(moved.daysSinceEpoch) - days) * day)
    }
    // In a zone of a fixed offset, a day is 24 hours.
    result = try checked(Int128(result) + Int128(interval.days) * day)
    if isLocal, result < 0 { throw Undecided() }
    return try checked(Int128(result) + Int128(interval.microseconds))
  }

  /// Days and time between two points, as `timestamptz - timestamptz` gives them.
  static func elapsed(from start: Int64, to end: Int64) throws(Undecided) -> SQLInterval {
    let difference = try checked(Int128(end)) - checked(Int128(start))
    return SQLInterval(
      days: Int32(difference / SQLInterval.day), microseconds: difference % SQLInterval.day)
  }
}

extension Int64 {
  fileprivate func flooredDivision(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
