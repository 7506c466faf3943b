// How the plausibility rules are set: their severities and parameters.

/// Severities and parameters of the plausibility rules.
public struct PlausibilitySettings: Sendable {
  private var severities: InlineArray<15, RuleSeverity> = .init { index in
    PlausibilityRule(rawValue: UInt8(index))?.defaultSeverity ?? .off
  }

  /// How far a timestamp may lie ahead of the ingestor's clock, µs; default 24 h.
  public var futureTolerance: Int64 = 86_400_000_000
  /// Age from which a reading is too old, µs; default 425 days, some 14 months.
  public var tooOldAfter: Int64 = 425 * 86_400_000_000
  /// What the rated capacity is multiplied with, in hundredths; default 1.20.
  public var capacityPercent: Int64 = 120
  /// A spike is that many times the recent peak; default 5.
  public var spikeFactor: Int64 = 5
  /// Identical non-zero amounts in a row that are a stuck value; default 24.
  public var stuckAfter: Int32 = 24
  /// What appliances may add up to, in hundredths of the total; default 1.01.
  public var breakdownPercent: Int64 = 101
  /// How far an operation may go beyond the battery's book, in hundredths of the capacity;
  /// default 10: the book knows neither losses nor self-discharge.
  public var batteryPercent: Int64 = 10

  public init() {}

  public subscript(rule: PlausibilityRule) -> RuleSeverity {
    get { severities[Int(rule.rawValue)] }
    set { severities[Int(rule.rawValue)] = newValue }
  }

  /// Rejected far above capacity: that many times the rated capacity.
  static let farAboveFactor: Int64 = 10
  /// How far ahead of its arrival a reading may be to be remembered: a day, whatever is tolerated.
  static let longestLead: Int64 = 86_400_000_000
  /// Readings of a meter before its peak says anything: a day of quarter-hours would be long, two
  /// hours tell a standby from a kettle.
  static let readingsBeforeSpike: Int32 = 8
  /// 2000-01-02T00:00:00Z: clocks that were never set show 1970-01-01 or 2000-01-01, here or a time
  /// zone away.
  static let firstPlausible: Int64 = 946_771_200_000_000
  /// 2070-01-01T00:00:00Z and a day around it: two-digit years of 1970.
  static let sentinel2070 = Int64(3_155_673_600_000_000)...3_155_846_400_000_000
}
