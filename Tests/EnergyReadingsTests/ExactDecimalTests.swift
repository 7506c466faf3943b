// Decimal text to scaled integers, against a reference that moves characters instead of computing.

import EnergyReadings
import SeededRandom
import Testing

private func parse(
  _ text: String, integerDigits: Int = 9, scale: Int = 6
) throws(DecimalError) -> Int64 {
  let bytes = Array(text.utf8)
  return try ExactDecimal.parse(bytes.span, integerDigits: integerDigits, scale: scale)
}

/// The value of a JSON number × 10^`scale`, or nil where it is out of range. Slow and plain: writes
/// the number out in full, cuts it after the kept digits and counts one up where it has to.
private func reference(_ text: String, integerDigits: Int = 9, scale: Int = 6) -> Int64? {
  let isNegative = text.hasPrefix("-")
  let parts = text.drop { $0 == "-" }.lowercased().split(separator: "e")
  let mantissa = parts[0].split(separator: ".")
  var exponent = parts.count > 1 ? Int(parts[1])! : 0
  var whole = String(mantissa[0])
  var fraction = mantissa.count > 1 ? String(mantissa[1]) : ""
  while exponent > 0 {
    whole.append(fraction.isEmpty ? "0" : fraction.removeFirst())
    exponent -= 1
  }
  while exponent < 0 {
    fraction.insert(whole.isEmpty ? "0" : whole.removeLast(), at: fraction.startIndex)
    exponent += 1
  }
  fraction += String(repeating: "0", count: scale + 1)
  var digits = Array(("0" + whole + fraction.prefix(scale)).utf8)
  if fraction.utf8.dropFirst(scale).first! >= UInt8(ascii: "5") {
    var at = digits.count - 1
    while digits[at] == UInt8(ascii: "9") {
      digits[at] = UInt8(ascii: "0")
      at -= 1
    }
    digits[at] += 1
  }
  let significant = String(decoding: digits.drop { $0 == UInt8(ascii: "0") }, as: UTF8.self)
  if significant.count > integerDigits + scale { return nil }
  let value = Int64("0" + significant)!
  return isNegative ? -value : value
}

@Suite struct ExactDecimalTests {
  @Test(arguments: [
    ("0", 0), ("-0", 0), ("-0.0", 0), ("0e5", 0), ("0e99999999999999999999", 0),
    ("1", 1_000_000), ("-1.5", -1_500_000), ("0.000001", 1), ("12.345678", 12_345_678),
    ("0.0000005", 1), ("-0.0000005", -1), ("0.00000049999999", 0), ("-0.0000004", 0),
    ("1.0000015", 1_000_002), ("1.0000025", 1_000_003), ("0.9999995", 1_000_000),
    ("5e-7", 1), ("4.9e-7", 0), ("5e-8", 0), ("9.99e-7", 1), ("1e-400", 0),
    ("1e8", 100_000_000_000_000), ("1E+8", 100_000_000_000_000), ("25e-2", 250_000),
    ("0.00000000025e9", 250_000), ("100000000000e-11", 1_000_000),
    ("999999999.999999", 999_999_999_999_999), ("-999999999.999999", -999_999_999_999_999),
    ("999999999.9999994", 999_999_999_999_999),
    ("007", 7_000_000), ("000000000000000000001.5", 1_500_000), ("00.50", 500_000),
  ])
  func values(text: String, microKWh: Int64) throws {
    #expect(try parse(text) == microKWh)
  }

  @Test(arguments: [
    "999999999.9999995", "-999999999.9999995", "1000000000", "1e9", "1e400", "-1e400",
    "1e999999999999999999999999", "12345678901234567890", "12345678901234567890.5",
    "99999999999999999999999999", "0.1e11", "0.0000000001e20",
  ])
  func outOfRange(text: String) {
    #expect(throws: DecimalError.outOfRange) { try parse(text) }
  }

