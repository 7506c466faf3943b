// A moment as people in Thailand live it: the hour, the day of the week, the time of year.

/// A moment in Thailand's time (UTC+7 all year).
struct LocalTime: Sendable {
  /// Seconds since 1970-01-01T00:00:00Z.
  let seconds: Double
  /// Whole local days since 1970-01-01.
  let day: Int
  /// Hours since local midnight, 0..<24.
  let hour: Double

  private static let offsetSeconds = 7.0 * 3600
  private static let secondsPerDay = 86_400.0

  /// - Parameter seconds: since 1970-01-01T00:00:00Z.
  init(seconds: Double) {
    self.seconds = seconds
    let local = seconds + Self.offsetSeconds
    let midnight = (local / Self.secondsPerDay).rounded(.down)
    day = Int(midnight)
    hour = (local - midnight * Self.secondsPerDay) / 3600
  }

  /// The moment at `hour` of local `day`.
  init(day: Int, hour: Double) {
    self.init(seconds: Double(day) * Self.secondsPerDay + hour * 3600 - Self.offsetSeconds)
  }

  /// 1970-01-01 was a Thursday.
  var isWeekend: Bool {
    let weekday = ((day + 4) % 7 + 7) % 7
    return weekday == 0 || weekday == 6
  }

  /// The position in the year, 0..<1 from 1 January, within a day.
  var yearFraction: Double {
    let years = Double(day) / 365.2425
    return years - years.rounded(.down)
  }
}
