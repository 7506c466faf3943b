// Compiles operators, by their symbol and the types beside them.

import EnergyReadings

extension Compiler {
  mutating func infix(
    _ symbol: String, _ left: Operand, _ right: Operand
  ) throws(Deferral) -> Operand {
    if let comparison = Comparison(symbol) { return try compare(comparison, left, right) }
    if let operation = ArithmeticOperator(symbol) {
      return try arithmetic(operation, symbol, left, right)
    }
    if let kind = LikeKind(symbol) { return try like(kind, left, right) }
    switch symbol {
    case "||":
      let (left, right) = try unified(left, right)
      try expect(left, .text)
      return try append(
        .text(.concatenation(left.node, right.node)), .text, over: [left.node, right.node])
    case "~", "!~", "~*", "!~*": return try matches(symbol, left, right)
    case "->", "->>": return try member(left, right, isText: symbol == "->>")
    case "#>", "#>>": return try path(left, right, isText: symbol == "#>>")
    case "?":
      let key = try typed(right, as: .text)
      try expect(left, .json)
      try expect(key, .text)
      return try append(
        .predicate(.hasKey(left.node, key.node)), .boolean, over: [left.node, key.node])
    case "?|", "?&": return try keys(left, right, isAll: symbol == "?&")
    default: throw Deferral(reason: "the operator \(symbol) is not computed here")
    }
  }

  // MARK: Comparison

  private mutating func compare(
    _ comparison: Comparison, _ left: Operand, _ right: Operand
  ) throws(Deferral) -> Operand {
    let (left, right) = try unified(left, right)
    if left.type == .json, comparison.isEquality {
      return try compareWithEmpty(left, right, isNegated: comparison == .notEqual)
    }
    try checkComparable(left.type, isEquality: comparison.isEquality)
    let predicate =
      columnComparison(comparison, left, right)
      ?? columnComparison(comparison.mirrored, right, left)
      ?? .compare(comparison, left.node, right.node)
    return try append(.predicate(predicate), .boolean, over: [left.node, right.node])
  }

  /// The comparison of a column with a number, which is given the column's scale beforehand.
  private func columnComparison(
    _ comparison: Comparison, _ left: Operand, _ right: Operand
  ) -> Predicate? {
    guard case .column(let column) = program.nodes[Int(left.node)],
      case .number(var number) = constantValue(right.node)
    else { return nil }
    if let scale = scale(ofColumn: left.node), scale > Int(number.scale),
      let mantissa = number.mantissa(atScale: scale)
    {
      number = SQLNumber(mantissa: mantissa, scale: Int16(scale))
    }
    return .compareColumn(comparison, column: column, number)
  }

  /// `= '{}'::jsonb` and `= '[]'::jsonb`; other json values are not compared.
  private mutating func compareWithEmpty(
    _ left: Operand, _ right: Operand, isNegated: Bool
  ) throws(Deferral) -> Operand {
    for (value, empty) in [(left, right), (right, left)] {
      guard case .json(let text) = constantValue(empty.node) else { continue }
      let bytes = program.constants[text.slice.range]
      guard bytes.elementsEqual("{}".utf8) || bytes.elementsEqual("[]".utf8),
        let bracket = bytes.first
      else { continue }
      return try append(
        .predicate(.isEmpty(value.node, bracket: bracket, isNegated: isNegated)), .boolean,
        over: [value.node])
    }
    throw Deferral(reason: "jsonb is compared only with {} and []")
  }

  // MARK: ANY and ALL

