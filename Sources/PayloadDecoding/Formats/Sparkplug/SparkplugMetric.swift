// One metric of a Sparkplug payload: its name or alias, its time, and its value as an exact number.

import EnergyReadings

/// A datatype's number (Sparkplug 3.0, section 6.4.16).
struct SparkplugDatatype: Equatable {
  /// 0: not given.
  var code: UInt8 = 0

  /// Whether a value of it may be a number, or its digits; so it may where it is not given.
  var isNumber: Bool { code < 15 && code != 11 }

  /// Bits of a whole number, and whether it has a sign; nil for what is none.
  var integer: (bits: UInt64, isSigned: Bool)? {
    switch code {
    case 1...4: (8 << UInt64(code - 1), true)
    case 5...8: (8 << UInt64(code - 5), false)
    default: nil
    }
  }
}

/// What a metric's property `engUnit` says.
enum SparkplugUnit {
  case none
  case known(MeterUnit)
  /// A text that is no unit of energy or power.
  case other(ByteSlice)

  func copied(from arena: borrowing ByteArena, to texts: inout ByteArena) -> SparkplugUnit {
    if case .other(let text) = self { return .other(texts.append(arena[text])) }
    return self
  }

  func isSame(
    _ texts: borrowing ByteArena, _ other: SparkplugUnit, _ others: borrowing ByteArena
  ) -> Bool {
    switch (self, other) {
    case (.none, .none): true
    case (.known(let unit), .known(let other)): unit == other
    case (.other(let text), .other(let other)): texts.holds(text, equalTo: other, of: others)
    default: false
    }
  }
}

struct SparkplugMetric {
  enum Value {
    case none
    case integer(UInt64)
    case float(Float)
    case double(Double)
    case text(ByteSlice)
    /// A Boolean.
    case flag
    /// A table, which may be a list of values: see ``SparkplugPayload/list(_:_:in:)``.
    case dataSet
  }

  /// Absent where an alias stands for it.
  var name: ByteSlice = .absent
  var alias: UInt64?
  /// Milliseconds since 1970.
  var timestamp: UInt64?
  var datatype = SparkplugDatatype()
  /// Whether it is told late: what it says is not the present.
  var isHistorical = false
  var isNull = false
  /// Whether its property `Quality` says that it is bad or stale (section 6.4.10: 192 is good).
  var isBad = false
  var unit = SparkplugUnit.none
  var value = Value.none

  /// Its name, without the `DATA/` that mqtt-spb-wrapper puts before names in births and nowhere else.
  func plainName(in arena: borrowing ByteArena) -> ByteSlice {
    let bytes = arena[name]
    guard bytes.count > 5, bytes.extracting(0..<5).elementsEqual("DATA/") else { return name }
    return name.subslice(from: 5, count: bytes.count - 5)
  }

  // MARK: - Its value

  /// Micro-kWh, or mW; nil where the meter has no value to tell.
  ///
  /// A binary float stands for the shortest decimal that means it: what the meter had before it became
  /// one. So a `Float` of 512.1, which is 512.0999755859375, is 512.1 kWh, and converted exactly from
  /// there on.
  func amount(
    as datatype: SparkplugDatatype, by conversion: Conversion, in arena: borrowing ByteArena
  ) throws(Rejection) -> Int64? {
    switch value {
    case .none:
      if isNull || datatype.isNumber { return nil }
      throw Rejection(
        .wrongType, path: "$.value",
        detail: "expected a number, found what has the datatype \(datatype.code)")
    case .integer(let bits):
      let number = try SparkplugMetric.integer(bits, datatype)
      do throws(DecimalError) { return try conversion.amount(of: number) } catch {
        throw SparkplugMetric.tooMuch(of: conversion)
      }
    case .float(let number):
      return number.isFinite ? try SparkplugMetric.amount(number.description, conversion) : nil
    case .double(let number):
      return number.isFinite ? try SparkplugMetric.amount(number.description, conversion) : nil
    case .text(let text): return try arena.amount(of: text, at: "$.value", by: conversion)
    case .dataSet:
      throw Rejection(
        .wrongType, path: "$.value",
        detail: "expected a number, or a data set with the columns timestamps and values")
    case .flag:
      throw Rejection(.wrongType, path: "$.value", detail: "expected a number, found a Boolean")
    }
  }

  private static func amount(
    _ text: String, _ conversion: Conversion
  ) throws(Rejection) -> Int64 {
    do throws(DecimalError) { return try conversion.amount(of: text.utf8.span) } catch {
      throw tooMuch(of: conversion)
    }
  }

  private static func tooMuch(of conversion: Conversion) -> Rejection {
    Rejection(
      .outOfRange, path: "$.value",
      detail: "more \(conversion.unitName) than any meter counts")
  }

  /// The number that the bits are.
  ///
  /// A negative one is a two's complement of its own width by the standard, and of 32 or 64 bits by
  /// some encoders.
  private static func integer(
    _ bits: UInt64, _ datatype: SparkplugDatatype
  ) throws(Rejection) -> Int64 {
    guard let type = datatype.integer else {
      // Without a type, what has the highest bit of 32 or of 64 may be negative or large.
      if bits < 0x8000_0000 || (bits > 0xFFFF_FFFF && bits <= UInt64(Int64.max)) {
        return Int64(bits)
      }
      throw Rejection(
        .wrongType, path: "$.datatype", detail: "without a datatype \(bits) may be negative")
    }
    let mask = type.bits == 64 ? UInt64.max : 1 << type.bits - 1
    let low = bits & mask
    if !type.isSigned {
      if low == bits, bits <= UInt64(Int64.max) { return Int64(bits) }
    } else if low == bits || isNegative(bits, beyond: mask) {
      return Int64(bitPattern: low << (64 - type.bits)) >> Int64(64 - type.bits)
    }
    throw Rejection(
      .outOfRange, path: "$.value", detail: "\(bits) has more than \(type.bits) bits")
  }

  private static func isNegative(_ bits: UInt64, beyond mask: UInt64) -> Bool {
    let sign = mask ^ (mask >> 1)
    guard bits & sign != 0 else { return false }
    return bits | mask == 0xFFFF_FFFF || bits | mask == .max
  }
}
