// Regular expressions of the plain kind: anchors, characters, classes, and quantifiers on single
// characters (manual, 9.7.3). Groups, alternatives and back references are left to PostgreSQL.

/// A compiled regular expression: where its atoms stand in the program, and what else it says.
struct Pattern: Sendable {
  var atoms: ListRange
  var isAnchoredAtStart = false
  var isAnchoredAtEnd = false
  /// Whether it holds a class that depends on the locale beyond ASCII.
  var needsASCII = false
}

/// The characters that one place of a pattern takes, and how often.
struct PatternAtom: Sendable {
  /// ASCII characters by bit.
  private var low: UInt64 = 0
  private var high: UInt64 = 0
  /// Whether every character beyond ASCII is taken.
  private var takesOthers = false
  /// One character beyond ASCII that is taken; 0 for none.
  private var other: UInt32 = 0
  var minimum: Int32 = 1
  var maximum: Int32 = 1

  static let everything: PatternAtom = {
    var atom = PatternAtom()
    atom.invert()
    return atom
  }()

  mutating func insert(_ byte: UInt8) {
    if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte & 63) }
  }

  mutating func insert(nonASCII scalar: Unicode.Scalar) { other = scalar.value }

  mutating func insert(where isMember: (UInt8) -> Bool) {
    for byte in UInt8(0)..<128 where isMember(byte) { insert(byte) }
  }

  mutating func invert() {
    low = ~low
    high = ~high
    takesOthers.toggle()
  }

  /// Takes the other case of each ASCII letter too.
  mutating func ignoreCase() {
    let letters: UInt64 = 0x07ff_fffe
    let either = (high | high >> 32) & letters
    high |= either | either << 32
  }

  func takes(_ scalar: UInt32) -> Bool {
    if scalar < 64 { return low >> UInt64(scalar) & 1 == 1 }
    if scalar < 128 { return high >> UInt64(scalar & 63) & 1 == 1 }
    return takesOthers || scalar == other
  }
}

// MARK: Reading

extension Pattern {
  /// Reads a pattern and appends its atoms to `atoms`.
  ///
  /// - Throws: where it uses more than the plain kind, or PostgreSQL would refuse it.
  init(
    _ text: String, ignoringCase: Bool, into atoms: inout [PatternAtom]
  ) throws(Deferral) {
    var reader = PatternReader(text, ignoringCase: ignoringCase)
    try reader.read()
    self = reader.pattern
    self.atoms = ListRange(start: Int32(atoms.count), count: Int32(reader.atoms.count))
    atoms += reader.atoms
  }
}

private struct PatternReader {
  var pattern = Pattern(atoms: ListRange(start: 0, count: 0))
  var atoms: [PatternAtom] = []
  private let scalars: [Unicode.Scalar]
  private let ignoringCase: Bool
  private var position = 0

  init(_ text: String, ignoringCase: Bool) {
    scalars = Array(text.unicodeScalars)
    self.ignoringCase = ignoringCase
  }

  private var current: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  private mutating func accept(_ scalar: Unicode.Scalar) -> Bool {
    guard current == scalar else { return false }
    position += 1
    return true
  }

  private func refusal(_ what: String) -> Deferral {
    Deferral(reason: "a regular expression with \(what) is not computed here")
  }

  mutating func read() throws(Deferral) {
    if scalars.starts(with: "***".unicodeScalars) { throw refusal("a director (***)") }
    pattern.isAnchoredAtStart = accept("^")
    while let scalar = current {
      if scalar == "$", position + 1 == scalars.count {
        pattern.isAnchoredAtEnd = true
        return
      }
      var atom = try self.atom()
      if ignoringCase { atom.ignoreCase() }
      try quantify(&atom)
      atoms.append(atom)
      if atoms.count > 200 { throw refusal("more than 200 places") }
    }
  }

  private mutating func atom() throws(Deferral) -> PatternAtom {
    let scalar = scalars[position]
    position += 1
    switch scalar {
    case ".": return .everything
    case "[": return try bracket()
    case "\\":
      var atom = PatternAtom()
      try insertEscape(into: &atom)
      return atom
    case "(", ")", "|": throw refusal("groups or alternatives")
    case "*", "+", "?", "{", "^", "$": throw refusal("\"\(scalar)\" in this place")
    default: return try single(scalar)
    }
  }

