// What is remembered of the nodes of Sparkplug: without it, most of what they say means nothing.

import EnergyReadings
import Synchronization

/// What nodes said when they were born, shared by all who decode and bounded.
///
/// It is not stored. Births are published at QoS 0 and not retained, so that one that came while nobody
/// listened is gone: a table of births that outlived this process would give aliases the meaning that
/// they had before. The standard's own answer is to ask for another birth.
public final class SparkplugMemory: Sendable {
  private let table: Mutex<SparkplugTable>

  /// - Parameter limit: bytes; beyond it the nodes heard longest ago are forgotten. Default 32 MiB: some
  ///   16,000 nodes with 30 metrics each.
  public init(limit: Int = 32 << 20) { table = Mutex(SparkplugTable(limit: limit)) }

  /// Messages may have been missed, or what is asked for has changed: each node is asked for another
  /// birth once it is heard, and means until then what it meant before as long as its numbers go on.
  public func renew() { table.withLock { $0.epoch += 1 } }

  /// Nodes remembered.
  public var count: Int { table.withLock { $0.count } }

  /// Calls `body` with the table, which nobody else looks at meanwhile.
  func access(_ body: (inout SparkplugTable) throws(Rejection) -> Void) throws(Rejection) {
    try table.withLock { (table) throws(Rejection) in try body(&table) }
  }
}

/// One node of a group, and its devices.
final class SparkplugNode {
  /// `<group>/<node>`.
  fileprivate let name: [UInt8]
  /// Number of its present connection, as its birth says; nil where it says none.
  var bdSeq: UInt64?
  /// The number that its next message has; nil where that is not known.
  var nextSeq: UInt8?
  /// The newest time of a message of its, ms since 1970.
  var lastAt: Int64 = .min
  /// The ``SparkplugTable/epoch`` in which it was heard last.
  var epoch: Int
  /// When it was asked for a birth last, µs; nil: never.
  var askedAt: Int64?
  /// Whether it is to be asked for a birth although nothing it says lacks one.
  var isDoubted = false
  /// The first message since its birth whose number was not the next one, after which what its births
  /// said was forgotten; nil where there was none.
  fileprivate(set) var gap: Gap?
  fileprivate var heardAt = 0
  /// By the hash of the device's name, which is empty for the node's own metrics.
  private var births: [UInt64: (name: [UInt8], birth: SparkplugBirth)] = [:]
  /// About how much memory it takes, bytes.
  fileprivate(set) var size = SparkplugNode.ownSize

  /// Numbers of messages: the one that was awaited, and the one that came.
  typealias Gap = (expected: UInt8, came: UInt8)

  fileprivate static let ownSize = 300

  fileprivate init(_ name: Span<UInt8>, epoch: Int) {
    self.name = name.withUnsafeBufferPointer { Array($0) }
    self.epoch = epoch
  }

  fileprivate func isCalled(_ name: Span<UInt8>) -> Bool {
    let own = self.name
    return own.span.elementsEqual(name)
  }

  fileprivate func birth(_ hash: UInt64, _ device: Span<UInt8>) -> SparkplugBirth? {
    guard let (name, birth) = births[hash], name.span.elementsEqual(device) else { return nil }
    return birth
  }

  fileprivate func replaceBirth(_ hash: UInt64, _ device: Span<UInt8>, _ birth: SparkplugBirth) {
    if let before = births[hash] { size -= before.birth.size + before.name.count }
    births[hash] = (device.withUnsafeBufferPointer { Array($0) }, birth)
    size += birth.size + device.count
  }

  /// What was said at births means nothing any more: messages were missed, and others among them may
  /// have been births.
  fileprivate func forget() {
    births.removeAll()
    size = SparkplugNode.ownSize
  }

  /// It is gone, or born anew: its devices will be.
  func retire() { for entry in births.values { entry.birth.isCurrent = false } }

  fileprivate var hasBirths: Bool { births.values.contains { $0.birth.isCurrent } }

  fileprivate enum Order { case next, repeated, broken }

  /// Takes the number of a message, which is one more than that of the one before, or 0 after 255
  /// (section 6.4.1).
  fileprivate func take(_ seq: UInt64?, at time: Int64?, _ epoch: Int) -> Order {
    if let seq, let nextSeq, UInt8(truncatingIfNeeded: seq) != nextSeq {
      // After a break of the connection the broker may deliver what it has delivered already.
      if self.epoch != epoch, let time, time <= lastAt { return .repeated }
      if gap == nil, !births.isEmpty { gap = (nextSeq, UInt8(truncatingIfNeeded: seq)) }
      self.nextSeq = UInt8(truncatingIfNeeded: seq) &+ 1
      lastAt = time ?? lastAt
      return .broken
    }
    nextSeq = seq.map { UInt8(truncatingIfNeeded: $0) &+ 1 }
    lastAt = max(lastAt, time ?? lastAt)
    return .next
  }

