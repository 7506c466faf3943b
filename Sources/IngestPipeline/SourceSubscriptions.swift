// What a worker is subscribed to, and how that follows the sources of the configuration.

import PayloadDecoding

/// The subscriptions of one worker's session, and the difference that another table of sources makes.
///
/// One that stays is left alone: to subscribe to it again would bring its retained messages once
/// more, and to end it for a moment would lose what is published meanwhile.
struct SourceSubscriptions {
  private let settings: WorkerSettings
  private let hearsOrdered: Bool
  private var followed: SourceTable
  /// Filters of the session as they are subscribed, with `$share` where a group shares them.
  private(set) var names: [String]
  /// What an earlier table had. A session that the broker keeps may have them still, should the
  /// connection have been lost before it heard of their end.
  private(set) var ended: Set<String> = []

  /// - Parameter hearsOrdered: whether this worker hears what is to be heard in order by one.
  init(_ settings: WorkerSettings, _ sources: SourceTable, hearsOrdered: Bool) {
    self.settings = settings
    self.hearsOrdered = hearsOrdered
    followed = sources
    names = settings.subscriptions
    if settings.followsSources { names = wanted(by: sources) }
  }

  private func wanted(by sources: SourceTable) -> [String] {
    let ordered = sources.orderedSubscriptions
    let shared = sources.subscriptions.filter { !ordered.contains($0) }
    return shared.map(settings.subscription(of:)) + (hearsOrdered ? ordered : [])
  }

  /// Takes another table.
  ///
  /// - Returns: what to subscribe to, and what to end, in that order: what both cover is never without
  ///   a subscription. nil where nothing changes.
  mutating func follow(_ sources: SourceTable) -> (added: [String], ended: [String])? {
    guard settings.followsSources, sources !== followed else { return nil }
    followed = sources
    let wanted = wanted(by: sources)
    let added = wanted.filter { !names.contains($0) }
    let gone = names.filter { !wanted.contains($0) }
    names = wanted
    ended.formUnion(gone)
    ended.subtract(wanted)
    return added.isEmpty && gone.isEmpty ? nil : (added, gone)
  }
}
