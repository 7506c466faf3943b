// How a load is spread over the day: a base and blocks of hours with soft edges.

/// The course of one load over a day, as a fraction of its size.
struct DailyShape: Sendable {
  /// Hours in which a load is higher.
  struct Block: Sendable {
    /// Local hours; `to` may lie past 24, for a block over midnight.
    let from: Double
    let to: Double
    /// Hours the load takes to rise and to fall, inside the block.
    let ramp: Double
    let height: Double

    func height(at hour: Double) -> Double {
      guard hour > from, hour < to else { return 0 }
      return height * smoothstep((hour - from) / ramp) * smoothstep((to - hour) / ramp)
    }
  }

  let base: Double
  let blocks: [Block]
  /// Factor of the blocks on Saturday and Sunday.
  let weekend: Double

  init(base: Double, weekend: Double = 1, _ blocks: [Block] = []) {
    self.base = base
    self.weekend = weekend
    self.blocks = blocks
  }

  func fraction(at time: LocalTime) -> Double {
    var raised = 0.0
    for block in blocks {
      raised += block.height(at: time.hour) + block.height(at: time.hour + 24)
    }
    return base + raised * (time.isWeekend ? weekend : 1)
  }

  /// What the fraction never exceeds.
  var bound: Double {
    base + blocks.reduce(0) { $0 + $1.height } * max(1, weekend)
  }
}
