// The scenes of the hostile day, one function for each way a reading can be bad.

import CZlib
import Crypto
import EnergyReadings
import Foundation

/// Gathers the hostile day's records; each scene sends what belongs to one reason.
struct HostileScript {
  private(set) var records: [CaptureRecord] = []
  private let start: Int64
  /// Every reading has a time of its own, so that only intended repetitions repeat.
  private var clock: Int64
  private var badInARow = 0

  private static let solar = "gridtokenx/v1/BKK-07/production/h-p1"
  /// Registered with two sources, so that a reading must name one.
  private static let hybrid = "gridtokenx/v1/BKK-07/production/h-p2"
  private static let home = "gridtokenx/v1/BKK-07/consumption/h-c1"
  private static let shop = "gridtokenx/v1/BKK-07/consumption/h-c2"
  private static let battery = "gridtokenx/v1/BKK-07/storage/h-b1"
  /// Its public key is registered.
  private static let signing = "gridtokenx/v1/BKK-07/production/h-s1"
  private static let signingID = "h-s1"
  private static let charge = #""operation_type":"charge","price_per_unit":2.6369"#

  /// - Parameter start: µs since 1970.
  init(start: Int64) {
    self.start = start
    clock = start
  }

  // MARK: - Sending

  /// The next free time, RFC 3339.
  private mutating func nextTime() -> String {
    clock += 30_000_000
    return Self.text(clock)
  }