  fileprivate func begin(_ seq: UInt64?, at time: Int64?) {
    nextSeq = seq.map { UInt8(truncatingIfNeeded: $0) &+ 1 }
    lastAt = time ?? lastAt
    gap = nil
    bdSeq = nil
    isDoubted = false
    retire()
  }
}

/// All nodes.
struct SparkplugTable {
  private var nodes: [UInt64: SparkplugNode] = [:]
  private let limit: Int
  private var size = 0
  /// Counts what may have broken the flow of messages.
  var epoch = 0
  /// Counts messages: what was heard longest ago is known by it.
  private var clock = 0
  /// Requests in the second that they were last asked for in.
  private var asked = (second: Int64.min, count: 0)
  /// Differs from process to process, so that nobody can choose names that collide.
  private let seed = UInt64.random(in: .min ... .max)

  init(limit: Int) { self.limit = limit }

  var count: Int { nodes.count }

  /// The node of that name; nil where it is not known.
  func known(_ name: Span<UInt8>) -> SparkplugNode? {
    guard let node = nodes[name.hash(seed: seed)], node.isCalled(name) else { return nil }
    return node
  }

  /// The node of that name, known or not, which is heard.
  mutating func heard(_ name: Span<UInt8>) -> SparkplugNode {
    clock += 1
    let hash = name.hash(seed: seed)
    if let node = nodes[hash], node.isCalled(name) {
      node.heardAt = clock
      return node
    }
    let node = SparkplugNode(name, epoch: epoch)
    node.heardAt = clock
    // Of two names with one hash the newer takes the place of the older.
    if let other = nodes.updateValue(node, forKey: hash) { size -= other.size }
    size += node.size
    makeRoom(for: node)
    return node
  }

  func birth(of device: Span<UInt8>, _ node: SparkplugNode) -> SparkplugBirth? {
    node.birth(device.hash(seed: seed), device)
  }

  /// Remembers a birth of a device, or of the node itself where `device` is empty.
  ///
  /// - Throws: where one node takes more than an eighth of all that is remembered.
  mutating func remember(
    _ birth: SparkplugBirth, of device: Span<UInt8>, _ node: SparkplugNode
  ) throws(Rejection) {
    guard node.size + birth.size <= limit / 8 else {
      throw Rejection(
        .outOfRange, path: "$",
        detail: "births of one node are remembered up to \(limit / 8) bytes; "
          + "publish names instead of aliases")
    }
    let before = node.size
    node.replaceBirth(device.hash(seed: seed), device, birth)
    size += node.size - before
    makeRoom(for: node)
  }

  /// Takes the number and time of a message of the node: where one is missing, its births mean nothing
  /// any more.
  mutating func follow(_ node: SparkplugNode, _ seq: UInt64?, at time: Int64?) {
    switch node.take(seq, at: time, epoch) {
    case .next:
      if node.epoch != epoch, node.hasBirths { node.isDoubted = true }
      node.epoch = epoch
    case .repeated: break
    case .broken: forgetBirths(of: node)
    }
  }

  /// Takes the number and time of a node's birth, with which everything begins anew.
  mutating func begin(_ node: SparkplugNode, _ seq: UInt64?, at time: Int64?) {
    if node.epoch != epoch { forgetBirths(of: node) }
    node.begin(seq, at: time)
  }

  private mutating func forgetBirths(of node: SparkplugNode) {
    size -= node.size
    node.forget()
    size += node.size
    node.epoch = epoch
  }

  /// Forgets the nodes heard longest ago, an eighth of the room at once.
  private mutating func makeRoom(for newest: SparkplugNode) {
    guard size > limit else { return }
    for (hash, node) in nodes.sorted(by: { $0.value.heardAt < $1.value.heardAt }) {
      if size <= limit / 8 * 7 || node === newest { return }
      nodes[hash] = nil
      size -= node.size
    }
  }

  // MARK: Asking for a birth

  /// How long a node has to answer before it is asked again, µs.
  private static let patience: Int64 = 10_000_000
  /// Nodes that are asked in one second at most.
  private static let mostAsked = 1_000

  /// Whether a node is to be asked for a birth now; then it is not soon again.
  mutating func mayAsk(_ node: SparkplugNode, at now: Timestamp) -> Bool {
    let (time, second) = (now.microseconds, now.microseconds / 1_000_000)
    // A clock that was set back must not silence it for long.
    if let last = node.askedAt, last <= time, time - last < SparkplugTable.patience { return false }
    if asked.second != second { asked = (second, 0) }
    guard asked.count < SparkplugTable.mostAsked else { return false }
    asked.count += 1
    node.askedAt = time
    return true
  }
}