  private func single(_ scalar: Unicode.Scalar) throws(Deferral) -> PatternAtom {
    var atom = PatternAtom()
    if scalar.isASCII {
      atom.insert(UInt8(scalar.value))
    } else if ignoringCase {
      throw refusal("characters beyond ASCII and no regard to case")
    } else {
      atom.insert(nonASCII: scalar)
    }
    return atom
  }

  /// What stands behind a backslash: a class or a character that means itself.
  private mutating func insertEscape(into atom: inout PatternAtom) throws(Deferral) {
    guard let scalar = current, scalar.isASCII else { throw refusal("this escape") }
    position += 1
    let name = Character(scalar)
    if let members = PatternReader.escapedClass(name) {
      pattern.needsASCII = true
      // \D, \W and \S take what their small letters do not.
      atom.insert { members($0) != name.isUppercase }
      return
    }
    guard !name.isLetter, !name.isNumber else { throw refusal("the escape \\\(name)") }
    atom.insert(UInt8(scalar.value))
  }

  private mutating func bracket() throws(Deferral) -> PatternAtom {
    var atom = PatternAtom()
    let isNegated = accept("^")
    var isFirst = true
    while let scalar = current {
      position += 1
      if scalar == "]", !isFirst {
        if ignoringCase { atom.ignoreCase() }
        if isNegated { atom.invert() }
        return atom
      }
      isFirst = false
      try insertMember(scalar, into: &atom)
    }
    throw refusal("a class without end")
  }

  private mutating func insertMember(
    _ scalar: Unicode.Scalar, into atom: inout PatternAtom
  ) throws(Deferral) {
    guard scalar.isASCII else { throw refusal("classes beyond ASCII") }
    if scalar == "[" { return try insertNamedClass(into: &atom) }
    if scalar == "\\" {
      // PostgreSQL 13 refuses \D, \S and \W here.
      if let current, current.properties.isUppercase { throw refusal("this escape in a class") }
      try insertEscape(into: &atom)
      if current == "-", position + 1 < scalars.count, scalars[position + 1] != "]" {
        throw refusal("a range behind an escape")
      }
      return
    }
    guard current == "-", position + 1 < scalars.count, scalars[position + 1] != "]" else {
      atom.insert(UInt8(scalar.value))
      return
    }
    let last = scalars[position + 1]
    guard last.isASCII, last != "[", last != "\\", scalar != "-", last.value >= scalar.value else {
      throw refusal("this range")
    }
    position += 2
    atom.insert { $0 >= UInt8(scalar.value) && $0 <= UInt8(last.value) }
    if current == "-", position + 1 < scalars.count, scalars[position + 1] != "]" {
      throw refusal("a range behind a range")
    }
  }

  /// `[:name:]`, whose opening bracket is read.
  private mutating func insertNamedClass(into atom: inout PatternAtom) throws(Deferral) {
    guard accept(":") else { throw refusal("collating elements or \"[\" in a class") }
    var name = ""
    while let scalar = current, scalar != ":", name.count < 8 {
      name.unicodeScalars.append(scalar)
      position += 1
    }
    guard accept(":"), accept("]"), let members = PatternReader.namedClass(name) else {
      throw refusal("the class \(name)")
    }
    pattern.needsASCII = true
    atom.insert(where: members)
  }

  private mutating func quantify(_ atom: inout PatternAtom) throws(Deferral) {
    switch current {
    case "*": (atom.minimum, atom.maximum) = (0, .max)
    case "+": (atom.minimum, atom.maximum) = (1, .max)
    case "?": (atom.minimum, atom.maximum) = (0, 1)
    case "{": return try readBounds(&atom)
    default: return
    }
    position += 1
    try refuseSecondQuantifier()
  }

  private mutating func readBounds(_ atom: inout PatternAtom) throws(Deferral) {
    position += 1
    guard let minimum = bound() else { throw refusal("\"{\" without a number") }
    (atom.minimum, atom.maximum) = (minimum, minimum)
    if accept(",") { atom.maximum = current == "}" ? .max : bound() ?? -1 }
    // 255 is PostgreSQL's DUPMAX.
    guard accept("}"), minimum <= 255, atom.maximum >= minimum,
      atom.maximum <= 255 || atom.maximum == .max
    else { throw refusal("these bounds") }
    try refuseSecondQuantifier()
  }

