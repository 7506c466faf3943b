// What solar roofs, wind turbines and small hydro plants feed in.

/// The energy sources of the simulated producers.
enum ProducerSource: String, Sendable {
  case solar, wind, hydro

  /// The prefix of the equipment id: inverter, wind turbine, hydro turbine.
  var equipmentPrefix: String {
    switch self {
    case .solar: "inv"
    case .wind: "wtg"
    case .hydro: "hyd"
    }
  }
}

/// One producer and what its source gives it.
struct ProducerModel: Sendable {
  let source: ProducerSource
  /// `residential`, `commercial`, `industrial`, `utility` or `community`.
  let type: String
  /// kW that no interval exceeds.
  let capacityKW: Double
  private let noise: SeededNoise

  init(source: ProducerSource, noise: SeededNoise) {
    self.source = source
    self.noise = noise
    let range: ClosedRange<Double>
    switch (source, noise.unit(1)) {
    case (.solar, ..<0.75): (type, range) = ("residential", 3...10)
    case (.solar, ..<0.9): (type, range) = ("commercial", 15...80)
    case (.solar, ..<0.96): (type, range) = ("industrial", 50...250)
    case (.solar, _): (type, range) = ("community", 30...150)
    case (.wind, ..<0.7): (type, range) = ("community", 10...50)
    case (.wind, _): (type, range) = ("utility", 200...900)
    case (.hydro, _): (type, range) = ("community", 20...100)
    }
    capacityKW = (noise.value(2, in: range) * 10).rounded() / 10
  }

  /// The output around a moment as a fraction of capacity, 0...1.
  func output(at time: LocalTime, under sky: Sky) -> Double {
    switch source {
    case .solar:
      return sky.sunlight(at: time) * noise.value(3, in: 0.78...0.95)
    case .wind:
      return sky.wind(at: time)
    case .hydro:
      let river = 0.6 + 0.2 * sine(turns: time.yearFraction - 0.45)
      return river + 0.08 * noise.smooth(time.seconds, period: 7_200)
    }
  }

  /// The efficiency of the conversion as 1/10,000, 0...10,000: poor near idle, best at half load.
  func efficiency(at output: Double) -> Int {
    let best = noise.value(4, in: 0.955...0.985)
    let idle = output < 0.1 ? (0.1 - output) : 0
    return Int(((best - idle * 0.8 - output * 0.01) * 10_000).rounded())
  }

  /// The quality of the feed-in as 1/10,000, 0...10,000.
  func quality(at time: LocalTime) -> Int {
    Int((10_000 - 350 * noise.branch(5).smooth(time.seconds, period: 1_800)).rounded())
  }
}
