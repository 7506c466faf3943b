// The meters of a torture run: who they are, and what exactly each reading of theirs says.

import EnergyReadings

/// 40 meters of each kind. Whatever a reading says besides its time and energy follows from its
/// number, so that fields of different readings cannot be mixed up unnoticed.
enum MeterFleet {
  static let devices = 40
  static let grid = "TORTURE"
  /// A battery that neither order nor backlog of operations can fill or empty, MWh.
  private static let batteryMWh = "400000"
  /// What it holds at first, MWh.
  static let chargeMWh = "200000"

  static func id(_ kind: ReadingKind, _ device: Int) -> String { "\(kind)-\(device)" }

  /// The device of an id of ``id(_:_:)``; nil where it is none of ours.
  static func device(_ kind: ReadingKind, id: String) -> Int? {
    guard id.hasPrefix("\(kind)-"), let device = Int(id.dropFirst("\(kind)-".count)) else {
      return nil
    }
    return (0..<devices).contains(device) ? device : nil
  }

  static func topic(_ kind: ReadingKind, _ device: Int) -> String {
    "gridtokenx/v1/\(grid)/\(kind)/\(id(kind, device))"
  }

  /// One JSON object; the forms of time and amount take turns.
  static func payload(_ kind: ReadingKind, number: Int, _ entry: Journal.Entry) -> String {
    let amount = EnergyAmount(microKWh: entry.microKWh).description
    return #"{"timestamp":\#(time(entry.time, number)),"energy_amount":"#
      + (number % 2 == 0 ? amount : "\"\(amount)\"") + fields(kind, number, amount) + "}"
  }

  private static func time(_ microseconds: Int64, _ number: Int) -> String {
    switch number % 3 {
    case 0: "\(microseconds)"
    case 1: "\"\(Timestamp(microseconds: microseconds))\""
    default:
      // Bangkok.
      "\"\(Timestamp(microseconds: microseconds + 25_200_000_000).description.dropLast())+07:00\""
    }
  }

  private static func fields(_ kind: ReadingKind, _ number: Int, _ amount: String) -> String {
    switch kind {
    case .production: #","energy_source":"\#(source(number))","equipment_id":"e-\#(number)""#
    case .consumption:
      #","consumer_type":"\#(consumer(number))","appliance_breakdown":{"all":\#(amount)}"#
    case .storage:
      #","operation_type":"\#(operation(number))","price_per_unit":\#(price(number))"#
    }
  }

  /// What the columns that ``RowVerdict`` reads must say.
  static func columns(_ kind: ReadingKind, number: Int, _ entry: Journal.Entry) -> String {
    let amount = EnergyAmount(microKWh: entry.microKWh).description
    switch kind {
    case .production: return "\(amount) \(source(number)) 1.0000 1.0000 e-\(number)"
    case .consumption: return "\(amount) \(consumer(number)) \(amount)"
    case .storage: return "\(amount) \(operation(number)) \(price(number)) \(grid)"
    }
  }

  static func operation(_ number: Int) -> String { number % 2 == 0 ? "charge" : "discharge" }

  private static func source(_ number: Int) -> String { number % 2 == 0 ? "solar" : "wind" }

  private static func consumer(_ number: Int) -> String {
    ["residential", "commercial", "industrial"][number % 3]
  }

  private static func price(_ number: Int) -> String {
    FixedPoint.text(Int64(1_000_000 + number % 1_000 * 1_001), scale: 6)
  }

  /// What the database must know of them.
  static var registry: RegistryFile {
    let place = RegistryFile.DeviceLocation(gridCode: grid)
    return RegistryFile(
      producers: (0..<devices).map {
        .init(
          producerID: id(.production, $0), producerName: "producer \($0)",
          producerType: "community", energySources: ["solar", "wind"], location: place,
          capacityKW: "10")
      },
      consumers: (0..<devices).map {
        .init(
          consumerID: id(.consumption, $0), consumerName: "consumer \($0)",
          consumerType: "residential", location: place)
      },
      storages: (0..<devices).map {
        .init(
          storageID: id(.storage, $0), storageOperator: "torture", storageType: "lithium",
          capacityMWh: batteryMWh, currentCharge: chargeMWh, location: place,
          installedAt: "2025-01-01T00:00:00Z")
      })
  }
}
