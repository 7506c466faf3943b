// What an entry says of a mapping: where values, times and devices stand in a payload.

import EnergyReadings
import Yams

extension SourceEntry {
  mutating func mappedSource() throws(SourceProblem) -> Source {
    known.insert("format")
    guard let topic = try text("topic") else {
      throw SourceProblem("topic", "is missing; write a topic filter such as meters/{device}/total")
    }
    let filter = try TopicFilter(topic)
    let shape = try choice("payload", PayloadShape.self) ?? .json
    let device = try device(of: filter, namesDevice: false)
    let charge = try mappedCharge(shape)
    let isChargeAlone =
      charge != nil && ["value", "values", "kind"].allSatisfy { values[$0] == nil }
    let time = try time(shape)
    let mapped = isChargeAlone ? [] : try mappedValues(filter, shape, device)
    if case .arrival = time, mapped.contains(where: { $0.mode == .interval }) {
      throw SourceProblem(
        "time",
        "is missing: an interval that comes again is known by its time, such as [/time, unix_s]; by "
          + "that of its arrival it would be stored again")
    }
    let format = MappedFormat(
      shape, conditions: try conditions(shape), time: time, values: mapped, charge: charge)
    if case .payload = device, shape != .json {
      throw SourceProblem("device", "a \(shape.rawValue) payload has no JSON pointers")
    }
    let isKeptAwake = try flag("keep_alive") ?? false
    return Source(
      filter, format, device: device, names: try names(), gridCode: try gridCode(of: filter),
      options: try options(), keepAlive: isKeptAwake ? try KeepAliveTopic(filter) : nil)
  }

  private mutating func conditions(
    _ shape: PayloadShape
  ) throws(SourceProblem) -> [(pointer: JSONPointer, text: [UInt8])] {
    var conditions: [(pointer: JSONPointer, text: [UInt8])] = []
    for (pointer, text) in try pairs("where") {
      if shape != .json { throw SourceProblem("where", "only JSON has pointers") }
      conditions.append((try JSONPointer(pointer, key: "where"), Array(text.utf8)))
    }
    return conditions
  }

  private mutating func time(_ shape: PayloadShape) throws(SourceProblem) -> TimeOrigin {
    guard let parts = try texts("time"), parts != ["arrival"] else { return .arrival }
    guard parts.count == 2, shape == .json else {
      throw SourceProblem(
        "time",
        "expected arrival, or for JSON a pointer and unix_s, unix_ms, rfc3339 or "
          + "local:<zone>, such as [/time, unix_s]")
    }
    let pointer = try JSONPointer(parts[0], key: "time")
    switch parts[1] {
    case "unix_s": return .payload(pointer, .unixSeconds)
    case "unix_ms": return .payload(pointer, .unixMilliseconds)
    case "rfc3339": return .payload(pointer, .rfc3339)
    case let text where text.hasPrefix("local:"):
      return .payload(pointer, .local(try LocalZone(String(text.dropFirst("local:".count)))))
    default:
      throw SourceProblem(
        "time", "\"\(parts[1])\" is none of unix_s, unix_ms, rfc3339, local:<zone>")
    }
  }

  /// The values of `values`, each with the keys of the entry that it does not give itself.
  private mutating func mappedValues(
    _ filter: TopicFilter, _ shape: PayloadShape, _ device: DeviceOrigin
  ) throws(SourceProblem) -> [MappedValue] {
    guard let list = node("values") else {
      return [try mappedValue(filter, shape, device)]
    }
    guard let nodes = list.sequence, !nodes.isEmpty, nodes.count <= 64 else {
      throw SourceProblem("values", "expected a list of 1 to 64 values")
    }
    var result: [MappedValue] = []
    let shared: Set = ["unit", "scale", "mode", "kind", "kind_negative", "interval_seconds"]
    known.formUnion(shared)
    for node in nodes {
      var value = try SourceEntry(node)
      value.values.merge(values.filter { shared.contains($0.key) }) { own, _ in own }
      result.append(try value.mappedValue(filter, shape, device))
      do throws(SourceProblem) { try value.refuseOthers() } catch {
        throw SourceProblem("values", "\(error)")
      }
    }
    return result
  }

