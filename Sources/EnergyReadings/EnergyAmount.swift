/// An energy as PostgreSQL's `numeric(15,6)` holds it: a whole number of micro-kWh (0.0036 J each).
///
/// Range: ±999,999,999.999999 kWh. Exact: nothing on its way is a floating-point number.
public struct EnergyAmount: Sendable, Hashable, Comparable {
  /// Millionths of a kWh.
  public var microKWh: Int64

  @inlinable
  public init(microKWh: Int64) { self.microKWh = microKWh }

  /// Reads kWh from the digits of a payload; more than six decimals round half away from zero.
  ///
  /// - Throws: ``DecimalError`` where the text is no number or has more than nine integer digits.
  public init(kWh text: Span<UInt8>) throws(DecimalError) {
    microKWh = try ExactDecimal.parse(text, integerDigits: 9, scale: 6)
  }

  @inlinable public static var zero: EnergyAmount { EnergyAmount(microKWh: 0) }

  @inlinable
  public static func < (left: EnergyAmount, right: EnergyAmount) -> Bool {
    left.microKWh < right.microKWh
  }
}

extension EnergyAmount: CustomStringConvertible {
  /// kWh with six decimals, as PostgreSQL prints the column.
  public var description: String { FixedPoint.text(microKWh, scale: 6) }
}

/// Scaled integers as decimal text.
public enum FixedPoint {
  /// `value` × 10^-`scale`, always with `scale` decimals.
  public static func text(_ value: Int64, scale: Int) -> String {
    let digits = String(value.magnitude)
    let padded = String(repeating: "0", count: max(0, scale + 1 - digits.count)) + digits
    let whole = padded.dropLast(scale)
    return (value < 0 ? "-" : "") + whole + (scale > 0 ? "." + padded.suffix(scale) : "")
  }
}
