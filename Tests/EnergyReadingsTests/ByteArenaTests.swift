// The arena that a batch's texts share.

import EnergyReadings
import Testing

@Suite struct ByteArenaTests {
  @Test func slicesKeepTheirTextsWhileTheArenaGrows() {
    var arena = ByteArena()
    let texts = (0..<2_000).map { String(repeating: "x", count: $0 % 50) + String($0) }
    let slices = texts.map { text in
      let bytes = Array(text.utf8)
      return arena.append(bytes.span)
    }
    for (text, slice) in zip(texts, slices) { #expect(arena.string(slice) == text) }
  }

  @Test func copiesOfItsOwnSlices() {
    var arena = ByteArena()
    let word = arena.append("kilowatt hour")
    let copy = arena.append(word.subslice(from: 4, count: 4))
    #expect(arena.string(copy) == "watt")
    #expect(copy.offset == 13)
    #expect(arena.append(ByteSlice.absent) == .absent)
    var other = ByteArena()
    let foreign = other.append(word, from: arena)
    #expect(other.string(foreign) == "kilowatt hour")
    #expect(other.append(.absent, from: arena) == .absent)
  }

  @Test func paddingIsNotContent() {
    var arena = ByteArena()
    _ = arena.append("abc")
    arena.pad(by: 64)
    #expect(arena.count == 3)
    let next = arena.append("d")
    #expect(arena.string(next) == "d")
    #expect(arena.bytes == Array("abcd".utf8))
  }

  @Test func absentIsNotEmpty() {
    var arena = ByteArena()
    let empty = arena.append("")
    #expect(empty.isPresent)
    #expect(!ByteSlice.absent.isPresent)
    #expect(arena[ByteSlice.absent].count == 0)
    #expect(arena.string(.absent) == "")
  }

  @Test func forgettingKeepsWhatCameBefore() {
    var arena = ByteArena()
    let kept = arena.append("kept")
    _ = arena.append("forgotten")
    arena.truncate(to: 4)
    #expect(arena.count == 4)
    #expect(arena.string(kept) == "kept")
    arena.removeAll()
    #expect(arena.count == 0)
  }
}
