// The request for another birth: the only thing that this program ever says to a node.

import EnergyReadings
import SwiftProtobuf

extension MessageRequest {
  /// `Node Control/Rebirth` = true, as an NCMD (Sparkplug 3.0, section 6.4.24).
  static func rebirth(
    of topic: SparkplugTopic, at now: Timestamp, in arena: borrowing ByteArena
  ) -> MessageRequest {
    var metric = WireMetric()
    metric.name = "Node Control/Rebirth"
    metric.timestamp = UInt64(max(0, now.microseconds / 1_000))
    // Boolean.
    metric.datatype = 11
    metric.booleanValue = true
    var payload = WirePayload()
    payload.timestamp = metric.timestamp
    payload.metrics = [metric]
    // A message without required fields cannot lack one.
    let bytes: [UInt8]? = try? payload.serializedBytes()
    return MessageRequest(
      topic: "\(SparkplugTopic.root)/\(arena.string(topic.group))/NCMD/\(arena.string(topic.node))",
      payload: bytes ?? [])
  }
}
