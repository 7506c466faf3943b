// Sums, products and quotients with the result scales of PostgreSQL's numeric (facts from
// src/backend/utils/adt/numeric.c), and the integers' own rules.

/// `+ - * / %`.
enum ArithmeticOperator: UInt8, Sendable {
  case add, subtract, multiply, divide, remainder

  init?(_ symbol: String) {
    switch symbol {
    case "+": self = .add
    case "-": self = .subtract
    case "*": self = .multiply
    case "/": self = .divide
    case "%": self = .remainder
    default: return nil
    }
  }
}

extension SQLNumber {
  /// The result as `type`, one of the integer types or numeric.
  ///
  /// - Throws: on a division by zero and where the result has no place in `type` or here.
  static func compute(
    _ operation: ArithmeticOperator, _ left: SQLNumber, _ right: SQLNumber, as type: SQLType
  ) throws(Undecided) -> SQLNumber {
    guard type != .numeric else { return try computeNumeric(operation, left, right) }
    if operation == .divide || operation == .remainder, right.mantissa == 0 { throw Undecided() }
    // 64-bit operands: nothing overflows in 128 bits.
    guard left.mantissa.magnitude <= 1 << 63, right.mantissa.magnitude <= 1 << 63 else {
      throw Undecided()
    }
    let result =
      switch operation {
      case .add: left.mantissa + right.mantissa
      case .subtract: left.mantissa - right.mantissa
      case .multiply: left.mantissa * right.mantissa
      case .divide: left.mantissa / right.mantissa
      case .remainder: left.mantissa % right.mantissa
      }
    return try SQLNumber(mantissa: result).checked(as: type)
  }

  /// The number itself where an integer type has room for it.
  func checked(as type: SQLType) throws(Undecided) -> SQLNumber {
    let fits =
      switch type {
      case .smallint: Int16(exactly: mantissa) != nil
      case .integer: Int32(exactly: mantissa) != nil
      case .bigint: Int64(exactly: mantissa) != nil
      default: true
      }
    if !fits { throw Undecided() }
    return self
  }

  private static func computeNumeric(
    _ operation: ArithmeticOperator, _ left: SQLNumber, _ right: SQLNumber
  ) throws(Undecided) -> SQLNumber {
    switch operation {
    case .multiply:
      let (product, overflows) = left.mantissa.multipliedReportingOverflow(by: right.mantissa)
      let scale = Int(left.scale) + Int(right.scale)
      if overflows || scale > 1_000 { throw Undecided() }
      return SQLNumber(mantissa: product, scale: Int16(scale))
    case .divide: return try quotient(left, right)
    case .add, .subtract, .remainder: break
    }
    let scale = max(left.scale, right.scale)
    guard let first = left.mantissa(atScale: Int(scale)),
      let second = right.mantissa(atScale: Int(scale))
    else { throw Undecided() }
    if operation == .remainder {
      // -1 apart: the remainder is 0, and the smallest integer's would overflow.
      if second == 0 { throw Undecided() }
      return SQLNumber(mantissa: second == -1 ? 0 : first % second, scale: scale)
    }
    let (sum, overflows) =
      operation == .add
      ? first.addingReportingOverflow(second) : first.subtractingReportingOverflow(second)
    if overflows { throw Undecided() }
    return SQLNumber(mantissa: sum, scale: scale)
  }

  private static func quotient(
    _ left: SQLNumber, _ right: SQLNumber
  ) throws(Undecided) -> SQLNumber {
    if right.mantissa == 0 { throw Undecided() }
    let scale = quotientScale(left, right)
    // The dividend's digits that give a quotient with `scale` decimals; never fewer than it has.
    let shift = scale + Int(right.scale) - Int(left.scale)
    guard let power = powerOfTen(shift) else { throw Undecided() }
    let dividend = left.mantissa.magnitude.multipliedFullWidth(by: power.magnitude)
    let divisor = right.mantissa.magnitude
    guard dividend.high < divisor else { throw Undecided() }
    var (result, remainder) = divisor.dividingFullWidth(dividend)
    if remainder >= divisor - remainder { result += 1 }
    guard let magnitude = Int128(exactly: result) else { throw Undecided() }
    let isNegative = (left.mantissa < 0) != (right.mantissa < 0)
    return SQLNumber(mantissa: isNegative ? -magnitude : magnitude, scale: Int16(scale))
  }

  /// The scale of a quotient (`select_div_scale`): at least 16 significant digits, by the leading
  /// base-10000 digits of both, and never fewer decimals than either has.
  private static func quotientScale(_ left: SQLNumber, _ right: SQLNumber) -> Int {
    let first = left.leadingDigit
    let second = right.leadingDigit
    var weight = first.weight - second.weight
    if first.digit <= second.digit { weight -= 1 }
    return min(max(16 - weight * 4, Int(left.scale), Int(right.scale), 0), 1_000)
  }

  /// The first base-10000 digit that is not zero, and its power of 10000.
  private var leadingDigit: (digit: Int128, weight: Int) {
    let magnitude = mantissa.magnitude
    if magnitude == 0 { return (0, 0) }
    var digits = 1
    while digits < 39, magnitude >= SQLNumber.powersOfTen[digits].magnitude { digits += 1 }
    let exponent = digits - Int(scale) - 1
    let weight = exponent >= 0 ? exponent / 4 : -((3 - exponent) / 4)
    let cut = Int(scale) + 4 * weight
    if cut >= 0 { return (Int128(magnitude / SQLNumber.powersOfTen[cut].magnitude), weight) }
    return (Int128(magnitude) * SQLNumber.powersOfTen[-cut], weight)
  }
}
