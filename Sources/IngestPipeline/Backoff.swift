/// Waiting times between attempts: doubling from 100 ms to 5 s, each shortened by up to half at
/// random, so that many clients do not come back at the same moment.
struct Backoff {
  private var ceiling: Int32 = 100

  /// The next waiting time, ms.
  mutating func next() -> Int32 {
    defer { ceiling = min(ceiling * 2, 5_000) }
    return Int32.random(in: ceiling / 2...ceiling)
  }

  mutating func reset() { ceiling = 100 }
}
