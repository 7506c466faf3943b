// One entry of a file of sources, key by key.

import EnergyReadings
import Yams

/// An entry whose keys are taken one by one; what nobody took at the end is a mistake.
struct SourceEntry {
  private var values: [String: Node] = [:]
  /// Keys that somebody asked for: what would have been allowed.
  private var known: Set<String> = []

  init(_ node: Node) throws(SourceProblem) {
    guard let mapping = node.mapping else {
      throw SourceProblem("", "expected keys and values, such as topic: and value:")
    }
    for (key, value) in mapping {
      guard let name = key.string else { throw SourceProblem("", "a key that is no text") }
      if values.updateValue(value, forKey: name) != nil {
        throw SourceProblem(name, "given twice")
      }
    }
  }

  /// This entry with the keys that another one gives instead.
  private func overridden(by other: [String: Node]) -> SourceEntry {
    var copy = self
    copy.values.merge(other) { _, new in new }
    return copy
  }

  func refuseOthers() throws(SourceProblem) {
    guard let name = Set(values.keys).subtracting(known).min() else { return }
    throw SourceProblem(
      name, "no such key here; there are \(known.sorted().joined(separator: ", "))")
  }

  // MARK: - Typed keys

  mutating func node(_ key: String) -> Node? {
    known.insert(key)
    guard let value = values[key], value.null == nil else { return nil }
    return value
  }

  mutating func text(_ key: String) throws(SourceProblem) -> String? {
    guard let node = node(key) else { return nil }
    guard let text = node.scalar?.string else { throw SourceProblem(key, "expected a text") }
    return text
  }

  mutating func choice<Value: RawRepresentable & CaseIterable>(
    _ key: String, _ type: Value.Type
  ) throws(SourceProblem) -> Value? where Value.RawValue == String {
    guard let text = try text(key) else { return nil }
    guard let value = Value(rawValue: text) else {
      let names = Value.allCases.map(\.rawValue).joined(separator: ", ")
      throw SourceProblem(key, "\"\(text)\" is none of \(names)")
    }
    return value
  }

  mutating func flag(_ key: String) throws(SourceProblem) -> Bool? {
    guard let text = try text(key) else { return nil }
    switch text {
    case "true", "yes": return true
    case "false", "no": return false
    default: throw SourceProblem(key, "\"\(text)\" is neither true nor false")
    }
  }