  mutating func quantified(
    _ symbol: String, isAll: Bool, _ left: Operand, _ right: Operand
  ) throws(Deferral) -> Operand {
    let right =
      try right.literal.map { text throws(Deferral) in
        try array(parsing: text, of: TypeName(left.type == .untyped ? .text : left.type))
      } ?? right
    guard let elements = right.elements else {
      throw Deferral(reason: "ANY and ALL are computed only with arrays that are written out")
    }
    var operands = [left]
    for element in elements { operands.append(Operand(node: element, type: right.type)) }
    let unified = try unified(operands)
    let nodes = unified.operands.dropFirst().map(\.node)
    let test = try elementTest(symbol, unified.type)
    let subject = unified.operands[0].node
    if unified.type == .text, symbol == "=" && !isAll || symbol == "<>" && isAll,
      let predicate = membership(subject, nodes, isNegated: isAll)
    {
      return try append(.predicate(predicate), .boolean, over: [subject])
    }
    let range = list(nodes)
    return try append(
      .predicate(.quantified(test, isAll: isAll, subject, range)), .boolean,
      over: [subject] + nodes)
  }

  private func elementTest(_ symbol: String, _ type: SQLType) throws(Deferral) -> ElementTest {
    if let comparison = Comparison(symbol) {
      try checkComparable(type, isEquality: comparison.isEquality)
      return .comparison(comparison)
    }
    if let kind = LikeKind(symbol), type == .text {
      if kind.ignoresCase { try checkCase() }
      return .like(kind)
    }
    throw Deferral(reason: "\(symbol) ANY and \(symbol) ALL are not computed here")
  }

  /// A test for constants alone; nil where an element is none, or there is no element.
  private mutating func membership(
    _ subject: NodeIndex, _ elements: [NodeIndex], isNegated: Bool
  ) -> Predicate? {
    var slices: [ByteSlice] = []
    var hasNull = false
    for element in elements {
      switch constantValue(element) {
      case .text(let text): slices.append(text.slice)
      case .null: hasNull = true
      default: return nil
      }
    }
    if elements.isEmpty { return nil }
    let range = ListRange(start: Int32(program.members.count), count: Int32(slices.count))
    program.members += slices
    return .isMember(subject, range, isNegated: isNegated, hasNull: hasNull)
  }

  // MARK: Arithmetic

  mutating func negated(_ operand: Operand) throws(Deferral) -> Operand {
    let operand = try scalar(operand)
    guard operand.type.isNumber else {
      throw Deferral(reason: "the minus of \(operand.type.name) is not computed here")
    }
    return try append(
      .number(.negated(operand.type, operand.node)), operand.type, over: [operand.node])
  }

  private mutating func arithmetic(
    _ operation: ArithmeticOperator, _ symbol: String, _ left: Operand, _ right: Operand
  ) throws(Deferral) -> Operand {
    let left = try scalar(left)
    let right = try scalar(right)
    let over = [left.node, right.node]
    switch (operation, left.type, right.type) {
    case (.add, .timestamp, .interval), (.subtract, .timestamp, .interval):
      try checkOffset(for: right.node)
      return try append(
        .time(.shifted(left.node, by: right.node, isBack: operation == .subtract)), .timestamp,
        over: over)
    case (.add, .interval, .timestamp):
      try checkOffset(for: left.node)
      return try append(
        .time(.shifted(right.node, by: left.node, isBack: false)), .timestamp, over: over)
    case (.subtract, .timestamp, .timestamp):
      return try append(.time(.elapsed(left.node, since: right.node)), .interval, over: over)
    case (.add, .interval, .interval), (.subtract, .interval, .interval):
      return try append(
        .time(.sum(left.node, right.node, isDifference: operation == .subtract)), .interval,
        over: over)
    default: break
    }
    let unified = try unified([left, right])
    guard unified.type.isNumber else {
      throw Deferral(reason: "\(symbol) of \(unified.type.name) is not computed here")
    }
    let nodes = unified.operands.map(\.node)
    return try append(
      .number(.arithmetic(operation, unified.type, nodes[0], nodes[1])), unified.type, over: nodes)
  }

  /// Days and months are counted on the session's clock, which has to be a fixed one.
  private func checkOffset(for interval: NodeIndex) throws(Deferral) {
    if environment.utcOffsetSeconds != nil { return }
    switch constantValue(interval) {
    case .interval(let length) where length.months == 0 && length.days == 0: return
    case .null: return
    default:
      throw Deferral(
        reason: "days and months depend on the session's time zone, whose clock is changed twice "
          + "a year")
    }
  }

