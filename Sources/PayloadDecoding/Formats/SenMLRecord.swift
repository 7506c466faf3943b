// One SenML record, its base fields resolved, from JSON or CBOR.

import EnergyReadings

/// A record with the base fields that hold for it (RFC 8428, section 4.1).
struct SenMLRecord {
  private var baseName: ByteSlice = .absent
  private var baseUnit: ByteSlice = .absent
  private var ownName: ByteSlice = .absent
  private var ownUnit: ByteSlice = .absent
  private(set) var baseTime: ByteSlice?
  private(set) var baseValue: ByteSlice?
  private(set) var baseSum: ByteSlice?
  private(set) var value: ByteSlice?
  private(set) var sum: ByteSlice?
  private(set) var time: ByteSlice?

  init() {}

  /// A record that comes behind this one: it has its base fields, and nothing else yet.
  var successor: SenMLRecord {
    var next = SenMLRecord()
    (next.baseName, next.baseUnit, next.baseTime) = (baseName, baseUnit, baseTime)
    (next.baseValue, next.baseSum) = (baseValue, baseSum)
    return next
  }

  var unit: ByteSlice { ownUnit.isPresent ? ownUnit : baseUnit }

  /// `bn` and `n`, one behind the other.
  func name(in arena: inout ByteArena) throws(Rejection) -> ByteSlice {
    guard ownName.count > 0 || baseName.count > 0 else {
      throw Rejection(.missingField, path: "$.n", detail: "a name, as n or bn")
    }
    if baseName.count == 0 { return ownName }
    let start = arena.append(baseName)
    let end = arena.append(ownName)
    return ByteSlice(offset: Int(start.offset), count: Int(start.count + end.count))
  }

  mutating func set(_ label: SenMLLabel, text: ByteSlice) {
    switch label {
    case .baseName: baseName = text
    case .baseUnit: baseUnit = text
    case .name: ownName = text
    case .unit: ownUnit = text
    default: break
    }
  }

  /// - Parameter number: its decimal digits; nil for `null`.
  mutating func set(_ label: SenMLLabel, number: ByteSlice?) {
    switch label {
    case .baseTime: baseTime = number
    case .baseValue: baseValue = number
    case .baseSum: baseSum = number
    case .value: value = number
    case .sum: sum = number
    case .time: time = number
    default: break
    }
  }
}

/// The fields of a record that matter here (RFC 8428, sections 4.3 and 6).
enum SenMLLabel: Int {
  case baseName = -2
  case baseTime = -3
  case baseUnit = -4
  case baseValue = -5
  case baseSum = -6
  case name = 0
  case unit = 1
  case value = 2
  case sum = 5
  case time = 6
  // No label of CBOR.
  case mustUnderstand = 1_000
  case other = 1_001

  /// The label of a member in JSON.
  init(_ key: Span<UInt8>) {
    self =
      switch key.count {
      case 1 where key[0] == UInt8(ascii: "n"): .name
      case 1 where key[0] == UInt8(ascii: "u"): .unit
      case 1 where key[0] == UInt8(ascii: "v"): .value
      case 1 where key[0] == UInt8(ascii: "s"): .sum
      case 1 where key[0] == UInt8(ascii: "t"): .time
      case 2 where key.elementsEqual("bn"): .baseName
      case 2 where key.elementsEqual("bt"): .baseTime
      case 2 where key.elementsEqual("bu"): .baseUnit
      case 2 where key.elementsEqual("bv"): .baseValue
      case 2 where key.elementsEqual("bs"): .baseSum
      case 1... where key[key.count - 1] == UInt8(ascii: "_"): .mustUnderstand
      default: .other
      }
  }

  /// Whether the field is a text; else, unless it is another's, a number.
  var isText: Bool {
    self == .baseName || self == .baseUnit || self == .name || self == .unit
  }
}

