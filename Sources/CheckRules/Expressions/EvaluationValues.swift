// Evaluates what yields numbers, texts and parts of json, and converts between types.

import EnergyReadings

extension Evaluation {
  // MARK: Numbers

  mutating func number(of node: NumberNode) throws(Undecided) -> SQLValue {
    switch node {
    case .arithmetic(let operation, let type, let left, let right):
      let left = try numberValue(left)
      let right = try numberValue(right)
      guard let left, let right else { return .null }
      return .number(try SQLNumber.compute(operation, left, right, as: type))
    case .rounded(let operand, let digits, let isTruncation):
      let operand = try numberValue(operand)
      let digits = try numberValue(digits)
      guard let operand, let digits else { return .null }
      guard digits.mantissa.magnitude <= 100 else { throw Undecided() }
      return .number(
        try operand.rounded(to: Int(digits.mantissa), halfAwayFromZero: !isTruncation))
    case .length(let unit, let operand):
      guard let text = try textValue(operand) else { return .null }
      let bytes = bytes(text)
      let length = unit == .bytes ? bytes.count : bytes.scalarCount
      return .number(SQLNumber(mantissa: Int128(length)))
    case .negated(_, let operand), .absolute(_, let operand), .floor(let operand),
      .ceiling(let operand), .sign(let operand):
      guard let number = try numberValue(operand) else { return .null }
      return .number(try unary(node, number))
    }
  }

  private func unary(_ node: NumberNode, _ number: SQLNumber) throws(Undecided) -> SQLNumber {
    switch node {
    case .negated(let type, _): return try number.negated().checked(as: type)
    case .absolute(let type, _):
      return try number.mantissa < 0 ? number.negated().checked(as: type) : number
    case .floor: return try number.floored()
    case .ceiling: return try number.negated().floored().negated()
    case .sign: return SQLNumber(mantissa: number.mantissa.signum())
    default: throw Undecided()
    }
  }

  // MARK: Texts

  mutating func text(of node: TextNode) throws(Undecided) -> SQLValue {
    switch node {
    case .concatenation(let left, let right):
      let left = try textValue(left)
      let right = try textValue(right)
      guard let left, let right else { return .null }
      let start = scratch.count
      copy(left)
      copy(right)
      return .text(written(since: start))
    case .lower(let operand): return try cased(operand, isUpper: false)
    case .upper(let operand): return try cased(operand, isUpper: true)
    case .trimmed(let side, let operand, let characters):
      let text = try textValue(operand)
      let characters = try textValue(characters)
      guard let text, let characters else { return .null }
      return .text(try trimmed(text, side, of: characters))
    }
  }

  private mutating func cased(
    _ operand: NodeIndex, isUpper: Bool
  ) throws(Undecided) -> SQLValue {
    guard let text = try textValue(operand) else { return .null }
    guard bytes(text).isASCII else { throw Undecided() }
    let start = scratch.count
    copy(text)
    for index in start..<scratch.count {
      scratch[index] = isUpper ? scratch[index].asciiUppercase : scratch[index].asciiLowercase
    }
    return .text(written(since: start))
  }

  private func trimmed(
    _ text: SQLText, _ side: TrimSide, of set: SQLText
  ) throws(Undecided) -> SQLText {
    let bytes = bytes(text)
    let characters = self.bytes(set)
    // A byte of a longer character is no character.
    if !characters.isASCII { throw Undecided() }
    var start = 0
    var end = bytes.count
    if side != .trailing {
      while start < end, characters.contains(bytes[start]) { start += 1 }
    }
    if side != .leading {
      while end > start, characters.contains(bytes[end - 1]) { end -= 1 }
    }
    return text.part(from: start, count: end - start)
  }

  // MARK: Json

  mutating func json(of node: JSONNode) throws(Undecided) -> SQLValue {
    switch node {
    case .member(let operand, let key):
      let json = try jsonValue(operand)
      let key = try textValue(key)
      guard let json, let key else { return .null }
      return try member(json, key)
    case .element(let operand, let index):
      let json = try jsonValue(operand)
      let index = try numberValue(index)
      guard let json, let index else { return .null }
      return try element(json, Int(truncatingIfNeeded: index.mantissa))
    case .step(let operand, let key, let index):
      let json = try jsonValue(operand)
      let key = try textValue(key)
      guard let json, let key else { return .null }
      if try root(of: json).kind != .array { return try member(json, key) }
      guard let index else { return .null }
      return try element(json, Int(index))
    case .text(let operand):
      guard let json = try jsonValue(operand) else { return .null }
      return try text(ofJSON: json)
    case .typeName(let operand):
      guard let json = try jsonValue(operand) else { return .null }
      let kind = try root(of: json).kind
      let start = scratch.count
      scratch.append(contentsOf: kind.rawValue.utf8)
      return .text(written(since: start))
    }
  }

  /// The whole value without the blanks around it, and what it is.
  private func root(of json: SQLText) throws(Undecided) -> (place: SQLText, kind: JSONText.Kind) {
    let text = JSONText(bytes(json))
    let root = try text.root()
    return (json.part(from: root.lowerBound, count: root.count), try text.kind(of: root))
  }

  private func member(_ json: SQLText, _ key: SQLText) throws(Undecided) -> SQLValue {
    let (place, kind) = try root(of: json)
    guard kind == .object,
      let found = try JSONText(bytes(place)).member(of: 0..<place.count, key: bytes(key))
    else { return .null }
    return .json(place.part(from: found.lowerBound, count: found.count))
  }

