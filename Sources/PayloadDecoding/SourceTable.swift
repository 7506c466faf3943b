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
  private let filters: TopicTree

  private init() {
    sources = []
    memory = SparkplugMemory()
    filters = TopicTree([])
  }

  /// - Throws: where two sources, or a source and one that is always there, match the same topic.
  init(_ sources: [Source]) throws(SourceConflict) {
    try SourceConflict.refuseSharedTopics(of: sources)
    self.sources = sources
    memory = SparkplugMemory()
    filters = TopicTree(sources.map(\.filter))
  }

  /// The sources of `newer`, with what these have remembered: after a change of the configuration.
  public init(_ newer: SourceTable, after former: SourceTable) {
    (sources, filters) = (newer.sources, newer.filters)
    memory = former.memory
    memory.renew()
  }

  /// Publishers of whom something is remembered.
  public var rememberedNodes: Int { memory.count }

  /// Messages may have been missed, since the connection was: whoever has said something that others
  /// of his messages need is asked to say it again.
  public func connectionRenewed() { memory.renew() }

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
    return filters.match(levels, in: arena).map { sources[$0] }
  }
}
