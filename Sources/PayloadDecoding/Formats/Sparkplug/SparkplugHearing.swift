// One Sparkplug message while it is looked at: what it says of its node, and what its metrics are worth.

import EnergyReadings

/// A message between the table of nodes and the readings that it becomes.
struct SparkplugHearing {
  private let topic: SparkplugTopic
  private let payload: SparkplugPayload
  private let source: Source
  /// `<group>/<node>`, with `/<device>` where there is one.
  private let name: ByteSlice
  /// The device that its energy belongs to, once somebody needed to know.
  private var owner: ByteSlice = .absent
  /// The first metric that only a birth could explain, and what is missing.
  private var unexplained: (number: Int, path: StaticString, what: String)?

  init(
    _ topic: SparkplugTopic, _ payload: SparkplugPayload, _ source: Source,
    in arena: inout ByteArena
  ) {
    self.topic = topic
    self.payload = payload
    self.source = source
    name = topic.name(in: &arena)
  }

  private var nodeName: ByteSlice {
    name.subslice(from: 0, count: Int(topic.group.count + topic.node.count) + 1)
  }

  // MARK: - Births

  mutating func takeBirth(
    _ heard: borrowing SourcedMessage, _ table: inout SparkplugTable, _ parser: JSONParser,
    _ arena: inout ByteArena, _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    let time = payload.milliseconds
    let node = heard.message.isLive ? beginning(&table, arena) : nil
    let before = node.flatMap { table.birth(of: arena[topic.device], $0) }
    let birth = SparkplugBirth(source)
    for number in 0..<payload.count {
      settle(number, heard, &decoded) { (hearing, decoded) throws(Rejection) in
        let metric = hearing.payload.metric(number, in: &arena)
        hearing.noteSession(metric, node, arena)
        guard let meaning = birth.add(metric, at: time ?? .max, in: arena),
          // The birth repeats it: its energy is told already.
          meaning.mode != .interval
        else {
          return decoded.skip(.otherRegister)
        }
        let conversion = try hearing.conversion(metric, meaning, arena)
        try hearing.take(
          number, metric, metric.plainName(in: arena), metric.datatype, conversion, meaning, heard,
          parser, &arena, &decoded)
      }
    }
    let repeated = birth.finish(after: before)
    if let node { try table.remember(birth, of: arena[topic.device], node) }
    if let repeated {
      throw Rejection(
        .malformedPayload, path: "$",
        detail: "the alias \(repeated) is given to several metrics; it is not used for any")
    }
  }

  /// The node that is born, or whose device is.
  private func beginning(
    _ table: inout SparkplugTable, _ arena: borrowing ByteArena
  ) -> SparkplugNode {
    let node = table.heard(arena[nodeName])
    if topic.device.isPresent {
      table.follow(node, payload.seq, at: payload.milliseconds)
    } else {
      table.begin(node, payload.seq, at: payload.milliseconds)
    }
    return node
  }

  /// The number of a node's connection, by which its death is told from the death of an earlier one.
  private func noteSession(
    _ metric: SparkplugMetric, _ node: SparkplugNode?, _ arena: borrowing ByteArena
  ) {
    guard let node, !topic.device.isPresent, arena[metric.name].elementsEqual("bdSeq"),
      case .integer(let number) = metric.value
    else { return }
    node.bdSeq = number
  }

  // MARK: - Deaths

  /// A death that is not of the node's present connection is an old one (section 6.4.25): the broker
  /// tells it when it notices, and that may be after the next birth.
  func takeDeath(
    _ heard: borrowing SourcedMessage, _ table: inout SparkplugTable, _ arena: inout ByteArena
  ) {
    guard heard.message.isLive, let node = table.known(arena[nodeName]) else { return }
    if topic.device.isPresent {
      table.follow(node, payload.seq, at: payload.milliseconds)
      table.birth(of: arena[topic.device], node)?.isCurrent = false
      return
    }
    var bdSeq: UInt64?
    for number in 0..<payload.count {
      let metric = payload.metric(number, in: &arena)
      guard arena[metric.name].elementsEqual("bdSeq"), case .integer(let value) = metric.value
      else { continue }
      bdSeq = value
    }
    guard bdSeq == node.bdSeq else { return }
    node.retire()
    node.nextSeq = nil
  }

  // MARK: - Data

  mutating func takeData(
    _ heard: borrowing SourcedMessage, _ table: inout SparkplugTable, _ parser: JSONParser,
    _ arena: inout ByteArena, _ decoded: inout DecodedReadings
  ) {
    let node: SparkplugNode?
    if heard.message.isLive {
      let known = table.heard(arena[nodeName])
      table.follow(known, payload.seq, at: payload.milliseconds)
      node = known
    } else {
      node = table.known(arena[nodeName])
    }
    var birth = node.flatMap { table.birth(of: arena[topic.device], $0) }
    if let known = birth, !known.isCurrent { birth = nil }
    birth?.follow(source)
    for number in 0..<payload.count {
      settle(number, heard, &decoded) { (hearing, decoded) throws(Rejection) in
        let metric = hearing.payload.metric(number, in: &arena)
        if metric.name.isPresent {
          try hearing.takeNamed(number, metric, birth, heard, parser, &arena, &decoded)
        } else {
          try hearing.takeAlias(number, metric, birth, node, heard, parser, &arena, &decoded)
        }
      }
    }
    if let node, heard.message.isLive, unexplained != nil || node.isDoubted,
      table.mayAsk(node, at: heard.message.receivedAt)
    {
      node.isDoubted = false
      decoded.requests.append(
        .rebirth(of: topic, at: heard.message.receivedAt, in: arena))
    }
    rejectUnexplained(heard, after: birth == nil ? node?.gap : nil, arena, &decoded)
  }

