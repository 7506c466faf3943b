// A believable fleet of meters that are not there, the same for the same seed and size.

import EnergyReadings

/// A simulated neighbourhood: of ten meters three produce, six consume and one is a battery.
///
/// Everything about it follows from `seed` and `meterCount`, on every machine to the byte.
/// - Most producers are solar roofs; from ten meters up there is wind and hydro too, so that
///   production is never all zero at night.
/// - From three meters up there is one device of each kind, from twenty up a battery that works
///   around the clock (the first ones rest at night and in the morning).
public struct Neighbourhood: Sendable {
  public let seed: UInt64
  /// ≥ 0.
  public let meterCount: Int
  private let meters: [Meter]
  private let skies: [Sky]

  /// Kinds of ten meters in a row; the first three are one of each.
  private static let kinds: [MeterKind] = [
    .production, .consumption, .storage, .consumption, .consumption,
    .production, .consumption, .consumption, .production, .consumption,
  ]

  /// - Parameters:
  ///   - seed: any number; another seed is another neighbourhood under another sky.
  ///   - meterCount: 0…999,999, since device ids have six digits.
  public init(seed: UInt64, meterCount: Int) {
    precondition((0...999_999).contains(meterCount), "a neighbourhood has 0 to 999,999 meters")
    let noise = SeededNoise(seed: seed)
    let areas = min(GridArea.all.count, max(1, (meterCount + 9) / 10))
    self.seed = seed
    self.meterCount = meterCount
    skies = GridArea.all.indices.map {
      Sky(noise: noise.branch(-1 - $0), longitude: GridArea.all[$0].longitude)
    }
    meters = (0..<meterCount).map { index in
      let own = noise.branch(index + 1)
      return Meter(
        number: index + 1, area: (index / 3 + index / 10) % areas,
        model: Self.model(index, noise: own), noise: own.branch(0))
    }
  }

  /// The readings whose intervals end after `start` and not after `end`, in the order of time.
  ///
  /// Each meter has a constant offset into the interval, so that not all publish at once; its
  /// intervals end at the multiples of `interval` since 1970 plus that offset. `sequence` in the
  /// payload is the number of the interval since 1970.
  ///
  /// - Parameters:
  ///   - start: µs since 1970.
  ///   - end: µs since 1970.
  ///   - interval: whole seconds, 1…86,400.
  public func readings(from start: Int64, to end: Int64, interval: Int) -> SimulatedReadings {
    precondition((1...86_400).contains(interval), "an interval has 1 to 86,400 seconds")
    return SimulatedReadings(
      meters: meters, skies: skies, from: start, to: end, interval: interval)
  }

  private static func model(_ index: Int, noise: SeededNoise) -> Meter.Model {
    let kind = kinds[index % 10]
    // How many of the kind came before this one.
    let ordinal =
      index / 10 * kinds.count { $0 == kind } + kinds[..<(index % 10)].count { $0 == kind }
    switch kind {
    case .production:
      let source: ProducerSource
      switch (ordinal, noise.unit(1)) {
      case (1, _), (3..., ..<0.06): source = .wind
      case (2, _), (3..., 0.06..<0.1): source = .hydro
      default: source = .solar
      }
      return .producer(ProducerModel(source: source, noise: noise.branch(1)))
    case .consumption:
      let type = ConsumerType.mix[ordinal % ConsumerType.mix.count]
      return .consumer(ConsumerModel(type: type, noise: noise.branch(1)))
    case .storage:
      let plan: BatteryModel.Plan = ordinal % 4 == 1 ? .balancing : .evening
      return .battery(BatteryModel(plan: plan, noise: noise.branch(1)))
    }
  }
}

extension Neighbourhood {
  /// What the database must know of this fleet, for `meter-ingestor register`.
  ///
  /// No reading exceeds its producer's `capacity_kw` or its consumer's `peak_demand_kw`. A
  /// battery begins half full; its charge stays within its capacity, since an evening battery
  /// gives back what it stored times its efficiency.
  public var registry: RegistryFile {
    var registry = RegistryFile()
    var peakKW = [Double](repeating: 0, count: GridArea.all.count)
    for meter in meters {
      switch meter.model {
      case .producer(let model): registry.producers.append(Self.producer(meter, model))
      case .consumer(let model):
        registry.consumers.append(Self.consumer(meter, model))
        peakKW[meter.area] += model.peakKW
      case .battery(let model):
        registry.storages.append(Self.storage(meter, model))
        // What may fill or empty it within an hour.
        peakKW[meter.area] += model.capacityKWh
      }
    }
    registry.locations = Set(meters.map(\.area)).sorted().map {
      Self.location(GridArea.all[$0], peakKW: peakKW[$0])
    }
    return registry
  }

  private static func producer(_ meter: Meter, _ model: ProducerModel) -> RegistryFile.Producer {
    RegistryFile.Producer(
      producerID: meter.deviceID,
      producerName: "\(model.source.rawValue) \(meter.digits), \(meter.place.district)",
      producerType: model.type, energySources: [model.source.rawValue],
      location: meter.registeredLocation, capacityKW: decimal(model.capacityKW, places: 1),
      certification: model.source == .solar ? nil : "TH-REC", verified: true)
  }

  private static func consumer(_ meter: Meter, _ model: ConsumerModel) -> RegistryFile.Consumer {
    RegistryFile.Consumer(
      consumerID: meter.deviceID,
      consumerName: "\(model.type.rawValue) \(meter.digits), \(meter.place.district)",
      consumerType: model.type.rawValue, location: meter.registeredLocation,
      avgConsumptionKWh: decimal(model.usualDayKWh, places: 3),
      peakDemandKW: decimal((model.peakKW * 10).rounded(.up) / 10, places: 1), verified: true)
  }

  private static func storage(_ meter: Meter, _ model: BatteryModel) -> RegistryFile.Storage {
    RegistryFile.Storage(
      storageID: meter.deviceID,
      storageOperator: model.plan == .evening ? "household" : "distribution grid",
      storageType: "lithium_iron_phosphate",
      capacityMWh: decimal(model.capacityKWh / 1_000, places: 6),
      currentCharge: decimal(model.capacityKWh / 2_000, places: 6),
      efficiency: decimal(model.efficiency, places: 4), location: meter.registeredLocation,
      installedAt: "2025-01-15T03:00:00Z")
  }

  /// An area's feeders carry the peak of its consumers and batteries, and half of it more.
  private static func location(_ place: GridArea, peakKW: Double) -> RegistryFile.Location {
    RegistryFile.Location(
      province: place.province, district: place.district, gridCode: place.gridCode,
      substation: "\(place.district) substation",
      coordinates: .init(longitude: place.longitude, latitude: place.latitude),
      capacityMW: decimal((peakKW * 1.5 / 10).rounded(.up) / 100 + 0.1, places: 2))
  }

  private static func decimal(_ value: Double, places: Int) -> String {
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    var bytes: [UInt8] = []
    bytes.append(decimal: Int64((value * scale).rounded()), places: places)
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension Meter {
  fileprivate var place: GridArea { GridArea.all[area] }

  fileprivate var registeredLocation: RegistryFile.DeviceLocation {
    RegistryFile.DeviceLocation(
      gridCode: place.gridCode, province: place.province, district: place.district,
      latitude: Double(latitude) / 10_000, longitude: Double(longitude) / 10_000)
  }
}
