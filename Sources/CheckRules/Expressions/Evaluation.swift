// Runs a program over one row: SQL's values, NULL included, and `Undecided` where PostgreSQL would
// raise an error or this engine does not reach.
//
// Operands are computed from left to right and all of them before an operator, as PostgreSQL does:
// what would raise an error there is undecided here, unless a decision to its left comes first.

import EnergyReadings

/// One program, one row, and the memory for texts made on the way.
struct Evaluation: ~Copyable, ~Escapable {
  private let nodes: Span<Node>
  private let operands: Span<NodeIndex>
  private let members: Span<ByteSlice>
  private let atoms: Span<PatternAtom>
  let constants: Span<UInt8>
  private let utcOffsetSeconds: Int64
  private let row: Span<SQLValue>
  let texts: Span<UInt8>
  private let now: Int64
  /// Texts made while this row is judged.
  var scratch: [UInt8] = []

  /// - Parameters:
  ///   - row: the values by column index.
  ///   - texts: what the row's slices point into.
  ///   - now: µs since 1970.
  @_lifetime(borrow program, copy row, copy texts)
  init(_ program: borrowing Program, row: Span<SQLValue>, texts: Span<UInt8>, now: Int64) {
    nodes = program.nodes.span
    operands = program.operands.span
    members = program.members.span
    atoms = program.atoms.span
    constants = program.constants.span
    utcOffsetSeconds = program.utcOffsetSeconds
    self.row = row
    self.texts = texts
    self.now = now
  }

  // MARK: Values

  mutating func value(_ index: NodeIndex) throws(Undecided) -> SQLValue {
    switch nodes[Int(index)] {
    case .constant(let value): return value
    case .column(let column): return try self.column(column)
    case .predicate(let predicate):
      guard let truth = try truth(of: predicate) else { return .null }
      return .boolean(truth)
    case .number(let node): return try number(of: node)
    case .text(let node): return try text(of: node)
    case .time(let node): return try time(of: node)
    case .json(let node): return try json(of: node)
    case .choice(let node): return try choice(of: node)
    case .cast(let cast, let operand): return try convert(value(operand), to: cast)
    }
  }

  mutating func truth(_ index: NodeIndex) throws(Undecided) -> Bool? {
    if case .predicate(let predicate) = nodes[Int(index)] { return try truth(of: predicate) }
    switch try value(index) {
    case .null: return nil
    case .boolean(let truth): return truth
    default: throw Undecided()
    }
  }

  /// A text, or nil for NULL.
  mutating func textValue(_ index: NodeIndex) throws(Undecided) -> SQLText? {
    switch try value(index) {
    case .text(let text): return text
    case .null: return nil
    default: throw Undecided()
    }
  }

  /// The place of a json text, or nil for NULL.
  mutating func jsonValue(_ index: NodeIndex) throws(Undecided) -> SQLText? {
    switch try value(index) {
    case .json(let text): return text
    case .null: return nil
    default: throw Undecided()
    }
  }

  /// A number, or nil for NULL.
  mutating func numberValue(_ index: NodeIndex) throws(Undecided) -> SQLNumber? {
    switch try value(index) {
    case .number(let number): return number
    case .null: return nil
    default: throw Undecided()
    }
  }

  private func column(_ index: Int32) throws(Undecided) -> SQLValue {
    guard Int(index) < row.count else { throw Undecided() }
    let value = row[Int(index)]
    switch value {
    case .undecided: throw Undecided()
    case .text(let text), .json(let text):
      if text.pool != .row { throw Undecided() }
      return value
    default: return value
    }
  }

  /// The bytes of a text.
  @_lifetime(borrow self)
  func bytes(_ text: SQLText) -> Span<UInt8> {
    switch text.pool {
    case .row: texts.extracting(text.slice.range)
    case .constants: constants.extracting(text.slice.range)
    case .scratch: scratch.span.extracting(text.slice.range)
    }
  }

