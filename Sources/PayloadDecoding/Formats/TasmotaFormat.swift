// Tasmota: telemetry of plugs, and of reading heads whose variables have the user's own names.
//
// Shapes: tasmota.github.io/docs, "Telemetry", "Smart Meter Interface"; xdrv_03_energy.ino.

import EnergyReadings

/// `tele/<topic>/SENSOR` and the answers `stat/<topic>/STATUS8` and `STATUS10`.
///
/// Of the group `ENERGY`, `Total` is import and `ExportActive` export; of every other group, the
/// variables whose names scripts use for those registers, in any case. kWh unless the source says
/// otherwise; arrays (phases, channels) are summed. Registers are `ENERGY.Total`, `SML.Total_in`.
///
/// `Time` is the local time of the device: the source names the zone.
struct TasmotaFormat: PayloadFormat {
  func decode(
    _ heard: borrowing SourcedMessage, with parser: JSONParser, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection) {
    try heard.parse(with: parser, in: &arena)
    guard parser[0].kind == .object else {
      throw Rejection(.wrongType, path: "$", detail: "expected an object")
    }
    let status = parser.member("StatusSNS", of: 0, in: &arena)
    let head = Head(root: status ?? 0, isStatus: status != nil)
    var number = 0
    var moment = heard.arrival
    for group in parser.members(of: head.root) where parser[group].kind == .object {
      let isOwn = arena[parser[group].key].elementsEqual("ENERGY")
      for variable in parser.members(of: group) {
        let flow = flow(parser[variable].key, isOwn: isOwn, heard.source.options, arena)
        guard let flow else { continue }
        // What holds no register needs neither a device nor a time.
        if number == 0 {
          decoded.device = try heard.device(with: parser, in: &arena)
          moment = try self.moment(head, heard, parser, &arena)
        }
        let register = Register(group: group, variable: variable, flow: flow, isOwn: isOwn)
        take(register, heard.place(number), moment, head, heard, parser, &arena, &decoded)
        number += 1
      }
    }
    if number == 0 { decoded.skip(.noValue) }
  }

  private func take(
    _ register: Register, _ place: ReadingPlace, _ moment: Moment, _ head: Head,
    _ heard: borrowing SourcedMessage, _ parser: JSONParser, _ arena: inout ByteArena,
    _ decoded: inout DecodedReadings
  ) {
    let device = decoded.device
    let unit = heard.source.options.unit ?? .kilowattHour
    decoded.take(place, kind: register.flow.kind) { () throws(Rejection) in
      guard let amount = try amount(register, head, Conversion(unit), parser, &arena) else {
        return nil
      }
      let name = arena.register(parser[register.group].key, parser[register.variable].key)
      return try heard.sample(
        name, of: device, .register, amount, at: moment, flow: register.flow, in: &arena)
    }
  }

  private struct Head {
    /// The object that holds time and groups.
    var root: Int
    /// Whether it is inside `StatusSNS`.
    var isStatus: Bool

    var path: String { isStatus ? "$.StatusSNS" : "$" }
  }

  /// A variable that is taken, and its group.
  private struct Register {
    var group: Int
    var variable: Int
    var flow: RegisterSample.Flow
    /// Whether its group is `ENERGY`, Tasmota's own.
    var isOwn: Bool
  }

  /// What the rise of a variable is; nil where it is no register that is taken.
  private func flow(
    _ name: ByteSlice, isOwn: Bool, _ options: SourceOptions, _ arena: borrowing ByteArena
  ) -> RegisterSample.Flow? {
    for index in options.registers.indices {
      let listed = options.registers[index].name
      if arena[name].elementsEqual(listed.span) { return options.registers[index].flow }
    }
    if isOwn {
      if arena[name].elementsEqual("Total") { return options.importFlow }
      return arena[name].elementsEqual("ExportActive") ? options.exportFlow : nil
    }
    // Names of the scripts in Tasmota's documentation, by how many use them.
    let imports: InlineArray<5, StaticString> = ["total_in", "1_8_0", "e_in", "1.8.0", "total_kwh"]
    let exports: InlineArray<4, StaticString> = ["total_out", "2_8_0", "e_out", "2.8.0"]
    for index in imports.indices where arena[name].equalsIgnoringCase(imports[index]) {
      return options.importFlow
    }
    for index in exports.indices where arena[name].equalsIgnoringCase(exports[index]) {
      return options.exportFlow
    }
    return nil
  }

  private func moment(
    _ head: Head, _ heard: borrowing SourcedMessage, _ parser: JSONParser,
    _ arena: inout ByteArena
  ) throws(Rejection) -> Moment {
    guard let time = parser.member("Time", of: head.root, in: &arena), parser[time].kind != .null
    else {
      if heard.source.options.allowsArrival { return heard.arrival }
      throw Rejection(
        .missingField, path: "\(head.path).Time", detail: "it says when it was measured")
    }
    return try heard.moment(
      parser[time], at: "\(head.path).Time", as: .any(heard.source.options.zone), with: parser,
      in: &arena)
  }

  /// The total, or the sum of an array; nil where there is none.
  private func amount(
    _ register: Register, _ head: Head, _ unit: Conversion, _ parser: JSONParser,
    _ arena: inout ByteArena
  ) throws(Rejection) -> Int64? {
    do throws(Rejection) {
      guard let sum = try sum(register.variable, unit, parser, &arena) else { return nil }
      if sum < 0 || sum >= 1_000_000_000_000_000 {
        throw Rejection(.outOfRange, detail: "a total of 0 to 999999999 kWh is expected")
      }
      // After a boot a reading head tells 0 until the meter was heard ("Smart Meter Interface").
      return sum == 0 && !register.isOwn ? nil : sum
    } catch {
      var placed = error
      let group = arena.string(parser[register.group].key)
      placed.path = "\(head.path).\(group).\(arena.string(parser[register.variable].key))"
      throw placed
    }
  }

  private func sum(
    _ variable: Int, _ unit: Conversion, _ parser: JSONParser, _ arena: inout ByteArena
  ) throws(Rejection) -> Int64? {
    guard parser[variable].kind == .array else {
      return try parser.amount(of: parser[variable], at: "", by: unit, in: &arena)
    }
    var sum: Int64 = 0
    for element in parser.members(of: variable) {
      guard let part = try parser.amount(of: parser[element], at: "", by: unit, in: &arena) else {
        return nil
      }
      sum += part
      // A million elements of less than 10^15 each would not fit.
      if sum.magnitude >= 1_000_000_000_000_000 { break }
    }
    return sum
  }
}

extension ByteArena {
  /// `group.variable`
  fileprivate mutating func register(_ group: ByteSlice, _ variable: ByteSlice) -> ByteSlice {
    let start = append(group)
    _ = append(".")
    _ = append(variable)
    return ByteSlice(offset: Int(start.offset), count: count - Int(start.offset))
  }
}
