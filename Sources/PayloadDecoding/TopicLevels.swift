// A topic cut into its levels, without copying it.

import EnergyReadings

/// The first levels of a topic, as slices of the arena.
struct TopicLevels: Sendable {
  private var slices: InlineArray<16, ByteSlice> = .init(repeating: .absent)
  /// Levels of the topic, those that are not kept included.
  private(set) var count = 0

  init(_ topic: ByteSlice, in arena: borrowing ByteArena) {
    let bytes = arena[topic]
    var start = 0
    for index in 0...bytes.count where index == bytes.count || bytes[index] == UInt8(ascii: "/") {
      if count < slices.count { slices[count] = topic.subslice(from: start, count: index - start) }
      count += 1
      start = index + 1
    }
  }

  /// Levels that can be looked at.
  var kept: Int { min(count, slices.count) }

  /// A level; absent where the topic has none there.
  subscript(index: Int) -> ByteSlice { index < kept ? slices[index] : .absent }
}
