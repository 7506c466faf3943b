// Registers by the thousand: whatever way the samples take, the intervals add up.

import EnergyReadings
import SeededRandom
import Testing

@Suite struct RegisterPropertyTests {
  /// Shuffled, repeated and lost: the newest total minus the oldest that arrived.
  @Test(arguments: [RegisterSample.Measure.register, .netRegister])
  func anyOrderAddsUp(measure: RegisterSample.Measure) {
    var random = SeededGenerator(seed: 0x5E61)
    for _ in 0..<3_000 {
      var register = RegisterBench(measure: measure, maximumWatts: 20_000)
      register.opposite = .init(.production)
      let meter = samples(measure, &random)
      var arrivals = meter.filter { _ in !random.oneIn(5) }
      guard let oldest = arrivals.first, let newest = arrivals.last else { continue }
      arrivals += arrivals.filter { _ in random.oneIn(4) }
      arrivals.shuffle(using: &random)
      var ends: Set<Timestamp> = []
      for point in arrivals {
        let outcome = register.take(point.value, microseconds: point.microseconds)
        #expect(outcome.event == nil)
        if case .interval(let interval) = outcome.verdict {
          // The end is what tells the intervals of a register apart.
          #expect(ends.insert(interval.end).inserted)
        }
      }
      #expect(register.booked == newest.value - oldest.value, "\(arrivals)")
    }
  }

  /// A display with so many digits rolls over once or more on the way.
  @Test func anyOrderAddsUpAcrossRollovers() {
    var random = SeededGenerator(seed: 0x5E62)
    for _ in 0..<3_000 {
      var register = RegisterBench(maximumWatts: 20_000)
      register.digits = 2
      let meter = samples(.register, &random)
      var arrivals = meter + meter.filter { _ in random.oneIn(4) }
      arrivals.shuffle(using: &random)
      for point in arrivals {
        register.take(point.value % 100_000_000, microseconds: point.microseconds)
      }
      #expect(register.booked == meter[meter.count - 1].value - meter[0].value, "\(arrivals)")
    }
  }

  /// In their order, with repetitions: resets and zeros after boot change nothing of the sum.
  @Test func resetsInOrderAddUp() {
    var random = SeededGenerator(seed: 0x5E63)
    for _ in 0..<3_000 {
      var register = RegisterBench(maximumWatts: 20_000)
      let (points, truth) = life(of: &random)
      for point in points {
        register.take(point.value, microseconds: point.microseconds)
        if random.oneIn(4) { register.take(point.value, microseconds: point.microseconds) }
      }
      #expect(register.booked == truth, "\(points)")
    }
  }

  /// In no order at all, resets may cost some energy, but never add any.
  @Test func resetsOutOfOrderAreNeverCountedTwice() {
    var random = SeededGenerator(seed: 0x5E64)
    for _ in 0..<10_000 {
      var register = RegisterBench(maximumWatts: 20_000)
      let (points, truth) = life(of: &random)
      for point in (points + points).shuffled(using: &random) {
        register.take(point.value, microseconds: point.microseconds)
      }
      #expect(register.booked <= truth, "\(points)")
    }
  }

  private struct Point {
    var microseconds: Int64
    var value: Int64
  }

  /// A meter of at most 20 kW, at irregular times.
  private func samples(
    _ measure: RegisterSample.Measure, _ random: inout SeededGenerator
  ) -> [Point] {
    var point = Point(
      microseconds: Int64(random.number(0...1_000_000)),
      value: Int64(random.number(1...99_000_000)))
    var points = [point]
    for _ in 0..<random.number(1...20) {
      let elapsed = random.number(1...1_800_000_000)
      point.microseconds += Int64(elapsed)
      // 20 kW are 5.5 micro-kWh a millisecond.
      let most = elapsed / 1_000 * 5
      let least = measure == .netRegister ? -most : 0
      if !random.oneIn(4) { point.value += Int64(random.number(least...max(least, most))) }
      points.append(point)
    }
    return points
  }

  /// A meter that stands at 5,000 kWh, is reset, or shows zeros for a while.
  ///
  /// - Returns: its samples, and what flowed between those of each of its lives.
  private func life(of random: inout SeededGenerator) -> ([Point], Int64) {
    var microseconds: Int64 = 0
    var total = Int64(random.number(5_000_000_000...5_100_000_000))
    var points = [Point(microseconds: 0, value: total)]
    var truth: Int64 = 0
    for _ in 0..<random.number(4...30) {
      microseconds += Int64(random.number(1_000_000...900_000_000))
      if random.oneIn(10), total > 1_000_000_000 {
        points.append(Point(microseconds: microseconds, value: 0))
      } else if random.oneIn(10), total > 1_000_000_000 {
        // After a zero nobody could tell what it began with.
        total = points[points.count - 1].value == 0 ? 0 : Int64(random.number(0...1_000))
        points.append(Point(microseconds: microseconds, value: total))
        // It shows that it counts before anything else happens.
        microseconds += 60_000_000
        total += 1_000
        truth += 1_000
        points.append(Point(microseconds: microseconds, value: total))
      } else {
        let amount = Int64(random.number(0...1_000_000))
        total += amount
        truth += amount
        points.append(Point(microseconds: microseconds, value: total))
      }
    }
    return (points, truth)
  }
}
