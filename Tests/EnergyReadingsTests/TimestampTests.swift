// Timestamps as meters write them: RFC 3339 and epoch numbers, against Foundation's calendar.

import EnergyReadings
import Foundation
import SeededRandom
import Testing

private func rfc3339(_ text: String) throws(Timestamp.ParseError) -> Int64 {
  let bytes = Array(text.utf8)
  return try Timestamp(rfc3339: bytes.span).microseconds
}

private func epoch(_ text: String) throws(Timestamp.ParseError) -> Int64 {
  let bytes = Array(text.utf8)
  return try Timestamp(epoch: bytes.span).microseconds
}

@Suite struct TimestampTests {
  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0), ("1970-01-01t00:00:00z", 0), ("1970-01-01 00:00:00Z", 0),
    ("1969-12-31T23:59:59.999999Z", -1), ("1970-01-01T07:00:00+07:00", 0),
    ("1969-12-31T18:30:00-05:30", 0), ("1970-01-01T00:00:00-00:00", 0),
    ("2026-06-10T07:00:00Z", 1_781_074_800_000_000),
    ("2026-06-10T14:00:00.25+07:00", 1_781_074_800_250_000),
    ("2026-06-10T07:00:00.1Z", 1_781_074_800_100_000),
    ("2026-06-10T07:00:00.123456Z", 1_781_074_800_123_456),
    ("2026-06-10T07:00:00.1234564999Z", 1_781_074_800_123_456),
    ("2026-06-10T07:00:00.1234565Z", 1_781_074_800_123_457),
    ("2026-06-10T07:00:00.9999995Z", 1_781_074_801_000_000),
    ("2026-06-10T07:00:00.000000000000000000000001Z", 1_781_074_800_000_000),
    ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
    ("2000-02-29T00:00:00Z", 951_782_400_000_000),
    ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
    ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
    ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ("2026-06-10T07:00:00+23:59", 1_780_988_460_000_000),
  ])
  func rfc3339Texts(text: String, microseconds: Int64) throws {
    #expect(try rfc3339(text) == microseconds)
  }

  @Test(arguments: [
    "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-00-10T00:00:00Z",
    "2026-13-10T00:00:00Z", "2026-06-00T00:00:00Z", "2026-06-32T00:00:00Z", "2026-06-10T24:00:00Z",
    "2026-06-10T07:60:00Z", "2026-06-10T07:00:61Z", "2026-06-10T07:00:00+24:00",
    "2026-06-10T07:00:00+07:60",
  ])
  func datesThatDoNotExist(text: String) {
    #expect(throws: Timestamp.ParseError.outOfRange) { try rfc3339(text) }
  }

  @Test(arguments: ["2026-06-10T07:00:00", "2026-06-10T07:00:00.25", "2026-06-10 07:00:00"])
  func localTimesNameNoMoment(text: String) {
    #expect(throws: Timestamp.ParseError.missingOffset) { try rfc3339(text) }
  }

  @Test(arguments: [
    "", "yesterday", "2026-06-10", "2026-06-10T07:00", "2026-06-10T07:00Z", "20260610T070000Z",
    "2026-6-10T07:00:00Z", "2026/06/10T07:00:00Z", "2026-06-10_07:00:00Z", "2026-06-10T07.00.00Z",
    "2026-06-10T07:00:00.Z", "2026-06-10T07:00:00,5Z", "2026-06-10T07:00:00+07", "1781074800",
    "2026-06-10T07:00:00+0700", "2026-06-10T07:00:00+07:00 ", "2026-06-10T07:00:00ZZ",
    "2026-06-10T07:00:00 Z", "+2026-06-10T07:00:00Z", "2026-06-10T07:00:00+7:00",
    "2026-06-10T07:00:00é", "2026-06-10T07:00:00\u{0}", "２０２６-06-10T07:00:00Z",
    "2026-06-10T07:00:00+07-00", "-026-06-10T07:00:00Z",
  ])
  func textsThatAreNoTimestamp(text: String) {
    #expect(throws: Timestamp.ParseError.notATimestamp) { try rfc3339(text) }
  }

  @Test(arguments: [
    ("0", 0), ("7", 7_000_000), ("-1", -1_000_000), ("1781074800", 1_781_074_800_000_000),
    ("1781074800.25", 1_781_074_800_250_000), ("1781074800.1234565", 1_781_074_800_123_457),
    ("1.7810748e9", 1_781_074_800_000_000), ("1781074800250", 1_781_074_800_250_000),
    ("1781074800250.5", 1_781_074_800_250_500), ("1781074800250.0005", 1_781_074_800_250_001),
    ("1781074800250125", 1_781_074_800_250_125), ("1781074800250125.5", 1_781_074_800_250_126),
    ("99999999999", 99_999_999_999_000_000), ("100000000000", 100_000_000_000_000),
    ("99999999999999", 99_999_999_999_999_000), ("100000000000000", 100_000_000_000_000),
    ("99999999999999999", 99_999_999_999_999_999), ("-1781074800250", -1_781_074_800_250_000),
  ])
  func epochNumbersByMagnitude(text: String, microseconds: Int64) throws {
    #expect(try epoch(text) == microseconds)
  }

  @Test(arguments: ["100000000000000000", "1e17", "1e400", "-1e400", "99999999999999999999"])
  func epochNumbersOutOfRange(text: String) {
    #expect(throws: Timestamp.ParseError.outOfRange) { try epoch(text) }
  }

  @Test(arguments: ["", "now", "NaN", "1e", "2026-06-10T07:00:00Z"])
  func textsThatAreNoEpochNumber(text: String) {
    #expect(throws: Timestamp.ParseError.notATimestamp) { try epoch(text) }
  }

  @Test func description() {
    #expect(Timestamp(microseconds: 0).description == "1970-01-01T00:00:00.000000Z")
    #expect(Timestamp(microseconds: -1).description == "1969-12-31T23:59:59.999999Z")
    let yearNine = Timestamp(microseconds: -61_857_648_000_000_000)
    #expect(yearNine.description == "0009-10-23T00:00:00.000000Z")
  }

  @Test func descriptionsAreReadBack() throws {
    var random = SeededGenerator(seed: 0x71E)
    for _ in 0..<10_000 {
      let time = Int64(random.number(-62_167_219_200_000_000...253_402_300_799_999_999))
      let text = Timestamp(microseconds: time).description
      #expect(try rfc3339(text) == time, "\(text)")
    }
  }

  @Test func tenThousandRandomTimestampsEqualFoundations() throws {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = try #require(TimeZone(secondsFromGMT: 0))
    var random = SeededGenerator(seed: 0xCA1E)
    for _ in 0..<10_000 {
      let sample = Self.sample(using: &random)
      var date = sample.date
      date.calendar = calendar
      let second = try #require(calendar.date(from: date)).timeIntervalSince1970
      let expected = (Int64(second) - sample.offset) * 1_000_000 + sample.microseconds
      #expect(try rfc3339(sample.text) == expected, "\(sample.text)")
    }
  }

  private struct Sample {
    var text: String
    var date: DateComponents
    /// Seconds east of UTC.
    var offset: Int64
    var microseconds: Int64
  }

  /// From 1600 on: Foundation's calendar is Julian before October 1582.
  private static func sample(using random: inout SeededGenerator) -> Sample {
    func two(_ number: Int) -> String { (number < 10 ? "0" : "") + String(number) }
    let year = random.number(1600...2400)
    let month = random.number(1...12)
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let day = random.number(
      1...[31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1])
    let (hour, minute, second) = (
      random.number(0...23), random.number(0...59), random.number(0...59)
    )
    let fraction = random.digits(random.number(0...6))
    let zone = random.oneIn(3) ? nil : (random.number(0...23), random.number(0...59))
    let west = random.oneIn(2)
    var text = "\(year)-\(two(month))-\(two(day))T\(two(hour)):\(two(minute)):\(two(second))"
    if !fraction.isEmpty { text += "." + fraction }
    text += zone.map { (west ? "-" : "+") + two($0.0) + ":" + two($0.1) } ?? "Z"
    let offset = zone.map { Int64($0.0 * 3_600 + $0.1 * 60) * (west ? -1 : 1) } ?? 0
    let padded = fraction + String(repeating: "0", count: 6 - fraction.count)
    return Sample(
      text: text,
      date: DateComponents(
        year: year, month: month, day: day, hour: hour, minute: minute, second: second),
      offset: offset, microseconds: Int64(padded)!)
  }
}
