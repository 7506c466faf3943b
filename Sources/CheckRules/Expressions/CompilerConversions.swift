// Compiles casts, arrays, calls and CASE.

import EnergyReadings

extension Compiler {
  // MARK: Casts

  mutating func cast(_ operand: Operand, to name: TypeName) throws(Deferral) -> Operand {
    if operand.isArray || name.isArray { return try castArray(operand, to: name) }
    if let literal = operand.literal { return try self.literal(literal, as: name) }
    if operand.type == .untyped { return try constant(.null, name.type) }
    switch (operand.type, name.type) {
    case (let from, .text) where from == .text || from == .boolean || from.isNumber:
      var result = operand
      if operand.type != .text {
        result = try append(.cast(.text, operand.node), .text, over: [operand.node])
      }
      guard let length = name.length else { return result }
      return try append(.cast(.prefix(length), result.node), .text, over: [result.node])
    case (let from, .numeric) where from.isNumber || from == .text || from == .json:
      return try castToNumeric(operand, name)
    case (_, let type) where type.isInteger:
      return try castToInteger(operand, type)
    case (.boolean, .boolean), (.integer, .boolean), (.text, .boolean), (.json, .boolean):
      if operand.type == .boolean { return operand }
      return try append(.cast(.boolean, operand.node), .boolean, over: [operand.node])
    case (.timestamp, .timestamp), (.interval, .interval), (.json, .json): return operand
    default:
      throw Deferral(
        reason: "the cast of \(operand.type.name) to \(name.type.name) is not computed here")
    }
  }

  private mutating func castToNumeric(
    _ operand: Operand, _ name: TypeName
  ) throws(Deferral) -> Operand {
    var result = operand
    result.type = .numeric
    if let precision = name.precision {
      let cast = Cast.numeric(precision: precision, scale: name.scale)
      return try append(.cast(cast, operand.node), .numeric, over: [operand.node])
    }
    if operand.type.isNumber { return result }
    return try append(.cast(.number(.numeric), operand.node), .numeric, over: [operand.node])
  }

  private mutating func castToInteger(
    _ operand: Operand, _ type: SQLType
  ) throws(Deferral) -> Operand {
    guard operand.type.isNumber || [.text, .json, .boolean].contains(operand.type) else {
      throw Deferral(
        reason: "the cast of \(operand.type.name) to \(type.name) is not computed here")
    }
    if operand.type.isInteger, operand.type.rawValue <= type.rawValue {
      var result = operand
      result.type = type
      return result
    }
    return try append(.cast(.number(type), operand.node), type, over: [operand.node])
  }

  /// A literal in quotes as the type that stands behind it.
  private mutating func literal(
    _ text: String, as name: TypeName
  ) throws(Deferral) -> Operand {
    switch name.type {
    case .timestamp: return try constant(.timestamp(Compiler.timestamp(text)), .timestamp)
    case .interval:
      guard let interval = SQLInterval(iso8601: text) else {
        throw Deferral(reason: "the interval '\(text.prefix(40))' is not understood")
      }
      return try constant(.interval(interval), .interval)
    case .json: return try constant(.json(constantText(text.utf8)), .json)
    case .opaque, .untyped: throw Deferral(reason: "a literal of \(name.type.name)")
    default:
      // The input of these types is their cast from text.
      let value = try constant(.text(constantText(text.utf8)), .text)
      return try cast(value, to: name)
    }
  }

  /// µs since 1970 of what DateStyle `ISO` prints: `2026-01-02 03:04:05.678+00`.
  private static func timestamp(_ text: String) throws(Deferral) -> Int64 {
    var bytes = Array(text.utf8)
    // Printed without minutes, where they are 0.
    if bytes.count >= 22,
      bytes[bytes.count - 3] == UInt8(ascii: "+")
        || bytes[bytes.count - 3] == UInt8(ascii: "-")
    {
      bytes += ":00".utf8
    }
    guard let timestamp = try? Timestamp(rfc3339: bytes.span), bytes.count >= 25 else {
      throw Deferral(reason: "the timestamp '\(text.prefix(40))' is not understood")
    }
    return timestamp.microseconds
  }

