// Topic filters of sources: those of MQTT, whose single-level wildcards may have names.

/// A topic filter (MQTT 5.0, section 4.7) in which a level may be a capture: `N/{portal}/grid/+/#`.
public struct TopicFilter: Sendable, Equatable, CustomStringConvertible {
  enum Level: Sendable, Equatable {
    case literal(String)
    /// One level, whatever it is: `+`, or `{name}`.
    case any(name: String?)
    /// `#`: all levels from here on, even none.
    case rest
  }

  /// Levels of a topic that captures can reach.
  static let maximumLevels = 16

  /// The filter as the configuration writes it.
  public let description: String
  let levels: [Level]
  /// Names that levels have by the format's rules, whatever the filter writes there.
  var formatNames: [String: Int] = [:]

  /// - Throws: a problem of the key `topic`.
  public init(_ text: String) throws(SourceProblem) {
    func problem(_ words: String) -> SourceProblem {
      SourceProblem("topic", "\"\(text)\" \(words)")
    }
    if text.isEmpty { throw problem("is empty; write a topic filter such as tele/{device}/SENSOR") }
    if text.hasPrefix("$share/") {
      throw problem("shares by itself; the setting mqtt.share-group holds for all sources")
    }
    if text.utf8.contains(0) { throw problem("has a NUL character") }
    description = text
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    var levels: [Level] = []
    for (index, part) in parts.enumerated() {
      if part == "#" {
        guard index == parts.count - 1 else { throw problem("has levels behind #") }
        levels.append(.rest)
      } else if part == "+" {
        levels.append(.any(name: nil))
      } else if part.hasPrefix("{"), part.hasSuffix("}") {
        levels.append(.any(name: String(part.dropFirst().dropLast())))
      } else if part.contains(where: { "+#{}".contains($0) }) {
        throw problem("has a level \"\(part)\"; a wildcard or {capture} is a whole level")
      } else {
        levels.append(.literal(String(part)))
      }
    }
    if levels.count > TopicFilter.maximumLevels {
      throw problem("has more than \(TopicFilter.maximumLevels) levels")
    }
    let names = levels.compactMap { if case .any(let name?) = $0 { name } else { nil } }
    if names.contains("") { throw problem("has a capture without a name") }
    if Set(names).count < names.count { throw problem("has two captures of one name") }
    self.levels = levels
  }

  /// As the broker understands it, captures being `+`.
  public var subscription: String {
    levels.map { level in
      switch level {
      case .literal(let text): text
      case .any: "+"
      case .rest: "#"
      }
    }.joined(separator: "/")
  }

  /// The level of a topic that a capture is.
  func level(named name: String) -> Int? {
    levels.firstIndex(of: .any(name: name)) ?? formatNames[name]
  }

  /// Whether some topic matches both.
  public func overlaps(_ other: TopicFilter) -> Bool {
    var index = 0
    while true {
      let (mine, its) = (levels[checked: index], other.levels[checked: index])
      switch (mine, its) {
      case (nil, nil): return true
      // `a/#` matches `a` as well.
      case (.rest?, _), (_, .rest?): return index > 0 || !isReserved(mine, its)
      case (nil, _), (_, nil): return false
      case (.literal(let mine)?, .literal(let its)?): if mine != its { return false }
      default: if index == 0, isReserved(mine, its) { return false }
      }
      index += 1
    }
  }

  /// Topics that begin with `$` are matched by no wildcard at their first level.
  private func isReserved(_ levels: Level?...) -> Bool {
    levels.contains { if case .literal(let text)? = $0 { text.hasPrefix("$") } else { false } }
  }
}

extension Array {
  fileprivate subscript(checked index: Int) -> Element? { index < count ? self[index] : nil }
}
