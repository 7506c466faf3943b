// The simulated fleet: the same for the same seed, in the order of time, and believable.

import EnergyReadings
import Foundation
import Testing

@testable import MeterSimulator

/// 2026-03-02T00:00:00+07:00, a Monday in the hot season, µs since 1970.
private let midnight: Int64 = 1_772_384_400_000_000
private let day: Int64 = 86_400_000_000
private let hour: Int64 = 3_600_000_000

/// What the tests look at in a payload.
private struct Payload: Decodable {
  let timestamp: String
  let energyAmount: Double
  let energySource: String?
  let efficiency: Double?
  let qualityScore: Double?
  let consumerType: String?
  let applianceBreakdown: [String: Double]?
  let operationType: String?
  let pricePerUnit: Double?
  let gridLocation: String?
  let intervalSeconds: Int
  let sequence: Int64

  init(_ reading: SimulatedReading) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    self = try decoder.decode(Payload.self, from: Data(reading.payload))
  }
}

/// Milliseconds since 1970 of an RFC 3339 time, by Foundation.
private func milliseconds(_ text: String) throws -> Int64 {
  let style = Date.ISO8601FormatStyle(includingFractionalSeconds: text.contains("."))
  return Int64((try style.parse(text).timeIntervalSince1970 * 1_000).rounded())
}

private func micro(_ value: Double) -> Int64 { Int64((value * 1_000_000).rounded()) }

@Suite struct NeighbourhoodTests {
  @Test func sameSeedGivesTheSameBytesOnEveryMachine() {
    let readings = Neighbourhood(seed: 7, meterCount: 40)
      .readings(from: midnight, to: midnight + day, interval: 3_600)
    // FNV-1a. A change of the model changes it; then `fixtures` must be made anew as well.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for reading in readings {
      for byte in Array(reading.topic.utf8) + reading.payload {
        hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
      }
    }
    #expect(hash == 0x65F4_2E2D_A453_F33E)
  }

  @Test func anotherSeedGivesAnotherNeighbourhood() throws {
    let amounts = [1, 2].map { seed in
      Neighbourhood(seed: seed, meterCount: 20)
        .readings(from: midnight, to: midnight + hour, interval: 900).map(\.energyMicroKWh)
    }
    #expect(amounts[0] != amounts[1])
  }

  @Test func spansThatMeetGiveWhatOneLongSpanGives() {
    let fleet = Neighbourhood(seed: 3, meterCount: 30)
    let whole = fleet.readings(from: midnight, to: midnight + day, interval: 900)
    // The cut lies within an interval, on the very end of one meter's interval.
    let cut = whole.dropFirst(1_000).first { _ in true }?.time ?? 0
    let parts = [
      fleet.readings(from: midnight, to: cut, interval: 900),
      fleet.readings(from: cut, to: midnight + day, interval: 900),
    ]
    #expect(whole.map(\.payload) == parts.flatMap { $0.map(\.payload) })
  }

  @Test(arguments: [0, 1, 2, 3, 10, 137])
  func readingsComeInTheOrderOfTimeOncePerMeterAndInterval(meterCount: Int) {
    let readings = Neighbourhood(seed: 5, meterCount: meterCount)
      .readings(from: midnight, to: midnight + hour, interval: 300)
    var last = midnight
    var keys: Set<String> = []
    for reading in readings {
      #expect(reading.time >= last && reading.time > midnight && reading.time <= midnight + hour)
      last = reading.time
      keys.insert("\(reading.topic) \(reading.time)")
    }
    #expect(keys.count == meterCount * 12)
    #expect(readings.readingCount == meterCount * 12)
  }

  @Test func nothingIsHeldInMemory() {
    let readings = Neighbourhood(seed: 1, meterCount: 10_000)
      .readings(from: midnight, to: midnight + day, interval: 1)
    #expect(readings.readingCount == 864_000_000)
    // An array of all of them would be 300 GB.
    #expect(Array(readings.prefix(500)).count == 500)
  }

  @Test func metersDoNotPublishAllAtOnce() {
    let readings = Neighbourhood(seed: 1, meterCount: 1_000)
      .readings(from: midnight, to: midnight + 60_000_000, interval: 60)
    let perSecond = Dictionary(grouping: readings) { $0.time / 1_000_000 }
    #expect(perSecond.values.allSatisfy { $0.count < 50 })
  }

  @Test func mixIsBelievable() {
    let registry = Neighbourhood(seed: 11, meterCount: 1_000).registry
    #expect(registry.producers.count == 300)
    #expect(registry.consumers.count == 600)
    #expect(registry.storages.count == 100)
    #expect(registry.locations.count == 8)
    let types = Dictionary(grouping: registry.consumers, by: \.consumerType).mapValues(\.count)
    #expect(types.count == 5)
    #expect((types["residential"] ?? 0) > 350)
    #expect(registry.producers.count { $0.energySources == ["solar"] } > 240)
  }

  @Test func smallFleetsHaveOneOfEachKind() {
    let three = Neighbourhood(seed: 2, meterCount: 3).registry
    #expect(three.producers.map(\.producerID) == ["p-000001"])
    #expect(three.consumers.map(\.consumerID) == ["c-000002"])
    #expect(three.storages.map(\.storageID) == ["b-000003"])
    let ten = Neighbourhood(seed: 2, meterCount: 10).registry
    #expect(Set(ten.producers.flatMap(\.energySources)) == ["solar", "wind", "hydro"])
  }
}

