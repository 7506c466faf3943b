// The order in which rows are sent, and that each of them is.

import EnergyReadings
import PostgresStore
import SeededRandom
import Testing

@Suite struct RowOrderTests {
  /// Keys that differ in their lowest bits, in their highest, in all or in none.
  @Test(arguments: [0, 1, 10, 33, 48, 60, 64])
  func rowsAreSortedByTheirKeys(bits: Int) {
    var random = SeededGenerator(seed: UInt64(bits))
    var order = RowOrder()
    for count in [0, 1, 2, 3, 255, 256, 257, 10_000] {
      let keys = (0..<count).map { _ in bits == 0 ? 7 : random.next() >> UInt64(64 - bits) }
      order.sort(keys)
      let found = (0..<count).map { order[$0] }
      #expect(found.sorted() == Array(0..<count), "each row once")
      // Of 64 bits, those that a row's number takes the place of are not looked at.
      let ignored = max(0, bits + Int.bitWidth - count.leadingZeroBitCount - 64)
      let expected = keys.indices.sorted {
        let (left, right) = (keys[$0] >> UInt64(ignored), keys[$1] >> UInt64(ignored))
        return left == right ? $0 < $1 : left < right
      }
      if ignored == 0 { #expect(found == expected, "\(count) keys of \(bits) bits") }
      for (before, after) in zip(found, found.dropFirst()) {
        #expect(keys[before] >> UInt64(ignored) <= keys[after] >> UInt64(ignored) + 1)
      }
    }
  }

  /// Rows longer than a piece, pieces that a row does not fit into any more, and a reader who has
  /// enough.
  @Test(arguments: [false, true])
  func everyRowIsSentWhole(inOrder: Bool) throws {
    var random = SeededGenerator(seed: 9)
    var batch = ReadingRows()
    let buffer = CopyBuffer()
    var rows: [(id: ReadingID, size: Int)] = []
    for second in 0..<300 {
      let size = random.oneIn(20) ? random.number(60_000...140_000) : random.number(0...2_000)
      let reading = batch.reading(
        second: inOrder ? second : random.number(0...1_000) * 1_000 + second, breakdownBytes: size)
      let id = ReadingID(
        kind: .consumption, device: batch.arena[reading.device], timestamp: reading.timestamp)
      let before = buffer.count
      buffer.append(reading, id: id, in: batch.arena)
      rows.append((id, buffer.count - before))
    }
    var sent: [UInt8] = []
    var pieces = 0
    buffer.sendInOrder { piece in
      sent += piece
      pieces += 1
      return true
    }
    var at = 19
    for (id, size) in rows.sorted(by: { $0.id.milliseconds < $1.id.milliseconds }) {
      let found = sent[at + 6..<at + 14].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      try #require(found == id.high)
      at += size
    }
    #expect(Array(sent[at...]) == [0xFF, 0xFF])
    #expect(pieces > 20)
    for enough in 1...pieces {
      var count = 0
      buffer.sendInOrder { _ in
        count += 1
        return count < enough
      }
      #expect(count == enough)
    }
  }
}
