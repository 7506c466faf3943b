// Exact decimals: PostgreSQL's numeric as far as 38 digits reach, and its integers.

/// `mantissa` × 10^-`scale`. The scale is part of the value as text shows it: 1.50 is 1.5 to a
/// comparison, and not to `||`.
///
/// Range: |mantissa| < 2^127; scale 0 or more.
public struct SQLNumber: Sendable {
  public var mantissa: Int128
  public var scale: Int16

  @inlinable
  public init(mantissa: Int128, scale: Int16 = 0) {
    self.mantissa = mantissa
    self.scale = scale
  }

  static let powersOfTen: [Int128] = {
    var powers: [Int128] = [1]
    for _ in 0..<38 { powers.append(powers[powers.count - 1] * 10) }
    return powers
  }()

  /// 10^`exponent`, or nil beyond the range.
  static func powerOfTen(_ exponent: Int) -> Int128? {
    exponent >= 0 && exponent <= 38 ? powersOfTen[exponent] : nil
  }

  /// The mantissa at a scale that is no smaller, or nil beyond the range.
  func mantissa(atScale larger: Int) -> Int128? {
    let shift = larger - Int(scale)
    if shift == 0 || mantissa == 0 { return mantissa }
    guard let power = SQLNumber.powerOfTen(shift) else { return nil }
    let (product, overflows) = mantissa.multipliedReportingOverflow(by: power)
    return overflows ? nil : product
  }

  /// -1, 0 or 1.
  static func order(_ left: SQLNumber, _ right: SQLNumber) -> Int {
    if left.scale == right.scale { return order(left.mantissa, right.mantissa) }
    if left.scale > right.scale { return -order(right, left) }
    // Beyond the range, the rescaled number is further from zero than any other.
    guard let rescaled = left.mantissa(atScale: Int(right.scale)) else {
      return left.mantissa < 0 ? -1 : 1
    }
    return order(rescaled, right.mantissa)
  }

  static func order<Ordered: Comparable>(_ left: Ordered, _ right: Ordered) -> Int {
    left < right ? -1 : left == right ? 0 : 1
  }

  /// The number with `digits` decimals, rounded half away from zero or cut off; below 0, digits
  /// before the point become zeros.
  func rounded(to digits: Int, halfAwayFromZero: Bool = true) throws(Undecided) -> SQLNumber {
    let kept = Int16(clamping: max(digits, 0))
    if digits >= Int(scale) {
      guard let larger = mantissa(atScale: digits) else { throw Undecided() }
      return SQLNumber(mantissa: larger, scale: kept)
    }
    // 10^39 is more than twice any mantissa: nothing is left of it.
    guard let power = SQLNumber.powerOfTen(Int(scale) - digits) else {
      return SQLNumber(mantissa: 0, scale: kept)
    }
    var (quotient, remainder) = mantissa.quotientAndRemainder(dividingBy: power)
    if halfAwayFromZero, remainder.magnitude >= power.magnitude - remainder.magnitude {
      quotient += mantissa < 0 ? -1 : 1
    }
    let whole = SQLNumber(mantissa: quotient)
    guard digits < 0 else { return SQLNumber(mantissa: quotient, scale: kept) }
    guard let result = whole.mantissa(atScale: -digits) else { throw Undecided() }
    return SQLNumber(mantissa: result)
  }

  /// The nearest whole number that is no greater.
  func floored() throws(Undecided) -> SQLNumber {
    let cut = try rounded(to: 0, halfAwayFromZero: false)
    return SQLNumber(
      mantissa: SQLNumber.order(self, cut) < 0 ? cut.mantissa - 1 : cut.mantissa)
  }

  func negated() throws(Undecided) -> SQLNumber {
    let (result, overflows) = Int128(0).subtractingReportingOverflow(mantissa)
    if overflows { throw Undecided() }
    return SQLNumber(mantissa: result, scale: scale)
  }
}

// MARK: Text

