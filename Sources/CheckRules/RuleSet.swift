// All rules that readings are judged by: the database's CHECK constraints and the plausibility
// rules. A value: replacing the rules is replacing the set.

import EnergyReadings

/// The rules in force. Immutable, shared by all workers.
public final class RuleSet: Sendable {
  /// The constraints of the target tables, by kind; empty before the catalogue was read.
  public let tables: [TableChecks]
  // Constants: to take one out of the array counts a reference for every reading.
  private let production, consumption, storage: TableChecks?
  public let plausibility: PlausibilitySettings
  /// The database's clock minus the ingestor's, µs.
  let clockOffset: Int64

  /// - Parameters:
  ///   - tables: the constraints by kind, in order of ``ReadingKind/rawValue``.
  ///   - clockOffset: the database's clock minus the ingestor's, µs.
  public init(
    tables: [TableChecks], plausibility: PlausibilitySettings = .init(), clockOffset: Int64 = 0
  ) {
    self.tables = tables
    production = tables.first { $0.kind == .production }
    consumption = tables.first { $0.kind == .consumption }
    storage = tables.first { $0.kind == .storage }
    self.plausibility = plausibility
    self.clockOffset = clockOffset
  }

  /// The constraints of a kind's table; nil before the catalogue was read.
  func checks(of kind: ReadingKind) -> TableChecks? {
    switch kind {
    case .production: production
    case .consumption: consumption
    case .storage: storage
    }
  }

  /// ``TableChecks/judgeDirectly(_:_:in:)`` of the reading's table.
  func judgeDirectly(
    _ reading: Reading, _ row: inout [SQLValue], in arena: inout ByteArena
  ) -> TableChecks.DirectVerdict {
    switch reading.kind {
    case .production: production?.judgeDirectly(reading, &row, in: &arena) ?? .passed
    case .consumption: consumption?.judgeDirectly(reading, &row, in: &arena) ?? .passed
    case .storage: storage?.judgeDirectly(reading, &row, in: &arena) ?? .passed
    }
  }

  /// The plausibility rules alone.
  public static let withoutChecks = RuleSet(tables: [])

  /// The same for readings of the past that come out of order: without the rules that compare a
  /// reading with those before it.
  public var withoutPast: RuleSet {
    var plausibility = plausibility
    for rule in [PlausibilityRule.gap, .spike, .stuckValue] { plausibility[rule] = .off }
    return RuleSet(tables: tables, plausibility: plausibility, clockOffset: clockOffset)
  }

  /// How long a batch may take to its commit, and how far clocks may differ: within it the verdict
  /// of a constraint that asks for the time is PostgreSQL's, µs.
  static let clockMargin: Int64 = 10_000_000
}
