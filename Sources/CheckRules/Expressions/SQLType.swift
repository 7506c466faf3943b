// The types that expressions are computed in, and the names PostgreSQL prints for them.

/// A type that is computed here.
enum SQLType: UInt8, Sendable {
  case boolean, smallint, integer, bigint, numeric, text, timestamp, interval, json
  /// A literal or NULL that nothing has given a type yet.
  case untyped
  /// Any other type, and text whose collation may call different bytes equal: only IS NULL asks.
  case opaque

  var isInteger: Bool { self == .smallint || self == .integer || self == .bigint }
  var isNumber: Bool { isInteger || self == .numeric }

  var name: String {
    switch self {
    case .boolean: "boolean"
    case .smallint: "smallint"
    case .integer: "integer"
    case .bigint: "bigint"
    case .numeric: "numeric"
    case .text: "text"
    case .timestamp: "timestamp with time zone"
    case .interval: "interval"
    case .json: "jsonb"
    case .untyped: "an untyped literal"
    case .opaque: "a type that is not computed here"
    }
  }
}

/// A type with its modifier, as a cast or a column names it.
struct TypeName: Sendable {
  var type: SQLType
  var isArray = false
  /// `character varying(length)`, in characters.
  var length: Int?
  /// `numeric(precision, scale)`.
  var precision: Int?
  var scale = 0

  init(_ type: SQLType) { self.type = type }

  /// Names of one word; `pg_get_expr` prints the first of each type, people also write the others.
  private static let plain: [String: SQLType] = [
    "boolean": .boolean, "bool": .boolean, "smallint": .smallint, "int2": .smallint,
    "integer": .integer, "int": .integer, "int4": .integer, "bigint": .bigint, "int8": .bigint,
    "numeric": .numeric, "decimal": .numeric, "text": .text, "varchar": .text,
    "timestamptz": .timestamp, "interval": .interval, "jsonb": .json,
  ]

  /// Reads a type's name.
  ///
  /// - Throws: where it is none that is computed here.
  init(reading tokens: inout TokenReader) throws(Deferral) {
    let written = tokens.current.description
    guard case .word(let word, _) = tokens.current else {
      throw Deferral(reason: "the type \(written) is not computed here")
    }
    tokens.advance()
    self.init(try TypeName.type(word, &tokens))
    try readModifier(&tokens, word: word)
    if tokens.accept(symbol: "[") {
      try tokens.expect(symbol: "]")
      isArray = true
    }
    if tokens.isAt(symbol: ".") || tokens.isAt(symbol: "[") {
      throw Deferral(reason: "the type \(written)\(tokens.current) is not computed here")
    }
  }

  /// The type that starts with `word`, whose other words are read.
  private static func type(
    _ word: String, _ tokens: inout TokenReader
  ) throws(Deferral) -> SQLType {
    switch word {
    case "character":
      guard tokens.accept(word: "varying") else {
        throw Deferral(reason: "the type character pads with blanks and is not computed here")
      }
      return .text
    case "timestamp":
      guard tokens.accept(word: "with"), tokens.accept(word: "time"), tokens.accept(word: "zone")
      else { throw Deferral(reason: "the type timestamp without time zone is not computed here") }
      return .timestamp
    default:
      guard let type = plain[word] else {
        throw Deferral(reason: "the type \(word) is not computed here")
      }
      return type
    }
  }

  private mutating func readModifier(
    _ tokens: inout TokenReader, word: String
  ) throws(Deferral) {
    guard tokens.accept(symbol: "(") else { return }
    guard let first = tokens.acceptInteger(), first > 0, first <= 10_485_760,
      word == "character" || word == "varchar" || type == .numeric
    else { throw Deferral(reason: "a modifier of the type \(word) is not computed here") }
    if type == .numeric {
      precision = first
      if tokens.accept(symbol: ",") {
        guard let decimals = tokens.acceptInteger(), decimals <= 1_000 else {
          throw Deferral(reason: "a negative scale of numeric is not computed here")
        }
        scale = decimals
      }
    } else {
      length = first
    }
    try tokens.expect(symbol: ")")
  }
}