  private mutating func takeNamed(
    _ number: Int, _ metric: SparkplugMetric, _ birth: SparkplugBirth?,
    _ heard: borrowing SourcedMessage, _ parser: JSONParser, _ arena: inout ByteArena,
    _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    let name = metric.plainName(in: arena)
    if let birth, let index = birth.number(of: arena[name]) {
      return try take(
        number, metric, name, birth.metrics[index], birth.texts, heard, parser, &arena, &decoded)
    }
    guard let meaning = source.options.meaning(of: arena[name]),
      !(meaning.isGuessed && birth?.guesses(meaning.flow) ?? false)
    else {
      return decoded.skip(.otherRegister)
    }
    if birth == nil, case .none = metric.unit, meaning.conversion == nil,
      source.options.unit == nil, arena[name].unitAtEnd == nil
    {
      unexplained =
        unexplained ?? (number, "$.name", "gives \(arena.string(name).prefix(80)) a unit")
      return
    }
    let conversion = try conversion(metric, meaning, arena)
    try take(
      number, metric, name, metric.datatype, conversion, meaning, heard, parser, &arena, &decoded)
  }

  private mutating func takeAlias(
    _ number: Int, _ metric: SparkplugMetric, _ birth: SparkplugBirth?,
    _ node: SparkplugNode?, _ heard: borrowing SourcedMessage, _ parser: JSONParser,
    _ arena: inout ByteArena, _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    guard let alias = metric.alias else {
      throw Rejection(.missingField, path: "$.name", detail: "a metric has a name or an alias")
    }
    guard let birth, let index = birth.definition(of: alias) else {
      unexplained = unexplained ?? (number, "$.alias", "explains the alias \(alias)")
      return
    }
    if index == -2 {
      throw Rejection(
        .malformedPayload, path: "$.alias",
        detail: "the alias \(alias) was given to several metrics at birth")
    }
    if index < 0 {
      return decoded.skip(.otherRegister)
    }
    let known = birth.metrics[Int(index)]
    if !heard.message.isLive, !isWithin(known.since, node) {
      unexplained = unexplained ?? (number, "$.alias", "explained the alias \(alias) then")
      return
    }
    let name = arena.append(birth.texts[known.name])
    try take(number, metric, name, known, birth.texts, heard, parser, &arena, &decoded)
  }

  /// Whether a message that is tried again was sent after an alias got its meaning, and before anything
  /// that was not heard.
  private func isWithin(_ since: Int64, _ node: SparkplugNode?) -> Bool {
    guard let node, let time = payload.milliseconds else { return false }
    return since <= time && time <= node.lastAt
  }

  /// Takes a metric that the birth has explained.
  private mutating func take(
    _ number: Int, _ metric: SparkplugMetric, _ name: ByteSlice, _ known: SparkplugBirth.Metric,
    _ texts: borrowing ByteArena, _ heard: borrowing SourcedMessage, _ parser: JSONParser,
    _ arena: inout ByteArena, _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    guard let meaning = known.meaning else {
      return decoded.skip(.otherRegister)
    }
    let conversion: Conversion
    if case .none = metric.unit, meaning.conversion == nil {
      conversion = try self.conversion(known.unit, arena[name], meaning, texts)
    } else {
      conversion = try self.conversion(metric, meaning, arena)
    }
    let datatype = metric.datatype.code == 0 ? known.datatype : metric.datatype
    try take(number, metric, name, datatype, conversion, meaning, heard, parser, &arena, &decoded)
  }

  // MARK: - Readings

  private func conversion(
    _ metric: SparkplugMetric, _ meaning: MetricMeaning, _ arena: borrowing ByteArena
  ) throws(Rejection) -> Conversion {
    try conversion(metric.unit, arena[metric.name], meaning, arena)
  }

  /// - Parameter texts: what the unit's text stands in, where it is no unit.
  private func conversion(
    _ unit: SparkplugUnit, _ name: Span<UInt8>, _ meaning: MetricMeaning,
    _ texts: borrowing ByteArena
  ) throws(Rejection) -> Conversion {
    if let conversion = meaning.conversion { return conversion }
    let path = "$.properties.engUnit"
    if case .other(let text) = unit {
      throw Rejection(
        .wrongType, path: path,
        detail: "\"\(texts.string(text).prefix(40))\" is no unit of energy")
    }
    var found: MeterUnit?
    if case .known(let unit) = unit { found = unit }
    guard let unit = found ?? name.unitAtEnd ?? source.options.unit else {
      throw Rejection(
        .missingField, path: path, detail: "neither it nor the source's `unit` says the unit")
    }
    if unit.isPower != (meaning.mode == .power) {
      throw Rejection(
        .wrongType, path: path,
        detail: "\(unit.rawValue) does not go with mode \(meaning.mode.rawValue)")
    }
    return Conversion(unit)
  }

