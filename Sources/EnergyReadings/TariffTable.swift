// What energy costs at which time of the day: a time-of-use tariff.

import Foundation

/// Prices per kWh by the time of the day in one time zone; every minute has exactly one.
public struct TariffTable: Sendable {
  /// Why a text is no tariff, in words that name what to change.
  public struct ParseError: Error, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
  }

  /// Millionths per kWh, by the minute of the day.
  private var prices: [Int64]
  private let zone: TimeZone

  private static let minutesOfDay = 1_440

  /// Reads a table such as `22:00-06:00=0.12,06:00-22:00=0.30`.
  ///
  /// A period ends before its second time, which may be 24:00, and may go over midnight.
  ///
  /// - Parameter zone: a name of the IANA time zone database, such as `Asia/Bangkok`.
  /// - Throws: ``ParseError`` for what is no period, a price that is not above 0, an unknown zone, and
  ///   minutes with no price or two.
  public init(_ text: String, zone: String) throws(ParseError) {
    guard let known = TimeZone(identifier: zone) else {
      throw ParseError("\(zone) is not a time zone such as Asia/Bangkok")
    }
    self.zone = known
    prices = [Int64](repeating: 0, count: TariffTable.minutesOfDay)
    for period in text.split(separator: ",", omittingEmptySubsequences: false) {
      try add(String(period.filter { $0 != " " }))
    }
    if let minute = prices.firstIndex(of: 0) {
      throw ParseError("no period covers \(TariffTable.clock(minute))")
    }
  }

  private mutating func add(_ period: String) throws(ParseError) {
    let sides = period.split(separator: "=")
    let ends = (sides.first ?? "").split(separator: "-").map(TariffTable.minute)
    guard sides.count == 2, ends.count == 2, let start = ends[0], let end = ends[1],
      start != end, start < TariffTable.minutesOfDay
    else {
      throw ParseError("\"\(period)\" is not a period such as 22:00-06:00=0.12")
    }
    let price = try? ExactDecimal.parse(String(sides[1]).utf8.span, integerDigits: 9, scale: 6)
    guard let price, price > 0 else {
      throw ParseError("\(sides[1]) in \"\(period)\" is not a price above 0")
    }
    let length = (end - start + TariffTable.minutesOfDay) % TariffTable.minutesOfDay
    for minute in start..<start + (length == 0 ? TariffTable.minutesOfDay : length) {
      let minute = minute % TariffTable.minutesOfDay
      guard prices[minute] == 0 else {
        throw ParseError(
          "\"\(period)\" overlaps another period at \(TariffTable.clock(minute))")
      }
      prices[minute] = price
    }
  }

  /// The price per kWh of energy that flowed until a moment, in millionths: what ends at 6:00 belongs
  /// to the period before.
  public func price(until time: Timestamp) -> Int64 {
    let second = Int((time.microseconds - 1).flooredSeconds)
    let offset = zone.secondsFromGMT(for: Date(timeIntervalSince1970: TimeInterval(second)))
    let day = 86_400
    return prices[((second + offset) % day + day) % day / 60]
  }

  /// The minute of the day that `06:00` is, 24:00 included.
  private static func minute(_ text: Substring) -> Int? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ $0.count == 2 && $0.allSatisfy(\.isNumber) }),
      let hour = Int(parts[0]), let minute = Int(parts[1]), minute < 60,
      hour * 60 + minute <= minutesOfDay
    else { return nil }
    return hour * 60 + minute
  }

  private static func clock(_ minute: Int) -> String {
    func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(twoDigits(minute / 60)):\(twoDigits(minute % 60))"
  }
}

extension Int64 {
  /// Microseconds to whole seconds, towards the past.
  fileprivate var flooredSeconds: Int64 {
    self >= 0 ? self / 1_000_000 : -((999_999 - self) / 1_000_000)
  }
}
