// A parsed document as indented lines; what is too much is counted instead.

import EnergyReadings

/// Prints values of a document that ``JSONParser`` holds; 32 levels deep at most, as it was parsed.
struct JSONLines: ~Copyable {
  let parser: JSONParser
  let arena: ByteArena
  let target: JSONTarget
  let note: String
  let limits: PrintLimits
  private(set) var lines: [PrintedLine] = []

  init(
    parser: JSONParser, arena: consuming ByteArena, target: JSONTarget, note: String,
    limits: PrintLimits
  ) {
    self.parser = parser
    self.arena = arena
    self.target = target
    self.note = note
    self.limits = limits
  }

  /// Appends a value.
  ///
  /// - Parameters:
  ///   - lead: the key and colon before it.
  ///   - comma: what follows it.
  mutating func appendValue(at node: Int, indent: Int, lead: String, comma: String) {
    let value = parser[node]
    let isMarked = target.nodes.contains(node)
    let (opening, closing): (String, String) =
      switch value.kind {
      case .object: ("{", "}")
      case .array: ("[", "]")
      default: (scalar(value), "")
      }
    let isEmpty = closing.isEmpty || value.next == node + 1
    let start = String(repeating: " ", count: indent) + lead
    append(start + opening + (isEmpty ? closing + comma : ""), isMarked ? .marked : .plain)
    if isMarked { appendArrow(node, start: start, width: isEmpty ? opening.count : 1) }
    guard !isEmpty else { return }
    appendMembers(of: node, indent: indent + 2)
    append(String(repeating: " ", count: indent) + closing + comma, isMarked ? .marked : .plain)
  }

  private mutating func appendMembers(of node: Int, indent: Int) {
    let isObject = parser[node].kind == .object
    var skipped = 0
    var number = 0
    for member in parser.members(of: node) {
      defer { number += 1 }
      let isShown = number < limits.members && lines.count < limits.lines
      guard isShown || leadsToTarget(member) else {
        skipped += 1
        continue
      }
      appendGap(&skipped, indent)
      let isLast = parser[member].next == parser[node].next
      let key = parser[member].key
      // Behind a gap nobody can count.
      let position = isShown ? "" : "[\(number)] "
      appendValue(
        at: member, indent: indent,
        lead: isObject ? "\"\(elided(arena.string(key)).joined())\": " : position,
        comma: isLast ? "" : ",")
    }
    appendGap(&skipped, indent)
  }

  private mutating func appendGap(_ skipped: inout Int, _ indent: Int) {
    if skipped > 0 { append(String(repeating: " ", count: indent) + "… \(skipped) more", .note) }
    skipped = 0
  }

  private func leadsToTarget(_ node: Int) -> Bool {
    target.nodes.contains { node <= $0 && $0 < parser[node].next }
  }

  /// The line under an offending value; of several only the last says what is wrong.
  private mutating func appendArrow(_ node: Int, start: String, width: Int) {
    let arrow = String(repeating: "^", count: min(max(width, 1), 40))
    let words =
      if let missing = target.missing {
        " missing here: \(missing.printable)" + (note.isEmpty ? "" : " (\(note))")
      } else if node == target.nodes.last {
        note.isEmpty ? "" : " " + note
      } else {
        " also here"
      }
    append(String(repeating: " ", count: start.count) + arrow + words, .note)
  }

  private mutating func append(_ text: String, _ role: PrintedLine.Role) {
    lines.append(PrintedLine(text: text, role: role))
  }

  // MARK: - Scalars

  private func scalar(_ value: JSONNode) -> String {
    let (start, rest) = {
      let parts = elided(arena.string(value.value))
      return (parts[0], parts.dropFirst().joined())
    }()
    return value.kind == .string ? "\"\(start)\"\(rest)" : start + rest
  }

  /// The printable beginning, and how much was left out if something was.
  private func elided(_ text: String) -> [String] {
    let kept = text.unicodeScalars.prefix(limits.characters)
    if kept.endIndex == text.endIndex { return [text.printable] }
    let rest = text.unicodeScalars.count - kept.count
    return [Substring(kept).printable, "… \(rest) more characters"]
  }
}
