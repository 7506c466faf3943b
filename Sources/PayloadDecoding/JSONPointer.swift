// Places in a JSON document as RFC 6901 writes them: `/meter/1.8.0`.

import EnergyReadings

/// A JSON Pointer (RFC 6901), compiled.
final class JSONPointer: Sendable {
  /// As it is written.
  let text: String
  /// The same place as rejections name it: `$.meter.1.8.0`.
  let path: String
  private let tokens: [[UInt8]]

  /// - Throws: a problem of `key`.
  init(_ text: String, key: String) throws(SourceProblem) {
    guard text.isEmpty || text.hasPrefix("/") else {
      throw SourceProblem(key, "\"\(text)\" is no JSON pointer; write /energy or /meter/1.8.0")
    }
    self.text = text
    let tokens = text.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map {
      $0.replacing("~1", with: "/").replacing("~0", with: "~")
    }
    self.tokens = tokens.map { Array($0.utf8) }
    path = tokens.reduce("$") { path, token in
      token.allSatisfy(\.isNumber) && !token.isEmpty ? "\(path)[\(token)]" : "\(path).\(token)"
    }
  }

  /// The value there, in the document that `parser` holds; nil where there is none.
  func find(in parser: JSONParser, _ arena: inout ByteArena) -> JSONNode? {
    var node = 0
    for depth in tokens.indices {
      guard let next = step(depth, from: node, parser, &arena) else { return nil }
      node = next
    }
    return parser[node]
  }

  private func step(
    _ depth: Int, from node: Int, _ parser: JSONParser, _ arena: inout ByteArena
  ) -> Int? {
    switch parser[node].kind {
    case .object: return parser.member(tokens[depth], of: node, in: &arena)
    case .array:
      guard let wanted = Int(String(decoding: tokens[depth], as: UTF8.self)), wanted >= 0 else {
        return nil
      }
      var position = 0
      for element in parser.members(of: node) {
        if position == wanted { return element }
        position += 1
      }
      return nil
    default: return nil
    }
  }
}

extension JSONParser {
  /// The first member of an object that has the key; nil where there is none, or no object.
  func member(_ key: [UInt8], of object: Int, in arena: inout ByteArena) -> Int? {
    guard self[object].kind == .object else { return nil }
    for index in members(of: object) {
      let own = self.key(of: self[index], in: &arena)
      if arena[own].elementsEqual(key.span) { return index }
    }
    return nil
  }

  /// The first member of an object that has the key; nil where there is none, or no object.
  func member(_ key: StaticString, of object: Int, in arena: inout ByteArena) -> Int? {
    guard self[object].kind == .object else { return nil }
    for index in members(of: object) {
      let own = self.key(of: self[index], in: &arena)
      if arena[own].elementsEqual(key) { return index }
    }
    return nil
  }
}
