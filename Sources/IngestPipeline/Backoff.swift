/// Waiting times between attempts: doubling from `first` to `limit`, each shortened by up to half at
/// random, so that many clients do not come back at the same moment.
struct Backoff {
  private let first: Int32
  private let limit: Int32
  private var ceiling: Int32

  /// - Parameters:
  ///   - first: longest first waiting time, ms.
  ///   - limit: longest of all, ms.
  init(first: Int32 = 100, limit: Int32 = 5_000) {
    self.first = first
    self.limit = limit
    ceiling = first
  }

  /// The next waiting time, ms.
  mutating func next() -> Int32 {
    defer { ceiling = min(ceiling * 2, limit) }
    return Int32.random(in: ceiling / 2...ceiling)
  }

  mutating func reset() { ceiling = first }
}
