// The arithmetic of the bench: medians, percentiles, ratios, goals.

import Bench
import Testing

@Suite struct SpreadTests {
  @Test func medianOfRounds() {
    #expect(Spread([])?.median == nil)
    #expect(Spread([3, 1, 2])?.median == 2)
    #expect(Spread([4, 1, 2, 3])?.median == 2.5)
    #expect(Spread([3, 1, 2])?.least == 1)
    #expect(Spread([3, 1, 2])?.most == 3)
  }

  @Test func percentilesAreNearestRanks() {
    let waits = (1...1_000).map(Double.init).shuffled()
    #expect(Percentiles(of: waits) == Percentiles(p50: 500, p99: 990, p999: 999))
    #expect(Percentiles(of: [7]) == Percentiles(p50: 7, p99: 7, p999: 7))
    #expect(Percentiles(of: []) == nil)
  }
}
