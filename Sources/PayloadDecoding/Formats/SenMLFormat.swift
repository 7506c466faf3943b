// SenML (RFC 8428): records of names, units, values and times, and base fields that hold for all that
// follow.

import EnergyReadings

/// A SenML pack in JSON, or in CBOR. Of its records, those are taken whose name ends with an OBIS code of an energy
/// register (`meter:H14:1.8.0`), or with a name that the source lists.
///
/// - Units are J of RFC 8428, Wh and kWh of RFC 8798, and the other multiples of both; a record of W
///   is taken by its sum `s`, the integral over time: joules.
/// - The device is what stands before that name, without the separator.
/// - Time is `bt + t`; below 2^28 it is relative to the arrival, and so is its absence.
///
/// Values are `bv + v`, each converted and rounded, then added.
struct SenMLFormat: PayloadFormat {
  func decode(
    _ heard: borrowing SourcedMessage, with parser: JSONParser, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection) {
    // An array of CBOR begins with 0x80 to 0x9F, which no JSON does.
    if arena[heard.message.payload][0] & 0xE0 == 0x80 {
      return try decodeCBOR(heard, parser, &arena, &decoded)
    }
    try heard.parse(with: parser, in: &arena)
    guard parser[0].kind == .array else {
      throw Rejection(.wrongType, path: "$", detail: "expected an array of SenML records")
    }
    var record = SenMLRecord()
    var number = 0
    for index in parser.members(of: 0) {
      try checkCount(number)
      record = record.successor
      settle(number, heard, &decoded) { (decoded) throws(Rejection) in
        try record.read(index, parser, &arena)
        try take(record, heard.place(number), heard, parser, &arena, &decoded)
      }
      number += 1
    }
  }

  /// The same in CBOR, with labels for the names of fields (RFC 8428, section 6).
  private func decodeCBOR(
    _ heard: borrowing SourcedMessage, _ parser: JSONParser, _ arena: inout ByteArena,
    _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    var reader = CBORReader(heard.message.payload)
    let pack = try reader.next(in: arena)
    // All of it must be CBOR before any of it is taken, as with JSON.
    var whole = reader
    try whole.skip(pack, in: arena)
    guard whole.isAtEnd else {
      throw Rejection(.malformedPayload, path: "$", detail: "something follows the CBOR document")
    }
    var record = SenMLRecord()
    var number = 0
    while pack.isIndefinite || number < pack.number {
      let item = try reader.next(in: arena)
      if item.kind == .end { return }
      try checkCount(number)
      var next = reader
      try next.skip(item, in: arena)
      record = record.successor
      settle(number, heard, &decoded) { (decoded) throws(Rejection) in
        try record.read(item, &reader, &arena)
        try take(record, heard.place(number), heard, parser, &arena, &decoded)
      }
      reader = next
      number += 1
    }
  }

  private func checkCount(_ number: Int) throws(Rejection) {
    guard number == PayloadDecoder.maximumReadings else { return }
    throw Rejection(
      .outOfRange, path: "$[\(number)]",
      detail: "more than \(number) records in one payload; those after it are not taken")
  }

  /// Does something for a record; what is wrong with it harms no other.
  private func settle(
    _ number: Int, _ heard: borrowing SourcedMessage, _ decoded: inout DecodedReadings,
    _ work: (inout DecodedReadings) throws(Rejection) -> Void
  ) {
    let place = heard.place(number)
    do throws(Rejection) { try work(&decoded) } catch {
      decoded.rejected.append(
        .init(
          rejection: error.inside(element: place.index), place: place, kind: nil,
          device: decoded.device))
    }
  }

  private func take(
    _ record: SenMLRecord, _ place: ReadingPlace, _ heard: borrowing SourcedMessage,
    _ parser: JSONParser, _ arena: inout ByteArena, _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    let whole = try record.name(in: &arena)
    let (stem, name) = arena.split(whole)
    guard let flow = flow(of: name, heard.source.options, arena) else {
      return decoded.skip(.otherRegister)
    }
    guard let amount = try amount(of: record, in: &arena) else { return decoded.skip(.noValue) }
    if amount < 0 || amount >= 1_000_000_000_000_000 {
      throw Rejection(
        .outOfRange, path: "$.v", detail: "a total of 0 to 999999999 kWh is expected")
    }
    let device = try heard.device(own: stem, with: parser, in: &arena)
    decoded.device = device
    let moment = try moment(of: record, heard, &arena)
    let sample = try heard.sample(
      name, of: device, .register, amount, at: moment, flow: flow, in: &arena)
    decoded.samples.append(.init(sample: sample, place: place))
  }

