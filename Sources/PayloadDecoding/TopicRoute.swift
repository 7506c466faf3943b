// Topics say what a message is about: the grid code, the kind and the device that published it.

import EnergyReadings

/// Where a topic leads.
public enum TopicRoute {
  /// `gridtokenx/v1/<grid_code>/<kind>/<device_id>`: the own format.
  case own(kind: ReadingKind, gridCode: ByteSlice, device: ByteSlice)
  /// `gridtokenx/ami/telemetry/<meter_id>`: a prosumer's JSON.
  case ami(device: ByteSlice)
  /// `gridtokenx/ami/telemetry/<meter_id>/dlms` and `…/v4`: the AMI reading once more, in binary.
  case amiTwin(device: ByteSlice)
  /// `gridtokenx/v1/ingestor/<client_id>/status`: what ingestors say of themselves, not a reading.
  case ingestorStatus
  case unknown

  /// The filters that `run` subscribes to unless the configuration says otherwise.
  ///
  /// The first is wide on purpose: a meter that publishes to a mistyped topic becomes a dead letter
  /// that somebody can see, instead of silence.
  public static let defaultFilters = ["gridtokenx/v1/#", "gridtokenx/ami/telemetry/+"]

  /// Finds the route of a topic that stands in the arena.
  public init(topic: ByteSlice, in arena: borrowing ByteArena) {
    let levels = RouteLevels(topic, in: arena)
    self = .unknown
    guard levels.count >= 4, arena[levels[0]].elementsEqual("gridtokenx") else { return }
    if levels.count == 5, arena[levels[1]].elementsEqual("v1"),
      arena[levels[2]].elementsEqual("ingestor"), arena[levels[4]].elementsEqual("status")
    {
      self = .ingestorStatus
    } else if levels.count == 5, arena[levels[1]].elementsEqual("v1"), levels[2].count > 0,
      levels[4].count > 0, let kind = ReadingKind(topicLevel: arena[levels[3]])
    {
      self = .own(kind: kind, gridCode: levels[2], device: levels[4])
    } else if arena[levels[1]].elementsEqual("ami"), arena[levels[2]].elementsEqual("telemetry"),
      levels[3].count > 0
    {
      if levels.count == 4 { self = .ami(device: levels[3]) }
      if levels.count == 5,
        arena[levels[4]].elementsEqual("dlms") || arena[levels[4]].elementsEqual("v4")
      {
        self = .amiTwin(device: levels[3])
      }
    }
  }
}

/// The first levels of a topic, as many as a route of this program has.
private struct RouteLevels {
  private var slices: InlineArray<6, ByteSlice> = .init(repeating: .absent)
  /// Levels seen; 6 stands for more than five.
  private(set) var count = 0

  init(_ topic: ByteSlice, in arena: borrowing ByteArena) {
    let bytes = arena[topic]
    var start = 0
    for index in 0...bytes.count where index == bytes.count || bytes[index] == UInt8(ascii: "/") {
      slices[count] = topic.subslice(from: start, count: index - start)
      count += 1
      start = index + 1
      if count == 6 { return }
    }
  }

  subscript(index: Int) -> ByteSlice { slices[index] }
}
