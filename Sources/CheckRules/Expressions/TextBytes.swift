// UTF-8 as functions of SQL see it: in characters, each one code point.

extension Span where Element == UInt8 {
  var isASCII: Bool {
    for index in indices where self[index] >= 0x80 { return false }
    return true
  }

  /// Whether the byte at `index` continues a character.
  func isContinuation(_ index: Int) -> Bool { self[index] & 0xC0 == 0x80 }

  /// The code points; as PostgreSQL counts them.
  var scalarCount: Int {
    var characters = 0
    for index in indices where !isContinuation(index) { characters += 1 }
    return characters
  }

  /// Where the character that starts at `index` ends.
  func scalarEnd(at index: Int) -> Int {
    var end = index + 1
    while end < count, isContinuation(end) { end += 1 }
    return end
  }

  /// Where the character that ends at `index` starts; `index` > 0.
  func scalarStart(before index: Int) -> Int {
    var start = index - 1
    while start > 0, isContinuation(start) { start -= 1 }
    return start
  }

  /// The code point that starts at `index`; of invalid UTF-8, some number above ASCII.
  func scalar(at index: Int) -> UInt32 {
    let first = self[index]
    if first < 0x80 { return UInt32(first) }
    let end = scalarEnd(at: index)
    var value = UInt32(first) & (0x7F >> UInt32(Swift.min(end - index, 4)))
    for next in (index + 1)..<Swift.max(end, index + 1) {
      value = value << 6 | UInt32(self[next] & 0x3F)
      if value > 0x3FF_FFFF { return .max }
    }
    return Swift.max(value, 0x80)
  }

  /// Where the first `characters` characters end.
  func prefixEnd(characters: Int) -> Int {
    var end = 0
    var taken = 0
    while end < count, taken < characters {
      end = scalarEnd(at: end)
      taken += 1
    }
    return end
  }

  /// Whether the text matches a LIKE pattern: `%` any text, `_` one character, `\` takes the next
  /// character as it is (manual, 9.7.1).
  ///
  /// - Throws: where the pattern ends with its escape character, and where case beyond ASCII would
  ///   have to be ignored.
  func isLike(_ pattern: Span<UInt8>, ignoringCase: Bool) throws(Undecided) -> Bool {
    if ignoringCase, !isASCII || !pattern.isASCII { throw Undecided() }
    if pattern.endsInEscape { throw Undecided() }
    var position = 0
    var place = 0
    // Behind the last % seen, and where its text may end at the earliest.
    var resume: (place: Int, position: Int)?
    while position < count {
      if place < pattern.count {
        let next = pattern[place]
        if next == UInt8(ascii: "%") {
          place += 1
          resume = (place, position)
          continue
        }
        if next == UInt8(ascii: "_") {
          place += 1
          position = scalarEnd(at: position)
          continue
        }
        let width = next == UInt8(ascii: "\\") ? 2 : 1
        let wanted = pattern[place + width - 1]
        if wanted == self[position]
          || ignoringCase && wanted.asciiLowercase == self[position].asciiLowercase
        {
          place += width
          position += 1
          continue
        }
      }
      guard let last = resume else { return false }
      position = scalarEnd(at: last.position)
      place = last.place
      resume = (last.place, position)
    }
    while place < pattern.count, pattern[place] == UInt8(ascii: "%") { place += 1 }
    return place == pattern.count
  }

  /// Whether the text ends with a backslash that escapes nothing.
  private var endsInEscape: Bool {
    var backslashes = 0
    while backslashes < count, self[count - 1 - backslashes] == UInt8(ascii: "\\") {
      backslashes += 1
    }
    return backslashes % 2 == 1
  }
}

extension UInt8 {
  var asciiLowercase: UInt8 { self &- UInt8(ascii: "A") < 26 ? self | 0x20 : self }
  var asciiUppercase: UInt8 { self &- UInt8(ascii: "a") < 26 ? self & ~0x20 : self }
}
