// The grammar of SQL expressions, as far as CHECK constraints use it: precedence as in the manual,
// 4.1.6. It hands what it reads to the compiler, innermost first.

/// Reads one expression from its tokens.
struct ExpressionReader {
  private var tokens: TokenReader
  private var depth = 0

  /// Deeper expressions than this are left to PostgreSQL, so that reading needs little stack.
  private static let depthLimit = 100

  init(_ tokens: TokenReader) { self.tokens = tokens }

  /// How tightly operators bind, loosest first.
  private enum Precedence: Int, Comparable {
    case or
    case and
    case not
    case isTest
    case comparison
    case range
    case other
    case sum
    case product
    case sign

    static func < (left: Precedence, right: Precedence) -> Bool { left.rawValue < right.rawValue }

    init(_ symbol: String) {
      switch symbol {
      case "=", "<>", "<", "<=", ">", ">=": self = .comparison
      case "+", "-": self = .sum
      case "*", "/", "%": self = .product
      default: self = .other
      }
    }

    var tighter: Precedence { Precedence(rawValue: rawValue + 1) ?? .sign }
  }

  /// Reads the whole text as one expression.
  mutating func readAll(_ compiler: inout Compiler) throws(Deferral) -> Operand {
    let result = try read(.or, &compiler)
    guard tokens.current == .end else { throw tokens.unexpected("the end") }
    return result
  }

  /// Reads an expression of operators that bind at least as tightly as `least`.
  private mutating func read(
    _ least: Precedence, _ compiler: inout Compiler
  ) throws(Deferral) -> Operand {
    depth += 1
    defer { depth -= 1 }
    if depth > ExpressionReader.depthLimit {
      throw Deferral(reason: "it is nested more than \(ExpressionReader.depthLimit) deep")
    }
    var left = try readPrefixed(&compiler)
    while let next = try readRest(of: left, least, &compiler) { left = next }
    return left
  }

  private mutating func readPrefixed(_ compiler: inout Compiler) throws(Deferral) -> Operand {
    if tokens.accept(word: "not") { return try compiler.not(read(.isTest, &compiler)) }
    if tokens.accept(symbol: "-") { return try compiler.negated(read(.sign, &compiler)) }
    if tokens.accept(symbol: "+") { return try read(.sign, &compiler) }
    var operand = try readPrimary(&compiler)
    while true {
      if tokens.accept(symbol: "::") {
        operand = try compiler.cast(operand, to: TypeName(reading: &tokens))
      } else if tokens.accept(word: "collate") {
        try readCollation(of: operand)
      } else {
        return operand
      }
    }
  }

  private mutating func readCollation(of operand: Operand) throws(Deferral) {
    guard operand.type == .text, !operand.isArray,
      case .quoted(let name) = tokens.current, ["C", "POSIX", "default"].contains(name)
    else { throw Deferral(reason: "the collation \(tokens.current) is not computed here") }
    tokens.advance()
  }

  /// Reads one operator behind `left` and what belongs to it; nil where none follows that binds
  /// tightly enough.
  private mutating func readRest(
    of left: Operand, _ least: Precedence, _ compiler: inout Compiler
  ) throws(Deferral) -> Operand? {
    switch tokens.current {
    case .word("or", _) where least <= .or:
      var terms = [left]
      while tokens.accept(word: "or") { terms.append(try read(.and, &compiler)) }
      return try compiler.connected(terms, isAnd: false)
    case .word("and", _) where least <= .and:
      var terms = [left]
      while tokens.accept(word: "and") { terms.append(try read(.not, &compiler)) }
      return try compiler.connected(terms, isAnd: true)
    case .word("is", _) where least <= .isTest:
      tokens.advance()
      return try readTest(of: left, &compiler)
    case .word("isnull", _) where least <= .isTest:
      tokens.advance()
      return try compiler.isNull(left, isNegated: false)
    case .word("notnull", _) where least <= .isTest:
      tokens.advance()
      return try compiler.isNull(left, isNegated: true)
    case .word("not", _), .word("between", _), .word("in", _), .word("like", _), .word("ilike", _):
      guard least <= .range else { return nil }
      return try readRange(of: left, &compiler)
    case .symbol(let symbol) where ExpressionReader.isOperator(symbol):
      let precedence = Precedence(symbol)
      guard least <= precedence else { return nil }
      tokens.advance()
      return try readOperand(of: symbol, precedence, left, &compiler)
    default: return nil
    }
  }

