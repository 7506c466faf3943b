// Reads captures: one message a line, parsed in place.

import EnergyReadings
import Foundation
import PayloadDecoding

/// The messages of a capture file. Not thread-safe.
public final class CaptureReader {
  private let lines: LineReader
  private let parser = JSONParser()
  // Unchecked: a reader belongs to one thread, and no access to one of these encloses another.
  @exclusivity(unchecked) private var arena = ByteArena(capacity: 1 << 16)
  @exclusivity(unchecked) private var message = CaptureMessage()
  /// When the capture began, as one of its lines said last.
  private var began: Timestamp?

  /// Opens a plain or gzip capture, or standard input for `-`.
  ///
  /// - Throws: ``CaptureError``.
  public init(file: String) throws { lines = try LineReader(file: file) }

  /// What a line turned out to be.
  public enum Step {
    /// A message; it is valid until the next call.
    case message
    /// A line that cannot be read: file, line number and what is wrong. Reading can go on.
    case broken(String)
    case end
  }

  /// The last message's place in time.
  public var timeMilliseconds: Int64 { message.time }
  /// When the last message was heard, to the millisecond; nil where the capture does not say when it
  /// began (`"began"`, RFC 3339, on its first line).
  public var heardAt: Timestamp? {
    began.map { Timestamp(microseconds: $0.microseconds + message.time * 1_000) }
  }
  /// File and line number of the line that was read last.
  public var place: String { "\(lines.file):\(lines.lineNumber)" }
  public var isRetained: Bool { message.isRetained }
  public var qos: Int32 { message.qos }
  /// Words that the capture's maker left.
  public var comment: String? { message.comment.isPresent ? arena.string(message.comment) : nil }

  /// Lends the last message's topic and payload.
  public func withMessage<Value>(_ body: (Span<UInt8>, Span<UInt8>) throws -> Value) rethrows
    -> Value
  {
    try arena.lend(message.topic, message.payload, to: body)
  }

  /// Reads the next line.
  ///
  /// - Throws: ``CaptureError`` when the file itself cannot be read on.
  public func next() throws -> Step {
    do {
      guard let line = try lines.next() else { return .end }
      arena.removeAll()
      message = CaptureMessage()
      if message.readAsWritten(line, in: &arena) { return .message }
      return read(arena.append(line)).map { .broken("\(place): \($0)") } ?? .message
    } catch let error as CaptureError where error.allowsNextLine {
      return .broken(error.description)
    }
  }

  /// - Returns: what is wrong with the line, or nil.
  private func read(_ line: ByteSlice) -> String? {
    message = CaptureMessage()
    let problem = message.read(line, parser, in: &arena)
    if let told = message.began { began = told }
    return problem
  }
}

/// Where the parts of a line stand in the reader's arena.
private struct CaptureMessage {
  var time: Int64 = 0
  var topic = ByteSlice.absent
  var payload = ByteSlice.absent
  var comment = ByteSlice.absent
  var qos: Int32 = 1
  var isRetained = false
  var began: Timestamp?

  /// - Returns: what is wrong with the line, or nil.
  mutating func read(
    _ line: ByteSlice, _ parser: JSONParser, in arena: inout ByteArena
  ) -> String? {
    do throws(JSONError) {
      // Most of a line is the payload's escapes: they are looked at once, when they are resolved.
      try parser.parse(line, in: &arena, checksEscapes: false)
    } catch {
      return "not a JSON object (near byte \(error.offset))"
    }
    guard parser[0].kind == .object else { return "not a JSON object" }
    var index = 1
    while index < parser[0].next {
      if let problem = read(parser[index], parser, in: &arena) { return problem }
      index = parser[index].next
    }
    if !topic.isPresent { return "topic is missing" }
    if !payload.isPresent { return "payload or payload_b64 is missing" }
    return nil
  }

