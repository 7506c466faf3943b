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
/// else text with control characters escaped; else, where it is not UTF-8, a hexadecimal dump.
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
    guard let text = String(validating: payload, as: UTF8.self) else { return appendDump(payload) }
    let parser = JSONParser()
    var arena = ByteArena(capacity: payload.count + JSONParser.padding)
    let document = arena.append(payload.span)
    do throws(JSONError) {
      try parser.parse(document, in: &arena)
    } catch {
      return appendText(text, offset: path.hasPrefix("$") ? error.offset : nil, note)
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
    let mark = offset.map { text.utf8.index(text.startIndex, offsetBy: min($0, text.utf8.count)) }
    let parts = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
    var skipped = 0
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
  private mutating func appendDump(_ bytes: [UInt8]) {
    func hex(_ value: Int, _ digits: Int) -> String {
      let text = String(value, radix: 16)
      return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
    var offset = 0
    while offset < bytes.count, lines.count < limits.lines {
      let row = bytes[offset..<min(offset + 16, bytes.count)]
      let pairs = row.map { hex(Int($0), 2) }.joined(separator: " ")
      let ascii = row.map { (0x20..<0x7F).contains($0) ? Character(UnicodeScalar($0)) : "." }
      let blank = String(repeating: " ", count: 3 * (16 - row.count))
      append("\(hex(offset, 8))  \(pairs)\(blank)  |\(String(ascii))|", .plain)
      offset += 16
    }
    var left = bytes.count - min(offset, bytes.count)
    appendGap(&left, "bytes")
  }
}