  // MARK: Texts

  func checkCase() throws(Deferral) {
    if !environment.isCasePlain {
      throw Deferral(reason: "upper and lower case depend on the database's locale")
    }
  }

  private mutating func like(
    _ kind: LikeKind, _ left: Operand, _ right: Operand
  ) throws(Deferral) -> Operand {
    if kind.ignoresCase { try checkCase() }
    let (left, right) = try unified(left, right)
    try expect(left, .text)
    return try append(
      .predicate(.like(kind, left.node, right.node)), .boolean, over: [left.node, right.node])
  }

  private mutating func matches(
    _ symbol: String, _ left: Operand, _ right: Operand
  ) throws(Deferral) -> Operand {
    let ignoresCase = symbol.hasSuffix("*")
    if ignoresCase { try checkCase() }
    let (left, right) = try unified(left, right)
    try expect(left, .text)
    guard let text = constantString(right.node) else {
      throw Deferral(reason: "a regular expression that is not constant is not computed here")
    }
    let pattern = try Pattern(text, ignoringCase: ignoresCase, into: &program.atoms)
    return try append(
      .predicate(.matches(pattern, left.node, isNegated: symbol.hasPrefix("!"))), .boolean,
      over: [left.node])
  }

  // MARK: Json

  private mutating func member(
    _ left: Operand, _ right: Operand, isText: Bool
  ) throws(Deferral) -> Operand {
    try expect(left, .json)
    let key = try typed(scalar(right), as: .text)
    let over = [left.node, key.node]
    let found: Operand
    switch key.type {
    case .text: found = try append(.json(.member(left.node, key: key.node)), .json, over: over)
    case .integer, .smallint:
      found = try append(.json(.element(left.node, index: key.node)), .json, over: over)
    default: throw Deferral(reason: "-> with \(key.type.name) is not computed here")
    }
    return isText ? try text(of: found) : found
  }

  private mutating func text(of json: Operand) throws(Deferral) -> Operand {
    try append(.json(.text(json.node)), .text, over: [json.node])
  }

  /// The operand as an array of texts, where it is a literal such as `'{a,b}'`.
  private mutating func textArray(_ operand: Operand) throws(Deferral) -> Operand {
    guard let text = operand.literal else { return operand }
    return try array(parsing: text, of: TypeName(.text))
  }

  private mutating func path(
    _ left: Operand, _ right: Operand, isText: Bool
  ) throws(Deferral) -> Operand {
    try expect(left, .json)
    let right = try textArray(right)
    guard let elements = right.elements, right.type == .text else {
      throw Deferral(reason: "#> is computed only with a path that is written out")
    }
    var found = left
    for element in elements {
      guard let key = constantString(element) else {
        throw Deferral(reason: "#> is computed only with a path of constants")
      }
      let index = Int32(key)
      let looksLikeNumber = key.utf8.contains { $0 &- 48 < 10 }
      // PostgreSQL also takes blanks and a plus before the digits, and leading zeros.
      if looksLikeNumber, index.map(String.init) != key {
        throw Deferral(reason: "#> with the step \(key.prefix(40)) is not computed here")
      }
      found = try append(
        .json(.step(found.node, key: element, index: index)), .json, over: [found.node, element])
    }
    return isText ? try text(of: found) : found
  }

  private mutating func keys(
    _ left: Operand, _ right: Operand, isAll: Bool
  ) throws(Deferral) -> Operand {
    try expect(left, .json)
    let right = try textArray(right)
    // Elements that are NULL do not count here, and none at all is a case of its own.
    guard let elements = right.elements, right.type == .text, !elements.isEmpty,
      elements.allSatisfy({ constantString($0) != nil })
    else { throw Deferral(reason: "?| and ?& are computed only with keys that are written out") }
    let range = list(elements)
    return try append(
      .predicate(.quantified(.hasKey, isAll: isAll, left.node, range)), .boolean,
      over: [left.node] + elements)
  }
}