  private mutating func bound() -> Int32? {
    var value: Int32?
    while let scalar = current, ("0"..."9").contains(scalar), value ?? 0 < 1_000 {
      value = (value ?? 0) * 10 + Int32(scalar.value - 48)
      position += 1
    }
    return value
  }

  private func refuseSecondQuantifier() throws(Deferral) {
    if let current, "*+?{".unicodeScalars.contains(current) {
      throw refusal("two quantifiers in a row")
    }
  }

  private static func escapedClass(_ letter: Character) -> ((UInt8) -> Bool)? {
    switch letter {
    case "d", "D": namedClass("digit")
    case "s", "S": namedClass("space")
    case "w", "W": { isAlphanumeric($0) || $0 == UInt8(ascii: "_") }
    default: nil
    }
  }

  private static func namedClass(_ name: String) -> ((UInt8) -> Bool)? {
    switch name {
    case "digit": { $0 &- 48 < 10 }
    case "alpha": { ($0 | 0x20) &- 97 < 26 }
    case "alnum": isAlphanumeric
    case "upper": { $0 &- 65 < 26 }
    case "lower": { $0 &- 97 < 26 }
    case "space": { $0 == 32 || (9...13).contains($0) }
    case "punct": { (33...126).contains($0) && !isAlphanumeric($0) }
    case "xdigit": { $0 &- 48 < 10 || ($0 | 0x20) &- 97 < 6 }
    default: nil
    }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    byte &- 48 < 10 || (byte | 0x20) &- 97 < 26
  }
}

// MARK: Matching

/// Matches one pattern with one text, by trying; the steps are counted, so that no pattern can hold
/// up the ingestor.
struct PatternMatcher: ~Escapable {
  private let text: Span<UInt8>
  private let atoms: Span<PatternAtom>
  private let pattern: Pattern
  private var steps = 0

  private static let stepLimit = 10_000

  @_lifetime(copy text, copy atoms)
  init(_ pattern: Pattern, atoms: Span<PatternAtom>, text: Span<UInt8>) {
    self.pattern = pattern
    self.text = text
    self.atoms = atoms
  }

  /// Whether the pattern occurs in the text.
  ///
  /// - Throws: where that takes too many steps, or depends on the locale.
  mutating func matches() throws(Undecided) -> Bool {
    if pattern.needsASCII, !text.isASCII { throw Undecided() }
    var start = 0
    while true {
      if try matches(from: Int(pattern.atoms.start), at: start) { return true }
      if pattern.isAnchoredAtStart || start == text.count { return false }
      start = text.scalarEnd(at: start)
    }
  }

  /// Whether the atoms from `first` on match at `start`. It calls itself only behind an atom that
  /// may occur more or less often, so as deep as a pattern has quantifiers.
  private mutating func matches(
    from first: Int, at start: Int
  ) throws(Undecided) -> Bool {
    var position = start
    let end = pattern.atoms.indices.upperBound
    var index = first
    while index < end {
      let atom = atoms[index]
      var count: Int32 = 0
      let least = position
      var leastEnd = least
      while count < atom.maximum, position < text.count,
        atom.takes(text.scalar(at: position))
      {
        steps += 1
        if steps > PatternMatcher.stepLimit { throw Undecided() }
        position = text.scalarEnd(at: position)
        count += 1
        if count == atom.minimum { leastEnd = position }
      }
      if count < atom.minimum { return false }
      index += 1
      if count == atom.minimum { continue }
      return try matchesShortening(from: index, between: leastEnd, and: position)
    }
    return !pattern.isAnchoredAtEnd || position == text.count
  }

  /// Whether the atoms from `first` on match at `most` or, going back, at a place down to `least`.
  private mutating func matchesShortening(
    from first: Int, between least: Int, and most: Int
  ) throws(Undecided) -> Bool {
    var position = most
    while true {
      steps += 1
      if steps > PatternMatcher.stepLimit { throw Undecided() }
      if try matches(from: first, at: position) { return true }
      if position <= least { return false }
      position = text.scalarStart(before: position)
    }
  }
}