  /// Copies a text to the end of the scratch memory, where it may be changed.
  mutating func copy(_ text: SQLText) {
    for index in text.slice.range {
      switch text.pool {
      case .row: scratch.append(texts[index])
      case .constants: scratch.append(constants[index])
      case .scratch: scratch.append(scratch[index])
      }
    }
  }

  /// What was written to the scratch memory since it had `start` bytes.
  func written(since start: Int) -> SQLText {
    SQLText(ByteSlice(offset: start, count: scratch.count - start), in: .scratch)
  }

  // MARK: Predicates

  private mutating func truth(of predicate: Predicate) throws(Undecided) -> Bool? {
    switch predicate {
    case .compareColumn(let comparison, let column, let constant):
      switch try self.column(column) {
      case .number(let number): return comparison.holds(SQLNumber.order(number, constant))
      case .null: return nil
      default: throw Undecided()
      }
    case .compare(let comparison, let left, let right):
      let left = try value(left)
      return try order(left, value(right)).map(comparison.holds)
    case .and(let list): return try conjunction(list)
    case .or(let list): return try disjunction(list)
    case .not(let operand): return try truth(operand).map { !$0 }
    case .isNull(let operand): return try value(operand).isNull
    case .isNotNull(let operand): return try !value(operand).isNull
    case .test(let test, let operand): return test.holds(try truth(operand))
    case .isMember(let operand, let list, let isNegated, let hasNull):
      guard let text = try textValue(operand) else { return nil }
      let isFound = isMember(text, of: list)
      return !isFound && hasNull ? nil : isFound != isNegated
    default: return try rareTruth(of: predicate)
    }
  }

  private mutating func rareTruth(of predicate: Predicate) throws(Undecided) -> Bool? {
    switch predicate {
    case .isDistinct(let left, let right):
      let left = try value(left)
      let right = try value(right)
      if left.isNull || right.isNull { return left.isNull != right.isNull }
      return try order(left, right) != 0
    case .quantified(let test, let isAll, let left, let list):
      return try quantified(test, isAll: isAll, left, list)
    case .like(let kind, let text, let pattern):
      let text = try value(text)
      return try passes(.like(kind), text, value(pattern))
    case .matches(let pattern, let text, let isNegated):
      guard let text = try textValue(text) else { return nil }
      var matcher = PatternMatcher(pattern, atoms: atoms, text: bytes(text))
      return try matcher.matches() != isNegated
    case .hasKey(let json, let key):
      let json = try value(json)
      return try passes(.hasKey, json, value(key))
    case .isEmpty(let json, let bracket, let isNegated):
      guard let json = try jsonValue(json) else { return nil }
      return try isEmpty(json, bracket: bracket) != isNegated
    default: throw Undecided()
    }
  }

  private mutating func conjunction(_ list: ListRange) throws(Undecided) -> Bool? {
    var result: Bool? = true
    for index in list.indices {
      guard let truth = try truth(operands[index]) else {
        result = nil
        continue
      }
      if !truth { return false }
    }
    return result
  }

  private mutating func disjunction(_ list: ListRange) throws(Undecided) -> Bool? {
    var result: Bool? = false
    for index in list.indices {
      guard let truth = try truth(operands[index]) else {
        result = nil
        continue
      }
      if truth { return true }
    }
    return result
  }

  private func isMember(_ text: SQLText, of list: ListRange) -> Bool {
    constants.holds(bytes(text), amongst: members.extracting(list.indices))
  }

  /// ANY and ALL: all elements are computed before the first is looked at.
  private mutating func quantified(
    _ test: ElementTest, isAll: Bool, _ left: NodeIndex, _ list: ListRange
  ) throws(Undecided) -> Bool? {
    let left = try value(left)
    for index in list.indices { _ = try value(operands[index]) }
    var result: Bool? = isAll
    for index in list.indices {
      guard let truth = try passes(test, left, value(operands[index])) else {
        result = nil
        continue
      }
      if truth != isAll { return truth }
    }
    return result
  }

