// Values of single fields, read from a node or refused with the path and what would be right.

import EnergyReadings

extension ByteArena {
  /// `$.key` of a member of the payload's root.
  func path(_ node: JSONNode) -> String { "$.\(string(node.key))" }

  func wrongType(_ node: JSONNode, expected: String) -> Rejection {
    Rejection(.wrongType, path: path(node), detail: "expected \(expected), found a \(node.kind)")
  }

  /// A JSON number, or the same digits in a string, times 10^scale.
  func decimal(_ node: JSONNode, integerDigits: Int, scale: Int) throws(Rejection) -> Int64 {
    guard node.kind == .number || node.kind == .string, !node.hasEscapes else {
      throw wrongType(node, expected: "a number or a decimal string")
    }
    do throws(DecimalError) {
      return try ExactDecimal.parse(self[node.value], integerDigits: integerDigits, scale: scale)
    } catch {
      switch error {
      case .notANumber: throw wrongType(node, expected: "a number or a decimal string")
      case .outOfRange:
        throw Rejection(
          .outOfRange, path: path(node), detail: "more than \(integerDigits) integer digits")
      }
    }
  }

  /// A number from 0 to 1 in ten-thousandths.
  func ratio(_ node: JSONNode) throws(Rejection) -> Int32 {
    guard node.kind == .number else { throw wrongType(node, expected: "a number") }
    let value = try? ExactDecimal.parse(self[node.value], integerDigits: 1, scale: 4)
    guard let value, (0...10_000).contains(value) else {
      throw Rejection(.outOfRange, path: path(node), detail: "expected 0 to 1")
    }
    return Int32(value)
  }

  /// A whole number within `range`.
  func integer(_ node: JSONNode, in range: ClosedRange<Int64>) throws(Rejection) -> Int64 {
    guard node.kind == .number else { throw wrongType(node, expected: "a whole number") }
    // Three decimals are looked at to tell 1.5 from 1.
    guard let value = try? ExactDecimal.parse(self[node.value], integerDigits: 15, scale: 3),
      range.contains(value / 1_000)
    else {
      throw Rejection(
        .outOfRange, path: path(node),
        detail: "expected \(range.lowerBound) to \(min(range.upperBound, 999_999_999_999_999))")
    }
    if value % 1_000 != 0 { throw wrongType(node, expected: "a whole number") }
    return value / 1_000
  }

  /// RFC 3339 with offset, or a number of seconds, milliseconds or microseconds since 1970.
  ///
  /// - Parameter text: the value, its escapes resolved: some JSON writers escape the `+` of an
  ///   offset (.NET's `System.Text.Json` by default).
  func timestamp(_ node: JSONNode, text: ByteSlice) throws(Rejection) -> Timestamp {
    do throws(Timestamp.ParseError) {
      switch node.kind {
      case .string: return try Timestamp(rfc3339: self[text])
      case .number: return try Timestamp(epoch: self[text])
      default: throw .notATimestamp
      }
    } catch {
      switch error {
      case .notATimestamp:
        throw wrongType(node, expected: "RFC 3339 with offset or a number since 1970")
      case .missingOffset:
        throw Rejection(
          .wrongType, path: path(node),
          detail: "a local time names no moment; add Z or an offset such as +07:00")
      case .outOfRange:
        throw Rejection(.outOfRange, path: path(node), detail: "no such date or time")
      }
    }
  }
}
