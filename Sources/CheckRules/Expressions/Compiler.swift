// Gives every expression its type, folds constants as PostgreSQL's planner does, and writes the
// program.

import EnergyReadings

/// A compiled expression: its node, or its elements where it is an array.
struct Operand {
  var node: NodeIndex
  var type: SQLType
  /// The elements of an array; an array is no value of its own.
  var elements: [NodeIndex]?
  /// The text of a literal without a type.
  var literal: String?

  var isArray: Bool { elements != nil }
}

struct Compiler {
  private(set) var columnsRead: Set<Int> = []
  private(set) var usesClock = false
  let environment: CheckEnvironment
  private let columns: [CheckedColumn]
  private let columnIndices: [String: Int]
  var program = Program()
  /// How deep the tree below each node is: what evaluating it needs of the stack.
  private var heights: [Int] = []
  private var isInsideDefault = false

  private static let heightLimit = 200

  /// Bytes. A chain of constants that are joined makes each longer text anew.
  private static let constantLimit = 16 << 20

  init(columns: [CheckedColumn], environment: CheckEnvironment) {
    self.columns = columns
    self.environment = environment
    columnIndices = Dictionary(
      columns.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    program.utcOffsetSeconds = environment.utcOffsetSeconds ?? 0
  }

  /// The program, `root` being the whole constraint.
  mutating func finish(_ root: Operand) throws(Deferral) -> Program {
    program.root = try boolean(root).node
    return program
  }

  // MARK: Nodes

  /// Adds a node; one whose operands are all constant becomes a constant.
  mutating func append(
    _ node: Node, _ type: SQLType, over operands: [NodeIndex]
  ) throws(Deferral) -> Operand {
    var height = 1
    var isConstant = true
    for operand in operands {
      height = max(height, heights[Int(operand)] + 1)
      if constantValue(operand) == nil { isConstant = false }
    }
    if height > Compiler.heightLimit {
      throw Deferral(reason: "its operators are nested more than \(Compiler.heightLimit) deep")
    }
    let index = NodeIndex(program.nodes.count)
    program.nodes.append(node)
    if node.makesText { program.makesTexts = true }
    heights.append(height)
    if isConstant, !operands.isEmpty {
      program.nodes[Int(index)] = .constant(try folded(index))
      heights[Int(index)] = 1
    }
    return Operand(node: index, type: type)
  }

  /// The value of a node whose operands are constants.
  private mutating func folded(_ index: NodeIndex) throws(Deferral) -> SQLValue {
    let (value, made) = try evaluated(index)
    guard case .text(let text) = value, text.pool == .scratch else { return value }
    return .text(try constantText(made[text.slice.range]))
  }

  private func evaluated(_ index: NodeIndex) throws(Deferral) -> (SQLValue, made: [UInt8]) {
    let row: [SQLValue] = []
    let texts: [UInt8] = []
    var evaluation = Evaluation(program, row: row.span, texts: texts.span, now: 0)
    do {
      return (try evaluation.value(index), evaluation.scratch)
    } catch {
      throw Deferral(
        reason: "a part of it that is the same for every row raises an error in PostgreSQL or is "
          + "beyond what is computed here")
    }
  }

  func constantValue(_ node: NodeIndex) -> SQLValue? {
    if case .constant(let value) = program.nodes[Int(node)] { value } else { nil }
  }

  /// The text of a constant, or nil where it is none.
  func constantString(_ node: NodeIndex) -> String? {
    guard case .text(let text) = constantValue(node) else { return nil }
    return String(decoding: program.constants[text.slice.range], as: UTF8.self)
  }

  mutating func constantText(_ bytes: some Collection<UInt8>) throws(Deferral) -> SQLText {
    if program.constants.count + bytes.count > Compiler.constantLimit {
      throw Deferral(reason: "its constants take more than \(Compiler.constantLimit) bytes")
    }
    let slice = ByteSlice(offset: program.constants.count, count: bytes.count)
    program.constants.append(contentsOf: bytes)
    return SQLText(slice, in: .constants)
  }

  mutating func list(_ nodes: [NodeIndex]) -> ListRange {
    let range = ListRange(start: Int32(program.operands.count), count: Int32(nodes.count))
    program.operands += nodes
    return range
  }

  // MARK: Leaves

  mutating func constant(_ value: SQLValue, _ type: SQLType) throws(Deferral) -> Operand {
    try append(.constant(value), type, over: [])
  }

  mutating func literal(_ text: String) throws(Deferral) -> Operand {
    var operand = try constant(.text(constantText(text.utf8)), .untyped)
    operand.literal = text
    return operand
  }

  /// A number as it is written: integer, bigint or numeric, the first that holds it.
  mutating func number(_ text: String) throws(Deferral) -> Operand {
    let digits = Array(text.utf8)
    guard let number = try? SQLNumber(parsing: digits.span) else {
      throw Deferral(reason: "the number \(text.prefix(60)) is beyond what is computed here")
    }
    let isWhole = digits.allSatisfy { $0 &- 48 < 10 }
    let type: SQLType =
      !isWhole
      ? .numeric
      : Int32(exactly: number.mantissa) != nil
        ? .integer
        : Int64(exactly: number.mantissa) != nil ? .bigint : .numeric
    return try constant(.number(number), type)
  }

  mutating func now() throws(Deferral) -> Operand {
    usesClock = true
    return try append(.time(.now), .timestamp, over: [])
  }

  mutating func column(_ name: String) throws(Deferral) -> Operand {
    guard let index = columnIndices[name] else {
      throw Deferral(reason: "the column \(name) is not known")
    }
    let column = columns[index]
    guard column.isCarried else { return try defaultValue(of: column) }
    columnsRead.insert(index)
    let type = Compiler.typeName(of: column)?.type ?? .opaque
    let isComparable = type != .text || column.hasPlainCollation
    return try append(.column(Int32(index)), isComparable ? type : .opaque, over: [])
  }

  /// A column's type, nil where it is not computed here or is an array.
  private static func typeName(of column: CheckedColumn) -> TypeName? {
    guard var tokens = try? TokenReader(column.type),
      let name = try? TypeName(reading: &tokens), tokens.current == .end, !name.isArray
    else { return nil }
    return name
  }

  /// The decimals of a numeric column; nil where the node is no column or has no fixed scale.
  func scale(ofColumn node: NodeIndex) -> Int? {
    guard case .column(let index) = program.nodes[Int(node)],
      let name = Compiler.typeName(of: columns[Int(index)]), name.type == .numeric,
      name.precision != nil
    else { return nil }
    return name.scale
  }

  /// What a column holds that the ingestor does not write.
  private mutating func defaultValue(of column: CheckedColumn) throws(Deferral) -> Operand {
    guard let name = Compiler.typeName(of: column), name.type != .text || column.hasPlainCollation
    else {
      throw Deferral(reason: "\(column.name) of the type \(column.type) is not computed here")
    }
    guard let expression = column.defaultExpression else { return try constant(.null, name.type) }
    guard !isInsideDefault else {
      throw Deferral(reason: "\(column.name) is generated from other columns")
    }
    isInsideDefault = true
    defer { isInsideDefault = false }
    var reader = ExpressionReader(try TokenReader(expression))
    let value = try reader.readAll(&self)
    if let length = name.length, let text = constantString(value.node),
      text.unicodeScalars.count > length
    {
      throw Deferral(reason: "the default of \(column.name) is longer than the column")
    }
    return try cast(value, to: name)
  }

  // MARK: Logic

  /// The operand as a boolean.
  private mutating func boolean(_ operand: Operand) throws(Deferral) -> Operand {
    let operand = try typed(operand, as: .boolean)
    guard operand.type == .boolean, !operand.isArray else {
      throw Deferral(reason: "\(operand.type.name) stands where a condition is understood")
    }
    return operand
  }

  private mutating func predicate(
    _ predicate: Predicate, over operands: [NodeIndex]
  ) throws(Deferral) -> Operand {
    try append(.predicate(predicate), .boolean, over: operands)
  }

  mutating func not(_ operand: Operand) throws(Deferral) -> Operand {
    let node = try boolean(operand).node
    return try predicate(.not(node), over: [node])
  }

  mutating func connected(_ terms: [Operand], isAnd: Bool) throws(Deferral) -> Operand {
    var nodes: [NodeIndex] = []
    for term in terms { nodes.append(try boolean(term).node) }
    let range = list(nodes)
    return try predicate(isAnd ? .and(range) : .or(range), over: nodes)
  }

  mutating func isNull(_ operand: Operand, isNegated: Bool) throws(Deferral) -> Operand {
    let node = try scalar(operand).node
    return try predicate(isNegated ? .isNotNull(node) : .isNull(node), over: [node])
  }

  mutating func test(_ operand: Operand, _ test: TruthTest) throws(Deferral) -> Operand {
    let node = try boolean(operand).node
    return try predicate(.test(test, node), over: [node])
  }

  mutating func isDistinct(_ left: Operand, _ right: Operand) throws(Deferral) -> Operand {
    let (left, right) = try unified(left, right)
    try checkComparable(left.type, isEquality: true)
    return try predicate(.isDistinct(left.node, right.node), over: [left.node, right.node])
  }

  // MARK: Types

  /// Refuses an array where a value is wanted.
  func scalar(_ operand: Operand) throws(Deferral) -> Operand {
    if operand.isArray { throw Deferral(reason: "arrays are computed only behind ANY and ALL") }
    return operand
  }

  /// A literal or NULL without a type as `type`; anything else as it is.
  mutating func typed(_ operand: Operand, as type: SQLType) throws(Deferral) -> Operand {
    guard operand.type == .untyped else { return operand }
    return try cast(operand, to: TypeName(type))
  }

  /// Two operands that can be compared: of one type, or both numbers.
  mutating func unified(
    _ left: Operand, _ right: Operand
  ) throws(Deferral) -> (Operand, Operand) {
    let both = try unified([left, right])
    return (both.operands[0], both.operands[1])
  }

  /// Operands of one type, which literals without one take on; numbers of several types become the
  /// widest.
  mutating func unified(
    _ operands: [Operand]
  ) throws(Deferral) -> (operands: [Operand], type: SQLType) {
    var type = SQLType.untyped
    for operand in operands {
      let next = try scalar(operand).type
      if next == .untyped || next == type { continue }
      if type == .untyped {
        type = next
      } else if type.isNumber, next.isNumber {
        type = type.rawValue > next.rawValue ? type : next
      } else {
        throw Deferral(reason: "\(type.name) and \(next.name) are not computed together here")
      }
    }
    if type == .untyped { type = .text }
    var result: [Operand] = []
    for operand in operands { result.append(try typed(operand, as: type)) }
    return (result, type)
  }

  func checkComparable(_ type: SQLType, isEquality: Bool) throws(Deferral) {
    switch type {
    case .opaque, .json: throw Deferral(reason: "\(type.name) is not compared here")
    case .text where !isEquality:
      throw Deferral(reason: "the order of texts depends on the collation")
    default: break
    }
  }

  func expect(_ operand: Operand, _ type: SQLType) throws(Deferral) {
    if operand.type != type || operand.isArray {
      throw Deferral(reason: "\(operand.type.name) stands where \(type.name) is understood")
    }
  }
}