extension SenMLRecord {
  /// Reads the members of the object at `index`.
  mutating func read(
    _ index: Int, _ parser: JSONParser, _ arena: inout ByteArena
  ) throws(Rejection) {
    guard parser[index].kind == .object else {
      throw Rejection(.wrongType, path: "$", detail: "expected a SenML record")
    }
    for member in parser.members(of: index) {
      let node = parser[member]
      let key = parser.key(of: node, in: &arena)
      let label = SenMLLabel(arena[key])
      switch label {
      case .other: continue
      case .mustUnderstand: throw SenMLRecord.unsupported(arena.path(node))
      case _ where label.isText:
        guard node.kind == .string else { throw arena.wrongType(node, expected: "a string") }
        set(label, text: parser.text(of: node, in: &arena))
      default:
        guard node.kind == .number || node.kind == .null else {
          throw arena.wrongType(node, expected: "a number")
        }
        set(label, number: node.kind == .null ? nil : node.value)
      }
    }
  }

  /// RFC 8428, section 4.4: what ends with `_` must be understood.
  static func unsupported(_ path: String) -> Rejection {
    Rejection(.unsupportedFormat, path: path, detail: "a field that must be understood")
  }

  /// Reads the pairs of a map; its head has been read.
  mutating func read(
    _ head: CBORItem, _ reader: inout CBORReader, _ arena: inout ByteArena
  ) throws(Rejection) {
    guard head.kind == .map else {
      throw Rejection(.wrongType, path: "$", detail: "expected a SenML record")
    }
    var pairs: UInt64 = 0
    while head.isIndefinite || pairs < head.number {
      let key = try reader.next(in: arena)
      if key.kind == .end { return }
      pairs += 1
      if key.kind == .text, !key.isIndefinite, SenMLLabel(arena[key.text]) == .mustUnderstand {
        throw SenMLRecord.unsupported("$.\(arena.string(key.text))")
      }
      if key.label == nil { try reader.skip(key, in: arena) }
      let value = try reader.next(in: arena)
      guard let label = key.label.flatMap(SenMLLabel.init(rawValue:)), label.rawValue < 1_000 else {
        try reader.skip(value, in: arena)
        continue
      }
      try set(label, value, &reader, &arena)
    }
  }

  private mutating func set(
    _ label: SenMLLabel, _ item: CBORItem, _ reader: inout CBORReader, _ arena: inout ByteArena
  ) throws(Rejection) {
    let path = "$.\(label.rawValue)"
    if label.isText {
      let text = item.text
      guard item.kind == .text, !item.isIndefinite, arena[text].isUTF8 else {
        throw Rejection(.wrongType, path: path, detail: "expected a UTF-8 text in one piece")
      }
      set(label, text: text)
    } else if item.kind == .null {
      set(label, number: nil)
    } else if item.kind == .tag, item.number == 4 {
      set(label, number: try decimalFraction(at: path, &reader, &arena))
    } else if let digits = item.decimal {
      set(label, number: arena.append(digits.utf8.span))
    } else {
      throw Rejection(.wrongType, path: path, detail: "expected a number")
    }
  }

  /// The exponent and the mantissa of a decimal fraction (RFC 8949, section 3.4.4).
  private func decimalFraction(
    at path: String, _ reader: inout CBORReader, _ arena: inout ByteArena
  ) throws(Rejection) -> ByteSlice {
    let pair = try reader.next(in: arena)
    guard pair.kind == .array, pair.number == 2, !pair.isIndefinite else {
      throw Rejection(.wrongType, path: path, detail: "expected an exponent and a mantissa")
    }
    let exponent = try reader.next(in: arena)
    let mantissa = try reader.next(in: arena)
    guard let power = exponent.label, let digits = mantissa.decimal, mantissa.kind != .float else {
      throw Rejection(.wrongType, path: path, detail: "expected an exponent and a mantissa")
    }
    return arena.append("\(digits)e\(power)".utf8.span)
  }
}

extension Span where Element == UInt8 {
  /// Whether these are the bytes of a text that a column can hold.
  fileprivate var isUTF8: Bool {
    withUnsafeBufferPointer { String(validating: $0, as: UTF8.self) != nil } && !contains(0)
  }
}