extension SQLNumber {
  /// Reads what `numeric` reads from a text: blanks around, a sign, digits with a point, and an
  /// exponent; the scale counts the decimals written, less the exponent.
  ///
  /// - Throws: where PostgreSQL raises an error, for its special values and beyond the range.
  init(parsing text: Span<UInt8>) throws(Undecided) {
    var reader = DigitReader(text)
    let isNegative = reader.sign()
    var value: Int128 = 0
    var decimals = 0
    var digits = 0
    var seenPoint = false
    while let byte = reader.next(where: { $0 &- 48 < 10 || $0 == UInt8(ascii: ".") }) {
      if byte == UInt8(ascii: ".") {
        if seenPoint { throw Undecided() }
        seenPoint = true
        continue
      }
      digits += 1
      decimals += seenPoint ? 1 : 0
      let (tenfold, first) = value.multipliedReportingOverflow(by: 10)
      let (sum, second) = tenfold.addingReportingOverflow(Int128(byte &- 48))
      if first || second { throw Undecided() }
      value = sum
    }
    if digits == 0 || decimals > 1_000 { throw Undecided() }
    let scale = decimals - (try reader.exponent())
    try reader.expectEnd()
    let number = SQLNumber(mantissa: isNegative ? -value : value)
    guard scale <= 1_000, let mantissa = number.mantissa(atScale: max(0, -scale)) else {
      throw Undecided()
    }
    self.init(mantissa: mantissa, scale: Int16(max(0, scale)))
  }

  /// Reads what the integer types read: blanks around, a sign, digits.
  init(parsingInteger text: Span<UInt8>) throws(Undecided) {
    var reader = DigitReader(text)
    let isNegative = reader.sign()
    var value: Int128 = 0
    var digits = 0
    while let byte = reader.next(where: { $0 &- 48 < 10 }) {
      digits += 1
      value = value * 10 + Int128(byte &- 48)
      if value > Int128(Int64.max) + 1 { throw Undecided() }
    }
    if digits == 0 { throw Undecided() }
    try reader.expectEnd()
    self.init(mantissa: isNegative ? -value : value)
  }

  /// Appends the text that PostgreSQL prints.
  func write(to bytes: inout [UInt8]) {
    if mantissa < 0 { bytes.append(UInt8(ascii: "-")) }
    var rest = mantissa.magnitude
    let start = bytes.count
    var written = 0
    repeat {
      if written == Int(scale), scale > 0 { bytes.append(UInt8(ascii: ".")) }
      bytes.append(48 + UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
      written += 1
    } while rest != 0 || written <= Int(scale)
    bytes[start...].reverse()
  }
}

/// Reads a number's text from left to right.
private struct DigitReader: ~Escapable {
  private let text: Span<UInt8>
  private var position = 0

  @_lifetime(copy text)
  init(_ text: Span<UInt8>) {
    self.text = text
    skipBlanks()
  }

  private mutating func skipBlanks() {
    while position < text.count, text[position] == 32 || (9...13).contains(text[position]) {
      position += 1
    }
  }

  mutating func next(where accepts: (UInt8) -> Bool) -> UInt8? {
    guard position < text.count, accepts(text[position]) else { return nil }
    position += 1
    return text[position - 1]
  }

  /// Whether there is a minus; a plus is skipped.
  mutating func sign() -> Bool {
    next { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") } == UInt8(ascii: "-")
  }

  mutating func exponent() throws(Undecided) -> Int {
    guard next(where: { $0 | 0x20 == UInt8(ascii: "e") }) != nil else { return 0 }
    let isNegative = sign()
    var value = 0
    var digits = 0
    while let byte = next(where: { $0 &- 48 < 10 }) {
      value = value * 10 + Int(byte &- 48)
      digits += 1
      if value > 1_000 { throw Undecided() }
    }
    if digits == 0 { throw Undecided() }
    return isNegative ? -value : value
  }

  mutating func expectEnd() throws(Undecided) {
    skipBlanks()
    if position < text.count { throw Undecided() }
  }
}
