// One entry of a file of sources, key by key.

import EnergyReadings
import Yams

/// An entry whose keys are taken one by one; what nobody took at the end is a mistake.
struct SourceEntry {
  var values: [String: Node] = [:]
  /// Keys that somebody asked for: what would have been allowed.
  var known: Set<String> = []

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
  func overridden(by other: [String: Node]) -> SourceEntry {
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

  /// - Parameter namesDevice: whether payloads of the format say whose they are.
  mutating func device(
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
  mutating func names() throws(SourceProblem) -> [String: String] {
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

  mutating func options() throws(SourceProblem) -> SourceOptions {
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

  mutating func gridCode(
    of filter: TopicFilter
  ) throws(SourceProblem) -> TextTemplate? {
    guard let text = try text("grid_code") else { return nil }
    if text.isEmpty || text.unicodeScalars.count > 20 {
      throw SourceProblem("grid_code", "\"\(text)\" has not 1 to 20 characters")
    }
    return try TextTemplate(text, of: filter, key: "grid_code")
  }
}

extension RegisterSample.Flow {
  init?(_ name: String) {
    switch name {
    case "consumption": self.init(.consumption)
    case "production": self.init(.production)
    case "charge": self.init(.storage, .charge)
    case "discharge": self.init(.storage, .discharge)
    default: return nil
    }
  }

  static func expected(_ name: String) -> String {
    "\"\(name)\" is none of consumption, production, charge, discharge"
  }
}