  /// Reads a line as this program writes nearly all of them, `{"t_ms":0,"topic":"…","qos":1,
  /// "payload":"…"}` in ASCII: a third of what JSON's parser needs for it, and no copy but of the texts.
  ///
  /// - Parameter line: lent by ``LineReader``, with its padding.
  /// - Returns: false for any other line, whatever is in it; nothing has changed then.
  mutating func readAsWritten(
    _ line: UnsafeRawBufferPointer, in arena: inout ByteArena
  ) -> Bool {
    let line = line.bindMemory(to: UInt8.self).span
    var cursor = LineCursor()
    guard cursor.skip(#"{"t_ms":"#, of: line), let time = cursor.digits(of: line),
      cursor.skip(#","topic":""#, of: line), let topic = cursor.string(of: line, to: &arena),
      cursor.skip(#","qos":"#, of: line), let qos = cursor.digits(of: line),
      cursor.skip(#","payload":""#, of: line), let payload = cursor.string(of: line, to: &arena),
      cursor.skip("}", of: line), cursor.isAtEnd(of: line), topic.count > 0
    else { return false }
    self.time = time
    self.topic = topic
    self.qos = qos == 0 ? 0 : 1
    self.payload = payload
    return true
  }

  private mutating func read(
    _ node: JSONNode, _ parser: JSONParser, in arena: inout ByteArena
  ) -> String? {
    if arena[node.key].elementsEqual("payload") {
      guard node.kind == .string else { return "payload is not a string" }
      payload = text(node, parser, in: &arena)
      if !payload.isPresent { return "payload has an escape that JSON does not have" }
    } else if arena[node.key].elementsEqual("topic") {
      guard node.kind == .string, node.value.count > 0 else { return "topic is not a string" }
      topic = text(node, parser, in: &arena)
      if !topic.isPresent { return "topic has an escape that JSON does not have" }
    } else if arena[node.key].elementsEqual("t_ms") {
      guard let time = try? ExactDecimal.parse(arena[node.value], integerDigits: 15, scale: 0)
      else { return "t_ms is not a number of milliseconds" }
      self.time = time
    } else if arena[node.key].elementsEqual("qos") {
      qos = arena[node.value].elementsEqual("0") ? 0 : 1
    } else if arena[node.key].elementsEqual("retain") {
      isRetained = node.kind == .true
    } else if arena[node.key].elementsEqual("payload_b64") {
      guard let data = Data(base64Encoded: arena.string(node.value)) else {
        return "payload_b64 is not base64"
      }
      payload = data.withUnsafeBytes { arena.append($0) }
    } else if arena[node.key].elementsEqual("began") {
      guard node.kind == .string, let time = try? Timestamp(rfc3339: arena[node.value]) else {
        return "began is not a time such as 2026-06-10T07:00:00Z"
      }
      began = time
    } else if arena[node.key].elementsEqual("comment"), node.kind == .string {
      comment = text(node, parser, in: &arena)
    }
    return nil
  }

  private func text(
    _ node: JSONNode, _ parser: JSONParser, in arena: inout ByteArena
  ) -> ByteSlice {
    node.hasEscapes ? parser.unescaped(node.value, in: &arena) : node.value
  }
}

/// A place in a line that is read from left to right.
private struct LineCursor {
  private var next = 0

  func isAtEnd(of line: Span<UInt8>) -> Bool { next == line.count }

  /// Steps over `text`, where it stands here.
  mutating func skip(_ text: StaticString, of line: Span<UInt8>) -> Bool {
    let end = next + text.utf8CodeUnitCount
    guard end <= line.count, line.extracting(next..<end).elementsEqual(text) else { return false }
    next = end
    return true
  }

  /// A number of at most 15 digits.
  mutating func digits(of line: Span<UInt8>) -> Int64? {
    let first = next
    var value: Int64 = 0
    while next < line.count, next - first < 16, line[next] &- UInt8(ascii: "0") <= 9 {
      value = value * 10 + Int64(line[next] &- UInt8(ascii: "0"))
      next += 1
    }
    let count = next - first
    guard 1...15 ~= count, count == 1 || line[first] != UInt8(ascii: "0") else { return nil }
    return value
  }

  /// The rest of a string after its opening quote.
  mutating func string(of line: Span<UInt8>, to arena: inout ByteArena) -> ByteSlice? {
    guard let (text, after) = copyPlainString(of: line, from: next, to: &arena) else { return nil }
    next = after
    return text
  }
}