  // MARK: Arrays

  mutating func array(_ elements: [Operand]) throws(Deferral) -> Operand {
    let unified = try unified(elements)
    return Operand(node: 0, type: unified.type, elements: unified.operands.map(\.node))
  }

  private mutating func castArray(
    _ operand: Operand, to name: TypeName
  ) throws(Deferral) -> Operand {
    var element = name
    element.isArray = false
    if let literal = operand.literal { return try array(parsing: literal, of: element) }
    guard name.isArray, let elements = operand.elements else {
      throw Deferral(reason: "a cast between an array and a value is not computed here")
    }
    var nodes: [NodeIndex] = []
    for node in elements {
      nodes.append(try cast(Operand(node: node, type: operand.type), to: element).node)
    }
    return Operand(node: 0, type: name.type, elements: nodes)
  }

  /// An array's text such as `{a,"b c",NULL}` (manual, 8.15.2).
  mutating func array(parsing text: String, of element: TypeName) throws(Deferral) -> Operand {
    guard let texts = ArrayText.elements(of: text) else {
      throw Deferral(reason: "the array '\(text.prefix(40))' is not understood")
    }
    var nodes: [NodeIndex] = []
    for text in texts {
      if let text {
        nodes.append(try literal(text, as: element).node)
      } else {
        nodes.append(try constant(.null, element.type).node)
      }
    }
    return Operand(node: 0, type: element.type, elements: nodes)
  }

  // MARK: CASE and calls

  mutating func branches(
    _ conditions: [Operand], _ results: [Operand], otherwise: Operand
  ) throws(Deferral) -> Operand {
    let unified = try unified(results + [otherwise])
    var nodes: [NodeIndex] = []
    for (condition, result) in zip(conditions, unified.operands) {
      let condition = try typed(condition, as: .boolean)
      try expect(condition, .boolean)
      nodes += [condition.node, result.node]
    }
    nodes.append(unified.operands[conditions.count].node)
    let range = list(nodes)
    return try append(.choice(.branches(range)), unified.type, over: nodes)
  }

  mutating func call(_ name: String, _ arguments: [Operand]) throws(Deferral) -> Operand {
    switch (name, arguments.count) {
    case ("now", 0), ("transaction_timestamp", 0): return try now()
    case ("coalesce", 1...):
      let unified = try unified(arguments)
      let nodes = unified.operands.map(\.node)
      return try append(.choice(.coalesce(list(nodes))), unified.type, over: nodes)
    case ("greatest", 1...), ("least", 1...):
      let unified = try unified(arguments)
      try checkComparable(unified.type, isEquality: false)
      let nodes = unified.operands.map(\.node)
      return try append(
        .choice(.extreme(isGreatest: name == "greatest", list(nodes))), unified.type, over: nodes)
    case ("nullif", 2):
      let unified = try unified(arguments)
      try checkComparable(unified.type, isEquality: true)
      let nodes = unified.operands.map(\.node)
      // Its type is the first argument's, also where an integer meets a wider one.
      return try append(
        .choice(.nullIf(nodes[0], nodes[1])), unified.operands[0].type, over: nodes)
    case (_, 1): return try call(name, scalar(arguments[0]))
    case (_, 2): return try call(name, scalar(arguments[0]), scalar(arguments[1]))
    default: throw unknown(name)
    }
  }

  private func unknown(_ name: String) -> Deferral {
    Deferral(reason: "the function \(name) with these arguments is not computed here")
  }

