// Follows what the database says of devices and rules while the ingestor runs.

import CheckRules
import Glibc
import PostgresStore
import ServiceLifecycle

/// What changed between two sets of rules.
public struct RuleChange: Sendable, Equatable {
  /// `table.constraint`, each.
  public var added: [String] = []
  public var dropped: [String] = []
  public var changed: [String] = []

  public init(from old: RuleCatalog, to new: RuleCatalog) {
    let (before, after) = (old.definitions, new.definitions)
    for (name, definition) in after.sorted(by: { $0.key < $1.key }) {
      guard let known = before[name] else {
        added.append(name)
        continue
      }
      if known != definition { changed.append(name) }
    }
    dropped = before.keys.filter { after[$0] == nil }.sorted()
  }

  /// Without a difference in constraints it was a column, a trigger or the time zone that changed.
  public var isEmpty: Bool { added.isEmpty && dropped.isEmpty && changed.isEmpty }
}

extension RuleCatalog {
  fileprivate var definitions: [String: ConstraintDefinition] {
    var all: [String: ConstraintDefinition] = [:]
    for table in tables {
      for constraint in table.constraints { all["\(table.name).\(constraint.name)"] = constraint }
    }
    return all
  }
}

/// Hears what the watcher found.
public protocol ReferenceObserver: Sendable {
  func registryLoaded(_ registry: MeterRegistry) async
  /// - Parameter change: nil for the first load.
  func rulesLoaded(_ rules: RuleSet, change: RuleChange?) async
  /// Registry or rules could not be read; what was read before stays in force.
  func referenceFailed(_ error: any Error) async
}

/// Reloads the registry when the database says that it changed (`NOTIFY meter_registry`), and every
/// five minutes in case a trigger was switched off; and looks at the constraints every two seconds,
/// since an `ALTER TABLE` notifies nobody.
public struct ReferenceWatcher: Service, CustomStringConvertible {
  public var description: String { "ReferenceWatcher" }

  private let holder: ReferenceHolder
  private let lane: PostgresLane
  private let observer: any ReferenceObserver

  public init(
    holder: ReferenceHolder, postgresURL: String, observer: any ReferenceObserver
  ) {
    self.holder = holder
    self.observer = observer
    lane = PostgresLane(url: postgresURL, applicationName: "meter-ingestor registry")
  }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      var catalog: RuleCatalog?
      while !Task.isCancelled {
        do {
          try await watch(&catalog)
        } catch {
          await observer.referenceFailed(error)
          await lane.close()
          try? await Task.sleep(for: .seconds(2))
        }
      }
    }
  }

  private func watch(_ catalog: inout RuleCatalog?) async throws {
    try await lane.run { (connection) throws(PostgresError) in
      try connection.execute("LISTEN meter_registry")
    }
    try await reloadRules(&catalog)
    try await reloadRegistry()
    var loadedAt = ContinuousClock.now
    var lookedAt = ContinuousClock.now
    while !Task.isCancelled {
      if ContinuousClock.now - lookedAt > .seconds(2) {
        try await reloadRules(&catalog)
        lookedAt = .now
      }
      let changed = try await lane.run { (connection) throws(PostgresError) in
        // The lane has a thread of its own, so it may wait on the socket; a second at most keeps
        // a shutdown short.
        var descriptor = pollfd(fd: connection.socket, events: Int16(POLLIN), revents: 0)
        _ = poll(&descriptor, 1, 1_000)
        return try !connection.notifications().isEmpty
      }
      guard changed || ContinuousClock.now - loadedAt > .seconds(300) else { continue }
      try await reloadRegistry()
      loadedAt = .now
    }
  }

  private func reloadRegistry() async throws {
    try await lane.run { (connection) throws(PostgresError) in
      holder.replace(registry: try MeterRegistry.load(over: connection))
    }
    await observer.registryLoaded(holder.current.registry)
  }

  private func reloadRules(_ catalog: inout RuleCatalog?) async throws {
    let loaded = try await lane.run { (connection) throws(PostgresError) in
      try RuleCatalog.load(over: connection)
    }
    let known = catalog
    if loaded == known {
      // One of the clocks was set.
      if let known, abs(known.clockOffset - loaded.clockOffset) > 1_000_000 {
        holder.replace(rules: loaded.compiled(holder.plausibility))
        catalog = loaded
      }
      return
    }
    let rules = loaded.compiled(holder.plausibility)
    holder.replace(rules: rules)
    catalog = loaded
    await observer.rulesLoaded(rules, change: known.map { RuleChange(from: $0, to: loaded) })
  }
}
