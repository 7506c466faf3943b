// GridTokenX's signed OBIS body: an interval's energies under the codes of registers.
//
// The reference system's simulator and its aggregator (handlers.rs) read it so: codes begin with
// `1.1.`, values are Wh of one interval although x.8.0 means a register, rate registers repeat the
// total, and the signature is Ed25519 over `device_id:kwh:timestamp_ms` in base58.
//
// What is signed is what was sold less what was bought, so that the two must agree with it. That both
// rise by the same is beyond what such a signature can show.

import EnergyReadings

/// `{"1.1.1.8.0.255": 465.865, "1.1.2.8.0.255": 0.687, "kwh": -0.465178, "timestamp": …, "signature":
/// …}`, perhaps as the `payload` of `{"protocol": "dlms", "device_id": …}`. Import becomes consumption
/// and export production, whatever flows the source names. A timestamp without offset is UTC. A device
/// that has a key must sign.
struct GridTokenXFormat: PayloadFormat {
  private static let utc = try? LocalZone("UTC")

  func decode(
    _ heard: borrowing SourcedMessage, with parser: JSONParser, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection) {
    try heard.parse(with: parser, in: &arena)
    guard parser[0].kind == .object else {
      throw Rejection(.wrongType, path: "$", detail: "expected an object")
    }
    try refuseEncrypted(parser, &arena)
    let body = parser.member("payload", of: 0, in: &arena) ?? 0
    let prefix = body == 0 ? "$" : "$.payload"
    let own = parser.member("device_id", of: 0, in: &arena).map { parser[$0] }
    let device = try heard.device(
      own: own.map { parser.text(of: $0, in: &arena) } ?? .absent, with: parser, in: &arena)
    decoded.device = device
    let moment = try moment(body, prefix, heard, parser, &arena)
    var frame = Reading(
      kind: .consumption, device: device, gridCode: .absent, timestamp: moment.timestamp)
    frame.mustBeSigned = true
    frame.gridCode = heard.source.gridCode?.text(heard.levels, in: &arena) ?? .absent
    let signed = try sign(&frame, body, prefix, parser, &arena)
    if let seconds = parser.member("interval_seconds", of: body, in: &arena),
      parser[seconds].kind != .null
    {
      frame.intervalSeconds = Int32(try arena.integer(parser[seconds], in: 1...31_622_400))
    }
    let count = take(frame, body, heard, parser, &arena, &decoded)
    if count == 0 {
      throw Rejection(
        .missingField, path: "\(prefix).1.1.1.8.0.255", detail: "neither import nor export is given"
      )
    }
    if let signed { try compare(signed, prefix, &decoded) }
  }

  /// The end of the interval, which is told or the body is refused.
  private func moment(
    _ body: Int, _ prefix: String, _ heard: borrowing SourcedMessage, _ parser: JSONParser,
    _ arena: inout ByteArena
  ) throws(Rejection) -> Moment {
    guard let time = parser.member("timestamp", of: body, in: &arena) else {
      throw Rejection(
        .missingField, path: "\(prefix).timestamp", detail: "it says when the interval ended")
    }
    let moment = try heard.moment(
      parser[time], at: "\(prefix).timestamp", as: .any(Self.utc), with: parser, in: &arena)
    try moment.mustBeTold(at: "\(prefix).timestamp")
    return moment
  }

  /// Refuses all that was taken where it is not what was signed.
  private func compare(
    _ signed: Signed, _ prefix: String, _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    // There may be as many as a payload has room for.
    var (consumed, produced): (Int128, Int128) = (0, 0)
    for taken in decoded.accepted {
      let amount = Int128(taken.reading.energy.microKWh)
      if taken.reading.kind == .consumption { consumed += amount } else { produced += amount }
    }
    let told: Int128
    var isWhole = true
    switch signed.name {
    case .kwh: told = produced - consumed
    case .consumed: (told, isWhole) = (consumed, produced == 0)
    case .generated: (told, isWhole) = (produced, consumed == 0)
    }
    if isWhole, (told - Int128(signed.amount)).magnitude <= Signed.rounding { return }
    decoded.accepted.removeAll(keepingCapacity: true)
    throw Rejection(
      .badSignature, path: "\(prefix).\(signed.name.key)",
      detail: "\(EnergyAmount(microKWh: signed.amount)) kWh were signed; import is "
        + "\(EnergyAmount(microKWh: Int64(clamping: consumed))) kWh, export "
        + "\(EnergyAmount(microKWh: Int64(clamping: produced))) kWh")
  }

  /// The number that the signature is about.
  private struct Signed {
    enum Name: CaseIterable {
      case kwh, consumed, generated

      var key: StaticString {
        switch self {
        case .kwh: "kwh"
        case .consumed: "energy_consumed"
        case .generated: "energy_generated"
        }
      }
    }

    var name: Name
    /// Micro-kWh; below 0 where more was bought than sold.
    var amount: Int64

    /// Three numbers are each rounded to a micro-kWh.
    static let rounding = 2
  }

