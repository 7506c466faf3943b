// Looks into the text of a jsonb value: finds members and elements, and decodes strings, without
// building a tree.
//
// The text was found valid when it arrived. Still, every step is bounds-checked and bounded in
// depth by a counter instead of the stack: text that is no JSON is undecided, never a crash.

import EnergyReadings

/// Steps through one JSON text.
struct JSONText: ~Escapable {
  private let bytes: Span<UInt8>

  @_lifetime(copy bytes)
  init(_ bytes: Span<UInt8>) { self.bytes = bytes }

  /// What a value is, by its first character; the names are those of `jsonb_typeof`.
  enum Kind: String { case object, array, string, number, boolean, null }

  // MARK: Values

  /// The place of the whole value, without the blanks around it.
  func root() throws(Undecided) -> Range<Int> { try value(at: skipBlanks(0)) }

  func kind(of value: Range<Int>) throws(Undecided) -> Kind {
    switch byte(at: value.lowerBound) {
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
    case UInt8(ascii: "n"): return .null
    case UInt8(ascii: "-"), 48...57: return .number
    default: throw Undecided()
    }
  }

  /// The value of `key` in an object, or nil; of keys that occur twice the last counts, as jsonb
  /// keeps it (manual, 8.14).
  func member(
    of object: Range<Int>, key: Span<UInt8>
  ) throws(Undecided) -> Range<Int>? {
    var found: Range<Int>?
    var position = skipBlanks(object.lowerBound + 1)
    while byte(at: position) != UInt8(ascii: "}") {
      let name = try value(at: position)
      position = skipBlanks(name.upperBound)
      guard byte(at: position) == UInt8(ascii: ":") else { throw Undecided() }
      let content = try value(at: skipBlanks(position + 1))
      if try string(name, equals: key) { found = content }
      position = try afterComma(content.upperBound, closing: UInt8(ascii: "}"))
    }
    return found
  }

  /// An element of an array, or nil; below 0, `index` counts from the end.
  func element(of array: Range<Int>, index: Int) throws(Undecided) -> Range<Int>? {
    let wanted = index < 0 ? try elementCount(of: array) + index : index
    guard wanted >= 0 else { return nil }
    var position = skipBlanks(array.lowerBound + 1)
    var passed = 0
    while byte(at: position) != UInt8(ascii: "]") {
      let content = try value(at: position)
      if passed == wanted { return content }
      passed += 1
      position = try afterComma(content.upperBound, closing: UInt8(ascii: "]"))
    }
    return nil
  }

  /// Whether an array has the string `text` among its elements.
  func array(_ array: Range<Int>, holds text: Span<UInt8>) throws(Undecided) -> Bool {
    var position = skipBlanks(array.lowerBound + 1)
    while byte(at: position) != UInt8(ascii: "]") {
      let content = try value(at: position)
      if try kind(of: content) == .string, try string(content, equals: text) { return true }
      position = try afterComma(content.upperBound, closing: UInt8(ascii: "]"))
    }
    return false
  }

  /// Whether an object or array has no members.
  func isEmpty(_ value: Range<Int>) -> Bool {
    skipBlanks(value.lowerBound + 1) == value.upperBound - 1
  }

  private func elementCount(of array: Range<Int>) throws(Undecided) -> Int {
    var position = skipBlanks(array.lowerBound + 1)
    var passed = 0
    while byte(at: position) != UInt8(ascii: "]") {
      passed += 1
      position = try afterComma(value(at: position).upperBound, closing: UInt8(ascii: "]"))
    }
    return passed
  }

  // MARK: Strings

  /// Whether a string, decoded, is `text`.
  func string(_ value: Range<Int>, equals text: Span<UInt8>) throws(Undecided) -> Bool {
    guard byte(at: value.lowerBound) == UInt8(ascii: "\"") else { throw Undecided() }
    let content = bytes.extracting((value.lowerBound + 1)..<(value.upperBound - 1))
    if content.contains(UInt8(ascii: "\\")) == false { return content.elementsEqual(text) }
    var decoder = JSONStringDecoder(content)
    var index = 0
    while let byte = try decoder.next() {
      guard index < text.count, text[index] == byte else {
        // Decoded to its end all the same: PostgreSQL refuses the row for a wrong escape.
        while try decoder.next() != nil {}
        return false
      }
      index += 1
    }
    return index == text.count
  }

  // MARK: Steps

  private func byte(at index: Int) -> UInt8 { index < bytes.count ? bytes[index] : 0 }

