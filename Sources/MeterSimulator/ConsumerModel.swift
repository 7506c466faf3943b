// What homes, shops, plants, farms and towns use, appliance by appliance.

/// The types that `blockchain.registered_consumers` admits.
enum ConsumerType: String, Sendable {
  case residential, commercial, industrial, agricultural, municipal

  /// One type for each of 25 consumers in a row: 17 homes, 4 shops, 2 farms, a plant, a town.
  static let mix: [ConsumerType] = [
    .residential, .residential, .commercial, .residential, .residential,
    .agricultural, .residential, .residential, .residential, .industrial,
    .residential, .residential, .commercial, .residential, .residential,
    .municipal, .residential, .residential, .commercial, .residential,
    .agricultural, .residential, .commercial, .residential, .residential,
  ]

  /// The range of a connection's usual peak, kW.
  var sizeKW: ClosedRange<Double> {
    switch self {
    case .residential: 1...4
    case .commercial: 10...80
    case .industrial: 80...400
    case .agricultural: 3...15
    case .municipal: 5...40
    }
  }

  /// The appliances of this type and when they run.
  var loads: [(appliance: String, shape: DailyShape)] {
    switch self {
    case .residential: Self.residentialLoads
    case .commercial: Self.commercialLoads
    case .industrial: Self.industrialLoads
    case .agricultural: Self.agriculturalLoads
    case .municipal: Self.municipalLoads
    }
  }

  /// Thai homes peak in the morning and in the evening, and cool their bedrooms at night.
  private static let residentialLoads: [(String, DailyShape)] = [
    (
      "cooling",
      DailyShape(base: 0.02, [.init(from: 20, to: 30, ramp: 2, height: 0.35)])
    ),
    (
      "cooking",
      DailyShape(
        base: 0, weekend: 1.3,
        [
          .init(from: 5.5, to: 8.5, ramp: 1, height: 0.25),
          .init(from: 17, to: 20.5, ramp: 1.25, height: 0.3),
        ])
    ),
    (
      "lighting",
      DailyShape(
        base: 0.01,
        [
          .init(from: 5, to: 7, ramp: 0.75, height: 0.06),
          .init(from: 17.5, to: 23.5, ramp: 1, height: 0.1),
        ])
    ),
    ("refrigeration", DailyShape(base: 0.06)),
    (
      "other",
      DailyShape(
        base: 0.04, weekend: 1.5,
        [
          .init(from: 9, to: 17, ramp: 2, height: 0.06),
          .init(from: 18, to: 23.5, ramp: 1.5, height: 0.15),
        ])
    ),
  ]

  private static let commercialLoads: [(String, DailyShape)] = [
    (
      "cooling",
      DailyShape(base: 0.03, weekend: 0.5, [.init(from: 8, to: 20, ramp: 2, height: 0.45)])
    ),
    (
      "lighting",
      DailyShape(base: 0.03, weekend: 0.6, [.init(from: 8, to: 21, ramp: 0.75, height: 0.2)])
    ),
    (
      "equipment",
      DailyShape(base: 0.06, weekend: 0.4, [.init(from: 8.5, to: 18.5, ramp: 1, height: 0.2)])
    ),
  ]

  private static let industrialLoads: [(String, DailyShape)] = [
    (
      "process",
      DailyShape(
        base: 0.12, weekend: 0.4,
        [
          .init(from: 7, to: 12.25, ramp: 0.75, height: 0.55),
          .init(from: 12.75, to: 17.5, ramp: 0.75, height: 0.55),
        ])
    ),
    (
      "cooling",
      DailyShape(base: 0.05, weekend: 0.5, [.init(from: 8, to: 18, ramp: 2, height: 0.15)])
    ),
    (
      "lighting",
      DailyShape(base: 0.03, weekend: 0.5, [.init(from: 6.5, to: 18, ramp: 0.5, height: 0.06)])
    ),
  ]

  private static let agriculturalLoads: [(String, DailyShape)] = [
    (
      "pumping",
      DailyShape(
        base: 0.02,
        [
          .init(from: 5.5, to: 9, ramp: 0.75, height: 0.7),
          .init(from: 15.5, to: 18.5, ramp: 0.75, height: 0.5),
        ])
    ),
    (
      "lighting",
      DailyShape(base: 0.01, [.init(from: 18, to: 29.5, ramp: 0.75, height: 0.06)])
    ),
  ]

  private static let municipalLoads: [(String, DailyShape)] = [
    (
      "street_lighting",
      DailyShape(base: 0, [.init(from: 18, to: 30.25, ramp: 0.25, height: 0.5)])
    ),
    (
      "water_pumping",
      DailyShape(base: 0.12, [.init(from: 4.5, to: 9, ramp: 1.5, height: 0.2)])
    ),
    (
      "buildings",
      DailyShape(base: 0.03, weekend: 0.2, [.init(from: 8, to: 17, ramp: 1, height: 0.25)])
    ),
  ]
}

/// One consumer's loads.
struct ConsumerModel: Sendable {
  struct Load: Sendable {
    /// The appliance as the breakdown writes it: `"cooling":`.
    let key: [UInt8]
    let shape: DailyShape
    let noise: SeededNoise
  }

  let type: ConsumerType
  let sizeKW: Double
  let loads: [Load]

  private static let swing = 0.75...1.25

  init(type: ConsumerType, noise: SeededNoise) {
    self.type = type
    sizeKW = (noise.value(1, in: type.sizeKW) * 10).rounded() / 10
    loads = type.loads.enumerated().map { number, load in
      Load(
        key: Array("\"\(load.appliance)\":".utf8), shape: load.shape,
        noise: noise.branch(10 + number))
    }
  }

  /// The mean power of one load around a moment, kW.
  func power(of load: Load, at time: LocalTime) -> Double {
    let swing = Self.swing.lowerBound + 0.5 * load.noise.smooth(time.seconds, period: 660)
    return sizeKW * load.shape.fraction(at: time) * swing
  }

  /// A power that no interval exceeds, kW: what `peak_demand_kw` says.
  var peakKW: Double {
    sizeKW * loads.reduce(0) { $0 + $1.shape.bound } * Self.swing.upperBound
  }

  /// The energy of a usual Wednesday, kWh: what `avg_consumption_kwh` says.
  var usualDayKWh: Double {
    let wednesday = 6
    return (0..<96).reduce(0) { sum, quarter in
      let time = LocalTime(day: wednesday, hour: (Double(quarter) + 0.5) / 4)
      return sum + loads.reduce(0) { $0 + $1.shape.fraction(at: time) } * sizeKW / 4
    }
  }
}
