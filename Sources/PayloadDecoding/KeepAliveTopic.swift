// Where Victron's GX devices want to be told that somebody listens: they publish for 60 s after each
// message to `R/<portal id>/keepalive`, and nothing before the first (dbus-flashmq, README, "Keep-alive").

/// The devices whose notifications begin with one head.
public struct KeepAliveTopic: Sendable, Hashable {
  /// What stands before the portal id in notifications: `N/`, or `site/7/N/` behind a bridge.
  public let head: String
  /// The portal; nil: all that are heard of.
  public let portal: String?

  /// Where every device says its own id, as the one message that it publishes unasked and retained
  /// (dbus-flashmq bb470b7, src/types.cpp, `should_be_retained`).
  public var serials: String { "\(head)+\(KeepAliveTopic.serial)" }

  public static let serial = "/system/0/Serial"

  /// Where to tell a device.
  public func topic(of portal: String) -> String { "\(head.dropLast(2))R/\(portal)/keepalive" }

  /// - Throws: a problem of the key `keep_alive`.
  init(_ filter: TopicFilter) throws(SourceProblem) {
    var words: [String] = []
    for (index, level) in filter.levels.enumerated() {
      guard case .literal(let word) = level else { break }
      words.append(word)
      guard word == "N", index + 1 < filter.levels.count else { continue }
      let behind = filter.levels[index + 1]
      if case .rest = behind { break }
      head = words.joined(separator: "/") + "/"
      portal = if case .literal(let name) = behind { name } else { nil }
      return
    }
    throw SourceProblem(
      "keep_alive",
      "\(filter) has no level N with a portal behind it, such as N/{portal}/grid/30/Ac/Power, so "
        + "that nobody knows where to ask; keep_alive: false leaves it to others")
  }
}