  @Test(arguments: [
    "", "-", "+1", ".5", "1.", "-.5", "1e", "1e+", "1e-", "e5", "1e5.0", "1.2.3", "--1", " 1", "1 ",
    "NaN", "Infinity", "-Infinity", "inf", "0x10", "1,5", "1_000", "١", "1\u{0}", "1e5e5", "½",
  ])
  func notANumber(text: String) {
    #expect(throws: DecimalError.notANumber) { try parse(text) }
  }

  /// Exponents are not clamped to a value that the digits of a long text reach.
  @Test func longTextsAndTheirExponentsCancel() throws {
    let zeros = String(repeating: "0", count: 20_000)
    #expect(try parse("0.\(zeros)1e20001") == 1_000_000)
    #expect(try parse("1\(zeros)e-20000") == 1_000_000)
    #expect(try parse("-1\(zeros)e-20000") == -1_000_000)
    #expect(throws: DecimalError.outOfRange) { try parse("1\(zeros)e-19000") }
  }

  @Test func twentyThousandRandomNumbersEqualTheReference() throws {
    var random = SeededGenerator(seed: 0xE17A)
    var inRange = 0
    for _ in 0..<20_000 {
      let text = Self.number(using: &random)
      let value = try? parse(text)
      #expect(value == reference(text), "\(text)")
      inRange += value == nil ? 0 : 1
    }
    // The generator must try both sides of the limit.
    #expect((5_000...19_000).contains(inRange), "\(inRange)")
  }

  @Test func otherScalesEqualTheReference() {
    var random = SeededGenerator(seed: 0x5CA1E)
    for _ in 0..<5_000 {
      let text = Self.number(using: &random)
      for (integerDigits, scale) in [(1, 4), (17, 0), (12, 6), (15, 3), (18, 0)] {
        let expected = reference(text, integerDigits: integerDigits, scale: scale)
        let value = try? parse(text, integerDigits: integerDigits, scale: scale)
        #expect(value == expected, "\(text) at \(integerDigits).\(scale)")
      }
    }
  }

  private static func number(using random: inout SeededGenerator) -> String {
    var text = random.oneIn(3) ? "-" : ""
    if random.oneIn(5) { text += String(repeating: "0", count: random.number(1...4)) }
    text += random.oneIn(10) ? "999999999" : random.digits(random.number(1...11))
    if !random.oneIn(4) {
      text += "." + (random.oneIn(3) ? String(repeating: "9", count: random.number(1...7)) : "")
      text += random.digits(random.number(1...10))
      if random.oneIn(3) { text += "5" }
    }
    if random.oneIn(3) {
      text += ["e", "E"][random.number(0...1)] + ["", "+", "-"][random.number(0...2)]
      text += String(random.number(0...(random.oneIn(10) ? 400 : 15)))
    }
    return text
  }
}

@Suite struct EnergyAmountTests {
  @Test func descriptionHasSixDecimals() {
    #expect(EnergyAmount(microKWh: 0).description == "0.000000")
    #expect(EnergyAmount(microKWh: 1).description == "0.000001")
    #expect(EnergyAmount(microKWh: -1).description == "-0.000001")
    #expect(EnergyAmount(microKWh: -12_345_678).description == "-12.345678")
    #expect(EnergyAmount(microKWh: 999_999_999_999_999).description == "999999999.999999")
    #expect(FixedPoint.text(7, scale: 0) == "7")
    #expect(FixedPoint.text(9_700, scale: 4) == "0.9700")
  }

  @Test func descriptionsAreReadBack() throws {
    var random = SeededGenerator(seed: 0xBAC4)
    for _ in 0..<2_000 {
      let limit = 999_999_999_999_999 >> random.number(0...45)
      let amount = EnergyAmount(microKWh: Int64(random.number(-limit...limit)))
      let text = Array(amount.description.utf8)
      #expect(try EnergyAmount(kWh: text.span) == amount)
    }
  }

  @Test func amountsAreOrdered() {
    #expect(EnergyAmount(microKWh: -1) < .zero)
    #expect(EnergyAmount(microKWh: 1) > .zero)
  }
}
