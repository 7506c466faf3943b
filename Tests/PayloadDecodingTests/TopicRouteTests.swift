// Topics: which message is whose, and which is nobody's.

import EnergyReadings
import PayloadDecoding
import Testing

@Suite struct TopicRouteTests {
  @Test(arguments: [
    "gridtokenx/v1/BKK-07/heat/x-1", "gridtokenx/v1/short", "gridtokenx/v1/BKK-07/consumption",
    "gridtokenx/v1/BKK-07/consumption/", "gridtokenx/v1//consumption/m-1",
    "gridtokenx/v1/BKK-07/consumption/m-1/extra", "gridtokenx/v1/BKK-07/consumption/m-1/",
    "/gridtokenx/v1/BKK-07/consumption/m-1", "gridtokenx/v2/BKK-07/consumption/m-1",
    "Gridtokenx/v1/BKK-07/consumption/m-1", "gridtokenx/v1/BKK-07/Consumption/m-1",
    "gridtokenx/v1/BKK-07/consumptions/m-1", "", "/", "////", "gridtokenx", "gridtokenx/v1",
    "a/b/c/d/e/f/g/h/i", "gridtokenx/ami/telemetry", "gridtokenx/ami/telemetry/",
    "gridtokenx/ami/telemetry/m/x/y", "gridtokenx/ami/telemetry/m/xml",
    "gridtokenx/ami/grid/status",
    "gridtokenx/v1/ingestor", "gridtokenx/v1/ingestor/one", "gridtokenx/v1/ingestor/one/alive",
    "gridtokenx/v2/ingestor/one/status",
  ])
  func unknownTopics(topic: String) {
    let outcome = decode(reading(), on: topic)
    #expect(outcome.verdict == "unknown_topic ")
    #expect(outcome.rejectedKinds == [nil])
    #expect(outcome.rejectedTexts == [reading()])
  }

  @Test func ownTopics() throws {
    for kind in ReadingKind.allCases {
      let outcome = decode(reading(kind), on: "gridtokenx/v1/เขต-1/\(kind)/มิเตอร์ 7")
      let reading = try #require(outcome.readings.first)
      #expect(reading.kind == kind)
      #expect(outcome.text(reading.gridCode) == "เขต-1")
      #expect(outcome.text(reading.device) == "มิเตอร์ 7")
    }
  }

  @Test(arguments: ["online", "offline", "", "{"])
  func whatIngestorsSayOfThemselvesIsNoReading(payload: String) {
    let outcome = decode(payload, on: "gridtokenx/v1/ingestor/meter-ingestor-0/status")
    #expect(outcome.readings.isEmpty && outcome.rejections.isEmpty)
  }

  /// Only the status topic is passed over: a meter in a grid code of that name is heard.
  @Test func aGridCodeNamedIngestorIsNotSilenced() {
    #expect(decode(reading(), on: "gridtokenx/v1/ingestor/consumption/m-1").verdict == "ok")
  }

  @Test func idsAreCountedInCharacters() {
    func verdict(_ gridCode: String, _ device: String) -> String {
      decode(reading(), on: "gridtokenx/v1/\(gridCode)/consumption/\(device)").verdict
    }
    for character in ["x", "é", "ไ", "🔋"] {
      func text(_ count: Int) -> String { String(repeating: character, count: count) }
      #expect(verdict("BKK-07", text(100)) == "ok")
      #expect(verdict("BKK-07", text(101)) == "out_of_range topic")
      #expect(verdict(text(20), "m-1") == "ok")
      #expect(verdict(text(21), "m-1") == "out_of_range topic")
    }
    #expect(
      decode("{}", on: "gridtokenx/ami/telemetry/" + String(repeating: "é", count: 101)).verdict
        == "out_of_range topic")
  }

  @Test(arguments: ["\u{0}", "\n", "\u{1F}", "\u{7F}"])
  func controlCharactersInIDs(character: String) {
    for topic in [
      "gridtokenx/v1/BKK-07/consumption/m\(character)1",
      "gridtokenx/v1/B\(character)K/consumption/m-1", "gridtokenx/ami/telemetry/m\(character)",
    ] {
      #expect(decode(reading(), on: topic).verdict == "out_of_range topic")
    }
  }

  @Test func theTopicIsJudgedBeforeThePayload() {
    #expect(decode("", on: "nowhere").verdict == "unknown_topic ")
    let long = "gridtokenx/v1/BKK-07/consumption/" + String(repeating: "x", count: 101)
    #expect(decode("", on: long).verdict == "out_of_range topic")
  }
}
