// Energies and powers in the units that meters use, converted exactly: never through Double.

import EnergyReadings

/// A unit that a source may publish in.
public enum MeterUnit: String, Sendable, CaseIterable {
  case wattHour = "Wh"
  case kilowattHour = "kWh"
  case megawattHour = "MWh"
  case joule = "J"
  case kilojoule = "kJ"
  case megajoule = "MJ"
  case wattMinute = "Wmin"
  case milliwatt = "mW"
  case watt = "W"
  case kilowatt = "kW"
  case megawatt = "MW"

  /// Whether it counts power: then the target is mW, else micro-kWh.
  var isPower: Bool {
    self == .milliwatt || self == .watt || self == .kilowatt || self == .megawatt
  }

  /// The energy of that power in a second.
  var timesSecond: MeterUnit {
    switch self {
    case .kilowatt: .kilojoule
    case .megawatt: .megajoule
    default: .joule
    }
  }

  /// What one of it is in micro-kWh or mW: 10^`shift` × `numerator` / `denominator`.
  fileprivate var factor: (shift: Int, numerator: Int64, denominator: Int64) {
    switch self {
    case .wattHour, .watt: (3, 1, 1)
    case .kilowattHour, .kilowatt: (6, 1, 1)
    case .megawattHour, .megawatt: (9, 1, 1)
    case .milliwatt: (0, 1, 1)
    // 3.6 MJ are a kWh, so that a joule is 5/18 micro-kWh.
    case .joule: (0, 5, 18)
    case .kilojoule: (3, 5, 18)
    case .megajoule: (6, 5, 18)
    case .wattMinute: (3, 1, 60)
    }
  }

  /// The unit that a payload names; nil for any other, such as kvarh.
  init?(_ name: Span<UInt8>) {
    switch name.count {
    case 1 where name.elementsEqual("J"): self = .joule
    case 1 where name.elementsEqual("W"): self = .watt
    case 2 where name.elementsEqual("Wh"): self = .wattHour
    case 2 where name.elementsEqual("kJ"): self = .kilojoule
    case 2 where name.elementsEqual("MJ"): self = .megajoule
    case 2 where name.elementsEqual("kW"): self = .kilowatt
    case 3 where name.elementsEqual("kWh"): self = .kilowattHour
    case 3 where name.elementsEqual("MWh"): self = .megawattHour
    default: return nil
    }
  }
}

/// A unit that a battery may tell its state of charge in.
enum ChargeUnit: String, Sendable, CaseIterable {
  /// Hundredths of its capacity.
  case percent
  /// A share of its capacity, 0…1.
  case fraction
  case wattHour = "Wh"
  case kilowattHour = "kWh"
  case megawattHour = "MWh"

  var measure: ReportedCharge.Measure { self == .percent || self == .fraction ? .share : .energy }

  /// What one of it is in micro-kWh or millionths of the capacity, as a power of ten.
  fileprivate var shift: Int {
    switch self {
    case .wattHour: 3
    case .percent: 4
    case .fraction, .kilowattHour: 6
    case .megawattHour: 9
    }
  }
}

/// Decimal text in some unit to micro-kWh, to mW, or to millionths.
struct Conversion: Sendable {
  /// What is expected, for messages.
  let unitName: String
  private let shift: Int
  private let numerator: Int64
  private let denominator: Int64

  init(_ unit: MeterUnit) {
    unitName = unit.rawValue
    (shift, numerator, denominator) = unit.factor
  }

  init(charge unit: ChargeUnit) {
    unitName = unit.rawValue
    (shift, numerator, denominator) = (unit.shift, 1, 1)
  }

  /// - Parameter scale: a decimal that values are multiplied with: `0.1`, `-1`, `30`; at most six
  ///   digits on either side of the point.
  /// - Throws: a problem of the key `scale`.
  init(_ unit: MeterUnit, scale: String) throws(SourceProblem) {
    guard let millionths = try? ExactDecimal.parse(scale.utf8.span, integerDigits: 6, scale: 6),
      millionths != 0
    else { throw SourceProblem("scale", "\"\(scale)\" is no number such as 0.1, 10 or -1") }
    unitName = unit.rawValue
    var (shift, numerator, denominator) = unit.factor
    var factor = millionths
    shift -= 6
    while factor % 10 == 0 {
      factor /= 10
      shift += 1
    }
    numerator *= factor
    while shift < 0 {
      denominator *= 10
      shift += 1
    }
    (self.shift, self.numerator, self.denominator) = (shift, numerator, denominator)
  }

  /// The value of a text, rounded half away from zero once; joules and the like are read to the
  /// millionth first.
  ///
  /// - Throws: also where the value is 10^15 micro-kWh or mW, or more.
  func amount(of text: Span<UInt8>) throws(DecimalError) -> Int64 {
    if numerator == 1, denominator == 1, shift < 15 {
      return try ExactDecimal.parse(text, integerDigits: 15 - shift, scale: shift)
    }
    var decimals = 6
    let value: Int64
    if let fine = try? ExactDecimal.parse(text, integerDigits: 12, scale: 6) {
      value = fine
    } else {
      decimals = 0
      value = try ExactDecimal.parse(text, integerDigits: 18, scale: 0)
    }
    return try rounded(value, decimals: decimals)
  }

  /// The same of a whole number.
  func amount(of number: Int64) throws(DecimalError) -> Int64 {
    // Beyond that it is too large in every unit, and the product might be for 128 bits.
    guard number.magnitude <= 1_000_000_000_000_000_000 else { throw .outOfRange }
    return try rounded(number, decimals: 0)
  }

  /// - Parameter value: below 10^18, and 10^`decimals` times what it stands for.
  private func rounded(_ value: Int64, decimals: Int) throws(DecimalError) -> Int64 {
    var (dividend, divisor) = (Int128(value) * Int128(numerator), Int128(denominator))
    for _ in 0..<shift {
      let product = dividend.multipliedReportingOverflow(by: 10)
      guard !product.overflow else { throw .outOfRange }
      dividend = product.partialValue
    }
    for _ in 0..<decimals { divisor *= 10 }
    let half = dividend < 0 ? -(divisor / 2) : divisor / 2
    let rounded = (dividend + half) / divisor
    guard rounded.magnitude < 1_000_000_000_000_000 else { throw .outOfRange }
    return Int64(rounded)
  }
}
