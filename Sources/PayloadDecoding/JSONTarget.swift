// Finds the place in a document that a path such as `$[3].location.lat` names.

import EnergyReadings

/// The values that a path names, or the last one on its way that exists.
struct JSONTarget {
  /// Nodes to mark; several where a key was given twice, none where the path names no place.
  private(set) var nodes: [Int] = []
  /// What of the path does not exist, such as `lat`; then `nodes` is what should have it.
  private(set) var missing: String?

  init(path: String, _ parser: JSONParser, _ arena: inout ByteArena) {
    guard path.hasPrefix("$") else { return }
    search(Array(path.utf8.dropFirst())[...], at: 0, parser, &arena)
    // Whatever goes further is meant: a key that was given twice may hold it only once.
    if nodes.isEmpty, let furthest {
      nodes = [furthest.node]
      missing = furthest.rest
    }
  }

  /// Nodes marked at most: who sends a key a hundred thousand times is not answered in kind.
  private static let mostNodes = 10

  private var furthest: (node: Int, rest: String, length: Int)?

  private mutating func search(
    _ rest: ArraySlice<UInt8>, at node: Int, _ parser: JSONParser, _ arena: inout ByteArena
  ) {
    guard nodes.count < JSONTarget.mostNodes else { return }
    if rest.isEmpty { return nodes.append(node) }
    if (furthest?.length ?? .max) > rest.count {
      let words = String(decoding: rest, as: UTF8.self)
      furthest = (node, words.hasPrefix(".") ? String(words.dropFirst()) : words, rest.count)
    }
    switch (parser[node].kind, rest.first) {
    case (.array, UInt8(ascii: "[")):
      guard let end = rest.firstIndex(of: UInt8(ascii: "]")),
        let index = Int(String(decoding: rest[rest.startIndex + 1..<end], as: UTF8.self))
      else { return }
      for (number, element) in parser.members(of: node).enumerated() where number == index {
        search(rest[(end + 1)...], at: element, parser, &arena)
      }
    case (.object, UInt8(ascii: ".")):
      let names = rest.dropFirst()
      for member in parser.members(of: node) {
        // A path has the key as it was written; one that a rule wrote has it without escapes.
        let written = parser[member].key
        let plain = parser.key(of: parser[member], in: &arena)
        for key in written == plain ? [plain] : [written, plain] {
          guard names.starts(with: arena.bytes[key.range]) else { continue }
          let beyond = names.dropFirst(Int(key.count))
          guard [nil, UInt8(ascii: "."), UInt8(ascii: "[")].contains(beyond.first) else { continue }
          search(beyond, at: member, parser, &arena)
        }
      }
    default: return
    }
  }
}
