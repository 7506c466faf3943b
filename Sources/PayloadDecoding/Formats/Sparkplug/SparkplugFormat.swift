// Sparkplug B 3.0: nodes that say at their birth what their metrics are, and afterwards only what has
// changed, under numbers instead of names.

import EnergyReadings

/// Messages of edge nodes and their devices.
///
/// - The device is `<group>/<node>/<device>`, or `<group>/<node>` for metrics of the node itself.
/// - Metrics are taken that the source lists, or whose names say what they are: see ``MetricMeaning``.
///   A birth's values are samples as well, but for intervals, which it only repeats.
/// - The unit is that of the source's list, of the property `engUnit`, of the name's end, or the
///   source's `unit`, in this order.
/// - The time is the metric's, else the payload's; historical metrics must have one of their own.
/// - Numbers of messages that are missing make aliases worthless until the next birth, which is asked
///   for, as where none is known: see ``SparkplugMemory``.
struct SparkplugFormat: PayloadFormat {
  var needsOrder: Bool { true }

  func nameInTopic(_ heard: borrowing SourcedMessage, in arena: inout ByteArena) -> ByteSlice {
    guard let topic = try? SparkplugTopic(heard.levels, in: arena) else { return .absent }
    return topic.name(in: &arena)
  }

  func decode(
    _ heard: borrowing SourcedMessage, with parser: JSONParser, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection) {
    guard let topic = try SparkplugTopic(heard.levels, in: arena) else {
      return decoded.skip(.otherMessage)
    }
    let payload = try SparkplugPayload(heard.message.payload, in: arena)
    var hearing = SparkplugHearing(topic, payload, heard.source, in: &arena)
    try heard.memory.access { (table) throws(Rejection) in
      switch topic.kind {
      case .birth: try hearing.takeBirth(heard, &table, parser, &arena, &decoded)
      case .data: hearing.takeData(heard, &table, parser, &arena, &decoded)
      case .death: hearing.takeDeath(heard, &table, &arena)
      }
    }
    try payload.checkCount()
  }
}
