// What a reading must satisfy before it is worth a row: the target tables' CHECK constraints as
// schema v2 has them, and what cannot be true of a time.
//
// This is the seam of the rule engine: a rule is a name and a predicate over a reading, whether it
// was written here or compiled from the catalogue.

import EnergyReadings

/// The rules that readings are judged by. A value: replacing the rules is replacing the set.
public struct RuleSet: Sendable {
  /// How far a timestamp may lie ahead of this machine's clock; default 24 h.
  public var futureTolerance: Int64

  /// - Parameter futureToleranceSeconds: 0 or more; default 24 h.
  public init(futureToleranceSeconds: Int64 = 86_400) {
    futureTolerance = futureToleranceSeconds * 1_000_000
  }

  /// The first rule that the reading breaks, or nil.
  ///
  /// Call it on the enriched reading: consumer type, price and the like are judged as they would be
  /// stored.
  ///
  /// - Parameter now: the ingestor's clock.
  public func violation(
    by reading: Reading, in arena: borrowing ByteArena, now: Timestamp
  ) -> Rejection? {
    timeViolation(reading.timestamp, now: now) ?? checkViolation(reading, in: arena)
  }

  private func timeViolation(_ timestamp: Timestamp, now: Timestamp) -> Rejection? {
    if timestamp.microseconds > now.microseconds + futureTolerance {
      return Rejection(
        .implausible, path: "$.timestamp",
        detail: "\(timestamp) is more than \(futureTolerance / 3_600_000_000) h ahead of the "
          + "ingestor's clock \(now)", rule: "future_timestamp")
    }
    if timestamp.microseconds < RuleSet.firstPlausible {
      return Rejection(
        .implausible, path: "$.timestamp",
        detail: "\(timestamp): a clock that was never set", rule: "sentinel_date")
    }
    return nil
  }

  /// 2000-01-02T00:00:00Z: clocks that were never set show 1970-01-01 or 2000-01-01, here or a
  /// time zone away.
  private static let firstPlausible: Int64 = 946_771_200_000_000

  private func checkViolation(
    _ reading: Reading, in arena: borrowing ByteArena
  ) -> Rejection? {
    switch reading.kind {
    case .production:
      if reading.energy <= .zero { return notPositive(reading, "energy_production") }
    case .consumption:
      if reading.energy <= .zero { return notPositive(reading, "energy_consumption") }
      if !RuleSet.isConsumerType(arena[reading.consumerType]) {
        return Rejection(
          .checkViolation, path: "$.consumer_type",
          detail: "\(arena.string(reading.consumerType)) is none of residential, commercial, "
            + "industrial, agricultural, municipal",
          constraint: "energy_consumption_consumer_type_check")
      }
    case .storage:
      if reading.energy <= .zero { return notPositive(reading, "storage_operations") }
      if reading.price ?? 0 <= 0 {
        return Rejection(
          .checkViolation, path: "$.price_per_unit", detail: "a price must be above 0",
          constraint: "storage_operations_price_per_unit_check")
      }
    }
    return nil
  }

  private func notPositive(_ reading: Reading, _ table: StaticString) -> Rejection {
    Rejection(
      .checkViolation, path: "$.energy_amount", detail: "\(reading.energy) kWh is below 0",
      constraint: "\(table)_energy_amount_check")
  }

  private static func isConsumerType(_ type: Span<UInt8>) -> Bool {
    type.elementsEqual("residential") || type.elementsEqual("commercial")
      || type.elementsEqual("industrial") || type.elementsEqual("agricultural")
      || type.elementsEqual("municipal")
  }
}
