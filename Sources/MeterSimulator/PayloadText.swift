// Numbers, times and strings as JSON text, written straight into bytes.

extension [UInt8] {
  /// Appends text as it stands.
  mutating func append(_ text: String) {
    append(contentsOf: text.utf8)
  }

  /// Appends a whole number ≥ 0, with leading zeros up to `width`.
  mutating func append(digits value: UInt64, width: Int = 1) {
    var divisor: UInt64 = 1
    var digits = 1
    while digits < width || value / divisor >= 10 {
      divisor *= 10
      digits += 1
    }
    var rest = value
    while divisor > 0 {
      append(UInt8(ascii: "0") + UInt8(rest / divisor))
      rest %= divisor
      divisor /= 10
    }
  }

  /// Appends `value` / 10^`places` without exponent and without trailing zeros.
  mutating func append(decimal value: Int64, places: Int) {
    if value < 0 { append(UInt8(ascii: "-")) }
    var scale: UInt64 = 1
    for _ in 0..<places { scale *= 10 }
    append(digits: value.magnitude / scale)
    var fraction = value.magnitude % scale
    guard fraction > 0 else { return }
    var width = places
    while fraction % 10 == 0 {
      fraction /= 10
      width -= 1
    }
    append(UInt8(ascii: "."))
    append(digits: fraction, width: width)
  }

  /// Appends an RFC 3339 time in UTC, with milliseconds unless they are 0.
  ///
  /// - Parameter microseconds: since 1970, in the years 0…9999.
  mutating func append(timestamp microseconds: Int64) {
    let milliseconds = microseconds.dividedDown(by: 1_000)
    let seconds = milliseconds.dividedDown(by: 1_000)
    let days = seconds.dividedDown(by: 86_400)
    let date = CivilDate(daysSince1970: days)
    let clock = UInt64(seconds - days * 86_400)
    append(digits: UInt64(date.year), width: 4)
    append(UInt8(ascii: "-"))
    append(digits: UInt64(date.month), width: 2)
    append(UInt8(ascii: "-"))
    append(digits: UInt64(date.day), width: 2)
    append(UInt8(ascii: "T"))
    append(digits: clock / 3600, width: 2)
    append(UInt8(ascii: ":"))
    append(digits: clock / 60 % 60, width: 2)
    append(UInt8(ascii: ":"))
    append(digits: clock % 60, width: 2)
    let fraction = UInt64(milliseconds - seconds * 1_000)
    if fraction > 0 {
      append(UInt8(ascii: "."))
      append(digits: fraction, width: 3)
    }
    append(UInt8(ascii: "Z"))
  }

  /// Appends a JSON string; `text` is UTF-8, which stays as it is.
  mutating func append(jsonString text: some Sequence<UInt8>) {
    append(UInt8(ascii: "\""))
    for byte in text {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        append(UInt8(ascii: "\\"))
        append(byte)
      case 0x0A: append("\\n")
      case 0x0D: append("\\r")
      case 0x09: append("\\t")
      case 0..<0x20:
        append("\\u00")
        append(Self.hexDigits[Int(byte >> 4)])
        append(Self.hexDigits[Int(byte & 15)])
      default: append(byte)
      }
    }
    append(UInt8(ascii: "\""))
  }

  private static let hexDigits = [UInt8]("0123456789abcdef".utf8)
}

/// A date of the Gregorian calendar.
private struct CivilDate {
  let year: Int64
  let month: Int64
  let day: Int64

  /// Howard Hinnant's `civil_from_days` ("chrono-Compatible Low-Level Date Algorithms").
  init(daysSince1970: Int64) {
    let shifted = daysSince1970 + 719_468
    let era = shifted.dividedDown(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }
}

extension Int64 {
  /// The quotient rounded towards −∞, so that times before 1970 keep their order.
  func dividedDown(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
