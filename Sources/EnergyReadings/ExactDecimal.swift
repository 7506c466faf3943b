// Decimal text to scaled integers, digit by digit: no amount ever becomes a floating-point number.

/// Why a text is not a decimal of the wanted size.
public enum DecimalError: Error, Equatable, Sendable {
  /// Not a JSON number (RFC 8259, section 6), leading zeros apart.
  case notANumber
  /// More integer digits than the column holds.
  case outOfRange
}

/// Parsing of JSON numbers into integers that count 10^-scale.
public enum ExactDecimal {
  /// The value of `text` times 10^`scale`, rounded half away from zero, as PostgreSQL's `numeric`
  /// rounds (manual, 8.1.2).
  ///
  /// - Parameters:
  ///   - text: a JSON number such as `-1.5`, `20` or `5.2e-3`; leading zeros, as the fixed-width
  ///     registers of meters show them, are taken too.
  ///   - integerDigits: digits allowed before the point; `integerDigits + scale` ≤ 18.
  ///   - scale: digits kept after the point.
  /// - Throws: `notANumber`, or `outOfRange` where |value| ≥ 10^integerDigits after rounding.
  public static func parse(
    _ text: Span<UInt8>, integerDigits: Int, scale: Int
  ) throws(DecimalError) -> Int64 {
    if let value = plain(text, integerDigits: integerDigits, scale: scale) { return value }
    let shape = try Shape(text)
    // Position of the decimal point counted in digits from the first one.
    let point = shape.integerDigits + shape.exponent
    let kept = point + scale
    var value: Int64 = 0
    var seen = 0
    var significant = 0
    for index in shape.digits {
      let byte = text[index]
      if byte == UInt8(ascii: ".") { continue }
      if seen >= kept { break }
      seen += 1
      let digit = Int64(byte &- UInt8(ascii: "0"))
      if digit == 0, significant == 0 { continue }
      significant += 1
      if significant > integerDigits + scale { throw .outOfRange }
      value = value * 10 + digit
    }
    if value != 0 {
      // Digits that the text leaves out before the kept position are zeros.
      if kept - seen > integerDigits + scale - significant { throw .outOfRange }
      for _ in 0..<max(0, kept - seen) { value *= 10 }
    }
    if kept >= 0, shape.digit(at: kept, in: text) >= 5 { value += 1 }
    if value >= powersOfTen[integerDigits + scale] { throw .outOfRange }
    return shape.isNegative ? -value : value
  }

  /// The value of what nearly every number is, in one pass: up to 18 digits, perhaps with a point
  /// among them and a minus, that fit and need no rounding. Nil for all others.
  private static func plain(_ text: Span<UInt8>, integerDigits: Int, scale: Int) -> Int64? {
    let isNegative = text.count > 0 && text[0] == UInt8(ascii: "-")
    let start = isNegative ? 1 : 0
    guard text.count > start, text.count <= 18 else { return nil }
    var value: Int64 = 0
    var point = text.count
    for index in start..<text.count {
      let digit = text[index] &- UInt8(ascii: "0")
      if digit <= 9 {
        value = value &* 10 &+ Int64(digit)
      } else {
        guard text[index] == UInt8(ascii: "."), point == text.count, index > start else {
          return nil
        }
        point = index
      }
    }
    // The point itself is no digit; a text that ends with it is no number.
    let fraction = max(0, text.count - point - 1)
    guard point != text.count - 1, fraction <= scale,
      value < powersOfTen[min(integerDigits + fraction, 18)]
    else { return nil }
    value &*= powersOfTen[scale - fraction]
    return isNegative ? -value : value
  }

  /// 10^0…10^18.
  @usableFromInline
  static let powersOfTen: InlineArray<19, Int64> = [
    1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000,
    10_000_000_000, 100_000_000_000, 1_000_000_000_000, 10_000_000_000_000, 100_000_000_000_000,
    1_000_000_000_000_000, 10_000_000_000_000_000, 100_000_000_000_000_000,
    1_000_000_000_000_000_000,
  ]
}

/// Where the parts of a number stand in its text.
private struct Shape {
  let isNegative: Bool
  /// Indices of the digits and the point.
  let digits: Range<Int>
  /// Digits before the point.
  let integerDigits: Int
  /// The power of ten that the text asks for, clamped to what no text's digits can make up for.
  let exponent: Int

  init(_ text: Span<UInt8>) throws(DecimalError) {
    var index = 0
    isNegative = text.count > 0 && text[0] == UInt8(ascii: "-")
    if isNegative { index = 1 }
    let start = index
    index = Shape.skipDigits(text, from: index)
    integerDigits = index - start
    if integerDigits == 0 { throw .notANumber }
    if index < text.count, text[index] == UInt8(ascii: ".") {
      let afterPoint = index + 1
      index = Shape.skipDigits(text, from: afterPoint)
      if index == afterPoint { throw .notANumber }
    }
    digits = start..<index
    exponent = try Shape.exponent(text, from: index)
  }

  private static func skipDigits(_ text: Span<UInt8>, from start: Int) -> Int {
    var index = start
    while index < text.count, text[index] &- UInt8(ascii: "0") < 10 { index += 1 }
    return index
  }

  /// More than the digits of the longest payload, so that clamping changes no value.
  private static let maximumExponent = 1 << 40

  private static func exponent(_ text: Span<UInt8>, from start: Int) throws(DecimalError) -> Int {
    if start == text.count { return 0 }
    guard text[start] | 0x20 == UInt8(ascii: "e"), start + 1 < text.count else {
      throw .notANumber
    }
    var index = start + 1
    let negative = text[index] == UInt8(ascii: "-")
    if negative || text[index] == UInt8(ascii: "+") { index += 1 }
    if index == text.count { throw .notANumber }
    var value = 0
    while index < text.count {
      let digit = text[index] &- UInt8(ascii: "0")
      if digit > 9 { throw .notANumber }
      value = min(value * 10 + Int(digit), maximumExponent)
      index += 1
    }
    return negative ? -value : value
  }

  /// The digit at a position counted in digits, 0 beyond the text.
  func digit(at position: Int, in text: Span<UInt8>) -> UInt8 {
    let index = digits.lowerBound + position + (position >= integerDigits ? 1 : 0)
    return index < digits.upperBound ? text[index] &- UInt8(ascii: "0") : 0
  }
}