  /// An operator on two values; NULL where one is NULL.
  private func passes(
    _ test: ElementTest, _ left: SQLValue, _ right: SQLValue
  ) throws(Undecided) -> Bool? {
    if left.isNull || right.isNull { return nil }
    switch (test, left, right) {
    case (.comparison(let comparison), _, _): return try order(left, right).map(comparison.holds)
    case (.like(let kind), .text(let text), .text(let pattern)):
      let isLike = try bytes(text).isLike(bytes(pattern), ignoringCase: kind.ignoresCase)
      return isLike != kind.isNegated
    case (.hasKey, .json(let json), .text(let key)): return try hasKey(json, key)
    default: throw Undecided()
    }
  }

  /// -1, 0 or 1, or nil where a value is NULL; of texts, 0 or 1.
  func order(_ left: SQLValue, _ right: SQLValue) throws(Undecided) -> Int? {
    switch (left, right) {
    case (.number(let left), .number(let right)): return SQLNumber.order(left, right)
    case (.null, _), (_, .null): return nil
    case (.text(let left), .text(let right)):
      return bytes(left).elementsEqual(bytes(right)) ? 0 : 1
    case (.timestamp(let left), .timestamp(let right)): return SQLNumber.order(left, right)
    case (.interval(let left), .interval(let right)):
      return SQLNumber.order(left.span, right.span)
    case (.boolean(let left), .boolean(let right)):
      return left == right ? 0 : right ? -1 : 1
    default: throw Undecided()
    }
  }

  // MARK: Choices and times

  private mutating func choice(of node: ChoiceNode) throws(Undecided) -> SQLValue {
    switch node {
    case .branches(let list):
      var index = list.indices.lowerBound
      while index + 1 < list.indices.upperBound {
        if try truth(operands[index]) == true { return try value(operands[index + 1]) }
        index += 2
      }
      return try value(operands[index])
    case .coalesce(let list):
      for index in list.indices {
        let value = try value(operands[index])
        if !value.isNull { return value }
      }
      return .null
    case .extreme(let isGreatest, let list):
      var result = SQLValue.null
      for index in list.indices {
        let value = try value(operands[index])
        if value.isNull { continue }
        guard let order = try order(value, result) else {
          result = value
          continue
        }
        if isGreatest ? order > 0 : order < 0 { result = value }
      }
      return result
    case .nullIf(let left, let right):
      let left = try value(left)
      return try order(left, value(right)) == 0 ? .null : left
    }
  }

  private mutating func time(of node: TimeNode) throws(Undecided) -> SQLValue {
    switch node {
    case .now: return .timestamp(now)
    case .shifted(let time, let interval, let isBack):
      let time = try value(time)
      let interval = try value(interval)
      if time.isNull || interval.isNull { return .null }
      guard case .timestamp(let start) = time, case .interval(let length) = interval else {
        throw Undecided()
      }
      return .timestamp(
        try TimeArithmetic.add(
          isBack ? length.negated() : length, to: start, offset: utcOffsetSeconds))
    case .elapsed(let end, let start):
      let end = try value(end)
      let start = try value(start)
      if end.isNull || start.isNull { return .null }
      guard case .timestamp(let last) = end, case .timestamp(let first) = start else {
        throw Undecided()
      }
      return .interval(try TimeArithmetic.elapsed(from: first, to: last))
    case .sum(let left, let right, let isDifference):
      let left = try value(left)
      let right = try value(right)
      if left.isNull || right.isNull { return .null }
      guard case .interval(let first) = left, case .interval(let second) = right else {
        throw Undecided()
      }
      return .interval(try first.adding(isDifference ? second.negated() : second))
    }
  }
}

extension SQLValue {
  @inline(__always)
  var isNull: Bool {
    if case .null = self { true } else { false }
  }
}
