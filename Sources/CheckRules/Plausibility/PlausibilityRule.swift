// The plausibility rules: what CHECK constraints cannot say, because it spans readings, time and
// the registry. Validation in the sense of utilities' VEE (validation, estimation, editing).

/// What becomes of a reading that breaks a rule.
public enum RuleSeverity: String, Sendable, CaseIterable {
  /// A dead letter `implausible`.
  case reject
  /// Stored, marked in `ingest.reading_flags`, its `quality_score` halved where the table has one.
  case flag
  case off
}

/// One rule. Utilities keep and mark rather than delete, so only what cannot be true is rejected by
/// default.
public enum PlausibilityRule: UInt8, Sendable, CaseIterable {
  case sentinelDate
  case futureTimestamp
  case tooOld
  case negativeEnergy
  case unknownSource
  case farAboveCapacity
  case aboveCapacity
  case inactiveDevice
  case spike
  case stuckValue
  case gap
  case breakdownExceedsTotal
  case chargeAboveCapacity
  case dischargeAboveCharge
  case simultaneousOperations

  /// The snake_case name, the same in dead letters, flags, metrics, settings and documentation.
  public var name: StaticString {
    switch self {
    case .sentinelDate: "sentinel_date"
    case .futureTimestamp: "future_timestamp"
    case .tooOld: "too_old"
    case .negativeEnergy: "negative_energy"
    case .unknownSource: "unknown_source"
    case .farAboveCapacity: "far_above_capacity"
    case .aboveCapacity: "above_capacity"
    case .inactiveDevice: "inactive_device"
    case .spike: "spike"
    case .stuckValue: "stuck_value"
    case .gap: "gap"
    case .breakdownExceedsTotal: "breakdown_exceeds_total"
    case .chargeAboveCapacity: "charge_above_capacity"
    case .dischargeAboveCharge: "discharge_above_charge"
    case .simultaneousOperations: "simultaneous_operations"
    }
  }

  /// The rule of that name.
  public init?(name: String) {
    guard let rule = PlausibilityRule.allCases.first(where: { "\($0.name)" == name }) else {
      return nil
    }
    self = rule
  }

  public var defaultSeverity: RuleSeverity {
    switch self {
    case .sentinelDate, .futureTimestamp, .negativeEnergy, .unknownSource, .farAboveCapacity:
      .reject
    default: .flag
    }
  }

  /// Whether the database judges it, by the battery's book: right with any number of workers, but
  /// only once the reading is stored, so that it can flag and not reject.
  public var isJudgedByBook: Bool {
    switch self {
    case .chargeAboveCapacity, .dischargeAboveCharge, .simultaneousOperations: true
    default: false
    }
  }

  /// What it says, for `rules` and the README.
  public var meaning: String {
    switch self {
    case .sentinelDate: "the time of a clock that was never set: before 2000-01-02, or 2070-01-01"
    case .futureTimestamp: "further ahead of the ingestor's clock than rules.future-tolerance"
    case .tooOld: "older than rules.too-old-after when it arrives"
    case .negativeEnergy: "energy below 0"
    case .unknownSource: "an energy source that the producer is not registered with"
    case .farAboveCapacity:
      "of production or storage that is ten times what the rated capacity allows, or more"
    case .aboveCapacity: "above rated capacity × interval × rules.capacity-factor"
    case .inactiveDevice: "from a device in ingest.inactive_devices, or a battery not active"
    case .spike: "more than rules.spike-factor times the meter's recent peak"
    case .stuckValue: "the same amount rules.stuck-after times in a row"
    case .gap: "intervals missing before it, by sequence or interval length"
    case .breakdownExceedsTotal:
      "whose appliances add up to more than its total × rules.breakdown-factor"
    case .chargeAboveCapacity: "a charge that the battery has no room for, by its book"
    case .dischargeAboveCharge: "a discharge of more than the battery holds, by its book"
    case .simultaneousOperations: "charge and discharge of one battery for the same time"
    }
  }

  /// Where the rule comes from.
  public var source: String {
    switch self {
    case .sentinelDate: "what clocks show that were never set: the epochs of Unix and of meters"
    case .futureTimestamp: "\(californian), section 3.1, time check"
    case .tooOld: "14 months, the final settlement run of the British market (Elexon BSC)"
    case .negativeEnergy: "an interval's energy is a magnitude; its direction is the table"
    case .unknownSource: "blockchain.registered_producers.energy_sources"
    case .farAboveCapacity, .aboveCapacity:
      "\(californian), high/low usage check; the factor leaves room for irradiance above 1,000 W/m²"
    case .inactiveDevice: "inactive measurement check of Oracle Utilities Meter Data Management"
    case .spike: "\(californian), spike check"
    case .stuckValue: "consecutive interval check of Oracle Utilities Meter Data Management"
    case .gap: "\(californian), missing intervals"
    case .breakdownExceedsTotal: "\(californian), sum check"
    case .chargeAboveCapacity, .dischargeAboveCharge, .simultaneousOperations:
      "conservation of energy, by grid.energy_storage.current_charge"
    }
  }
}

/// Attachment VEE of the Direct Access Standards for Metering and Meter Data, CPUC D.98-12-080.
private let californian = "California Interval Data VEE Rules, rev. 2.0"
