// All sources, and which of them a topic belongs to.

import EnergyReadings

/// The sources of the configuration, besides the own format and GridTokenX's AMI JSON, which are
/// always there. Compiled once and never changed: a new configuration is a new table.
public final class SourceTable: Sendable {
  /// No sources but those that are always there.
  public static let none = SourceTable()

  public let sources: [Source]
  /// What publishers said before that their messages need.
  let memory: SparkplugMemory
  /// A tree of levels: the children of a node are a list, since they are few.
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
    /// The source whose filter ends here; -1: none.
    var source: Int32 = -1

    enum Kind: UInt8 { case word, any, rest }
  }

  private init() {
    sources = []
    memory = SparkplugMemory()
    nodes = []
    words = ByteArena()
  }

  /// - Throws: where two sources, or a source and one that is always there, match the same topic.
  init(_ sources: [Source]) throws(SourceConflict) {
    try SourceConflict.refuseSharedTopics(of: sources)
    self.sources = sources
    memory = SparkplugMemory()
    var nodes = [Node(level: .rest, kind: .rest)]
    var words = ByteArena()
    for (number, source) in sources.enumerated() {
      var node = 0
      for level in source.filter.levels {
        node = SourceTable.child(of: node, level, &nodes, &words)
      }
      nodes[node].source = Int32(number)
    }
    self.nodes = nodes
    self.words = words
  }

  /// The sources of `newer`, with what these have remembered: after a change of the configuration.
  public init(_ newer: SourceTable, after former: SourceTable) {
    (sources, nodes, words) = (newer.sources, newer.nodes, newer.words)
    memory = former.memory
    memory.renew()
  }

  /// Publishers of whom something is remembered.
  public var rememberedNodes: Int { memory.count }

  /// Messages may have been missed, since the connection was: whoever has said something that others
  /// of his messages need is asked to say it again.
  public func connectionRenewed() { memory.renew() }

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

  /// The filters that the sources need to be subscribed to, those that are always there included.
  public var subscriptions: [String] {
    TopicRoute.defaultFilters + sources.map(\.filter.subscription)
  }

  /// Those of them whose messages are to be heard by one subscriber, all and in order.
  public var orderedSubscriptions: [String] {
    sources.filter(\.format.needsOrder).map(\.filter.subscription)
  }

  /// The GX devices that are to be kept awake, each once.
  public var keepAlives: [KeepAliveTopic] {
    Set(sources.compactMap(\.keepAlive)).sorted {
      ($0.head, $0.portal ?? "") < ($1.head, $1.portal ?? "")
    }
  }

  /// Whether readings are expected on a topic: of one of these sources, or of a format that is always
  /// there.
  public func expects(_ topic: String) -> Bool {
    var arena = ByteArena()
    let slice = arena.append(topic.utf8.span)
    if case .unknown = TopicRoute(topic: slice, in: arena) {
      return source(of: TopicLevels(slice, in: arena), in: arena) != nil
    }
    return true
  }

  /// The source of a topic; nil where it belongs to none.
  func source(of levels: borrowing TopicLevels, in arena: borrowing ByteArena) -> Source? {
    guard !sources.isEmpty else { return nil }
    let first = levels[0]
    let isReserved = first.count > 0 && arena[first][0] == UInt8(ascii: "$")
    let found = find(levels, level: 0, below: 0, isReserved: isReserved, in: arena)
    return found < 0 ? nil : sources[found]
  }

  /// Number of the source, or -1. No filter overlaps another, so that the first is the only one.
  private func find(
    _ levels: borrowing TopicLevels, level: Int, below parent: Int, isReserved: Bool,
    in arena: borrowing ByteArena
  ) -> Int {
    let (isEnd, kept) = (level == levels.count, levels.kept)
    if isEnd, nodes[parent].source >= 0 { return Int(nodes[parent].source) }
    var index = Int(nodes[parent].child)
    while index >= 0 {
      let kind = nodes[index].kind
      if kind == .rest, !(isReserved && level == 0) { return Int(nodes[index].source) }
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
