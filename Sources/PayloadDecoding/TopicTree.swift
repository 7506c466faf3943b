// The filters of all sources as one tree of topic levels, in which a message's topic is looked up.

import EnergyReadings

/// Filters of which none overlaps another. Looked up by bytes, without an allocation.
final class TopicTree: Sendable {
  /// The children of a node are a list, since they are few.
  private let nodes: [Node]
  /// The literal levels of the nodes.
  private let words: ByteArena

  private struct Node {
    var level: TopicFilter.Level
    var word: ByteSlice = .absent
    var kind: Kind
    /// The first child, and the next child of the same parent; -1: none.
    var child: Int32 = -1
    var sibling: Int32 = -1
    /// The filter that ends here; -1: none.
    var filter: Int32 = -1

    enum Kind: UInt8 { case word, any, rest }
  }

  init(_ filters: [TopicFilter]) {
    var nodes = [Node(level: .rest, kind: .rest)]
    var words = ByteArena()
    for (number, filter) in filters.enumerated() {
      var node = 0
      for level in filter.levels { node = TopicTree.child(of: node, level, &nodes, &words) }
      nodes[node].filter = Int32(number)
    }
    self.nodes = nodes
    self.words = words
  }

  /// The child of a node for a level; made where there is none.
  private static func child(
    of parent: Int, _ level: TopicFilter.Level, _ nodes: inout [Node], _ words: inout ByteArena
  ) -> Int {
    // The names of captures do not matter here.
    let plain = if case .any = level { TopicFilter.Level.any(name: nil) } else { level }
    var index = nodes[parent].child
    while index >= 0 {
      if nodes[Int(index)].level == plain { return Int(index) }
      index = nodes[Int(index)].sibling
    }
    var node = Node(level: plain, kind: .any)
    switch plain {
    case .literal(let text):
      node.word = words.append(text.utf8.span)
      node.kind = .word
    case .any: node.kind = .any
    case .rest: node.kind = .rest
    }
    node.sibling = nodes[parent].child
    nodes.append(node)
    nodes[parent].child = Int32(nodes.count - 1)
    return nodes.count - 1
  }

  /// The number of the filter that a topic matches; nil where there is none.
  func match(_ levels: borrowing TopicLevels, in arena: borrowing ByteArena) -> Int? {
    let first = levels[0]
    let isReserved = first.count > 0 && arena[first][0] == UInt8(ascii: "$")
    let found = find(levels, level: 0, below: 0, isReserved: isReserved, in: arena)
    return found < 0 ? nil : found
  }

  /// Number of the filter, or -1. No filter overlaps another, so that the first is the only one.
  private func find(
    _ levels: borrowing TopicLevels, level: Int, below parent: Int, isReserved: Bool,
    in arena: borrowing ByteArena
  ) -> Int {
    let (isEnd, kept) = (level == levels.count, levels.kept)
    if isEnd, nodes[parent].filter >= 0 { return Int(nodes[parent].filter) }
    var index = Int(nodes[parent].child)
    while index >= 0 {
      let kind = nodes[index].kind
      if kind == .rest, !(isReserved && level == 0) { return Int(nodes[index].filter) }
      var matches = kind == .any && !(isReserved && level == 0)
      if kind == .word {
        matches = words.holds(nodes[index].word, equalTo: levels[level], of: arena)
      }
      if matches, level < kept {
        let found = find(levels, level: level + 1, below: index, isReserved: isReserved, in: arena)
        if found >= 0 { return found }
      }
      index = Int(nodes[index].sibling)
    }
    return -1
  }
}