  private func element(_ json: SQLText, _ index: Int) throws(Undecided) -> SQLValue {
    let (place, kind) = try root(of: json)
    switch kind {
    case .object: return .null
    case .array:
      let text = JSONText(bytes(place))
      guard let found = try text.element(of: 0..<place.count, index: index) else { return .null }
      return .json(place.part(from: found.lowerBound, count: found.count))
    case .string, .number, .boolean, .null:
      // jsonb keeps a lone scalar as an array of one (src/include/utils/jsonb.h).
      return index == 0 || index == -1 ? .json(place) : .null
    }
  }

  func hasKey(_ json: SQLText, _ key: SQLText) throws(Undecided) -> Bool {
    let (place, kind) = try root(of: json)
    let text = JSONText(bytes(place))
    switch kind {
    case .object: return try text.member(of: 0..<place.count, key: bytes(key)) != nil
    case .array: return try text.array(0..<place.count, holds: bytes(key))
    case .string: return try text.string(0..<place.count, equals: bytes(key))
    default: return false
    }
  }

  func isEmpty(_ json: SQLText, bracket: UInt8) throws(Undecided) -> Bool {
    let (place, _) = try root(of: json)
    let bytes = bytes(place)
    return bytes[0] == bracket && JSONText(bytes).isEmpty(0..<place.count)
  }

  /// What `->>` gives: strings decoded, numbers as numeric prints them.
  private mutating func text(ofJSON json: SQLText) throws(Undecided) -> SQLValue {
    let (place, kind) = try root(of: json)
    switch kind {
    case .null: return .null
    case .boolean: return .text(place)
    case .string:
      let content = place.part(from: 1, count: place.count - 2)
      if !bytes(content).contains(UInt8(ascii: "\\")) { return .text(content) }
      return .text(try decoded(content))
    case .number:
      let number = try SQLNumber(parsing: bytes(place))
      let start = scratch.count
      number.write(to: &scratch)
      return .text(written(since: start))
    case .object, .array: throw Undecided()
    }
  }

  /// The decoded content of a string. The scratch memory is taken out meanwhile, so that it can
  /// grow while the string, which no function makes, is read.
  private mutating func decoded(_ content: SQLText) throws(Undecided) -> SQLText {
    guard content.pool != .scratch else { throw Undecided() }
    var output: [UInt8] = []
    swap(&output, &scratch)
    let start = output.count
    var decoder = JSONStringDecoder(bytes(content))
    while let byte = try decoder.next() { output.append(byte) }
    swap(&output, &scratch)
    return written(since: start)
  }

  // MARK: Conversions

  mutating func convert(_ value: SQLValue, to cast: Cast) throws(Undecided) -> SQLValue {
    if value.isNull { return .null }
    switch (cast, value) {
    case (.number(let type), _): return .number(try number(value, as: type))
    case (.numeric(let precision, let scale), _):
      let rounded = try number(value, as: .numeric).rounded(to: scale)
      if let limit = SQLNumber.powerOfTen(precision),
        rounded.mantissa.magnitude >= limit.magnitude
      {
        throw Undecided()
      }
      return .number(rounded)
    case (.boolean, .boolean): return value
    case (.boolean, .number(let number)): return .boolean(number.mantissa != 0)
    case (.boolean, .text(let text)): return .boolean(try truth(ofText: bytes(text)))
    case (.boolean, .json(let json)):
      let (place, kind) = try root(of: json)
      guard kind == .boolean else { throw Undecided() }
      return .boolean(bytes(place)[0] == UInt8(ascii: "t"))
    case (.text, .text): return value
    case (.text, .number(let number)):
      let start = scratch.count
      number.write(to: &scratch)
      return .text(written(since: start))
    case (.text, .boolean(let truth)):
      let start = scratch.count
      scratch += truth ? "true".utf8 : "false".utf8
      return .text(written(since: start))
    case (.prefix(let length), .text(let text)):
      return .text(text.part(from: 0, count: bytes(text).prefixEnd(characters: length)))
    default: throw Undecided()
    }
  }

  private func number(_ value: SQLValue, as type: SQLType) throws(Undecided) -> SQLNumber {
    switch value {
    case .number(let number):
      return type == .numeric ? number : try number.rounded(to: 0).checked(as: type)
    case .boolean(let truth): return SQLNumber(mantissa: truth ? 1 : 0)
    case .text(let text):
      if type == .numeric { return try SQLNumber(parsing: bytes(text)) }
      return try SQLNumber(parsingInteger: bytes(text)).checked(as: type)
    case .json(let json):
      let (place, kind) = try root(of: json)
      guard kind == .number else { throw Undecided() }
      let number = try SQLNumber(parsing: bytes(place))
      return type == .numeric ? number : try number.rounded(to: 0).checked(as: type)
    default: throw Undecided()
    }
  }

  /// The spellings of a boolean that people use; PostgreSQL knows more.
  private func truth(ofText text: Span<UInt8>) throws(Undecided) -> Bool {
    if text.elementsEqual("true") || text.elementsEqual("t") || text.elementsEqual("yes")
      || text.elementsEqual("on") || text.elementsEqual("1")
    {
      return true
    }
    if text.elementsEqual("false") || text.elementsEqual("f") || text.elementsEqual("no")
      || text.elementsEqual("off") || text.elementsEqual("0")
    {
      return false
    }
    throw Undecided()
  }
}