  /// `[/soc, percent]`; the unit alone where the payload is a number.
  private mutating func mappedCharge(
    _ shape: PayloadShape
  ) throws(SourceProblem) -> MappedCharge? {
    let key = "state_of_charge"
    guard let texts = try texts(key) else { return nil }
    let units = ChargeUnit.allCases.map(\.rawValue).joined(separator: ", ")
    guard texts.count == (shape == .number ? 1 : 2), let name = texts.last else {
      throw SourceProblem(
        key, "expected a place and a unit, such as [/soc, percent]; of a number the unit alone")
    }
    guard let unit = ChargeUnit(rawValue: name) else {
      throw SourceProblem(key, "\"\(name)\" is none of \(units)")
    }
    switch shape {
    case .number: return MappedCharge(.whole, unit)
    case .csv:
      guard let column = Int(texts[0]), (0...9_999).contains(column) else {
        throw SourceProblem(key, "\"\(texts[0])\" is no column's position, from 0")
      }
      return MappedCharge(.column(column), unit)
    case .json: return MappedCharge(.pointer(try JSONPointer(texts[0], key: key)), unit)
    }
  }

  private mutating func mappedValue(
    _ filter: TopicFilter, _ shape: PayloadShape, _ device: DeviceOrigin
  ) throws(SourceProblem) -> MappedValue {
    let places = try places(shape)
    guard let unit = try choice("unit", MeterUnit.self) else {
      throw SourceProblem("unit", "is missing; no payload says for sure whether it is Wh or kWh")
    }
    let scale = try text("scale") ?? "1"
    let mode = try choice("mode", ValueMode.self) ?? .register
    if (mode == .power) != unit.isPower {
      throw SourceProblem("unit", "\(unit.rawValue) does not go with mode \(mode.rawValue)")
    }
    guard let flow = try flow("kind") else {
      throw SourceProblem("kind", "is missing: consumption, production, charge or discharge")
    }
    let seconds = try integer("interval_seconds", in: 1...31_622_400)
    if seconds != nil, mode != .interval {
      throw SourceProblem("interval_seconds", "only mode interval has it")
    }
    let opposite = try self.flow("kind_negative")
    if opposite != nil, mode == .register {
      throw SourceProblem("kind_negative", "a register only rises; mode net_register may fall")
    }
    return MappedValue(
      places: places.values, register: try register(filter, device, places.name),
      conversion: try Conversion(unit, scale: scale), mode: mode, flow: flow, opposite: opposite,
      intervalSeconds: seconds.map { Int32($0) })
  }

  private mutating func places(
    _ shape: PayloadShape
  ) throws(SourceProblem) -> (values: [ValuePlace], name: String) {
    let texts = try texts("value")
    switch shape {
    case .number:
      if texts != nil { throw SourceProblem("value", "a number is the whole payload") }
      return ([.whole], "")
    case .csv:
      guard let texts, !texts.isEmpty, texts.count <= 64 else {
        throw SourceProblem("value", "is missing: the column's position, from 0")
      }
      var places: [ValuePlace] = []
      for text in texts {
        guard let column = Int(text), (0...9_999).contains(column) else {
          throw SourceProblem("value", "\"\(text)\" is no column's position, from 0")
        }
        places.append(.column(column))
      }
      return (places, texts.joined(separator: "+"))
    case .json:
      guard let texts, !texts.isEmpty, texts.count <= 64 else {
        throw SourceProblem(
          "value", "is missing: a JSON pointer such as /energy, or a list of them")
      }
      var places: [ValuePlace] = []
      for text in texts { places.append(.pointer(try JSONPointer(text, key: "value"))) }
      return (places, texts.map { String($0.dropFirst()) }.joined(separator: "+"))
    }
  }

  /// The register's name: as given, or the levels behind those that name the device, and the value's
  /// place in the payload.
  private mutating func register(
    _ filter: TopicFilter, _ device: DeviceOrigin, _ place: String
  ) throws(SourceProblem) -> TextTemplate {
    if let text = try text("register") {
      if text.isEmpty { throw SourceProblem("register", "is empty") }
      return try TextTemplate(text, of: filter, key: "register")
    }
    var parts: [String] = []
    if case .topic(let template) = device, let last = template.levels.max() {
      for (index, level) in filter.levels.enumerated() where index > last {
        switch level {
        case .literal(let text): parts.append(text)
        case .any(let name?): parts.append("{\(name)}")
        case .any(nil), .rest:
          throw SourceProblem(
            "register", "is missing: give + a name, such as {channel}, or set register")
        }
      }
    }
    if !place.isEmpty { parts.append(place) }
    let text = parts.isEmpty ? "total" : parts.joined(separator: "/")
    return try TextTemplate(text, of: filter, key: "register")
  }
}