  private static func isOperator(_ symbol: String) -> Bool {
    !["(", ")", "[", "]", ",", ".", "::"].contains(symbol)
  }

  /// What follows an operator: an operand, or ANY or ALL with an array.
  private mutating func readOperand(
    of symbol: String, _ precedence: Precedence, _ left: Operand, _ compiler: inout Compiler
  ) throws(Deferral) -> Operand {
    let isAll = tokens.isAt(word: "all")
    if isAll || tokens.isAt(word: "any") || tokens.isAt(word: "some"),
      tokens.following == .symbol("(")
    {
      tokens.advance()
      let array = try readParenthesised(&compiler)
      return try compiler.quantified(symbol, isAll: isAll, left, array)
    }
    let right = try read(precedence.tighter, &compiler)
    return try compiler.infix(symbol, left, right)
  }

  private mutating func readParenthesised(
    _ compiler: inout Compiler
  ) throws(Deferral) -> Operand {
    try tokens.expect(symbol: "(")
    let inner = try read(.or, &compiler)
    try tokens.expect(symbol: ")")
    return inner
  }

  // MARK: IS, BETWEEN, IN, LIKE

  private mutating func readTest(
    of left: Operand, _ compiler: inout Compiler
  ) throws(Deferral) -> Operand {
    let isNegated = tokens.accept(word: "not")
    if tokens.accept(word: "null") { return try compiler.isNull(left, isNegated: isNegated) }
    if tokens.accept(word: "true") {
      return try compiler.test(left, isNegated ? .isNotTrue : .isTrue)
    }
    if tokens.accept(word: "false") {
      return try compiler.test(left, isNegated ? .isNotFalse : .isFalse)
    }
    if tokens.accept(word: "unknown") {
      return try compiler.test(left, isNegated ? .isNotUnknown : .isUnknown)
    }
    guard tokens.accept(word: "distinct") else { throw tokens.unexpected("NULL, TRUE or FALSE") }
    try tokens.expect(word: "from")
    let right = try read(.comparison, &compiler)
    let distinct = try compiler.isDistinct(left, right)
    return isNegated ? try compiler.not(distinct) : distinct
  }

  private mutating func readRange(
    of left: Operand, _ compiler: inout Compiler
  ) throws(Deferral) -> Operand {
    let isNegated = tokens.accept(word: "not")
    if tokens.accept(word: "between") {
      let low = try read(.other, &compiler)
      try tokens.expect(word: "and")
      let high = try read(.other, &compiler)
      let bounds = [
        try compiler.infix(isNegated ? "<" : ">=", left, low),
        try compiler.infix(isNegated ? ">" : "<=", left, high),
      ]
      return try compiler.connected(bounds, isAnd: !isNegated)
    }
    if tokens.accept(word: "in") {
      try tokens.expect(symbol: "(")
      let array = try compiler.array(readList(closing: ")", &compiler))
      return try compiler.quantified(isNegated ? "<>" : "=", isAll: isNegated, left, array)
    }
    let ignoresCase = tokens.accept(word: "ilike")
    if !ignoresCase { try tokens.expect(word: "like") }
    let pattern = try read(.other, &compiler)
    if tokens.isAt(word: "escape") { throw tokens.unexpected("an operator") }
    return try compiler.infix((isNegated ? "!~~" : "~~") + (ignoresCase ? "*" : ""), left, pattern)
  }

  /// Expressions between commas, and the bracket behind them.
  private mutating func readList(
    closing bracket: String, _ compiler: inout Compiler
  ) throws(Deferral) -> [Operand] {
    if tokens.accept(symbol: bracket) { return [] }
    var list = [try read(.or, &compiler)]
    while tokens.accept(symbol: ",") { list.append(try read(.or, &compiler)) }
    try tokens.expect(symbol: bracket)
    return list
  }

