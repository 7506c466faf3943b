// The sum of an appliance breakdown, straight from its JSON text.

import EnergyReadings

extension Span where Element == UInt8 {
  /// The sum of the numbers that are members of this JSON object, micro-kWh. Values that are no
  /// numbers, or beyond the column's range, count 0: it is the CHECKs' business to forbid them.
  ///
  /// - Precondition: none; what is no object gives some number.
  var sumOfMembers: Int64 {
    var sum: Int64 = 0
    var depth = 0
    var index = 0
    while index < count {
      switch self[index] {
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      case UInt8(ascii: "\""): index = endOfString(at: index)
      case UInt8(ascii: ":") where depth == 1:
        let number = numberRange(after: index)
        if !number.isEmpty {
          let value = try? ExactDecimal.parse(extracting(number), integerDigits: 9, scale: 6)
          sum = sum &+ (value ?? 0)
          index = number.upperBound - 1
        }
      default: break
      }
      index += 1
    }
    return sum
  }

  /// Index of the quotation mark that ends the string which begins at `start`.
  private func endOfString(at start: Int) -> Int {
    var index = start + 1
    while index < count, self[index] != UInt8(ascii: "\"") {
      index += self[index] == UInt8(ascii: "\\") ? 2 : 1
    }
    return index
  }

  /// Where the number after the colon at `colon` stands; empty where another value follows.
  private func numberRange(after colon: Int) -> Range<Int> {
    var start = colon + 1
    while start < count, self[start] == 0x20 || (0x09...0x0D).contains(self[start]) { start += 1 }
    var end = start
    while end < count, self[end].isPartOfNumber { end += 1 }
    return start..<end
  }
}

extension UInt8 {
  fileprivate var isPartOfNumber: Bool {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"),
      UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"):
      true
    default: false
    }
  }
}
