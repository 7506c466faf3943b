// One simulated meter: its identity, its place and the model of what it measures.

/// What a meter measures; the raw value is the topic's level.
public enum MeterKind: String, Sendable, CaseIterable {
  case production, consumption, storage
}

/// One device of the fleet.
struct Meter: Sendable {
  enum Model: Sendable {
    case producer(ProducerModel)
    case consumer(ConsumerModel)
    case battery(BatteryModel)
  }

  /// Counts from 1 across the fleet.
  let number: Int
  let deviceID: String
  let topic: String
  /// The index of its area in `GridArea.all`.
  let area: Int
  /// Ten-thousandths of a degree.
  let latitude: Int64
  let longitude: Int64
  let model: Model
  /// Evenly drawn, 0..<1: the moment within an interval at which it publishes.
  let phase: Double

  init(number: Int, area: Int, model: Model, noise: SeededNoise) {
    self.number = number
    self.area = area
    self.model = model
    let letter =
      switch model {
      case .producer: "p"
      case .consumer: "c"
      case .battery: "b"
      }
    var id = [UInt8]("\(letter)-".utf8)
    id.append(digits: UInt64(number), width: 6)
    deviceID = String(decoding: id, as: UTF8.self)
    let place = GridArea.all[area]
    topic = "gridtokenx/v1/\(place.gridCode)/\(Self.kind(of: model).rawValue)/\(deviceID)"
    latitude = Int64(((place.latitude + noise.value(1, in: -0.02...0.02)) * 10_000).rounded())
    longitude = Int64(((place.longitude + noise.value(2, in: -0.02...0.02)) * 10_000).rounded())
    phase = noise.unit(3)
  }

  var kind: MeterKind { Self.kind(of: model) }

  private static func kind(of model: Model) -> MeterKind {
    switch model {
    case .producer: .production
    case .consumer: .consumption
    case .battery: .storage
    }
  }

  /// The device id's digits, as equipment ids repeat them.
  var digits: Substring { deviceID.dropFirst(2) }
}