  mutating func integer(
    _ key: String, in range: ClosedRange<Int64>
  ) throws(SourceProblem) -> Int64? {
    guard let text = try text(key) else { return nil }
    guard let value = Int64(text), range.contains(value) else {
      throw SourceProblem(
        key, "\"\(text)\" is no whole number of \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// What energy is: `consumption`, `production`, `charge` or `discharge`.
  mutating func flow(_ key: String) throws(SourceProblem) -> RegisterSample.Flow? {
    guard let text = try text(key) else { return nil }
    guard let flow = RegisterSample.Flow(text) else {
      throw SourceProblem(key, RegisterSample.Flow.expected(text))
    }
    return flow
  }

  mutating func texts(_ key: String) throws(SourceProblem) -> [String]? {
    guard let node = node(key) else { return nil }
    if let text = node.scalar?.string { return [text] }
    guard let list = node.sequence else { throw SourceProblem(key, "expected a text or a list") }
    var texts: [String] = []
    for element in list {
      guard let text = element.scalar?.string else {
        throw SourceProblem(key, "expected a list of texts")
      }
      texts.append(text)
    }
    return texts
  }

  mutating func pairs(_ key: String) throws(SourceProblem) -> [(String, String)] {
    guard let node = node(key) else { return [] }
    guard let mapping = node.mapping else {
      throw SourceProblem(key, "expected names and values, such as {a: b}")
    }
    var pairs: [(String, String)] = []
    for (name, value) in mapping {
      guard let name = name.scalar?.string, let value = value.scalar?.string else {
        throw SourceProblem(key, "expected names and texts, such as {a: b}")
      }
      pairs.append((name, value))
    }
    return pairs
  }

  // MARK: - What every source has

  private mutating func filter(_ text: String) throws(SourceProblem) -> TopicFilter {
    try TopicFilter(text)
  }

  /// - Parameter namesDevice: whether payloads of the format say whose they are.
  private mutating func device(
    of filter: TopicFilter, namesDevice: Bool
  ) throws(SourceProblem) -> DeviceOrigin {
    if let text = try text("device") {
      if text.hasPrefix("/") { return .payload(try JSONPointer(text, key: "device")) }
      if text.isEmpty { throw SourceProblem("device", "is empty") }
      return .topic(try TextTemplate(text, of: filter, key: "device"))
    }
    if filter.level(named: "device") != nil {
      return .topic(try TextTemplate("{device}", of: filter, key: "device"))
    }
    if namesDevice { return .format }
    throw SourceProblem(
      "device",
      "is missing: write {device} for the level of the topic that names it, or set "
        + "device to a fixed id, to a text with {captures} or to a JSON pointer")
  }

  /// Registered ids by what the vendor calls a device.
  private mutating func names() throws(SourceProblem) -> [String: String] {
    var names: [String: String] = [:]
    for (name, id) in try pairs("devices") {
      if id.isEmpty || id.unicodeScalars.count > 100 {
        throw SourceProblem("devices", "the id of \"\(name)\" has not 1 to 100 characters")
      }
      if names.updateValue(id, forKey: name) != nil {
        throw SourceProblem("devices", "\"\(name)\" is given twice")
      }
    }
    return names
  }

  private enum UnsetClock: String, CaseIterable { case arrival, reject }

  private mutating func options() throws(SourceProblem) -> SourceOptions {
    var options = SourceOptions()
    if let text = try text("max_kw") {
      guard let watts = try? ExactDecimal.parse(text.utf8.span, integerDigits: 9, scale: 3),
        watts > 0
      else { throw SourceProblem("max_kw", "\"\(text)\" is no power in kW above 0") }
      options.maximumWatts = watts
    }
    options.producers = try texts("producers") ?? []
    options.digits = UInt8(try integer("digits", in: 1...9) ?? 0)
    options.allowsArrival = try choice("unset_clock", UnsetClock.self) != .reject
    return options
  }

  private mutating func gridCode(
    of filter: TopicFilter
  ) throws(SourceProblem) -> TextTemplate? {
    guard let text = try text("grid_code") else { return nil }
    if text.isEmpty || text.unicodeScalars.count > 20 {
      throw SourceProblem("grid_code", "\"\(text)\" has not 1 to 20 characters")
    }
    return try TextTemplate(text, of: filter, key: "grid_code")
  }

  // MARK: - Built-in formats

  /// `import` or `export`: what the register counts, or none.
  private mutating func direction(
    _ key: String, default flow: RegisterSample.Flow?
  ) throws(SourceProblem) -> RegisterSample.Flow? {
    if values[key]?.scalar?.string == "none" {
      known.insert(key)
      return nil
    }
    return try self.flow(key) ?? flow
  }

  /// What registers of the user's own names count.
  private mutating func registers() throws(SourceProblem) -> [(
    name: [UInt8], flow: RegisterSample.Flow
  )] {
    var registers: [(name: [UInt8], flow: RegisterSample.Flow)] = []
    for (name, text) in try pairs("registers") {
      guard let flow = RegisterSample.Flow(text) else {
        throw SourceProblem("registers", "\"\(name)\": \(RegisterSample.Flow.expected(text))")
      }
      registers.append((Array(name.utf8), flow))
    }
    return registers
  }

  mutating func sources(_ format: BuiltInFormat) throws(SourceProblem) -> [Source] {
    let own = try ownTopic(of: format)
    var options = try options()
    options.importFlow = try direction("import", default: options.importFlow)
    options.exportFlow = try direction("export", default: options.exportFlow)
    if let name = try text("zone") {
      do throws(SourceProblem) { options.zone = try LocalZone(name) } catch {
        throw SourceProblem("zone", error.problem)
      }
    }
    options.unit = try choice("unit", MeterUnit.self)
    if options.unit?.isPower == true { throw SourceProblem("unit", "counts power, not energy") }
    options.takesTariffs = try flag("tariffs") ?? false
    options.registers = try registers()
    if format.hasMetrics { options.metrics = try metrics() }
    let names = try names()
    var sources: [Source] = []
    for topic in own.map({ [$0] }) ?? format.topics {
      let filter = try TopicFilter(topic)
      sources.append(
        Source(
          filter, format.decoder,
          device: try device(of: filter, format, isOwn: own != nil),
          names: names, gridCode: try gridCode(of: filter), options: options))
    }
    return sources
  }

  private mutating func ownTopic(of format: BuiltInFormat) throws(SourceProblem) -> String? {
    let own = try text("topic")
    if own == nil, format.topics.isEmpty {
      throw SourceProblem("topic", "is missing; \(format.name) has no topic of its own")
    }
    if let own, !format.root.isEmpty, !own.hasPrefix(format.root + "/") {
      throw SourceProblem("topic", "\"\(own)\" does not begin with \(format.root)/")
    }
    return own
  }

  /// Where the device's name stands. Of several topics of the format's own some may lack what the name
  /// is made of: there the format's own name serves.
  private mutating func device(
    of filter: TopicFilter, _ format: BuiltInFormat, isOwn: Bool
  ) throws(SourceProblem) -> DeviceOrigin {
    if !isOwn, format.namesDevice, let text = try text("device"), text.contains("{"),
      (try? TextTemplate(text, of: filter, key: "device")) == nil
    {
      let others = format.topics.compactMap { try? TopicFilter($0) }
      if others.contains(where: { (try? TextTemplate(text, of: $0, key: "device")) != nil }) {
        return .format
      }
    }
    return try device(of: filter, namesDevice: format.namesDevice)
  }

  /// Metrics of the user's own names, and what they count.
  private mutating func metrics() throws(SourceProblem) -> [(
    name: [UInt8], meaning: MetricMeaning
  )] {
    guard let list = node("metrics") else { return [] }
    guard let nodes = list.sequence, !nodes.isEmpty, nodes.count <= 64 else {
      throw SourceProblem("metrics", "expected a list of 1 to 64 metrics")
    }
    var metrics: [(name: [UInt8], meaning: MetricMeaning)] = []
    for node in nodes {
      do throws(SourceProblem) {
        var entry = try SourceEntry(node)
        let metric = try entry.metric()
        try entry.refuseOthers()
        metrics.append(metric)
      } catch {
        throw SourceProblem("metrics", "\(error)")
      }
    }
    return metrics
  }

  private mutating func metric() throws(SourceProblem) -> (name: [UInt8], meaning: MetricMeaning) {
    guard let name = try text("name"), !name.isEmpty else {
      throw SourceProblem("name", "is missing: the metric's name")
    }
    guard let flow = try flow("kind") else {
      throw SourceProblem("kind", "is missing: consumption, production, charge or discharge")
    }
    var meaning = MetricMeaning(flow: flow)
    meaning.mode = try choice("mode", ValueMode.self) ?? .register
    meaning.opposite = try self.flow("kind_negative")
    if meaning.opposite != nil, meaning.mode == .register {
      throw SourceProblem("kind_negative", "a register only rises; mode net_register may fall")
    }
    let (unit, scale) = (try choice("unit", MeterUnit.self), try text("scale"))
    if let unit {
      if (meaning.mode == .power) != unit.isPower {
        throw SourceProblem(
          "unit", "\(unit.rawValue) does not go with mode \(meaning.mode.rawValue)")
      }
      meaning.conversion = try Conversion(unit, scale: scale ?? "1")
    } else if scale != nil {
      throw SourceProblem("scale", "needs the unit of what it makes")
    }
    let seconds = try integer("interval_seconds", in: 1...31_622_400)
    if seconds != nil, meaning.mode != .interval {
      throw SourceProblem("interval_seconds", "only mode interval has it")
    }
    meaning.intervalSeconds = seconds.map { Int32($0) }
    return (Array(name.utf8), meaning)
  }

  // MARK: - Ready-made mappings

  mutating func sources(_ ready: ReadyMapping) throws(SourceProblem) -> [Source] {
    let root = try text("root")
    var own = values
    for key in ["format", "root", "import", "export"] { own[key] = nil }
    let several = ready.entries.count > 1
    for key in ["topic", "device", "value", "values", "register"] where several && own[key] != nil {
      throw SourceProblem(
        key,
        "\(ready.name) is several sources, so that one \(key) cannot serve them all; "
          + "`root` moves their topics and `devices` names their devices")
    }
    if own["kind"] != nil, several || ready.entries.contains(where: { $0["values"] != nil }) {
      throw SourceProblem(
        "kind", "\(ready.name) has several registers; set import or export to what theirs is here")
    }
    let flows = try redirections()
    var sources: [Source] = []
    for node in ready.entries.compactMap({ $0.redirected(by: flows) }) {
      var entry = try SourceEntry(node).overridden(by: own)
      if own["topic"] == nil, let root, let topic = try entry.text("topic") {
        entry.values["topic"] = Node(root + topic.dropFirst(ready.root.count))
      }
      sources.append(try entry.mappedSource())
      entry.known.formUnion(["root", "import", "export"])
      try entry.refuseOthers()
    }
    if sources.isEmpty { throw SourceProblem("import", "nothing is left of \(ready.name)") }
    return sources
  }

  /// What `import` and `export` make of consumption and production; `none`: nothing.
  private mutating func redirections() throws(SourceProblem) -> [String: String] {
    var flows: [String: String] = [:]
    for (key, kind) in [("import", "consumption"), ("export", "production")] {
      guard let text = try text(key) else { continue }
      if text != "none", RegisterSample.Flow(text) == nil {
        throw SourceProblem(key, RegisterSample.Flow.expected(text) + ", none")
      }
      flows[kind] = text
    }
    return flows
  }

  // MARK: - Mappings

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

extension Node {
  /// This mapping, or each of its `values`, with another `kind`; nil where nothing is left of it.
  fileprivate func redirected(by flows: [String: String]) -> Node? {
    var node = self
    for key in ["kind", "kind_negative"] {
      guard let kind = node[key]?.string, let other = flows[kind] else { continue }
      if other == "none", key == "kind" { return nil }
      node[key] = other == "none" ? nil : Node(other)
    }
    if let values = node["values"]?.sequence {
      let kept = values.compactMap { $0.redirected(by: flows) }
      if kept.isEmpty { return nil }
      node["values"] = Node(kept)
    }
    return node
  }
}

extension RegisterSample.Flow {
  fileprivate init?(_ name: String) {
    switch name {
    case "consumption": self.init(.consumption)
    case "production": self.init(.production)
    case "charge": self.init(.storage, .charge)
    case "discharge": self.init(.storage, .discharge)
    default: return nil
    }
  }

  fileprivate static func expected(_ name: String) -> String {
    "\"\(name)\" is none of consumption, production, charge, discharge"
  }
}