  private static func text(_ time: Int64) -> String {
    var bytes: [UInt8] = []
    bytes.append(timestamp: time)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// One reading with a fresh time; `rest` are further fields.
  private mutating func reading(_ amount: String = "0.25", _ rest: String = "") -> String {
    Self.reading(at: nextTime(), amount, rest)
  }

  private static func reading(at time: String, _ amount: String, _ rest: String = "") -> String {
    #"{"timestamp":"\#(time)","energy_amount":\#(amount)\#(rest.isEmpty ? "" : ",")\#(rest)}"#
  }

  private mutating func send(
    _ outcome: String, to topic: String, _ payload: String, retain: Bool = false
  ) {
    send(outcome, to: topic, bytes: Array(payload.utf8), retain: retain)
  }

  /// After every third bad message a good neighbour speaks, which must not suffer.
  private mutating func send(
    _ outcome: String, to topic: String, bytes: [UInt8], retain: Bool = false
  ) {
    records.append(
      CaptureRecord(
        timeMilliseconds: Int64(records.count) * 100, topic: topic, payload: bytes,
        retain: retain, comment: outcome))
    guard outcome != "ok" else { return }
    badInARow += 1
    guard badInARow == 3 else { return }
    badInARow = 0
    send("ok", to: Self.home, reading("0.125", #""interval_seconds":30"#))
  }

  // MARK: - Scenes

  /// Odd, but right.
  mutating func playGoodNeighbours() {
    send("ok", to: Self.solar, reading("1.5", #""energy_source":"solar","efficiency":0.97"#))
    send("ok", to: Self.home, reading("0.3", #""appliance_breakdown":{"cooling":0.2,"other":0.1}"#))
    send("ok", to: Self.battery, reading("2", Self.charge))
    send("ok", to: Self.shop, reading("\"12.345678\""))
    send("ok", to: Self.shop, reading("2.5e-1"))
    send("ok", to: Self.shop, reading("999999999.999999"))
    send("ok", to: Self.solar, reading("0.0000005"))
    send("zero", to: Self.solar, reading("0"))
    send("zero", to: Self.home, reading("\"0.000000\""))
    send("zero", to: Self.home, reading("0.0000004"))
    send("zero", to: Self.battery, reading("0.0", Self.charge))
    send("ok", to: Self.solar, reading("0.75", #""producer_id":"h-p1""#))
    send("ok", to: Self.home, reading("0.5", #""firmware":"2.1","nested":{"unknown":[1,2]}"#))
    send("ok", to: Self.home, reading("0.5"), retain: true)
    clock += 1_000_000
    send("ok", to: Self.home, #"{"timestamp":\#(clock / 1_000_000),"energy_amount":0.1}"#)
    clock += 1_000_000
    send("ok", to: Self.home, #"{"timestamp":\#(clock / 1_000),"energy_amount":0.1}"#)
    clock += 1_000_000
    send("ok", to: Self.home, #"{"timestamp":\#(clock),"energy_amount":0.1}"#)
    send("ok", to: Self.home, " \r\n\t" + reading("0.1") + "\n ")
    send("ok", to: Self.solar, reading("0.1", #""location":\#(Self.nested(20))"#))
    send("ok", to: Self.home, filled(to: 1 << 20))
  }

  mutating func playMalformedPayloads() {
    let code = "malformed_payload"
    send(code, to: Self.home, "")
    send(code, to: Self.home, "   \n")
    send(code, to: Self.home, "energy=0.25 kWh")
    send(code, to: Self.solar, "unavailable")
    send(code, to: Self.home, String(reading("0.25", #""interval_seconds":30"#).dropLast(9)))
    send(code, to: Self.battery, #"{"timestamp":"2026-11-20T"#)
    send(code, to: Self.home, reading() + "}")
    send(code, to: Self.home, reading().replacing("\"", with: "'"))
    send(code, to: Self.home, filled(to: (1 << 20) + 1))
    send(code, to: Self.solar, reading("0.1", #""location":\#(Self.nested(40))"#))
    let brackets = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
    send(code, to: Self.home, reading("0.1", #""unknown":\#(brackets)"#))
    send(code, to: Self.home, reading("0.25", #""energy_amount":0.5"#))
    send(code, to: Self.solar, reading("0.25", #""timestamp":"\#(nextTime())""#))
    send(code, to: Self.home, reading("NaN"))
    send(code, to: Self.solar, reading("Infinity"))
    send(code, to: Self.battery, reading("-Infinity", Self.charge))
    send(code, to: Self.home, reading("0x10"))
    send(code, to: Self.home, reading(".5"))
    let latin1 = reading("0.2", #""equipment_id":"dach-?""#).utf8.map { $0 == 0x3F ? 0xFC : $0 }
    send(code, to: Self.solar, bytes: latin1)
    send(code, to: Self.home, bytes: Array(reading("0.2").utf8) + [0xE0, 0xB8])
    send(code, to: Self.home, bytes: reading("0.2").utf8.flatMap { [$0, 0] })
  }

  mutating func playUnsupportedFormats() {
    send("unsupported_format", to: Self.home, bytes: Self.gzip(reading("0.25")))
    let several = "[\(reading("0.25")),\(reading("0.5"))]"
    send("unsupported_format", to: Self.solar, bytes: Self.gzip(several))
  }

  mutating func playMissingFields() {
    let code = "missing_field"
    send(code, to: Self.home, "{}")
    send(code, to: Self.home, #"{"energy_amount":0.25}"#)
    send(code, to: Self.solar, #"{"timestamp":"\#(nextTime())"}"#)
    send(code, to: Self.battery, reading("1", #""price_per_unit":2.6369"#))
    send(code, to: Self.hybrid, reading("1"))
    send("ok", to: Self.hybrid, reading("1", #""energy_source":"wind""#))
  }

  mutating func playWrongTypes() {
    let code = "wrong_type"
    send(code, to: Self.home, reading("\"NaN\""))
    send(code, to: Self.solar, reading("true"))
    send(code, to: Self.home, reading(#"{"kWh":0.25}"#))
    send(code, to: Self.home, reading("\"a quarter\""))
    send(code, to: Self.home, reading("\"\""))
    send(code, to: Self.solar, Self.reading(at: String(nextTime().dropLast()), "0.25"))
    send(code, to: Self.home, Self.reading(at: "yesterday", "0.25"))
    send(code, to: Self.home, #"{"timestamp":[2026,11,20],"energy_amount":0.25}"#)
    send(code, to: Self.solar, reading("0.25", #""location":"Bangkok""#))
    send(code, to: Self.home, reading("0.25", #""appliance_breakdown":[0.25]"#))
    send(code, to: Self.home, reading("0.25", #""consumer_type":5"#))
    send(code, to: Self.solar, reading("0.25", #""efficiency":true"#))
    send(code, to: Self.battery, reading("1", #""operation_type":["charge"]"#))
  }

  mutating func playRanges() {
    let code = "out_of_range"
    send(code, to: Self.home, reading("12345678901234567890"))
    send(code, to: Self.home, reading("\"12345678901234567890.5\""))
    send(code, to: Self.solar, reading("1000000000"))
    send(code, to: Self.solar, reading("999999999.9999999"))
    send(code, to: Self.home, reading("1e400"))
    send(code, to: Self.solar, reading("0.25", #""efficiency":12.5"#))
    send(code, to: Self.solar, reading("0.25", #""efficiency":-0.1"#))
    send(code, to: Self.solar, reading("0.25", #""quality_score":1.5"#))
  }

  mutating func playCheckViolations() {
    let code = "check_violation"
    send(code, to: Self.home, reading("-0.25"))
    send(code, to: Self.solar, reading("-1"))
    send(code, to: Self.battery, reading("\"-2.5\"", Self.charge))
    send(code, to: Self.home, reading("0.25", #""consumer_type":"martian""#))
    send(code, to: Self.battery, reading("1", #""operation_type":"idle","price_per_unit":2.5"#))
    send(code, to: Self.battery, reading("1", #""operation_type":"charge","price_per_unit":0"#))
    send(code, to: Self.battery, reading("1", #""operation_type":"charge","price_per_unit":-1"#))
  }

  mutating func playImplausibleTimes() {
    let code = "implausible"
    send(code, to: Self.home, Self.reading(at: "1970-01-01T00:00:07Z", "0.25"))
    send(code, to: Self.solar, #"{"timestamp":7,"energy_amount":0.25}"#)
    send(code, to: Self.home, Self.reading(at: "2070-01-01T00:00:00Z", "0.25"))
    send(code, to: Self.solar, #"{"timestamp":3155760000,"energy_amount":0.25}"#)
    send(code, to: Self.battery, Self.reading(at: "2070-06-01T12:00:00+07:00", "1", Self.charge))
  }

  /// What only the registry can tell: a source that the producer does not have, and ten times what
  /// its 1,000 kW, or a battery's 1 MWh, allow.
  mutating func playImplausibleReadings() {
    send("check_violation", to: Self.solar, reading("0.25", #""energy_source":"moonshine""#))
    let code = "implausible"
    send(code, to: Self.solar, reading("0.25", #""energy_source":"wind""#))
    send(code, to: Self.solar, reading("2500", #""interval_seconds":900"#))
    send(code, to: Self.battery, reading("10000", Self.charge))
    // A fifth more than the rated capacity is doubtful, not impossible.
    send("ok", to: Self.solar, reading("301", #""interval_seconds":900"#))
  }

  mutating func playIdentities() {
    send("unknown_topic", to: "gridtokenx/v1/BKK-07/heat/x-1", reading())
    send("unknown_topic", to: "gridtokenx/v1/short", reading())
    send("unknown_topic", to: Self.home + "/extra", reading())
    send("device_mismatch", to: Self.solar, reading("0.25", #""producer_id":"h-p2""#))
    send("device_mismatch", to: Self.home, reading("0.25", #""consumer_id":"h-c2""#))
    send("device_mismatch", to: Self.battery, reading("1", #""storage_id":"h-b9",\#(Self.charge)"#))
    let code = "unregistered_device"
    send(code, to: "gridtokenx/v1/BKK-07/storage/h-b404", reading("1", Self.charge))
    send(code, to: "gridtokenx/v1/BKK-07/storage/h-b405", reading("2", Self.charge))
    send(code, to: "gridtokenx/v1/BKK-07/production/h-p404", reading())
    send(code, to: "gridtokenx/v1/BKK-07/consumption/h-c404", reading())
    let place = #""location":{"grid_code":"BKK-07"}"#
    send(
      "ok", to: "gridtokenx/v1/BKK-07/production/h-p404",
      reading("0.25", #""energy_source":"solar",\#(place)"#))
    send(
      "ok", to: "gridtokenx/v1/BKK-07/consumption/h-c404",
      reading("0.25", #""consumer_type":"residential",\#(place)"#))
  }

  mutating func playRepetitions() {
    let first = nextTime()
    let sameInBangkok = Self.text(clock + 7 * 3_600_000_000).dropLast() + "+07:00"
    send("ok", to: Self.home, Self.reading(at: first, "0.25"))
    send("duplicate", to: Self.home, Self.reading(at: first, "0.25"))
    send("duplicate", to: Self.home, Self.reading(at: first, "0.2500000"))
    send("duplicate", to: Self.home, Self.reading(at: String(sameInBangkok), "0.25"))
    send("conflicting_duplicate", to: Self.home, Self.reading(at: first, "0.5"))
    let second = nextTime()
    send("ok", to: Self.battery, Self.reading(at: second, "1", Self.charge))
    send("duplicate", to: Self.battery, Self.reading(at: second, "1", Self.charge))
    send("conflicting_duplicate", to: Self.battery, Self.reading(at: second, "3", Self.charge))
    // The same moment of another device is another reading.
    send("ok", to: Self.shop, Self.reading(at: first, "0.25"))
  }

  /// Arrays and newline-delimited objects: each reading is judged by itself.
  mutating func playSeveralReadings() {
    send("ok wrong_type ok", to: Self.home, "[\(reading()),\(reading("false")),\(reading())]")
    send("ok wrong_type ok", to: Self.solar, "[\(reading()),42,\(reading())]")
    send(
      "zero ok check_violation", to: Self.solar,
      "[\(reading("0")),\(reading()),\(reading("-1"))]")
    let time = nextTime()
    send(
      "ok duplicate conflicting_duplicate", to: Self.home,
      "[\(["0.25", "0.25", "0.5"].map { Self.reading(at: time, $0) }.joined(separator: ","))]")
    let untimed = #"{"energy_amount":0.25}"#
    send("ok missing_field ok", to: Self.home, "\(reading())\n\(untimed)\n\(reading())\n")
    send("ok malformed_payload ok", to: Self.shop, "\(reading())\n{\"timestamp\":\n\(reading())")
    send("ok ok", to: Self.shop, "\(reading())\r\n\(reading())\r\n")
    let many = (0..<50).map { reading($0 == 31 ? "1e30" : "0.0\($0 + 1)") }
    let outcomes = (0..<50).map { $0 == 31 ? "out_of_range" : "ok" }
    send(outcomes.joined(separator: " "), to: Self.shop, "[\(many.joined(separator: ", "))]")
  }

  /// JSON that is right and that `jsonb` cannot hold: it has no character U+0000.
  mutating func playDatabaseRejections() {
    let place = #""location":{"grid_code":"BKK-07","note":"\u0000"}"#
    send("rejected_by_database", to: Self.solar, reading("0.25", place))
    send("rejected_by_database", to: Self.home, reading("0.25", place))
    let several = "[\(reading()),\(reading("1", place)),\(reading())]"
    send("ok rejected_by_database ok", to: Self.home, several)
  }

  mutating func playSignatures() throws {
    let key = try Self.signingKey()
    let code = "bad_signature"
    for (outcome, signedAmount) in [("ok", "0.250"), (code, "0.25"), (code, "9999")] {
      let time = nextTime()
      let message = "\(Self.signingID):\(signedAmount):\(clock / 1_000)"
      let signature = Base58.encode(Array(try key.signature(for: Data(message.utf8))))
      let payload = Self.reading(at: time, "0.250", #""signature":"\#(signature)""#)
      send(outcome, to: Self.signing, payload)
    }
    // Base58 has no 0, O, I and l; a signature has 64 bytes.
    send(code, to: Self.signing, reading("0.25", #""signature":"0OIl0OIl0OIl""#))
    let short = Base58.encode(Array(repeating: 7, count: 63))
    send(code, to: Self.signing, reading("0.25", #""signature":"\#(short)""#))
    let shapely = Base58.encode(Array(repeating: 7, count: 64))
    send(code, to: Self.signing, reading("0.25", #""signature":"\#(shapely)""#))
    send(code, to: Self.signing, reading("0.25", #""signature":"""#))
  }

  // MARK: - Material

  /// An object in an object, `depth` levels in all.
  private static func nested(_ depth: Int) -> String {
    String(repeating: #"{"a":"#, count: depth - 1) + "{}" + String(repeating: "}", count: depth - 1)
  }

  /// A reading of exactly `count` bytes, by a long unknown field that compresses well.
  private mutating func filled(to count: Int) -> String {
    let frame = reading("0.1", #""note":"""#)
    let filler = String(repeating: "x", count: count - frame.utf8.count)
    return frame.dropLast(2) + filler + "\"}"
  }

  /// A gzip file of one stored block (RFC 1951, 3.2.4; RFC 1952), ≤ 65,535 bytes of text: the
  /// same bytes whatever the version of zlib.
  private static func gzip(_ text: String) -> [UInt8] {
    let data = Array(text.utf8)
    let size = UInt16(data.count)
    // zlib only reads the bytes during the call.
    let checksum = data.withUnsafeBufferPointer {
      UInt32(crc32(0, $0.baseAddress, UInt32($0.count)))
    }
    var bytes: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF, 1]
    for word in [size, ~size] { bytes += [UInt8(word & 0xFF), UInt8(word >> 8)] }
    bytes += data
    for word in [checksum, UInt32(size)] {
      bytes += (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
    }
    return bytes
  }

  private static func signingKey() throws -> Curve25519.Signing.PrivateKey {
    let seed = SHA256.hash(data: Data("gridtokenx-sim:\(signingID)".utf8))
    return try Curve25519.Signing.PrivateKey(rawRepresentation: Data(seed))
  }

  /// The registered devices of the scenes.
  static func registry() throws -> RegistryFile {
    let place = GridArea.all[0]
    let here = RegistryFile.DeviceLocation(
      gridCode: place.gridCode, province: place.province, district: place.district,
      latitude: place.latitude, longitude: place.longitude)
    let producers = [("h-p1", ["solar"]), ("h-p2", ["solar", "wind"]), (signingID, ["solar"])]
    return RegistryFile(
      producers: producers.map { id, sources in
        .init(
          producerID: id, producerName: "Hostile \(id)", producerType: "community",
          energySources: sources, location: here, capacityKW: "1000")
      },
      consumers: [("h-c1", "residential"), ("h-c2", "commercial")].map { id, type in
        .init(
          consumerID: id, consumerName: "Hostile \(id)", consumerType: type, location: here)
      },
      storages: [
        .init(
          storageID: "h-b1", storageOperator: "hostile", storageType: "lithium_iron_phosphate",
          capacityMWh: "1", currentCharge: "0.5", location: here,
          installedAt: "2025-01-15T03:00:00Z")
      ],
      locations: [
        .init(
          province: place.province, district: place.district, gridCode: place.gridCode,
          substation: "\(place.district) substation",
          coordinates: .init(longitude: place.longitude, latitude: place.latitude),
          capacityMW: "40")
      ],
      deviceKeys: [
        .init(
          deviceID: signingID,
          publicKey: Base58.encode(Array(try signingKey().publicKey.rawRepresentation)))
      ])
  }
}
