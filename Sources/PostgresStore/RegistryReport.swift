// What registering did, entry by entry.

import EnergyReadings

/// What became of a registry file.
public struct RegistryReport: Sendable {
  /// A column whose value is another one now.
  public struct Change: Sendable, Equatable {
    public var column: String
    public var before: String?
    public var after: String?

    public init(column: String, before: String?, after: String?) {
      self.column = column
      self.before = before
      self.after = after
    }
  }

  public enum Outcome: Sendable, Equatable {
    case added
    case changed([Change])
    case unchanged
    /// With the reason, in words for people.
    case refused(String)
  }

  public struct Line: Sendable, Equatable {
    public var registry: Registry?
    /// Device id or grid code; empty where it is not known.
    public var key: String
    /// Where the file has it.
    public var place: String
    public var outcome: Outcome

    public init(_ entry: RegistryEntry, _ outcome: Outcome) {
      registry = entry.registry
      key = entry.key
      place = entry.place
      self.outcome = outcome
    }

    public init(_ refusal: RegistryRefusal) {
      registry = refusal.registry
      key = refusal.key
      place = refusal.place
      outcome = .refused(refusal.reason)
    }
  }

  /// One for each entry, by registry and then in the order of the file.
  public internal(set) var lines: [Line] = []
  /// Whether it is in the database now.
  public internal(set) var isWritten = false
  /// The database's own words on the first entry that it refused.
  var firstError: PostgresError?

  public init() {}

  public var added: Int { count { $0 == .added } }
  public var changed: Int { count { if case .changed = $0 { true } else { false } } }
  public var unchanged: Int { count { $0 == .unchanged } }
  public var refused: Int { count { if case .refused = $0 { true } else { false } } }

  private func count(_ isMeant: (Outcome) -> Bool) -> Int {
    lines.count { isMeant($0.outcome) }
  }
}
