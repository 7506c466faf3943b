// Splits the text of an expression into words, literals and symbols, by PostgreSQL's lexical rules
// (manual, 4.1).

/// One word, literal or symbol.
enum Token: Equatable, CustomStringConvertible {
  /// Without quotes: folded to lower case, and as written.
  case word(String, written: String)
  /// An identifier in double quotes.
  case quoted(String)
  /// A literal in single quotes, its content.
  case string(String)
  case number(String)
  case symbol(String)
  case end

  var description: String {
    switch self {
    case .word(_, let written): written
    case .quoted(let name): "\"\(name)\""
    case .string(let text): "'\(text.prefix(40))'"
    case .number(let text): String(text.prefix(40))
    case .symbol(let text): text
    case .end: "the end"
    }
  }
}

/// Cuts tokens off the front of a text, in one pass.
struct Lexer {
  private let bytes: [UInt8]
  private var position = 0

  /// All tokens of an expression, `end` last.
  ///
  /// - Throws: where a literal has no end, or a form occurs that PostgreSQL does not print.
  static func tokens(of expression: String) throws(Deferral) -> [Token] {
    var lexer = Lexer(bytes: Array(expression.utf8))
    var tokens: [Token] = []
    while let token = try lexer.next() { tokens.append(token) }
    tokens.append(.end)
    return tokens
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private func byte(at index: Int) -> UInt8 { index < bytes.count ? bytes[index] : 0 }

  private func text(from start: Int) -> String {
    String(decoding: bytes[start..<position], as: UTF8.self)
  }

  private mutating func next() throws(Deferral) -> Token? {
    while position < bytes.count, bytes[position] == 32 || (9...13).contains(bytes[position]) {
      position += 1
    }
    guard position < bytes.count else { return nil }
    let first = bytes[position]
    switch first {
    case UInt8(ascii: "'"): return .string(try enclosed(by: first))
    case UInt8(ascii: "\""): return .quoted(try enclosed(by: first))
    case _ where Lexer.startsWord(first): return word()
    case _ where Lexer.isDigit(first): return number()
    case UInt8(ascii: ".") where Lexer.isDigit(byte(at: position + 1)): return number()
    case _ where Lexer.isOperator(first): return try operatorSymbol()
    case UInt8(ascii: ":") where byte(at: position + 1) == first:
      position += 2
      return .symbol("::")
    case _ where first < 0x80 && "()[],.".utf8.contains(first):
      position += 1
      return .symbol(String(Character(Unicode.Scalar(first))))
    default:
      throw Deferral(reason: "the character at byte \(position) is not understood")
    }
  }

  /// A literal or identifier in quotes; a doubled quote inside stands for one.
  private mutating func enclosed(by quote: UInt8) throws(Deferral) -> String {
    let start = position
    var content: [UInt8] = []
    position += 1
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      if byte == quote {
        guard self.byte(at: position) == quote, position < bytes.count else {
          return String(decoding: content, as: UTF8.self)
        }
        position += 1
      }
      content.append(byte)
    }
    throw Deferral(reason: "the quote at byte \(start) is never closed")
  }

  private mutating func word() -> Token {
    let start = position
    while position < bytes.count,
      Lexer.startsWord(bytes[position]) || Lexer.isDigit(bytes[position])
        || bytes[position] == UInt8(ascii: "$")
    { position += 1 }
    let written = text(from: start)
    return .word(written.lowercased(), written: written)
  }

  private mutating func number() -> Token {
    let start = position
    while Lexer.isDigit(byte(at: position)) || byte(at: position) == UInt8(ascii: ".") {
      position += 1
    }
    if byte(at: position) | 0x20 == UInt8(ascii: "e") {
      let isSigned =
        byte(at: position + 1) == UInt8(ascii: "-") || byte(at: position + 1) == UInt8(ascii: "+")
      if Lexer.isDigit(byte(at: position + (isSigned ? 2 : 1))) {
        position += isSigned ? 2 : 1
        while Lexer.isDigit(byte(at: position)) { position += 1 }
      }
    }
    return .number(text(from: start))
  }

  /// The longest run of operator characters; a minus or plus at its end belongs to what follows,
  /// unless the operator holds a character that SQL's own do not (manual, 4.1.3).
  private mutating func operatorSymbol() throws(Deferral) -> Token {
    let start = position
    while position < bytes.count, Lexer.isOperator(bytes[position]) {
      position += 1
      // Here, and not behind the loop: a run of signs is looked at once for each of them.
      if position - start > 63 { throw Deferral(reason: "an operator of more than 63 characters") }
    }
    let run = text(from: start)
    if run.contains("--") || run.contains("/*") {
      throw Deferral(reason: "comments are not understood")
    }
    if !run.utf8.contains(where: { "~!@#%^&|`?".utf8.contains($0) }) {
      while position - start > 1,
        bytes[position - 1] == UInt8(ascii: "-") || bytes[position - 1] == UInt8(ascii: "+")
      { position -= 1 }
    }
    let symbol = text(from: start)
    return .symbol(symbol == "!=" ? "<>" : symbol)
  }

  private static func startsWord(_ byte: UInt8) -> Bool {
    (byte | 0x20) &- UInt8(ascii: "a") < 26 || byte == UInt8(ascii: "_")
  }

  private static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

  private static func isOperator(_ byte: UInt8) -> Bool { "+-*/<>=~!@#%^&|`?".utf8.contains(byte) }
}

/// Goes through tokens from left to right.
struct TokenReader {
  private let tokens: [Token]
  private var position = 0

  init(_ text: String) throws(Deferral) { tokens = try Lexer.tokens(of: text) }

  var current: Token { tokens[position] }

  /// The token after the current one.
  var following: Token { tokens[min(position + 1, tokens.count - 1)] }

  mutating func advance() { position = min(position + 1, tokens.count - 1) }

  func isAt(symbol: String) -> Bool { current == .symbol(symbol) }

  func isAt(word: String) -> Bool {
    if case .word(word, _) = current { true } else { false }
  }

  mutating func accept(symbol: String) -> Bool {
    guard isAt(symbol: symbol) else { return false }
    advance()
    return true
  }

  mutating func accept(word: String) -> Bool {
    guard isAt(word: word) else { return false }
    advance()
    return true
  }

  /// A number without point or exponent, 0…2^31-1.
  mutating func acceptInteger() -> Int? {
    guard case .number(let text) = current, let value = Int32(text) else { return nil }
    advance()
    return Int(value)
  }

  mutating func expect(symbol: String) throws(Deferral) {
    if !accept(symbol: symbol) { throw unexpected("\"\(symbol)\"") }
  }

  mutating func expect(word: String) throws(Deferral) {
    if !accept(word: word) { throw unexpected(word.uppercased()) }
  }

  func unexpected(_ expected: String) -> Deferral {
    Deferral(reason: "\(current) stands where \(expected) is understood")
  }
}