  /// Takes a metric's value, or each of a list of them.
  private mutating func take(
    _ number: Int, _ metric: SparkplugMetric, _ name: ByteSlice,
    _ datatype: SparkplugDatatype, _ conversion: Conversion, _ meaning: MetricMeaning,
    _ heard: borrowing SourcedMessage, _ parser: JSONParser, _ arena: inout ByteArena,
    _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    guard case .dataSet = metric.value, !metric.isNull, !metric.isBad,
      let list = try payload.list(number, metric, in: &arena)
    else {
      return try takeValue(
        number, metric, name, datatype, conversion, meaning, heard, parser, &arena, &decoded)
    }
    for one in list {
      settle(number, heard, &decoded) { (hearing, decoded) throws(Rejection) in
        try hearing.takeValue(
          number, one, name, one.datatype, conversion, meaning, heard, parser, &arena, &decoded)
      }
    }
  }

  private mutating func takeValue(
    _ number: Int, _ metric: SparkplugMetric, _ name: ByteSlice,
    _ datatype: SparkplugDatatype, _ conversion: Conversion, _ meaning: MetricMeaning,
    _ heard: borrowing SourcedMessage, _ parser: JSONParser, _ arena: inout ByteArena,
    _ decoded: inout DecodedReadings
  ) throws(Rejection) {
    guard !metric.isNull, !metric.isBad,
      let amount = try metric.amount(as: datatype, by: conversion, in: arena)
    else {
      return decoded.skip(.noValue)
    }
    if !owner.isPresent { owner = try heard.device(own: self.name, with: parser, in: &arena) }
    decoded.device = owner
    let moment = try moment(of: metric, heard)
    let place = heard.place(number)
    if meaning.mode == .interval {
      guard let flow = amount < 0 ? meaning.opposite : meaning.flow else {
        return decoded.skip(.negative)
      }
      let reading = heard.reading(
        of: owner, amount, at: moment, flow: flow, seconds: meaning.intervalSeconds, in: &arena)
      decoded.accepted.append(.init(reading: reading, place: place))
    } else {
      var sample = try heard.sample(
        name, of: owner, meaning.mode.measure, amount, at: moment, flow: meaning.flow, in: &arena)
      sample.opposite = meaning.opposite
      decoded.samples.append(.init(sample: sample, place: place))
    }
  }

  /// The metric's own time, else that of the payload, else that of arrival.
  private func moment(
    of metric: SparkplugMetric, _ heard: borrowing SourcedMessage
  ) throws(Rejection) -> Moment {
    let path = "$.timestamp"
    guard let milliseconds = metric.timestamp ?? (metric.isHistorical ? nil : payload.timestamp)
    else {
      if heard.source.options.allowsArrival, !metric.isHistorical { return heard.arrival }
      throw Rejection(.missingField, path: path, detail: "it says when it was measured")
    }
    guard milliseconds < 100_000_000_000_000 else {
      throw Rejection(.outOfRange, path: path, detail: "no such date or time")
    }
    return try heard.moment(Timestamp(microseconds: Int64(milliseconds) * 1_000), at: path)
  }

  // MARK: - What is wrong

  /// Does something for a metric; what is wrong with it harms no other.
  private mutating func settle(
    _ number: Int, _ heard: borrowing SourcedMessage, _ decoded: inout DecodedReadings,
    _ work: (inout SparkplugHearing, inout DecodedReadings) throws(Rejection) -> Void
  ) {
    do throws(Rejection) { try work(&self, &decoded) } catch {
      let place = heard.place(number)
      decoded.rejected.append(
        .init(
          rejection: error.inside(element: place.index), place: place, kind: nil,
          device: decoded.device))
    }
  }

  /// One for the whole message: its aliases are explained together, or not at all.
  private func rejectUnexplained(
    _ heard: borrowing SourcedMessage, after gap: SparkplugNode.Gap?,
    _ arena: borrowing ByteArena, _ decoded: inout DecodedReadings
  ) {
    guard let unexplained else { return }
    var cause = "no birth of \(arena.string(name)) is known that \(unexplained.what)"
    if let gap, heard.message.isLive {
      cause =
        "messages of \(arena.string(nodeName)) are missing before it: number \(gap.came) came after "
        + "\(gap.expected &- 1), so that its births are not trusted until the next one, which "
        + "\(unexplained.what)"
    }
    let rejection = Rejection(
      .missingBirth, path: "\(unexplained.path)",
      detail: cause + (heard.message.isLive ? "; the node is asked for one" : ""))
    decoded.rejected.append(
      .init(
        rejection: rejection.inside(element: Int32(truncatingIfNeeded: unexplained.number)),
        place: heard.place, kind: nil, device: decoded.device))
  }
}
