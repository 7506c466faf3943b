// Texts that are put together of words and levels of the topic: device ids, registers, grid codes.

import EnergyReadings

/// A text such as `{portal}/grid/{instance}`, its captures being levels of the topic.
final class TextTemplate: Sendable {
  private enum Part {
    case literal([UInt8])
    case level(Int)
  }

  private let parts: [Part]
  /// The level that is the whole text: then nothing is copied.
  private let onlyLevel: Int?
  /// The text where it has no captures; else nil.
  let fixedText: String?

  /// - Throws: a problem of `key`.
  init(_ text: String, of filter: TopicFilter, key: String) throws(SourceProblem) {
    var parts: [Part] = []
    var rest = Substring(text)
    while let opening = rest.firstIndex(of: "{") {
      guard let closing = rest[opening...].firstIndex(of: "}") else {
        throw SourceProblem(key, "\"\(text)\" has a { without its }")
      }
      let name = String(rest[rest.index(after: opening)..<closing])
      guard let level = filter.level(named: name) else {
        throw SourceProblem(key, "\"\(text)\": the topic \(filter) has no {\(name)}")
      }
      if opening > rest.startIndex { parts.append(.literal(Array(rest[..<opening].utf8))) }
      parts.append(.level(level))
      rest = rest[rest.index(after: closing)...]
    }
    if !rest.isEmpty { parts.append(.literal(Array(rest.utf8))) }
    if text.utf8.count > 300 { throw SourceProblem(key, "\"\(text)\" is too long") }
    self.parts = parts
    fixedText = text.contains("{") ? nil : text
    onlyLevel = if parts.count == 1, case .level(let level) = parts[0] { level } else { nil }
  }

  /// Levels of the topic that the text is made of.
  var levels: [Int] { parts.compactMap { if case .level(let level) = $0 { level } else { nil } } }

  /// Whether a topic has all the levels that the text is made of: one that matches a `#` may not.
  func isWithin(_ levels: borrowing TopicLevels) -> Bool {
    for part in parts {
      if case .level(let level) = part, level >= levels.count { return false }
    }
    return true
  }

  /// The text for a topic; at the end of the arena unless it is a level as it stands.
  func text(_ levels: borrowing TopicLevels, in arena: inout ByteArena) -> ByteSlice {
    if let onlyLevel { return levels[onlyLevel] }
    let start = arena.count
    for part in parts {
      switch part {
      case .literal(let bytes): _ = arena.append(bytes.span)
      case .level(let level): _ = arena.append(levels[level])
      }
    }
    return ByteSlice(offset: start, count: arena.count - start)
  }
}
