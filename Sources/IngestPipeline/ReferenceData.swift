// What the database says about devices and rules: the data that readings are completed and judged
// by, and the holder that workers take the current state from.

import CheckRules
import PostgresStore
import Synchronization

/// A snapshot of registry and rules. A batch is judged by one snapshot from its first message to
/// its last.
public struct ReferenceData: Sendable {
  public var registry: MeterRegistry
  public var rules: RuleSet

  public init(registry: MeterRegistry, rules: RuleSet) {
    self.registry = registry
    self.rules = rules
  }

  /// No devices, and no rules but those of plausibility.
  public static let empty = ReferenceData(registry: .empty, rules: .withoutChecks)

  /// Reads registry and rules.
  public static func load(
    _ plausibility: PlausibilitySettings, over connection: PostgresConnection
  ) throws(PostgresError) -> ReferenceData {
    ReferenceData(
      registry: try MeterRegistry.load(over: connection),
      rules: try RuleCatalog.load(over: connection).compiled(plausibility))
  }
}

/// Holds the snapshot that workers judge by.
public final class ReferenceHolder: Sendable {
  private let snapshot = Mutex<ReferenceData?>(nil)
  let plausibility: PlausibilitySettings

  public init(_ plausibility: PlausibilitySettings = .init()) { self.plausibility = plausibility }

  /// The newest snapshot; empty before the first load.
  public var current: ReferenceData { snapshot.withLock { $0 } ?? .empty }

  /// Loads the first snapshot; later ones come from ``ReferenceWatcher``.
  func loadIfEmpty(over connection: PostgresConnection) throws(PostgresError) {
    guard snapshot.withLock({ $0 == nil }) else { return }
    let loaded = try ReferenceData.load(plausibility, over: connection)
    snapshot.withLock { $0 = $0 ?? loaded }
  }

  func replace(registry: MeterRegistry) {
    snapshot.withLock { $0 = ReferenceData(registry: registry, rules: $0?.rules ?? .withoutChecks) }
  }

  func replace(rules: RuleSet) {
    snapshot.withLock { $0 = ReferenceData(registry: $0?.registry ?? .empty, rules: rules) }
  }
}
