// The rules, one by one, at their edges.

import CheckRules
import EnergyReadings
import Testing

@Suite struct RuleSetTests {
  private static let now = Timestamp(microseconds: 1_781_049_600_000_000)

  private func violation(
    _ kind: ReadingKind, microKWh: Int64 = 1, at time: Int64 = now.microseconds,
    consumerType: String = "residential", price: Int64? = 1, rules: RuleSet = RuleSet()
  ) -> Rejection? {
    var arena = ByteArena()
    var reading = Reading(
      kind: kind, device: arena.append("d"), gridCode: arena.append("G"),
      energy: EnergyAmount(microKWh: microKWh), timestamp: Timestamp(microseconds: time))
    reading.consumerType = arena.append(consumerType.utf8.span)
    reading.price = price
    return rules.violation(by: reading, in: arena, now: Self.now)
  }

  @Test(arguments: ReadingKind.allCases)
  func amountsAreAboveZero(kind: ReadingKind) {
    #expect(violation(kind, microKWh: 1) == nil)
    for amount in [0, -1, -999_999_999_999_999] as [Int64] {
      let rejection = violation(kind, microKWh: amount)
      #expect(rejection?.reason == .checkViolation)
      #expect(rejection?.constraint?.hasSuffix("_energy_amount_check") == true)
      #expect(rejection?.path == "$.energy_amount")
    }
  }

  @Test func consumerTypesAreThoseOfTheTable() {
    for type in ["residential", "commercial", "industrial", "agricultural", "municipal"] {
      #expect(violation(.consumption, consumerType: type) == nil)
    }
    for type in ["", "Residential", "residential ", "martian"] {
      #expect(
        violation(.consumption, consumerType: type)?.constraint
          == "energy_consumption_consumer_type_check")
    }
  }

  @Test func pricesAreAboveZero() {
    for price in [0, -1, nil] as [Int64?] {
      #expect(
        violation(.storage, price: price)?.constraint == "storage_operations_price_per_unit_check")
    }
    #expect(violation(.consumption, price: nil) == nil)
  }

  @Test func timesThatCannotBeTrue() {
    let day: Int64 = 86_400_000_000
    let now = Self.now.microseconds
    #expect(violation(.production, at: now + day) == nil)
    #expect(violation(.production, at: now + day + 1)?.rule == "future_timestamp")
    let strict = RuleSet(futureToleranceSeconds: 0)
    #expect(violation(.production, at: now, rules: strict) == nil)
    #expect(violation(.production, at: now + 1, rules: strict)?.reason == .implausible)
    // 2000-01-01 is a clock that was never set; the day after is an old reading.
    #expect(violation(.production, at: 946_684_800_000_000)?.rule == "sentinel_date")
    #expect(violation(.production, at: 946_771_200_000_000) == nil)
    for time in [0, -1, 7_000_000] as [Int64] {
      #expect(violation(.production, at: time)?.rule == "sentinel_date")
    }
  }
}
