// The declarative mapping: says where in a payload a number stands and what it means.

import EnergyReadings

/// How a mapped payload is built.
enum PayloadShape: String, Sendable, CaseIterable {
  case json
  /// The payload is one number.
  case number
  /// Numbers between commas.
  case csv
}

/// What a mapped number is.
enum ValueMode: String, Sendable, CaseIterable {
  case register
  case netRegister = "net_register"
  case interval
  case power

  /// What samples of it are; an interval is none.
  var measure: RegisterSample.Measure {
    switch self {
    case .netRegister: .netRegister
    case .power: .power
    case .register, .interval: .register
    }
  }
}

/// Where a number stands.
enum ValuePlace: Sendable {
  case whole
  case pointer(JSONPointer)
  /// Position between commas, from 0.
  case column(Int)
}

/// One number of a payload, or several that are summed, and what it means.
///
/// A class, since a structure of arrays and references would be copied for each message.
final class MappedValue: Sendable {
  let places: [ValuePlace]
  let register: TextTemplate
  let conversion: Conversion
  let mode: ValueMode
  let flow: RegisterSample.Flow
  /// What the fall of a net register is, or a negative value; nil: no energy of anybody's.
  let opposite: RegisterSample.Flow?
  /// Length of an interval, s; nil where the source does not say.
  let intervalSeconds: Int32?

  init(
    places: [ValuePlace], register: TextTemplate, conversion: Conversion, mode: ValueMode,
    flow: RegisterSample.Flow, opposite: RegisterSample.Flow?, intervalSeconds: Int32?
  ) {
    self.places = places
    self.register = register
    self.conversion = conversion
    self.mode = mode
    self.flow = flow
    self.opposite = opposite
    self.intervalSeconds = intervalSeconds
  }
}

/// Where a payload says how much a battery holds.
final class MappedCharge: Sendable {
  let place: ValuePlace
  let conversion: Conversion
  let measure: ReportedCharge.Measure

  init(_ place: ValuePlace, _ unit: ChargeUnit) {
    self.place = place
    conversion = Conversion(charge: unit)
    measure = unit.measure
  }
}

/// A payload that a mapping describes.
final class MappedFormat: PayloadFormat {
  private let shape: PayloadShape
  /// What a message must say to be meant.
  private let conditions: [(pointer: JSONPointer, text: [UInt8])]
  private let time: TimeOrigin
  private let values: [MappedValue]
  private let charge: MappedCharge?

  /// - Parameter charge: nil where it says nothing of a battery's charge.
  init(
    _ shape: PayloadShape, conditions: [(pointer: JSONPointer, text: [UInt8])] = [],
    time: TimeOrigin, values: [MappedValue], charge: MappedCharge? = nil
  ) {
    self.charge = charge
    self.shape = shape
    self.conditions = conditions
    self.time = time
    self.values = values
  }

  /// Intervals are in no register.
  var fixedRegisters: [String] {
    values.filter { $0.mode != .interval }.compactMap(\.register.fixedText)
  }

  func decode(
    _ heard: borrowing SourcedMessage, with parser: JSONParser, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection) {
    if shape == .json {
      try heard.parse(with: parser, in: &arena)
      guard meets(parser, &arena) else { return decoded.skip(.otherMessage) }
    }
    // What holds none of the values asked for needs neither a device nor a time.
    guard
      values.contains(where: { isPresent($0.places[0], heard, parser, &arena) })
        || charge.map({ isPresent($0.place, heard, parser, &arena) }) ?? false
    else { return decoded.skip(.noValue, by: values.count + (charge == nil ? 0 : 1)) }
    let device = try heard.device(with: parser, in: &arena)
    decoded.device = device
    let moment = try moment(heard, parser, &arena)
    for index in values.indices {
      let place = values.count == 1 ? heard.place : heard.place(index)
      take(index, of: device, moment, heard, place, parser, &arena, &decoded)
    }
    takeCharge(of: device, moment, heard, parser, &arena, &decoded)
  }

  /// Adds what the battery holds, or why that cannot be.
  private func takeCharge(
    of device: ByteSlice, _ moment: Moment, _ heard: borrowing SourcedMessage,
    _ parser: JSONParser, _ arena: inout ByteArena, _ decoded: inout DecodedReadings
  ) {
    guard let charge else { return }
    let place = values.isEmpty ? heard.place : heard.place(values.count)
    do throws(Rejection) {
      guard let value = try amount(charge.place, charge.conversion, heard, parser, &arena) else {
        return decoded.skip(.noValue)
      }
      guard value >= 0, charge.measure == .energy || value <= 1_000_000 else {
        throw Rejection(
          .outOfRange, path: path(charge.place),
          detail: "a state of charge beyond what a battery can hold")
      }
      decoded.charges.append(
        .init(
          charge: ReportedCharge(
            device: device, value: value, measure: charge.measure, timestamp: moment.timestamp),
          place: place))
    } catch {
      decoded.rejected.append(
        .init(rejection: error, place: place, kind: .storage, device: device))
    }
  }

  private func meets(_ parser: JSONParser, _ arena: inout ByteArena) -> Bool {
    for index in conditions.indices {
      guard let node = conditions[index].pointer.find(in: parser, &arena) else { return false }
      let text = parser.text(of: node, in: &arena)
      let wanted = conditions[index].text
      if !arena[text].elementsEqual(wanted.span) { return false }
    }
    return true
  }

