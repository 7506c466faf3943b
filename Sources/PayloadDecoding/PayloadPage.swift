// A payload as lines for people, with the place marked that a rejection is about.

import EnergyReadings

/// One line of a printed payload; it holds nothing that steers a terminal.
public struct PrintedLine: Sendable, Equatable {
  public enum Role: Sendable {
    case plain
    /// The offending value stands here.
    case marked
    /// Not of the payload: an arrow and what is wrong, or how much is left out.
    case note
  }

  public var text: String
  public var role: Role
}

/// How much of a payload is printed.
public struct PrintLimits: Sendable {
  /// Members of one object, or elements of one array; default 20.
  public var members = 20
  /// Characters of one string, number or line of text; default 200.
  public var characters = 200
  /// Lines after which only what leads to the offending place is printed; default 200.
  public var lines = 200

  public init() {}

  /// Everything is printed.
  public static var none: PrintLimits {
    var limits = PrintLimits()
    limits.members = .max
    limits.characters = .max
    limits.lines = .max
    return limits
  }
}

/// Prints one payload: JSON indented, its numbers, strings and the order of its keys as they came;
/// else text with control characters escaped; else, where it is not UTF-8 or hardly anything in it
/// could be seen, a hexadecimal dump.
public struct PayloadPage {
  /// Lines from the first to the last.
  public private(set) var lines: [PrintedLine] = []

  private let limits: PrintLimits

  /// - Parameters:
  ///   - path: where the offending value is, such as `$[3].energy_amount`. The object that should
  ///     have it is marked where there is none; nothing is marked where it does not begin with `$`.
  ///   - index: the reading's place in the message, where `payload` is that reading alone: `$[3]`
  ///     of the message is then its root.
  ///   - note: what is wrong, for the line with the arrow.
  public init(
    _ payload: [UInt8], path: String, index: Int32? = nil, note: String,
    limits: PrintLimits = PrintLimits()
  ) {
    self.limits = limits
    fill(payload, path: path, index: index, note: note.printable)
  }

  private mutating func fill(_ payload: [UInt8], path: String, index: Int32?, note: String) {
    guard !payload.isEmpty else { return append("(empty)", .marked) }
    let isAskedFor = path.hasPrefix("$")
    guard let text = String(validating: payload, as: UTF8.self) else {
      return appendDump(payload, offset: isAskedFor ? payload.firstInvalidUTF8 : nil, note)
    }
    let parser = JSONParser()
    var arena = ByteArena(capacity: payload.count + JSONParser.padding)
    let document = arena.append(payload.span)
    do throws(JSONError) {
      try parser.parse(document, in: &arena)
    } catch {
      if text.isMostlyUnprintable { return appendDump(payload, offset: nil, note) }
      appendText(text, offset: isAskedFor ? error.offset : nil, note)
      return
    }
    var own = path
    if let index, path.hasPrefix("$[\(index)]") {
      own = "$" + path.dropFirst("$[\(index)]".count)
    }
    let target = JSONTarget(path: own, parser, &arena)
    var printer = JSONLines(
      parser: parser, arena: arena, target: target, note: note, limits: limits)
    printer.appendValue(at: 0, indent: 0, lead: "", comma: "")
    lines = printer.lines
  }

  private mutating func append(_ text: String, _ role: PrintedLine.Role) {
    lines.append(PrintedLine(text: text, role: role))
  }

  // MARK: - Text

  /// - Parameter offset: the byte at which it ceases to be JSON; nil where that does not matter.
  private mutating func appendText(_ text: String, offset: Int?, _ note: String) {
    // Of a document that begins well, an error at its beginning means that nobody knows where.
    let isKnown = offset != 0 || !["{", "["].contains(text.first { !$0.isWhitespace })
    let mark =
      isKnown
      ? offset.map { text.utf8.index(text.startIndex, offsetBy: min($0, text.utf8.count)) } : nil
    var skipped = 0
    let parts = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
    for (number, part) in parts.enumerated() {
      let isMarked = mark.map { part.startIndex <= $0 && $0 <= part.endIndex } ?? false
      guard number < limits.lines || isMarked else {
        skipped += 1
        continue
      }
      appendGap(&skipped, "lines")
      appendLine(Substring(part), mark: isMarked ? mark : nil, note)
    }
    appendGap(&skipped, "lines")
    if !isKnown { append("^ somewhere: " + note, .note) }
  }

  private mutating func appendLine(_ line: Substring, mark: String.Index?, _ note: String) {
    let scalars = line.unicodeScalars
    guard let mark else {
      let kept = scalars.prefix(limits.characters)
      let rest = scalars.count - kept.count
      return append(
        Substring(kept).printable + (rest > 0 ? "… \(rest) more characters" : ""), .plain)
    }
    // The surroundings of the mark, which may stand far from the beginning.
    let before = scalars[..<mark]
    let after = scalars[mark...]
    let start = before.suffix(limits.characters / 2)
    let end = after.prefix(limits.characters / 2)
    let skipped = before.count - start.count
    let rest = after.count - end.count
    let lead = (skipped > 0 ? "… \(skipped) characters " : "") + Substring(start).printable
    append(
      lead + Substring(end).printable + (rest > 0 ? "… \(rest) more characters" : ""), .marked)
    append(String(repeating: " ", count: lead.count) + "^ " + note, .note)
  }

  private mutating func appendGap(_ skipped: inout Int, _ noun: String) {
    if skipped > 0 { append("… \(skipped) more \(noun)", .note) }
    skipped = 0
  }

  // MARK: - Bytes

  /// Sixteen bytes a line: offset, hexadecimal, and ASCII where there is some.
  ///
  /// - Parameter offset: the byte to mark.
  private mutating func appendDump(_ bytes: [UInt8], offset mark: Int?, _ note: String) {
    var skipped = 0
    for offset in stride(from: 0, to: bytes.count, by: 16) {
      let row = bytes[offset..<min(offset + 16, bytes.count)]
      let column = mark.flatMap { row.indices.contains($0) ? $0 - offset : nil }
      guard offset / 16 < limits.lines || column != nil else {
        skipped += row.count
        continue
      }
      appendGap(&skipped, "bytes")
      let pairs = row.map { hex(Int($0), 2) }.joined(separator: " ")
      let ascii = row.map { (0x20..<0x7F).contains($0) ? Character(UnicodeScalar($0)) : "." }
      let blank = String(repeating: " ", count: 3 * (16 - row.count))
      append(
        "\(hex(offset, 8))  \(pairs)\(blank)  |\(String(ascii))|", column == nil ? .plain : .marked)
      if let column { append(String(repeating: " ", count: 10 + 3 * column) + "^^ " + note, .note) }
    }
    appendGap(&skipped, "bytes")
  }

  private func hex(_ value: Int, _ digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}

extension String {
  /// Whether a dump says more: more than a third has no face, as in UTF-16, which is valid UTF-8
  /// with NULs.
  fileprivate var isMostlyUnprintable: Bool {
    let faceless = unicodeScalars.count { !$0.isPrintable && !["\n", "\r", "\t"].contains($0) }
    return faceless * 3 > unicodeScalars.count
  }
}

extension [UInt8] {
  /// Where the bytes cease to be UTF-8; nil where they are.
  fileprivate var firstInvalidUTF8: Int? {
    var parser = Unicode.UTF8.ForwardParser()
    var rest = makeIterator()
    var offset = 0
    while true {
      switch parser.parseScalar(from: &rest) {
      case .valid(let scalar): offset += scalar.count
      case .error: return offset
      case .emptyInput: return nil
      }
    }
  }
}
