// Topics of Sparkplug: what a message is, and whose.

import EnergyReadings

/// `spBv1.0/<group>/<type>/<node>`, with `/<device>` behind it where it is about a device of the node
/// (Sparkplug 3.0, section 4.1).
struct SparkplugTopic {
  enum Kind { case birth, data, death }

  static let root = "spBv1.0"

  let kind: Kind
  let group: ByteSlice
  let node: ByteSlice
  /// Absent where the message is about the node itself.
  let device: ByteSlice

  /// - Returns: nil for what hosts and others say: commands, and `STATE`.
  /// - Throws: where it is no topic of Sparkplug's.
  init?(_ levels: borrowing TopicLevels, in arena: borrowing ByteArena) throws(Rejection) {
    let type = arena[levels[2]]
    (group, node, device) = (levels[1], levels[3], levels[4])
    guard arena[levels[0]].elementsEqual("spBv1.0"), levels.count >= 3, levels.count <= 5 else {
      throw SparkplugTopic.unknown
    }
    if levels.count == 3, arena[levels[1]].elementsEqual("STATE") { return nil }
    if type.elementsEqual("STATE") || type.elementsEqual("NCMD") || type.elementsEqual("DCMD") {
      return nil
    }
    guard type.count > 1, node.count > 0, group.count > 0,
      type[0] == (levels.count == 4 ? UInt8(ascii: "N") : UInt8(ascii: "D")),
      levels.count == 4 || device.count > 0
    else { throw SparkplugTopic.unknown }
    switch type.count {
    case 6 where type.extracting(1...).elementsEqual("BIRTH"): kind = .birth
    case 5 where type.extracting(1...).elementsEqual("DATA"): kind = .data
    case 6 where type.extracting(1...).elementsEqual("DEATH"): kind = .death
    default: throw SparkplugTopic.unknown
    }
  }

  private static var unknown: Rejection {
    Rejection(
      .unknownTopic,
      detail: "expected spBv1.0/<group>/NBIRTH|NDATA|NDEATH/<node> or "
        + "spBv1.0/<group>/DBIRTH|DDATA|DDEATH/<node>/<device>")
  }

  /// `<group>/<node>`, with `/<device>` where there is one: nothing less is unique (sections 4.1.3 and
  /// 4.1.4).
  func name(in arena: inout ByteArena) -> ByteSlice {
    // Each stands in the topic in one piece, the first with its slash.
    let end = device.isPresent ? device.range.upperBound : node.range.upperBound
    let start = arena.append(group.subslice(from: 0, count: Int(group.count) + 1))
    let rest = arena.append(ByteSlice(offset: Int(node.offset), count: end - Int(node.offset)))
    return ByteSlice(offset: Int(start.offset), count: Int(start.count + rest.count))
  }
}