  private func moment(
    _ heard: borrowing SourcedMessage, _ parser: JSONParser, _ arena: inout ByteArena
  ) throws(Rejection) -> Moment {
    switch time {
    case .arrival: return heard.arrival
    case .payload(let pointer, let notation):
      guard let node = pointer.find(in: parser, &arena), node.kind != .null else {
        throw Rejection(.missingField, path: pointer.path, detail: "it says when it was measured")
      }
      return try heard.moment(node, at: pointer.path, as: notation, with: parser, in: &arena)
    }
  }

  /// Whether there is something at a place.
  private func isPresent(
    _ place: ValuePlace, _ heard: borrowing SourcedMessage, _ parser: JSONParser,
    _ arena: inout ByteArena
  ) -> Bool {
    guard case .pointer(let pointer) = place else { return true }
    return pointer.find(in: parser, &arena) != nil
  }

  /// Adds what a value becomes: a sample, a reading, a rejection or a count.
  private func take(
    _ index: Int, of device: ByteSlice, _ moment: Moment, _ heard: borrowing SourcedMessage,
    _ place: ReadingPlace, _ parser: JSONParser, _ arena: inout ByteArena,
    _ decoded: inout DecodedReadings
  ) {
    let value = values[index]
    do throws(Rejection) {
      guard let amount = try sum(value, heard, parser, &arena) else {
        return decoded.skip(.noValue)
      }
      if value.mode == .interval {
        try moment.mustBeTold(at: timePath)
        guard let reading = reading(value, amount, of: device, moment, heard, &arena) else {
          return decoded.skip(.negative)
        }
        decoded.accepted.append(.init(reading: reading, place: place))
      } else {
        let sample = try sample(value, amount, of: device, moment, heard, &arena)
        decoded.samples.append(.init(sample: sample, place: place))
      }
    } catch {
      decoded.rejected.append(
        .init(rejection: error, place: place, kind: value.flow.kind, device: device))
    }
  }

  private func sample(
    _ value: MappedValue, _ amount: Int64, of device: ByteSlice, _ moment: Moment,
    _ heard: borrowing SourcedMessage, _ arena: inout ByteArena
  ) throws(Rejection) -> RegisterSample {
    let measure = value.mode.measure
    if measure == .register, amount < 0 {
      throw Rejection(
        .outOfRange, path: path(value),
        detail: "a total below 0; mode net_register has those, and so has power")
    }
    let register = value.register.text(heard.levels, in: &arena)
    return try heard.sample(
      register, of: device, measure, amount, at: moment, flow: value.flow,
      opposite: value.opposite, in: &arena)
  }

  /// The reading of an interval; nil where it is below 0 and that is nobody's energy.
  private func reading(
    _ value: MappedValue, _ amount: Int64, of device: ByteSlice, _ moment: Moment,
    _ heard: borrowing SourcedMessage, _ arena: inout ByteArena
  ) -> Reading? {
    guard let flow = amount < 0 ? value.opposite : value.flow else { return nil }
    return heard.reading(
      of: device, amount, at: moment, flow: flow, seconds: value.intervalSeconds, in: &arena)
  }

  private var timePath: String {
    if case .payload(let pointer, _) = time { pointer.path } else { "$" }
  }

  private func path(_ value: MappedValue) -> String { path(value.places[0]) }

  private func path(_ place: ValuePlace) -> String {
    if case .pointer(let pointer) = place { pointer.path } else { "$" }
  }

  // MARK: - Numbers

  /// The sum of a value's places; nil where one of them has no number: part of a sum is no total.
  private func sum(
    _ value: MappedValue, _ heard: borrowing SourcedMessage, _ parser: JSONParser,
    _ arena: inout ByteArena
  ) throws(Rejection) -> Int64? {
    var sum: Int64 = 0
    for place in value.places {
      guard let amount = try amount(place, value.conversion, heard, parser, &arena) else {
        return nil
      }
      // At most 64 places of less than 10^15 each.
      sum += amount
    }
    guard sum.magnitude < 1_000_000_000_000_000 else {
      throw Rejection(.outOfRange, path: path(value), detail: "the sum is too large")
    }
    return sum
  }
}

extension MappedFormat {
  /// The number at a place; nil where there is none.
  private func amount(
    _ place: ValuePlace, _ conversion: Conversion, _ heard: borrowing SourcedMessage,
    _ parser: JSONParser, _ arena: inout ByteArena
  ) throws(Rejection) -> Int64? {
    switch place {
    case .pointer(let pointer):
      guard let node = pointer.find(in: parser, &arena) else { return nil }
      return try parser.amount(of: node, at: pointer.path, by: conversion, in: &arena)
    case .whole:
      return try arena.amount(of: arena.trimmed(heard.message.payload), at: "$", by: conversion)
    case .column(let number):
      let column = try arena.column(number, of: heard.message.payload)
      return try arena.amount(of: column, at: "$", by: conversion)
    }
  }
}

extension ByteArena {
  fileprivate func trimmed(_ text: ByteSlice) -> ByteSlice {
    let bytes = self[text]
    var (start, end) = (0, bytes.count)
    while start < end, bytes[start] <= 0x20 { start += 1 }
    while end > start, bytes[end - 1] <= 0x20 { end -= 1 }
    return text.subslice(from: start, count: end - start)
  }

  /// What stands between commas, from 0.
  fileprivate func column(_ number: Int, of text: ByteSlice) throws(Rejection) -> ByteSlice {
    let bytes = self[text]
    var (start, found) = (0, 0)
    for index in 0...bytes.count where index == bytes.count || bytes[index] == UInt8(ascii: ",") {
      if found == number { return trimmed(text.subslice(from: start, count: index - start)) }
      found += 1
      start = index + 1
    }
    throw Rejection(
      .missingField, path: "$", detail: "no column \(number), counted from 0: there are \(found)")
  }
}
