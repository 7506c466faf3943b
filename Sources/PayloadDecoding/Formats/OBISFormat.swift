// OBIS codes behind three shapes: raw telegrams, JSON keyed by codes, and one code with its value.

import EnergyReadings

/// Takes import (1.8.0) and export (2.8.0), or the sums of their tariffs where a message has no total,
/// or the net register (16.8.0) where it is all there is.
///
/// - A telegram (`/ISK5…!ABCD`) has units of its own, and a local time with `S` or `W`; its zone is that
///   of the source, or central European time. It names the device by 0-0:96.1.1.
/// - `{"ts": …, "1.8.0": 886977.0}`, perhaps inside `meter`, `data` or `payload`; a value may be
///   `{"value": 4.4, "unit": "kWh"}`. Wh unless value or source say otherwise.
/// - `{"obis": "1.8.0", "value": …, "unit": "kWh", "timestamp": …}`, or a plain number on a topic whose last level is
///   the code. Tariffs are taken only where the source says so: the total comes as well.
struct OBISFormat: PayloadFormat {
  /// Of the countries whose meters speak DSMR.
  static let centralEurope = try? LocalZone("Europe/Amsterdam")

  func decode(
    _ heard: borrowing SourcedMessage, with parser: JSONParser, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection) {
    if arena[heard.message.payload][0] == UInt8(ascii: "/") {
      return try decodeTelegram(heard, parser, &arena, &decoded)
    }
    try heard.parse(with: parser, in: &arena)
    switch parser[0].kind {
    case .object:
      if let code = parser.member("obis", of: 0, in: &arena),
        let value = parser.member("value", of: 0, in: &arena)
      {
        let text = parser.text(of: parser[code], in: &arena)
        try decodeOne(text, value: value, heard, parser, &arena, &decoded)
      } else {
        try decodeKeyed(heard, parser, &arena, &decoded)
      }
    case .number, .string, .null:
      let level = heard.levels[heard.levels.kept - 1]
      try decodeOne(level, value: 0, heard, parser, &arena, &decoded)
    default: throw Rejection(.wrongType, path: "$", detail: "expected an object or a number")
    }
  }

  // MARK: - Telegrams

  private func decodeTelegram(
    _ heard: borrowing SourcedMessage, _ parser: JSONParser, _ arena: inout ByteArena,
    _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    let telegram = try P1Telegram(heard.message.payload, in: arena)
    var registers = EnergyRegisters()
    var lines = telegram.lines
    while let line = lines.next(in: arena) {
      guard let code = OBISCode(arena[line.code]), code.role != .other else { continue }
      do throws(Rejection) {
        guard let unit = MeterUnit(arena[line.unit]), !unit.isPower else {
          throw Rejection(
            .wrongType, detail: "\"\(arena.string(line.unit))\" is no unit of energy")
        }
        let amount = try arena.amount(of: line.value, at: "", by: Conversion(unit))
        if let amount { registers.add(code.role, amount) }
      } catch {
        throw error.at("$.\(arena.string(line.code))")
      }
    }
    let equipment = arena.hexText(telegram.equipment)
    let device = try heard.device(own: equipment, with: parser, in: &arena)
    decoded.device = device
    let moment = try moment(telegram, heard, &arena)
    registers.append(
      of: device, at: moment, isWhole: true, heard: heard, in: &arena, to: &decoded)
  }

  private func moment(
    _ telegram: P1Telegram, _ heard: borrowing SourcedMessage, _ arena: inout ByteArena
  ) throws(Rejection) -> Moment {
    let path = "$.0-0:1.0.0"
    guard telegram.clock.isPresent else {
      // DSMR 2 and 3 tell no time.
      if heard.source.options.allowsArrival { return heard.arrival }
      throw Rejection(.missingField, path: path, detail: "it says when it was measured")
    }
    guard let zone = heard.source.options.zone ?? Self.centralEurope else {
      throw Rejection(
        .wrongType, path: path, detail: "no time zone of the meter is known: set zone")
    }
    guard let (digits, season) = arena.clock(telegram.clock) else {
      throw Rejection(.wrongType, path: path, detail: "expected YYMMDDhhmmss and S or W")
    }
    let local: Timestamp
    do throws(Timestamp.ParseError) { local = try Timestamp(rfc3339: arena[digits]) } catch {
      throw Rejection(.outOfRange, path: path, detail: "no such date or time")
    }
    let moment = zone.moment(
      local: local.microseconds, season: season, near: heard.message.receivedAt)
    return Moment(timestamp: moment)
  }

  // MARK: - JSON

  private func decodeKeyed(
    _ heard: borrowing SourcedMessage, _ parser: JSONParser, _ arena: inout ByteArena,
    _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    var object = 0
    for index in parser.members(of: 0) where parser[index].kind == .object {
      let key = parser[index].key
      if arena[key].elementsEqual("meter") || arena[key].elementsEqual("payload")
        || arena[key].elementsEqual("data")
      {
        object = index
      }
    }
    var registers = EnergyRegisters()
    var isEmpty = true
    for index in parser.members(of: object) {
      let key = parser.key(of: parser[index], in: &arena)
      guard let code = OBISCode(arena[key]), code.role != .other else { continue }
      do throws(Rejection) {
        if let amount = try amount(index, heard, parser, &arena) {
          registers.add(code.role, amount)
          isEmpty = false
        }
      } catch {
        throw error.at("$.\(arena.string(key))")
      }
    }
    guard !isEmpty else { return decoded.skip(.noValue) }
    let device = try heard.device(
      own: own(parser, &arena), with: parser, in: &arena)
    decoded.device = device
    let moment = try moment(object, heard, parser, &arena)
    registers.append(of: device, at: moment, heard: heard, in: &arena, to: &decoded)
  }