  private func skipBlanks(_ start: Int) -> Int {
    var index = start
    while index < bytes.count, bytes[index] == 32 || (9...13).contains(bytes[index]) { index += 1 }
    return index
  }

  /// The start of the next value behind a comma, or of the bracket that closes.
  private func afterComma(_ start: Int, closing: UInt8) throws(Undecided) -> Int {
    let index = skipBlanks(start)
    if byte(at: index) == closing { return index }
    guard byte(at: index) == UInt8(ascii: ",") else { throw Undecided() }
    return skipBlanks(index + 1)
  }

  /// The place of the value that starts at `start`.
  private func value(at start: Int) throws(Undecided) -> Range<Int> {
    switch byte(at: start) {
    case UInt8(ascii: "\""): return start..<(try stringEnd(start))
    case UInt8(ascii: "{"), UInt8(ascii: "["): return start..<(try containerEnd(start))
    default:
      var end = start
      while end < bytes.count, !JSONText.endsScalar(bytes[end]) { end += 1 }
      if end == start { throw Undecided() }
      return start..<end
    }
  }

  private static func endsScalar(_ byte: UInt8) -> Bool {
    byte <= 32 || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}")
      || byte == UInt8(ascii: "]")
  }

  private func stringEnd(_ start: Int) throws(Undecided) -> Int {
    var index = start + 1
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\"") { return index + 1 }
      index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
    }
    throw Undecided()
  }

  private func containerEnd(_ start: Int) throws(Undecided) -> Int {
    var depth = 0
    var index = start
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "\""):
        index = try stringEnd(index)
        continue
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        if depth == 0 { return index + 1 }
      default: break
      }
      index += 1
    }
    throw Undecided()
  }
}

/// Decodes the escapes of a JSON string (RFC 8259, section 7), byte by byte.
struct JSONStringDecoder: ~Escapable {
  private let content: Span<UInt8>
  private var position = 0
  /// Bytes of a decoded character that are still to be handed out, the next one lowest.
  private var pending: UInt32 = 0

  /// - Parameter content: what stands between the quotes.
  @_lifetime(copy content)
  init(_ content: Span<UInt8>) { self.content = content }

  /// The next byte of the decoded text, or nil at its end.
  ///
  /// - Throws: on an escape that jsonb refuses, such as `\u0000` or half a surrogate pair.
  mutating func next() throws(Undecided) -> UInt8? {
    if pending != 0 {
      defer { pending >>= 8 }
      return UInt8(truncatingIfNeeded: pending)
    }
    guard position < content.count else { return nil }
    let byte = content[position]
    position += 1
    guard byte == UInt8(ascii: "\\") else { return byte }
    guard position < content.count else { throw Undecided() }
    position += 1
    switch content[position - 1] {
    case UInt8(ascii: "b"): return 8
    case UInt8(ascii: "t"): return 9
    case UInt8(ascii: "n"): return 10
    case UInt8(ascii: "f"): return 12
    case UInt8(ascii: "r"): return 13
    case UInt8(ascii: "u"): return try character()
    case let other where "\"\\/".utf8.contains(other): return other
    default: throw Undecided()
    }
  }

  private mutating func character() throws(Undecided) -> UInt8 {
    var value = try unit()
    if (0xD800...0xDBFF).contains(value) {
      guard position + 1 < content.count, content[position] == UInt8(ascii: "\\"),
        content[position + 1] == UInt8(ascii: "u")
      else { throw Undecided() }
      position += 2
      let second = try unit()
      guard (0xDC00...0xDFFF).contains(second) else { throw Undecided() }
      value = 0x10000 + (value - 0xD800) << 10 + (second - 0xDC00)
    }
    guard value != 0, let scalar = Unicode.Scalar(value), let encoded = UTF8.encode(scalar) else {
      throw Undecided()
    }
    for (index, byte) in encoded.enumerated() {
      pending |= UInt32(byte) << UInt32(8 * index)
    }
    defer { pending >>= 8 }
    return UInt8(truncatingIfNeeded: pending)
  }

  /// Four hexadecimal digits.
  private mutating func unit() throws(Undecided) -> UInt32 {
    guard position + 4 <= content.count else { throw Undecided() }
    var value: UInt32 = 0
    for _ in 0..<4 {
      let byte = content[position]
      let digit: UInt8
      switch byte {
      case 48...57: digit = byte - 48
      case 65...70, 97...102: digit = (byte | 0x20) - 87
      default: throw Undecided()
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}
