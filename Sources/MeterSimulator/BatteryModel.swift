// What batteries take up and give back: solar surplus for the evening, or balance all day.

/// One battery and its plan.
struct BatteryModel: Sendable {
  enum Plan: Sendable {
    /// Charges from the noon surplus of its area, gives it back from 18 to 22 h, rests otherwise.
    case evening
    /// Follows the grid's swings around the clock, so that some battery moves at any hour.
    case balancing
  }

  /// One interval of a battery.
  struct Operation: Equatable {
    let isCharge: Bool
    /// ≥ 0.
    let microKWh: Int64
  }

  let plan: Plan
  let capacityKWh: Double
  /// Round trip, 0...1, four decimals.
  let efficiency: Double
  private let noise: SeededNoise

  private static let surplusHours = 10.0..<15.0
  private static let evening = DailyShape.Block(from: 18, to: 22, ramp: 1, height: 1)
  /// The area under `evening`, hours: each ramp of one hour gives half of it.
  private static let eveningHours = 3.0

  init(plan: Plan, noise: SeededNoise) {
    self.plan = plan
    self.noise = noise
    let sizes: ClosedRange<Double> = plan == .evening ? 5...15 : 200...1_000
    capacityKWh = noise.value(1, in: sizes).rounded()
    efficiency = (noise.value(2, in: 0.88...0.95) * 10_000).rounded() / 10_000
  }

  /// What the battery did between two moments.
  ///
  /// - Parameter stored: the day's charge, `surplus(day:under:)` of `middle`'s day, kWh.
  func operation(
    from start: Double, to end: Double, middle: LocalTime, under sky: Sky, stored: Double
  ) -> Operation {
    switch plan {
    case .evening:
      let hours = (end - start) / 3600
      let isCharge = middle.hour >= Self.surplusHours.lowerBound && middle.hour < 18
      let power =
        isCharge
        ? chargingPower(at: middle, under: sky)
        : stored * efficiency / Self.eveningHours * Self.evening.height(at: middle.hour)
      return Operation(isCharge: isCharge, microKWh: microKWh(power * hours))
    case .balancing:
      // Differences of one smooth level: however long it runs, it never leaves its capacity.
      let change = level(at: end) - level(at: start)
      return Operation(isCharge: change >= 0, microKWh: abs(change))
    }
  }

  /// The energy that the surplus of a local day brings, kWh: at most 0.45 of capacity.
  func surplus(day: Int, under sky: Sky) -> Double {
    let step = 1.0 / 60
    return stride(
      from: Self.surplusHours.lowerBound + step / 2, to: Self.surplusHours.upperBound, by: step
    ).reduce(0) { $0 + chargingPower(at: LocalTime(day: day, hour: $1), under: sky) * step }
  }

  private func chargingPower(at time: LocalTime, under sky: Sky) -> Double {
    guard Self.surplusHours.contains(time.hour) else { return 0 }
    return capacityKWh * 0.13 * max(0, sky.sunlight(at: time) - 0.3)
  }

  private func level(at seconds: Double) -> Int64 {
    let swing = 0.7 * noise.smooth(seconds, period: 1_200)
    let flutter = 0.1 * noise.branch(1).smooth(seconds, period: 97)
    return microKWh(capacityKWh * (swing + flutter))
  }
}

/// kWh as a whole number of micro-kWh, the nearest.
func microKWh(_ kWh: Double) -> Int64 {
  Int64((kWh * 1_000_000).rounded())
}