@Suite struct SimulatedModelTests {
  @Test func payloadsSayWhatTheReadingSays() throws {
    let number = /"energy_amount":(0|[1-9][0-9]{0,8})(\.[0-9]{0,5}[1-9])?,/
    for reading in Neighbourhood(seed: 4, meterCount: 60)
      .readings(from: midnight, to: midnight + day, interval: 3_600)
    {
      let payload = try Payload(reading)
      let text = String(decoding: reading.payload, as: UTF8.self)
      #expect(text.contains(number))
      #expect(micro(payload.energyAmount) == reading.energyMicroKWh)
      #expect(reading.isZero == (payload.energyAmount == 0))
      #expect(try milliseconds(payload.timestamp) == reading.time / 1_000)
      #expect(payload.intervalSeconds == 3_600)
      #expect(payload.sequence == reading.time / hour)
      #expect(reading.topic.hasSuffix("/\(reading.kind.rawValue)/\(reading.deviceID)"))
      #expect((150...360).contains(reading.payload.count))
      if reading.kind == .storage { #expect(reading.topic.contains("/\(payload.gridLocation!)/")) }
    }
  }

  @Test func appliancesAddUpToTheTotal() throws {
    var types: Set<String> = []
    for reading in Neighbourhood(seed: 9, meterCount: 60)
      .readings(from: midnight, to: midnight + day, interval: 1_800)
    where reading.kind == .consumption {
      let payload = try Payload(reading)
      let parts = try #require(payload.applianceBreakdown).values.reduce(0) { $0 + micro($1) }
      #expect(parts == reading.energyMicroKWh)
      #expect(reading.energyMicroKWh > 0)
      types.insert(try #require(payload.consumerType))
    }
    #expect(types.count == 5)
  }

  @Test func sunShinesByDayAndTheRestGoesOnAtNight() throws {
    let readings = Neighbourhood(seed: 6, meterCount: 10)
      .readings(from: midnight, to: midnight + day, interval: 900)
    var noon: Int64 = 0
    for reading in readings where reading.kind == .production {
      let payload = try Payload(reading)
      let localHour = Double(reading.time - midnight) / Double(hour)
      #expect((0...1).contains(payload.efficiency ?? -1))
      #expect((0...1).contains(payload.qualityScore ?? -1))
      switch payload.energySource {
      case "solar" where localHour < 5.5 || localHour > 19: #expect(reading.isZero)
      case "solar" where (11.5...13).contains(localHour): noon += reading.energyMicroKWh
      case "hydro": #expect(!reading.isZero)
      default: break
      }
    }
    #expect(noon > 0)
  }

  @Test func batteryStoresTheNoonForTheEvening() throws {
    let fleet = Neighbourhood(seed: 8, meterCount: 3)
    var charged: Int64 = 0
    var discharged: Int64 = 0
    for reading in fleet.readings(from: midnight, to: midnight + day, interval: 60)
    where reading.kind == .storage {
      let payload = try Payload(reading)
      let localHour = Double(reading.time - 30_000_000 - midnight) / Double(hour)
      if payload.operationType == "charge" {
        charged += reading.energyMicroKWh
        #expect(reading.isZero || (10...15).contains(localHour))
      } else {
        discharged += reading.energyMicroKWh
        #expect(reading.isZero || (18...22).contains(localHour))
      }
      #expect((payload.pricePerUnit ?? 0) > 0)
    }
    let battery = try #require(fleet.registry.storages.first)
    let efficiency = try #require(Double(battery.efficiency))
    let capacity = try #require(Double(battery.capacityMWh)) * 1e9
    #expect(charged > 0 && Double(charged) < capacity * 0.46)
    #expect(abs(Double(discharged) / Double(charged) - efficiency) < 0.01)
  }

  @Test(arguments: 0..<24)
  func someBatteryMovesAtAnyHour(localHour: Int64) {
    let start = midnight + localHour * hour
    let moves = Neighbourhood(seed: 1, meterCount: 200)
      .readings(from: start, to: start + 10_000_000, interval: 1)
      .count { $0.kind == .storage && !$0.isZero }
    #expect(moves > 20)
  }

  @Test func balancingBatteryStaysWithinItsCapacity() throws {
    let fleet = Neighbourhood(seed: 1, meterCount: 20)
    let battery = try #require(fleet.registry.storages.last)
    let capacity = try #require(Double(battery.capacityMWh)) * 1e9
    var level = 0.0
    var bounds = 0.0...0.0
    for reading in fleet.readings(from: midnight, to: midnight + 3 * day, interval: 300)
    where reading.deviceID == battery.storageID {
      let sign = try Payload(reading).operationType == "charge" ? 1.0 : -1.0
      level += sign * Double(reading.energyMicroKWh)
      bounds = min(bounds.lowerBound, level)...max(bounds.upperBound, level)
    }
    let swing = bounds.upperBound - bounds.lowerBound
    #expect(swing > capacity * 0.3 && swing <= capacity * 0.8)
  }

  @Test func nobodyExceedsTheRegisteredPower() throws {
    let fleet = Neighbourhood(seed: 12, meterCount: 100)
    let registry = fleet.registry
    let limits = Dictionary(
      uniqueKeysWithValues: registry.producers.map { ($0.producerID, Double($0.capacityKW)) }
        + registry.consumers.map { ($0.consumerID, Double($0.peakDemandKW)) })
    for reading in fleet.readings(from: midnight, to: midnight + day, interval: 900)
    where reading.kind != .storage {
      let limit = try #require(limits[reading.deviceID] ?? nil)
      #expect(Double(reading.energyMicroKWh) <= limit / 4 * 1e6 + 1)
    }
  }

  @Test func weekendIsQuieterInTheOffice() {
    let office = ConsumerModel(type: .commercial, noise: SeededNoise(seed: 1))
    let wednesday = LocalTime(day: 6, hour: 11)
    let saturday = LocalTime(day: 9, hour: 11)
    #expect(!wednesday.isWeekend && saturday.isWeekend)
    let power = { (time: LocalTime) in
      office.loads.reduce(0) { $0 + office.power(of: $1, at: time) }
    }
    #expect(power(saturday) < power(wednesday) * 0.8)
  }
}

@Suite struct PayloadTextTests {
  @Test func timesAreThoseOfFoundation() throws {
    let noise = SeededNoise(seed: 42)
    for index in 0..<2_000 {
      // From 1900 to 2100, whole milliseconds.
      let time = Int64(noise.value(index, in: -2.2e12...4.1e12))
      var bytes: [UInt8] = []
      bytes.append(timestamp: time * 1_000)
      #expect(try milliseconds(String(decoding: bytes, as: UTF8.self)) == time)
    }
  }

  @Test(
    arguments: [
      (0, "0"), (1, "0.000001"), (250_000, "0.25"), (1_000_000, "1"), (12_345_678, "12.345678"),
      (-500_000, "-0.5"), (999_999_999_999_999, "999999999.999999"),
    ] as [(Int64, String)])
  func decimalsAreShortAndExact(value: Int64, text: String) {
    var bytes: [UInt8] = []
    bytes.append(decimal: value, places: 6)
    #expect(String(decoding: bytes, as: UTF8.self) == text)
  }
}

@Suite struct RegistryFileTests {
  @Test func keysAreTheColumns() throws {
    let data = try JSONEncoder().encode(Neighbourhood(seed: 1, meterCount: 3).registry)
    let decoded = try JSONDecoder().decode(RegistryFile.self, from: data)
    #expect(decoded == Neighbourhood(seed: 1, meterCount: 3).registry)
    let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let keys = { (list: String) in (object[list] as? [[String: Any]])?.first.map { Set($0.keys) } }
    #expect(
      keys("producers") == [
        "producer_id", "producer_name", "producer_type", "energy_sources", "location_json",
        "capacity_kw", "verified",
      ])
    #expect(
      keys("consumers") == [
        "consumer_id", "consumer_name", "consumer_type", "location_json", "avg_consumption_kwh",
        "peak_demand_kw", "verified",
      ])
    #expect(
      keys("storages") == [
        "storage_id", "storage_operator", "storage_type", "capacity_mwh", "current_charge",
        "efficiency", "location_json", "status", "installed_at",
      ])
    #expect(
      keys("locations") == [
        "province", "district", "grid_code", "substation", "coordinates", "capacity_mw",
        "current_load_mw", "congestion_level",
      ])
  }

  @Test func columnsWithDefaultsMayBeLeftOut() throws {
    let text = #"""
      {"storages": [{"storage_id": "b-1", "storage_operator": "me", "storage_type": "lfp",
        "capacity_mwh": "0.01", "location_json": {"grid_code": "BKK-07"},
        "installed_at": "2026-01-01T00:00:00Z"}]}
      """#
    let registry = try JSONDecoder().decode(RegistryFile.self, from: Data(text.utf8))
    #expect(registry.producers.isEmpty && registry.deviceKeys.isEmpty)
    let battery = try #require(registry.storages.first)
    #expect(battery.status == "active")
    #expect(battery.efficiency == "0.95")
    #expect(battery.currentCharge == "0")
  }

  @Test func aMissingColumnIsNamed() {
    let text = #"{"producers": [{"producer_id": "p-1"}]}"#
    #expect {
      try JSONDecoder().decode(RegistryFile.self, from: Data(text.utf8))
    } throws: { error in
      guard case .keyNotFound(let key, _) = error as? DecodingError else { return false }
      return key.stringValue == "producer_name"
    }
  }
}
