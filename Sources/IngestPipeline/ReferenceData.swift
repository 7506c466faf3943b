// What the database says about devices and rules, and the configuration about sources: the data that
// messages are read, completed and judged by, and the holder that workers take the current state from.

import CheckRules
import Dispatch
import PayloadDecoding
import PostgresStore
import Synchronization

/// A snapshot of registry, rules and sources. A batch is judged by one snapshot from its first message to
/// its last.
public struct ReferenceData: Sendable {
  public var registry: MeterRegistry
  public var rules: RuleSet
  public var sources: SourceTable

  public init(registry: MeterRegistry, rules: RuleSet, sources: SourceTable = .none) {
    self.registry = registry
    self.rules = rules
    self.sources = sources
  }

  /// No devices, and no rules but those of plausibility.
  public static let empty = ReferenceData(registry: .empty, rules: .withoutChecks)

  /// Reads registry and rules.
  public static func load(
    _ plausibility: PlausibilitySettings, sources: SourceTable = .none,
    over connection: PostgresConnection
  ) throws(PostgresError) -> ReferenceData {
    ReferenceData(
      registry: try MeterRegistry.load(over: connection),
      rules: try RuleCatalog.load(over: connection).compiled(plausibility), sources: sources)
  }
}

/// Holds the snapshot that workers judge by.
public final class ReferenceHolder: Sendable {
  private let state: Mutex<State>
  /// Left when registry and rules are there for the first time.
  private let firstLoad = DispatchGroup()
  let plausibility: PlausibilitySettings

  private struct State {
    var registry: MeterRegistry?
    var rules: RuleSet?
    var sources: SourceTable
    var isComplete: Bool { registry != nil && rules != nil }
  }

  public init(_ plausibility: PlausibilitySettings = .init(), sources: SourceTable = .none) {
    self.plausibility = plausibility
    state = Mutex(State(sources: sources))
    firstLoad.enter()
  }

  // A group that is let go of while somebody has entered it is a crash of libdispatch.
  deinit { if !state.withLock({ $0.isComplete }) { firstLoad.leave() } }

  /// The newest snapshot; empty before the first load.
  public var current: ReferenceData {
    state.withLock {
      ReferenceData(
        registry: $0.registry ?? .empty, rules: $0.rules ?? .withoutChecks, sources: $0.sources)
    }
  }

  /// What messages are read by now.
  public var sources: SourceTable { state.withLock { $0.sources } }

  /// Waits for the first load by ``ReferenceWatcher``, and loads itself where that fails to come: a
  /// million devices are not to be read twice at the same time. Blocks.
  func loadIfEmpty(over connection: PostgresConnection) throws(PostgresError) {
    if firstLoad.wait(timeout: .now() + .seconds(30)) == .success { return }
    let loaded = try ReferenceData.load(plausibility, over: connection)
    // The watcher's are newer, should they have come meanwhile.
    replace { state in
      state.registry = state.registry ?? loaded.registry
      state.rules = state.rules ?? loaded.rules
    }
  }

  func replace(registry: MeterRegistry) { replace { $0.registry = registry } }
  func replace(rules: RuleSet) { replace { $0.rules = rules } }
  /// Messages that arrive from now on are read by these.
  public func replace(sources: SourceTable) {
    replace { $0.sources = SourceTable(sources, after: $0.sources) }
  }

  private func replace(_ change: (inout sending State) -> Void) {
    let isFirst = state.withLock { state in
      let wasComplete = state.isComplete
      change(&state)
      return !wasComplete && state.isComplete
    }
    if isFirst { firstLoad.leave() }
  }
}