  // MARK: Primaries

  private mutating func readPrimary(_ compiler: inout Compiler) throws(Deferral) -> Operand {
    let token = tokens.current
    switch token {
    case .symbol("("): return try readParenthesised(&compiler)
    case .string(let text):
      tokens.advance()
      return try compiler.literal(text)
    case .number(let text):
      tokens.advance()
      return try compiler.number(text)
    case .word(let word, let written):
      tokens.advance()
      return try readWord(word, written: written, &compiler)
    case .quoted(let name):
      tokens.advance()
      if tokens.isAt(symbol: ".") || tokens.isAt(symbol: "(") { throw qualified(token) }
      return try compiler.column(name)
    case .symbol, .end: throw tokens.unexpected("a value")
    }
  }

  private func qualified(_ token: Token) -> Deferral {
    Deferral(reason: "\(token)\(tokens.current)… is not PostgreSQL's own or not computed here")
  }

  private mutating func readWord(
    _ word: String, written: String, _ compiler: inout Compiler
  ) throws(Deferral) -> Operand {
    switch word {
    case "true": return try compiler.constant(.boolean(true), .boolean)
    case "false": return try compiler.constant(.boolean(false), .boolean)
    case "null": return try compiler.constant(.null, .untyped)
    case "current_timestamp" where !tokens.isAt(symbol: "("): return try compiler.now()
    case "case": return try readCase(&compiler)
    case "array" where tokens.accept(symbol: "["):
      return try compiler.array(readList(closing: "]", &compiler))
    case "trim" where tokens.accept(symbol: "("): return try readTrim(&compiler)
    case "cast" where tokens.accept(symbol: "("):
      let operand = try read(.or, &compiler)
      try tokens.expect(word: "as")
      let result = try compiler.cast(operand, to: TypeName(reading: &tokens))
      try tokens.expect(symbol: ")")
      return result
    default: break
    }
    if tokens.isAt(symbol: ".") { throw qualified(.word(word, written: written)) }
    if tokens.accept(symbol: "(") {
      return try compiler.call(word, readList(closing: ")", &compiler))
    }
    return try compiler.column(written == "VALUE" ? written : word)
  }

  /// `TRIM(BOTH characters FROM text)`, its bracket read: how btrim, ltrim and rtrim are printed.
  private mutating func readTrim(_ compiler: inout Compiler) throws(Deferral) -> Operand {
    var function = "btrim"
    if tokens.accept(word: "leading") {
      function = "ltrim"
    } else if tokens.accept(word: "trailing") {
      function = "rtrim"
    } else {
      _ = tokens.accept(word: "both")
    }
    let characters = tokens.isAt(word: "from") ? nil : try read(.or, &compiler)
    guard tokens.accept(word: "from") else {
      try tokens.expect(symbol: ")")
      guard let characters else { throw tokens.unexpected("a text") }
      return try compiler.call(function, [characters])
    }
    let text = try read(.or, &compiler)
    try tokens.expect(symbol: ")")
    return try compiler.call(function, [text] + (characters.map { [$0] } ?? []))
  }

  private mutating func readCase(_ compiler: inout Compiler) throws(Deferral) -> Operand {
    let subject = tokens.isAt(word: "when") ? nil : try read(.or, &compiler)
    var conditions: [Operand] = []
    var results: [Operand] = []
    while tokens.accept(word: "when") {
      let condition = try read(.or, &compiler)
      try tokens.expect(word: "then")
      conditions.append(
        try subject.map { subject throws(Deferral) in
          try compiler.infix("=", subject, condition)
        } ?? condition)
      results.append(try read(.or, &compiler))
    }
    if conditions.isEmpty { throw tokens.unexpected("WHEN") }
    let otherwise =
      tokens.accept(word: "else")
      ? try read(.or, &compiler) : try compiler.constant(.null, .untyped)
    try tokens.expect(word: "end")
    return try compiler.branches(conditions, results, otherwise: otherwise)
  }
}
