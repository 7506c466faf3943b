// Shelly Gen2 and later: notifications that tell what changed, by component.
//
// Shapes: shelly-api-docs.shelly.cloud, "Notifications", "EMData", "EM1Data", "Switch"; that energy
// added to `ret_aenergy` is added to `aenergy` as well: evcc, meter/shelly/gen2.go.

import EnergyReadings

/// `<prefix>/events/rpc` (`NotifyStatus`, `NotifyFullStatus`), and `…/status/<component>` where a source
/// asks for it. Takes the energy registers, in Wh, of `emdata`, `em1data` and whatever has `aenergy`:
/// import as `switch:0/import`, export as `switch:0/export`. Power is not taken: the registers hold it.
///
/// Users rename the prefix, so that the device is `src`; of a device with several channels,
/// `<src>/<component>` may be a device of its own.
struct ShellyFormat: PayloadFormat {
  private static let wattHours = Conversion(.wattHour)

  func decode(
    _ heard: borrowing SourcedMessage, with parser: JSONParser, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection) {
    try heard.parse(with: parser, in: &arena)
    guard parser[0].kind == .object else {
      throw Rejection(.wrongType, path: "$", detail: "expected an object")
    }
    guard let method = parser.member("method", of: 0, in: &arena) else {
      return try decodeStatus(heard, parser, &arena, &decoded)
    }
    let name = parser.text(of: parser[method], in: &arena)
    let isStatus =
      arena[name].elementsEqual("NotifyStatus") || arena[name].elementsEqual("NotifyFullStatus")
    // `NotifyEvent` repeats the minutes of `emdata` as rows without names.
    guard isStatus, let parameters = parser.member("params", of: 0, in: &arena),
      parser[parameters].kind == .object
    else { return decoded.skip(.otherMessage) }
    let source = parser.member("src", of: 0, in: &arena).map { parser[$0] }
    let own = source.map { parser.text(of: $0, in: &arena) } ?? .absent
    let moment = try moment(parameters, heard, parser, &arena)
    var number = 0
    for index in parser.members(of: parameters) where parser[index].kind == .object {
      let component = parser.key(of: parser[index], in: &arena)
      try take(index, named: component, own, moment, heard, &number, parser, &arena, &decoded)
    }
    if number == 0 { decoded.skip(.noValue) }
  }

  /// A component's whole status, which says neither whose it is nor when: the topic names both device
  /// and component.
  private func decodeStatus(
    _ heard: borrowing SourcedMessage, _ parser: JSONParser, _ arena: inout ByteArena,
    _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    let component = heard.levels[heard.levels.kept - 1]
    var number = 0
    let moment = heard.arrival
    try take(0, named: component, .absent, moment, heard, &number, parser, &arena, &decoded)
    if number == 0 { decoded.skip(.noValue) }
  }

  private func moment(
    _ parameters: Int, _ heard: borrowing SourcedMessage, _ parser: JSONParser,
    _ arena: inout ByteArena
  ) throws(Rejection) -> Moment {
    guard let time = parser.member("ts", of: parameters, in: &arena), parser[time].kind != .null
    else {
      if heard.source.options.allowsArrival { return heard.arrival }
      throw Rejection(.missingField, path: "$.params.ts", detail: "it says when it was measured")
    }
    return try heard.moment(
      parser[time], at: "$.params.ts", as: .unixSeconds, with: parser, in: &arena)
  }

  /// Takes the registers of a component, if it has some.
  private func take(
    _ index: Int, named component: ByteSlice, _ own: ByteSlice, _ moment: Moment,
    _ heard: borrowing SourcedMessage, _ number: inout Int, _ parser: JSONParser,
    _ arena: inout ByteArena, _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    let registers = Registers(index, named: component, parser, &arena)
    guard let imported = registers.imported else { return }
    let device = try heard.device(own: own, part: component, with: parser, in: &arena)
    decoded.device = device
    let options = heard.source.options
    let place = heard.place(number)
    number += 1
    do throws(Rejection) {
      let (up, down) = try totals(imported, registers, component, parser, &arena)
      if let flow = options.importFlow, let up {
        let name = arena.joined(component, "/import")
        let sample = try heard.sample(
          name, of: device, .register, up, at: moment, flow: flow, in: &arena)
        decoded.samples.append(.init(sample: sample, place: place))
      }
      if let flow = options.exportFlow, let down {
        let name = arena.joined(component, "/export")
        let sample = try heard.sample(
          name, of: device, .register, down, at: moment, flow: flow, in: &arena)
        decoded.samples.append(.init(sample: sample, place: heard.place(number)))
        number += 1
      }
    } catch {
      decoded.rejected.append(.init(rejection: error, place: place, kind: nil, device: device))
    }
  }

  /// What was imported and exported, micro-kWh.
  private func totals(
    _ imported: Int, _ registers: Registers, _ component: ByteSlice, _ parser: JSONParser,
    _ arena: inout ByteArena
  ) throws(Rejection) -> (imported: Int64?, exported: Int64?) {
    do throws(Rejection) {
      let up = try parser.amount(of: parser[imported], at: "", by: Self.wattHours, in: &arena)
      var down: Int64?
      if let exported = registers.exported {
        down = try parser.amount(of: parser[exported], at: "", by: Self.wattHours, in: &arena)
      }
      guard registers.importHoldsExport, let sum = up, let back = down else { return (up, down) }
      guard back >= 0 else { throw Rejection(.outOfRange, detail: "a total below 0") }
      guard sum >= back else {
        throw Rejection(.outOfRange, detail: "ret_aenergy is more than aenergy")
      }
      return (sum - back, back)
    } catch {
      throw error.at("$.params.\(arena.string(component))")
    }
  }

  /// Where the registers of a component stand.
  private struct Registers {
    var imported: Int?
    var exported: Int?
    /// Whether what was exported is in the import register as well.
    var importHoldsExport = false

    init(
      _ index: Int, named component: ByteSlice, _ parser: JSONParser, _ arena: inout ByteArena
    ) {
      if arena[component].begins(with: "emdata:") {
        imported = parser.member("total_act", of: index, in: &arena)
        exported = parser.member("total_act_ret", of: index, in: &arena)
      } else if arena[component].begins(with: "em1data:") {
        imported = parser.member("total_act_energy", of: index, in: &arena)
        exported = parser.member("total_act_ret_energy", of: index, in: &arena)
      } else if let energy = parser.member("aenergy", of: index, in: &arena) {
        imported = parser.member("total", of: energy, in: &arena)
        if let returned = parser.member("ret_aenergy", of: index, in: &arena) {
          exported = parser.member("total", of: returned, in: &arena)
        }
        importHoldsExport = true
      }
    }
  }
}

extension Span where Element == UInt8 {
  func begins(with word: StaticString) -> Bool {
    let length = word.utf8CodeUnitCount
    return count >= length && extracting(0..<length).elementsEqual(word)
  }
}

extension ByteArena {
  /// Both texts, one behind the other, at the end of the arena.
  mutating func joined(_ first: ByteSlice, _ second: StaticString) -> ByteSlice {
    let start = append(first)
    let end = append(second)
    return ByteSlice(offset: Int(start.offset), count: Int(start.count + end.count))
  }
}
