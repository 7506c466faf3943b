// What an entry says of a built-in format: its topics, its registers and metrics.

import EnergyReadings
import Yams

extension SourceEntry {
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
      var filter = try TopicFilter(topic)
      // Of the format's own topics each has captures where it has levels.
      if own != nil {
        try format.refuseDeaf(filter)
        filter.formatNames = format.levelNames
      }
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
}

extension BuiltInFormat {
  /// - Throws: where messages are understood by those before them, and the filter does not hear all
  ///   kinds of them.
  fileprivate func refuseDeaf(_ filter: TopicFilter) throws(SourceProblem) {
    guard decoder.needsOrder else { return }
    let unheard = topics.filter { topic in
      (try? TopicFilter(topic)).map { !$0.overlaps(filter) } ?? false
    }
    if unheard.isEmpty { return }
    let kinds = unheard.compactMap { $0.split(separator: "/").dropFirst(2).first }
    let names = levelNames.keys.sorted().map { "{\($0)}" }.joined(separator: ", ")
    throw SourceProblem(
      "topic",
      "\"\(filter)\" does not hear \(kinds.joined(separator: ", ")), and what \(name) says is "
        + "understood by all of its messages together; end it with #, such as \(root)/Plant/#, whose "
        + "levels are \(names) all the same")
  }
}
