// Random numbers that are the same in every run, so that a failure can be seen again.

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
public struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  public mutating func number(_ range: ClosedRange<Int>) -> Int {
    Int.random(in: range, using: &self)
  }

  /// True once in `n` calls.
  public mutating func oneIn(_ n: Int) -> Bool { number(1...n) == 1 }

  public mutating func digits(_ count: Int) -> String {
    String((0..<count).map { _ in Character(String(number(0...9))) })
  }

  public mutating func element<T>(of array: [T]) -> T { array[number(0...(array.count - 1))] }
}