  /// What a register's rise is; nil where it is none of energy.
  private func flow(
    of name: ByteSlice, _ options: SourceOptions, _ arena: borrowing ByteArena
  ) -> RegisterSample.Flow? {
    for index in options.registers.indices {
      let listed = options.registers[index].name
      if arena[name].elementsEqual(listed.span) { return options.registers[index].flow }
    }
    switch OBISCode(arena[name])?.role {
    case .importTotal: return options.importFlow
    case .exportTotal: return options.exportFlow
    case .importTariff: return options.takesTariffs ? options.importFlow : nil
    case .exportTariff: return options.takesTariffs ? options.exportFlow : nil
    default: return nil
    }
  }

  /// Micro-kWh; nil where the record has no energy to tell.
  private func amount(
    of record: SenMLRecord, in arena: inout ByteArena
  ) throws(Rejection) -> Int64? {
    guard record.unit.isPresent else {
      throw Rejection(.missingField, path: "$.u", detail: "a unit, as u or bu")
    }
    guard let unit = MeterUnit(arena[record.unit]) else {
      throw Rejection(
        .wrongType, path: "$.u",
        detail: "\"\(arena.string(record.unit).prefix(40))\" is no unit of energy")
    }
    let fields =
      unit.isPower ? (record.baseSum, record.sum) : (record.baseValue, record.value)
    guard fields.1 != nil || (unit.isPower && fields.0 != nil) else { return nil }
    let conversion = Conversion(unit.isPower ? unit.timesSecond : unit)
    var total: Int64 = 0
    let texts: InlineArray<2, ByteSlice?> = [fields.0, fields.1]
    for index in texts.indices {
      guard let text = texts[index] else { continue }
      guard let part = try arena.amount(of: text, at: "$.v", by: conversion) else { return nil }
      total += part
    }
    return total
  }

  private func moment(
    of record: SenMLRecord, _ heard: borrowing SourcedMessage, _ arena: inout ByteArena
  ) throws(Rejection) -> Moment {
    var microseconds: Int64 = 0
    let texts: InlineArray<2, ByteSlice?> = [record.baseTime, record.time]
    for index in texts.indices {
      guard let text = texts[index] else { continue }
      // Below 10^12 s each.
      guard let part = try? ExactDecimal.parse(arena[text], integerDigits: 12, scale: 6) else {
        throw Rejection(.outOfRange, path: "$.t", detail: "expected seconds")
      }
      microseconds += part
    }
    if microseconds.magnitude < 268_435_456 * 1_000_000 {
      return Moment(
        timestamp: Timestamp(microseconds: heard.message.receivedAt.microseconds + microseconds),
        isArrival: true)
    }
    return try heard.moment(Timestamp(microseconds: microseconds), at: "$.t")
  }
}

extension ByteArena {
  /// What stands before the last `:` or `/`, absent where there is none, and what stands behind it.
  ///
  /// A code may have a colon of its own, `1-0:1.8.0`; then it is the part before that counts.
  fileprivate func split(_ name: ByteSlice) -> (stem: ByteSlice, name: ByteSlice) {
    let bytes = self[name]
    var end = bytes.count
    while true {
      var cut = end - 1
      while cut >= 0, bytes[cut] != UInt8(ascii: ":"), bytes[cut] != UInt8(ascii: "/") { cut -= 1 }
      guard cut >= 0 else { return (.absent, name) }
      let isInCode =
        end == bytes.count && cut >= 3 && bytes[cut] == UInt8(ascii: ":")
        && bytes[cut - 1].isDigit && bytes[cut - 2] == UInt8(ascii: "-") && bytes[cut - 3].isDigit
        && (cut == 3 || bytes[cut - 4] == UInt8(ascii: ":") || bytes[cut - 4] == UInt8(ascii: "/"))
      if isInCode {
        end = cut
        continue
      }
      return (
        name.subslice(from: 0, count: cut),
        name.subslice(from: cut + 1, count: bytes.count - cut - 1)
      )
    }
  }
}

extension UInt8 {
  fileprivate var isDigit: Bool { self &- UInt8(ascii: "0") < 10 }
}