  private mutating func call(_ name: String, _ argument: Operand) throws(Deferral) -> Operand {
    let node = argument.node
    switch (name, argument.type) {
    case ("lower", .text), ("upper", .text):
      try checkCase()
      return try append(.text(name == "lower" ? .lower(node) : .upper(node)), .text, over: [node])
    case ("length", .text), ("char_length", .text), ("character_length", .text):
      return try append(.number(.length(.characters, node)), .integer, over: [node])
    case ("octet_length", .text):
      return try append(.number(.length(.bytes, node)), .integer, over: [node])
    case ("btrim", .text), ("ltrim", .text), ("rtrim", .text):
      return try call(name, argument, constant(.text(constantText(" ".utf8)), .text))
    case ("abs", let type) where type.isNumber:
      return try append(.number(.absolute(type, node)), type, over: [node])
    case ("round", .numeric), ("trunc", .numeric):
      return try call(name, argument, constant(.number(SQLNumber(mantissa: 0)), .integer))
    case ("floor", .numeric):
      return try append(.number(.floor(node)), .numeric, over: [node])
    case ("ceil", .numeric), ("ceiling", .numeric):
      return try append(.number(.ceiling(node)), .numeric, over: [node])
    case ("sign", .numeric):
      return try append(.number(.sign(node)), .numeric, over: [node])
    case ("jsonb_typeof", .json):
      return try append(.json(.typeName(node)), .text, over: [node])
    default: throw unknown(name)
    }
  }

  private mutating func call(
    _ name: String, _ first: Operand, _ second: Operand
  ) throws(Deferral) -> Operand {
    let over = [first.node, second.node]
    switch (name, first.type) {
    case ("btrim", .text), ("ltrim", .text), ("rtrim", .text):
      let characters = try typed(second, as: .text)
      try expect(characters, .text)
      let side: TrimSide = name == "btrim" ? .both : name == "ltrim" ? .leading : .trailing
      return try append(
        .text(.trimmed(side, first.node, characters: characters.node)), .text,
        over: [first.node, characters.node])
    case ("round", .numeric) where second.type == .integer,
      ("trunc", .numeric) where second.type == .integer:
      let node = NumberNode.rounded(
        first.node, digits: second.node, isTruncation: name == "trunc")
      return try append(.number(node), .numeric, over: over)
    case ("mod", let type) where type.isNumber: return try infix("%", first, second)
    default: throw unknown(name)
    }
  }
}

/// The text form of arrays of one dimension.
enum ArrayText {
  /// The elements, nil for NULL; nil where the text is no such array.
  static func elements(of text: String) -> [String?]? {
    var rest = Substring(text)
    guard rest.popFirst() == "{" else { return nil }
    var elements: [String?] = []
    if rest == "}" { return elements }
    while true {
      guard let (element, wasQuoted) = element(&rest) else { return nil }
      if !wasQuoted, element.isEmpty || element.contains(where: { $0.isWhitespace }) {
        return nil
      }
      elements.append(!wasQuoted && element.uppercased() == "NULL" ? nil : element)
      switch rest.popFirst() {
      case ",": continue
      case "}": return rest.isEmpty ? elements : nil
      default: return nil
      }
    }
  }

  /// One element up to its comma or bracket.
  private static func element(_ rest: inout Substring) -> (String, wasQuoted: Bool)? {
    var content = String.UnicodeScalarView()
    var scalars = rest.unicodeScalars
    let isQuoted = scalars.first == "\""
    if isQuoted { scalars.removeFirst() }
    while let scalar = scalars.first {
      if isQuoted ? scalar == "\"" : scalar == "," || scalar == "}" {
        if isQuoted { scalars.removeFirst() }
        rest = Substring(scalars)
        return (String(content), isQuoted)
      }
      if !isQuoted, scalar == "{" || scalar == "\"" { return nil }
      scalars.removeFirst()
      if scalar == "\\" {
        guard let escaped = scalars.popFirst() else { return nil }
        content.append(escaped)
      } else {
        content.append(scalar)
      }
    }
    return nil
  }
}
