// Reproducible chance: a hash in place of a random generator, and noise that is smooth in time.

/// Chance that depends on nothing but a seed and an argument, so that any moment of any meter can
/// be computed by itself and comes out the same on every machine.
///
/// The mixing step is SplitMix64's (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014). Only +, −, ×, ÷ and √ are used on `Double` here and in the models:
/// IEEE 754 defines their last bit, which it does not do for libm's `sin` and `exp`.
struct SeededNoise: Sendable {
  private let seed: UInt64

  init(seed: UInt64) {
    self.seed = Self.mix(seed)
  }

  /// An independent noise for a part of the model.
  func branch(_ number: Int) -> SeededNoise {
    SeededNoise(seed: seed ^ UInt64(bitPattern: Int64(number)))
  }

  /// 64 even bits for `index`.
  func bits(_ index: Int) -> UInt64 {
    Self.mix(seed ^ Self.mix(UInt64(bitPattern: Int64(index))))
  }

  /// An even value in 0..<1 for `index`.
  func unit(_ index: Int) -> Double {
    Double(bits(index) >> 11) * 0x1p-53
  }

  /// An even value in `range` for `index`.
  func value(_ index: Int, in range: ClosedRange<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * unit(index)
  }

  /// Noise in 0...1 that moves smoothly from one independent value to the next every `period`
  /// seconds. `time` is seconds since 1970.
  func smooth(_ time: Double, period: Double) -> Double {
    let position = time / period
    let floor = position.rounded(.down)
    let index = Int(floor)
    let from = unit(index)
    return from + (unit(index + 1) - from) * smoothstep(position - floor)
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var mixed = value &+ 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// 0 up to 0, 1 from 1, and a slope without corners between them.
func smoothstep(_ value: Double) -> Double {
  let clamped = min(max(value, 0), 1)
  return clamped * clamped * (3 - 2 * clamped)
}

/// The sine of a number of turns (1 is a full circle), within 0.0017.
///
/// Bhaskara I's rational approximation (7th century), for its reproducible last bit.
func sine(turns: Double) -> Double {
  let fraction = turns - turns.rounded(.down)
  let half = fraction < 0.5 ? fraction * 2 : fraction * 2 - 1
  let product = half * (1 - half)
  let magnitude = 16 * product / (5 - 4 * product)
  return fraction < 0.5 ? magnitude : -magnitude
}
