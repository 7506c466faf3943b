// A compiled expression: nodes in one array, each referring to earlier ones by their index, with
// its lists, texts and patterns in arrays beside it. Nothing in it is counted by references.

import EnergyReadings

/// The index of a node in its program.
typealias NodeIndex = Int32

/// A range of a program's `operands`, `members` or `atoms`.
struct ListRange: Sendable {
  var start: Int32
  var count: Int32

  var indices: Range<Int> { Int(start)..<Int(start + count) }
}

/// `= <> < <= > >=`.
enum Comparison: UInt8, Sendable {
  case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual

  init?(_ symbol: String) {
    switch symbol {
    case "=": self = .equal
    case "<>": self = .notEqual
    case "<": self = .less
    case "<=": self = .lessOrEqual
    case ">": self = .greater
    case ">=": self = .greaterOrEqual
    default: return nil
    }
  }

  var isEquality: Bool { self == .equal || self == .notEqual }

  /// The same comparison with its sides exchanged.
  var mirrored: Comparison {
    switch self {
    case .equal, .notEqual: self
    case .less: .greater
    case .lessOrEqual: .greaterOrEqual
    case .greater: .less
    case .greaterOrEqual: .lessOrEqual
    }
  }

  /// Whether it holds for two values whose order is -1, 0 or 1.
  func holds(_ order: Int) -> Bool {
    switch self {
    case .equal: order == 0
    case .notEqual: order != 0
    case .less: order < 0
    case .lessOrEqual: order <= 0
    case .greater: order > 0
    case .greaterOrEqual: order >= 0
    }
  }
}

/// What IS asks about a boolean.
enum TruthTest: UInt8, Sendable {
  case isTrue, isNotTrue, isFalse, isNotFalse, isUnknown, isNotUnknown

  func holds(_ truth: Bool?) -> Bool {
    switch self {
    case .isTrue: truth == true
    case .isNotTrue: truth != true
    case .isFalse: truth == false
    case .isNotFalse: truth != false
    case .isUnknown: truth == nil
    case .isNotUnknown: truth != nil
    }
  }
}

/// LIKE and its kin.
struct LikeKind: Sendable {
  var ignoresCase: Bool
  var isNegated: Bool

  init?(_ symbol: String) {
    switch symbol {
    case "~~": (ignoresCase, isNegated) = (false, false)
    case "!~~": (ignoresCase, isNegated) = (false, true)
    case "~~*": (ignoresCase, isNegated) = (true, false)
    case "!~~*": (ignoresCase, isNegated) = (true, true)
    default: return nil
    }
  }
}

/// What ANY and ALL apply to each element.
enum ElementTest: Sendable {
  case comparison(Comparison)
  case like(LikeKind)
  case hasKey
}

/// A node whose value is true, false or NULL.
enum Predicate: Sendable {
  case and(ListRange)
  case or(ListRange)
  case not(NodeIndex)
  case isNull(NodeIndex)
  case isNotNull(NodeIndex)
  case test(TruthTest, NodeIndex)
  case compare(Comparison, NodeIndex, NodeIndex)
  /// The common shape: a column against a number.
  case compareColumn(Comparison, column: Int32, SQLNumber)
  case isDistinct(NodeIndex, NodeIndex)
  /// The common shape: a text among constants (`members`).
  case isMember(NodeIndex, ListRange, isNegated: Bool, hasNull: Bool)
  case quantified(ElementTest, isAll: Bool, NodeIndex, ListRange)
  case like(LikeKind, NodeIndex, NodeIndex)
  case matches(Pattern, NodeIndex, isNegated: Bool)
  case hasKey(NodeIndex, NodeIndex)
  /// Whether a json value is an object or array without members.
  case isEmpty(NodeIndex, bracket: UInt8, isNegated: Bool)
}

/// A node whose value is a number.
enum NumberNode: Sendable {
  case arithmetic(ArithmeticOperator, SQLType, NodeIndex, NodeIndex)
  case negated(SQLType, NodeIndex)
  case absolute(SQLType, NodeIndex)
  case rounded(NodeIndex, digits: NodeIndex, isTruncation: Bool)
  case floor(NodeIndex)
  case ceiling(NodeIndex)
  case sign(NodeIndex)
  case length(LengthUnit, NodeIndex)
}

enum LengthUnit: UInt8, Sendable { case characters, bytes }

/// A node whose value is a text.
enum TextNode: Sendable {
  case concatenation(NodeIndex, NodeIndex)
  case lower(NodeIndex)
  case upper(NodeIndex)
  case trimmed(TrimSide, NodeIndex, characters: NodeIndex)
}

enum TrimSide: UInt8, Sendable { case both, leading, trailing }

/// A node about points in time.
enum TimeNode: Sendable {
  case now
  case shifted(NodeIndex, by: NodeIndex, isBack: Bool)
  case elapsed(NodeIndex, since: NodeIndex)
  case sum(NodeIndex, NodeIndex, isDifference: Bool)
}

/// A node that looks into a json value.
enum JSONNode: Sendable {
  case member(NodeIndex, key: NodeIndex)
  case element(NodeIndex, index: NodeIndex)
  /// One step of `#>`: a key, and an index too where the text is a whole number.
  case step(NodeIndex, key: NodeIndex, index: Int32?)
  case text(NodeIndex)
  case typeName(NodeIndex)
}

/// A node that passes on one of its operands.
enum ChoiceNode: Sendable {
  /// Condition and result in turn, the result of ELSE last.
  case branches(ListRange)
  case coalesce(ListRange)
  case extreme(isGreatest: Bool, ListRange)
  case nullIf(NodeIndex, NodeIndex)
}

/// A conversion.
enum Cast: Sendable {
  case number(SQLType)
  case numeric(precision: Int, scale: Int)
  case boolean
  case text
  /// The first characters of a text.
  case prefix(Int)
}

enum Node: Sendable {
  case constant(SQLValue)
  case column(Int32)
  case predicate(Predicate)
  case number(NumberNode)
  case text(TextNode)
  case time(TimeNode)
  case json(JSONNode)
  case choice(ChoiceNode)
  case cast(Cast, NodeIndex)
}

extension Node {
  /// Whether it may write to the scratch memory.
  var makesText: Bool {
    switch self {
    case .text, .json(.text), .json(.typeName), .cast(.text, _): true
    default: false
    }
  }
}

struct Program: Sendable {
  var nodes: [Node] = []
  var operands: [NodeIndex] = []
  /// Constants of ``Predicate/isMember(_:_:isNegated:hasNull:)``.
  var members: [ByteSlice] = []
  var atoms: [PatternAtom] = []
  /// The bytes of the constants.
  var constants: [UInt8] = []
  /// Seconds east of UTC of the session.
  var utcOffsetSeconds: Int64 = 0
  var root: NodeIndex = 0
  /// Whether it makes texts of its own while it runs.
  var makesTexts = false
}