  private func decodeOne(
    _ code: ByteSlice, value: Int, _ heard: borrowing SourcedMessage, _ parser: JSONParser,
    _ arena: inout ByteArena, _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    guard let obis = OBISCode(arena[code]) else {
      throw Rejection(
        .wrongType, path: value == 0 ? "topic" : "$.obis",
        detail: "\"\(arena.string(code).prefix(40))\" is no OBIS code")
    }
    let isTaken =
      switch obis.role {
      case .other: false
      case .importTariff, .exportTariff: heard.source.options.takesTariffs
      default: true
      }
    guard isTaken else { return decoded.skip(.otherRegister) }
    let amount: Int64?
    do throws(Rejection) {
      amount = try self.amount(value, beside: 0, heard, parser, &arena)
    } catch {
      throw error.at(value == 0 ? "$" : "$.value")
    }
    guard let amount else {
      return decoded.skip(.noValue)
    }
    let device = try heard.device(own: own(parser, &arena), with: parser, in: &arena)
    decoded.device = device
    let moment = value == 0 ? heard.arrival : try moment(0, heard, parser, &arena)
    var registers = EnergyRegisters()
    registers.add(obis.role, amount)
    registers.append(of: device, at: moment, heard: heard, in: &arena, to: &decoded)
  }

  /// A number, or an object of a value and its unit.
  ///
  /// - Parameter object: the one that may tell the number's unit beside it.
  private func amount(
    _ index: Int, beside object: Int? = nil, _ heard: borrowing SourcedMessage,
    _ parser: JSONParser, _ arena: inout ByteArena
  ) throws(Rejection) -> Int64? {
    var unit = heard.source.options.unit ?? .wattHour
    var (node, owner) = (parser[index], object)
    if node.kind == .object, let value = parser.member("value", of: index, in: &arena) {
      (node, owner) = (parser[value], index)
    }
    if let owner, parser[owner].kind == .object,
      let name = parser.member("unit", of: owner, in: &arena), parser[name].kind == .string
    {
      let text = parser.text(of: parser[name], in: &arena)
      guard let told = MeterUnit(arena[text]), !told.isPower else {
        throw Rejection(.wrongType, detail: "\"\(arena.string(text))\" is no unit of energy")
      }
      unit = told
    }
    return try parser.amount(of: node, at: "", by: Conversion(unit), in: &arena)
  }

  /// What the payload calls the device.
  private func own(_ parser: JSONParser, _ arena: inout ByteArena) -> ByteSlice {
    let keys: InlineArray<4, StaticString> = ["device_id", "meter_id", "serial", "id"]
    for index in keys.indices {
      if let node = parser.member(keys[index], of: 0, in: &arena), parser[node].kind == .string {
        return parser.text(of: parser[node], in: &arena)
      }
    }
    return .absent
  }

  /// The time beside the values, or else at the root.
  private func moment(
    _ object: Int, _ heard: borrowing SourcedMessage, _ parser: JSONParser,
    _ arena: inout ByteArena
  ) throws(Rejection) -> Moment {
    let keys: InlineArray<3, StaticString> = ["timestamp", "ts", "time"]
    let parents: InlineArray<2, Int> = [object, 0]
    for number in parents.indices {
      for index in keys.indices {
        guard let node = parser.member(keys[index], of: parents[number], in: &arena),
          parser[node].kind != .null
        else { continue }
        return try heard.moment(
          parser[node], at: "$.\(keys[index])", as: .any(heard.source.options.zone), with: parser,
          in: &arena)
      }
    }
    if heard.source.options.allowsArrival { return heard.arrival }
    throw Rejection(.missingField, path: "$.timestamp", detail: "it says when it was measured")
  }
}

extension ByteArena {
  /// The ASCII text that hexadecimal digits write; what is none stays as it is.
  fileprivate mutating func hexText(_ digits: ByteSlice) -> ByteSlice {
    guard digits.isPresent, digits.count % 2 == 0 else { return digits }
    let start = count
    for index in stride(from: 0, to: Int(digits.count), by: 2) {
      guard let high = self[digits][index].hexDigit, let low = self[digits][index + 1].hexDigit
      else { return digits }
      let byte: InlineArray<1, UInt8> = [high << 4 | low]
      guard byte[0] > 0x20, byte[0] < 0x7F else { return digits }
      _ = append(byte.span)
    }
    return ByteSlice(offset: start, count: count - start)
  }

  /// `200913101618S` as RFC 3339 in UTC, and the season it tells; nil where it is no such text.
  fileprivate mutating func clock(
    _ text: ByteSlice
  ) -> (digits: ByteSlice, season: LocalZone.Season?)? {
    guard text.count == 12 || text.count == 13 else { return nil }
    var season: LocalZone.Season?
    if text.count == 13 {
      switch self[text][12] {
      case UInt8(ascii: "S"): season = .summer
      case UInt8(ascii: "W"): season = .winter
      default: return nil
      }
    }
    let start = append("20")
    let separators: InlineArray<6, StaticString> = ["-", "-", "T", ":", ":", "Z"]
    for part in 0..<6 {
      _ = append(text.subslice(from: 2 * part, count: 2))
      _ = append(separators[part])
    }
    return (ByteSlice(offset: Int(start.offset), count: count - Int(start.offset)), season)
  }
}
