// The derivation of ids, pinned: the golden ones were computed with Python's hashlib and uuid from
// the words of the documentation alone. If one of these fails, the change is wrong, not the test.

import EnergyReadings
import SeededRandom
import Testing

private func id(
  _ kind: ReadingKind, _ device: String, _ microseconds: Int64, channel: StaticString = ""
) -> ReadingID {
  let bytes = Array(device.utf8)
  return ReadingID(
    kind: kind, device: bytes.span, timestamp: Timestamp(microseconds: microseconds),
    channel: channel)
}

private func deadLetter(_ topic: String, _ payload: [UInt8], _ index: Int?) -> ReadingID {
  let bytes = Array(topic.utf8)
  return ReadingID(topic: bytes.span, payload: payload.span, index: index)
}

@Suite struct ReadingIDTests {
  private static let morning: Int64 = 1_781_074_800_000_000

  @Test func goldenIDs() {
    let golden = [
      (id(.consumption, "m-000123", Self.morning), "019eb054-ad80-85f5-95f4-9d23f6519178"),
      (id(.production, "h-p1", Self.morning + 250_000), "019eb054-ae7a-8c20-ad53-fe31fc99dd5a"),
      (
        id(.storage, "bat-7", Self.morning, channel: "charge"),
        "019eb054-ad80-8f61-adee-c612842e7c93"
      ),
      (
        id(.storage, "bat-7", Self.morning, channel: "discharge"),
        "019eb054-ad80-889e-8a6f-b183c0970d08"
      ),
      (id(.consumption, "มิเตอร์-๑", Self.morning + 123_456), "019eb054-adfb-8b35-92ea-a56c77f47b7b"),
      (
        id(.production, String(repeating: "p", count: 100), 0),
        "00000000-0000-82b4-bdc2-d7fe43165465"
      ),
      (id(.consumption, "m", -1), "ffffffff-ffff-8dea-9503-3e71279abefa"),
    ]
    for (id, text) in golden { #expect(id.description == text) }
  }

  @Test func goldenDeadLetterIDs() {
    let topic = "gridtokenx/v1/BKK-07/consumption/m-1"
    let whole = deadLetter(topic, Array("{}".utf8), nil)
    #expect(whole.description == "884b7d87-aaf1-85ee-9a75-057842892f46")
    let element = deadLetter(topic, [0xFF, 0], 31)
    #expect(element.description == "28520ffe-72f0-8b60-9471-6f23637b8209")
  }

  @Test func idsAreUUIDsOfVersionEight() {
    var random = SeededGenerator(seed: 0x8)
    for _ in 0..<2_000 {
      let device = random.digits(random.number(1...20))
      let reading = id(.production, device, Int64(random.number(0...99_999_999_999_999_999)))
      let letter = deadLetter(device, Array(device.utf8), random.number(0...9_999))
      for id in [reading, letter] {
        #expect(id.high >> 12 & 0xF == 8)
        #expect(id.low >> 62 == 0b10)
        #expect(id.description.count == 36)
      }
    }
  }

  @Test func idsSortByTime() {
    var random = SeededGenerator(seed: 0x50F7)
    for _ in 0..<2_000 {
      let earlier = Int64(random.number(0...90_000_000_000_000))
      let later = earlier + Int64(random.number(1_000...1_000_000_000))
      let (first, second) = (
        id(.consumption, random.digits(8), earlier), id(.storage, random.digits(8), later)
      )
      #expect(first.high >> 16 < second.high >> 16)
      #expect(first.description < second.description)
    }
  }

  @Test func everythingThatIdentifiesAReadingCounts() {
    let ids = [
      id(.consumption, "m-1", Self.morning), id(.production, "m-1", Self.morning),
      id(.consumption, "m-2", Self.morning), id(.consumption, "m-1", Self.morning + 1),
      id(.storage, "m-1", Self.morning, channel: "charge"),
      id(.storage, "m-1", Self.morning, channel: "discharge"), id(.storage, "m-1", Self.morning),
      id(.consumption, "m-11", Self.morning), id(.consumption, "M-1", Self.morning),
    ]
    #expect(Set(ids).count == ids.count)
    #expect(id(.consumption, "m-1", Self.morning) == ids[0])
  }

  @Test func everythingThatIdentifiesADeadLetterCounts() {
    let ids = [
      deadLetter("a", [1, 2], nil), deadLetter("a", [1, 2], 0), deadLetter("a", [1, 2], 1),
      deadLetter("b", [1, 2], nil), deadLetter("a", [1, 3], nil), deadLetter("a", [1, 2, 0], nil),
      deadLetter("a", [], nil), deadLetter("", [], nil),
    ]
    #expect(Set(ids).count == ids.count)
    #expect(deadLetter("a", [1, 2], 1) == ids[2])
  }

  @Test func aReadingsChannelIsItsOperation() {
    var reading = Reading(kind: .storage, device: .absent, gridCode: .absent)
    reading.operation = .discharge
    #expect("\(reading.channel)" == "discharge")
    reading.kind = .production
    #expect("\(reading.channel)" == "")
  }
}
