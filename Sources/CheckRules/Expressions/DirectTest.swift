// The shapes that most constraints have, judged without walking a program: one or two comparisons
// of columns with numbers, and a text column that must be one of some constants.

import EnergyReadings

/// A whole constraint of a common shape.
enum DirectTest: Sendable {
  case comparison(ColumnComparison)
  /// Two, joined by AND.
  case range(ColumnComparison, ColumnComparison)
  case membership(Membership)

  /// A column against a number.
  struct ColumnComparison: Sendable {
    var comparison: Comparison
    var column: Int32
    var number: SQLNumber
  }

  /// A column among texts.
  struct Membership: Sendable {
    var column: Int32
    var members: ListRange
    var isNegated: Bool
    var hasNull: Bool
  }

  /// The shape of a program, or nil for all others.
  init?(_ program: Program, _ columns: [CheckedColumn]) {
    guard case .predicate(let root) = program.nodes[Int(program.root)] else { return nil }
    switch root {
    case .compareColumn:
      guard let test = ColumnComparison(program, program.root, columns) else { return nil }
      self = .comparison(test)
    case .and(let list) where list.count == 2:
      guard
        let first = ColumnComparison(
          program, program.operands[list.indices.lowerBound], columns),
        let second = ColumnComparison(
          program, program.operands[list.indices.lowerBound + 1], columns)
      else { return nil }
      self = .range(first, second)
    case .isMember(let subject, let members, let isNegated, let hasNull):
      guard case .column(let column) = program.nodes[Int(subject)] else { return nil }
      self = .membership(
        Membership(column: column, members: members, isNegated: isNegated, hasNull: hasNull))
    default: return nil
    }
  }

  /// - Parameters:
  ///   - members: what the membership's range is of; slices of `constants`.
  @inline(__always)
  func verdict(
    row: Span<SQLValue>, texts: Span<UInt8>, members: Span<ByteSlice>, constants: Span<UInt8>
  ) -> CheckVerdict {
    switch self {
    case .comparison(let test): return test.verdict(row)
    case .range(let first, let second):
      let verdict = first.verdict(row)
      // Violated on the left decides; undecided on the left is not overruled.
      return verdict == .passes ? second.verdict(row) : verdict
    case .membership(let test):
      return test.verdict(row, texts: texts, members: members, constants: constants)
    }
  }
}

/// The direct tests of several constraints of one table, one after the other in memory: to walk
/// from object to object would count references for every reading.
struct DirectTests: Sendable {
  private var tests: [DirectTest] = []
  private var members: [ByteSlice] = []
  private var constants: [UInt8] = []

  init(_ constraints: [CheckConstraint]) {
    for constraint in constraints {
      guard var test = constraint.directTest else { continue }
      if case .membership(var membership) = test {
        membership.members.start += Int32(members.count)
        test = .membership(membership)
      }
      for slice in constraint.program.members {
        members.append(
          ByteSlice(offset: Int(slice.offset) + constants.count, count: Int(slice.count)))
      }
      constants += constraint.program.constants
      tests.append(test)
    }
  }

  /// Whether the row passes all of them for sure.
  func allPass(row: Span<SQLValue>, texts: Span<UInt8>) -> Bool {
    let (tests, members, constants) = (tests.span, members.span, constants.span)
    for index in tests.indices
    where tests[index].verdict(row: row, texts: texts, members: members, constants: constants)
      != .passes
    {
      return false
    }
    return true
  }
}

extension DirectTest.ColumnComparison {
  fileprivate init?(_ program: Program, _ node: NodeIndex, _ columns: [CheckedColumn]) {
    guard
      case .predicate(.compareColumn(let comparison, let column, let number)) =
        program.nodes[Int(node)]
    else { return nil }
    self.init(comparison: comparison, column: column, number: number)
    // With the column's own scale, so that no row's value has to be scaled.
    if let scale = columns[Int(column)].decimals, scale > Int(number.scale),
      let mantissa = number.mantissa(atScale: scale)
    {
      self.number = SQLNumber(mantissa: mantissa, scale: Int16(scale))
    }
  }

  @inline(__always)
  fileprivate func verdict(_ row: Span<SQLValue>) -> CheckVerdict {
    guard Int(column) < row.count else { return .undecided }
    switch row[Int(column)] {
    case .number(let value):
      return comparison.holds(SQLNumber.order(value, number)) ? .passes : .violated
    case .null: return .passes
    default: return .undecided
    }
  }
}

extension DirectTest.Membership {
  @inline(__always)
  fileprivate func verdict(
    _ row: Span<SQLValue>, texts: Span<UInt8>, members: Span<ByteSlice>, constants: Span<UInt8>
  ) -> CheckVerdict {
    guard Int(column) < row.count else { return .undecided }
    switch row[Int(column)] {
    case .text(let text):
      guard text.pool == .row else { return .undecided }
      let isFound = constants.holds(
        texts.extracting(text.slice.range), amongst: members.extracting(self.members.indices))
      return isFound != isNegated || !isFound && hasNull ? .passes : .violated
    case .null: return .passes
    default: return .undecided
    }
  }
}

extension Span where Element == UInt8 {
  /// Whether one of the slices of these bytes is `text`.
  @inline(__always)
  func holds(_ text: Span<UInt8>, amongst slices: Span<ByteSlice>) -> Bool {
    for index in slices.indices where slices[index].count == Int32(truncatingIfNeeded: text.count) {
      if extracting(slices[index].range).elementsEqual(text) { return true }
    }
    return false
  }
}