  private func refuseEncrypted(
    _ parser: JSONParser, _ arena: inout ByteArena
  ) throws(Rejection) {
    guard let name = parser.member("protocol", of: 0, in: &arena) else { return }
    let text = parser.text(of: parser[name], in: &arena)
    if arena[text].elementsEqual("dlms-enc") {
      throw Rejection(
        .unsupportedFormat, path: "$.protocol", detail: "encrypted; the key is the bridge's")
    }
  }

  /// Adds the readings of both totals.
  ///
  /// - Returns: how many were given.
  private func take(
    _ frame: Reading, _ body: Int, _ heard: borrowing SourcedMessage, _ parser: JSONParser,
    _ arena: inout ByteArena, _ decoded: inout DecodedReadings
  ) -> Int {
    let unit = Conversion(heard.source.options.unit ?? .wattHour)
    var count = 0
    for index in parser.members(of: body) {
      let key = parser.key(of: parser[index], in: &arena)
      let role = OBISCode(arena[key])?.role
      guard role == .importTotal || role == .exportTotal else { continue }
      var reading = frame
      reading.kind = role == .importTotal ? .consumption : .production
      let place = heard.place(role == .importTotal ? 1 : 0)
      count += 1
      do throws(Rejection) {
        let path = "$.\(arena.string(key))"
        guard let amount = try parser.amount(of: parser[index], at: path, by: unit, in: &arena)
        else {
          decoded.skip(.noValue)
          continue
        }
        reading.energy = EnergyAmount(microKWh: amount)
        decoded.accepted.append(.init(reading: reading, place: place))
      } catch {
        decoded.rejected.append(
          .init(rejection: error, place: place, kind: reading.kind, device: frame.device))
      }
    }
    return count
  }

  /// What was signed: the net energy in the digits that Rust prints, whose `f64` knows no exponent.
  ///
  /// - Returns: nil where there is no signature.
  private func sign(
    _ frame: inout Reading, _ body: Int, _ prefix: String, _ parser: JSONParser,
    _ arena: inout ByteArena
  ) throws(Rejection) -> Signed? {
    guard let signature = parser.member("signature", of: body, in: &arena),
      parser[signature].kind != .null
    else { return nil }
    guard parser[signature].kind == .string, parser[signature].value.count <= 128 else {
      throw Rejection(
        .badSignature, path: "\(prefix).signature", detail: "expected 64 bytes of base58")
    }
    for name in Signed.Name.allCases {
      guard let node = parser.member(name.key, of: body, in: &arena), parser[node].kind != .null
      else { continue }
      let path = "\(prefix).\(name.key)"
      guard parser[node].kind == .number else {
        throw Rejection(
          .wrongType, path: path, detail: "expected a number, found a \(parser[node].kind)")
      }
      guard let text = arena.plainDigits(parser[node].value),
        let amount = try arena.amount(
          of: parser[node].value, at: path, by: Conversion(.kilowattHour))
      else {
        throw Rejection(.outOfRange, path: path, detail: "too many digits to be signed")
      }
      frame.energyText = text
      frame.signature = parser.text(of: parser[signature], in: &arena)
      return Signed(name: name, amount: amount)
    }
    throw Rejection(
      .missingField, path: "\(prefix).kwh", detail: "it is part of what was signed")
  }
}

extension ByteArena {
  /// A JSON number without exponent, without a fraction of zeros: `5e-05` is `0.00005`, `1.0` is `1`;
  /// nil where that would be longer than 60 characters.
  fileprivate mutating func plainDigits(_ number: ByteSlice) -> ByteSlice? {
    var digits: [UInt8] = []
    var (point, exponent, isNegative) = (-1, 0, false)
    var bytes = Array(self.bytes[number.range])[...]
    if bytes.first == UInt8(ascii: "-") {
      isNegative = true
      bytes = bytes.dropFirst()
    }
    while let byte = bytes.first, byte | 0x20 != UInt8(ascii: "e") {
      if byte == UInt8(ascii: ".") { point = digits.count } else { digits.append(byte) }
      bytes = bytes.dropFirst()
    }
    if bytes.count > 1 {
      let text = String(decoding: bytes.dropFirst(), as: UTF8.self)
      guard let value = Int(text), value.magnitude < 60 else { return nil }
      exponent = value
    }
    var place = (point < 0 ? digits.count : point) + exponent
    while place < 1 {
      digits.insert(UInt8(ascii: "0"), at: 0)
      place += 1
    }
    while digits.count < place { digits.append(UInt8(ascii: "0")) }
    while place > 1, digits.first == UInt8(ascii: "0") {
      digits.removeFirst()
      place -= 1
    }
    while digits.count > place, digits.last == UInt8(ascii: "0") { digits.removeLast() }
    guard digits.count < 60 else { return nil }
    if digits.count > place { digits.insert(UInt8(ascii: "."), at: place) }
    if isNegative { digits.insert(UInt8(ascii: "-"), at: 0) }
    return append(digits.span)
  }
}
