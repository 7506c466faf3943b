// Numbers of meters, and what stands there when a meter has none to tell.

import EnergyReadings

extension ByteArena {
  /// The amount that a text writes; nil for what bridges write where they know none.
  func amount(
    of text: ByteSlice, at path: @autoclosure () -> String, by conversion: Conversion
  ) throws(Rejection) -> Int64? {
    do throws(DecimalError) {
      return try conversion.amount(of: self[text])
    } catch {
      if error == .outOfRange {
        throw Rejection(
          .outOfRange, path: path(),
          detail: "more \(conversion.unitName) than any meter counts")
      }
      if self[text].namesNothing { return nil }
      // A sign that JSON does not have, and others do.
      if text.count > 1, self[text][0] == UInt8(ascii: "+"),
        let amount = try? conversion.amount(
          of: self[text.subslice(from: 1, count: Int(text.count) - 1)])
      {
        return amount
      }
      throw Rejection(
        .wrongType, path: path(),
        detail: "expected a number of \(conversion.unitName), found \(string(text).prefix(40))"
      )
    }
  }
}

extension JSONParser {
  /// The amount of a node: a number, or its digits in a string; nil for `null` and its kin.
  func amount(
    of node: JSONNode, at path: @autoclosure () -> String, by conversion: Conversion,
    in arena: inout ByteArena
  ) throws(Rejection) -> Int64? {
    switch node.kind {
    case .null: return nil
    case .number, .string: return try arena.amount(of: node.value, at: path(), by: conversion)
    default:
      throw Rejection(.wrongType, path: path(), detail: "expected a number, found a \(node.kind)")
    }
  }
}

extension Span where Element == UInt8 {
  /// Whether this is a word for "not known": of Home Assistant, openHAB, C, Python and JavaScript.
  fileprivate var namesNothing: Bool {
    if count > 11 { return false }
    let words: InlineArray<13, StaticString> = [
      "", "nan", "null", "none", "unavailable", "unknown", "undef", "undefined", "n/a", "-nan",
      "infinity", "inf", "-inf",
    ]
    for index in words.indices where equalsIgnoringCase(words[index]) { return true }
    return false
  }

  /// Whether these are the ASCII letters of `text`, in either case; `text` is in lower case.
  func equalsIgnoringCase(_ text: StaticString) -> Bool {
    guard count == text.utf8CodeUnitCount else { return false }
    // A static string's bytes live as long as the program.
    let other = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    for index in indices {
      let isUpper = self[index] &- UInt8(ascii: "A") < 26
      if (isUpper ? self[index] | 0x20 : self[index]) != other[index] { return false }
    }
    return true
  }
}
