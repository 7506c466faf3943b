// Topic filters: what is one, which two overlap, and which source a topic finds.

import EnergyReadings
import PayloadDecoding
import SeededRandom
import Testing

@Suite struct TopicFilterTests {
  @Test(arguments: [
    ("tele/{device}/SENSOR", "tele/+/SENSOR"), ("N/{portal}/#", "N/+/#"),
    ("+/events/rpc", "+/events/rpc"),
    ("#", "#"), ("/", "/"), ("a//{x}", "a//+"), ("$SYS/broker", "$SYS/broker"),
    ("มิเตอร์/+", "มิเตอร์/+"),
  ])
  func subscriptions(text: String, subscription: String) throws {
    #expect(try TopicFilter(text).subscription == subscription)
  }

  @Test(arguments: [
    "", "a/#/b", "a/b#", "a+/b", "{}/a", "{a}/{a}", "x{device}/a", "{device", "$share/g/a",
    "a/\u{0}",
    "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17",
  ])
  func noFilters(text: String) {
    #expect { try TopicFilter(text) } throws: { error in
      (error as? SourceProblem)?.key == "topic"
    }
  }

  @Test(arguments: [
    ("a/b", "a/b", true), ("a/b", "a/c", false), ("a/+", "a/c", true), ("a/#", "a", true),
    ("a/#", "a/b/c", true), ("#", "a", true), ("#", "$SYS/a", false), ("+/a", "$SYS/a", false),
    ("$SYS/+", "$SYS/a", true), ("a/+/c", "+/b/c", true), ("a/+/c", "+/b/d", false),
    ("a/+", "a/b/c", false), ("a/{x}", "{y}/b", true), ("a", "a/", false), ("+/+", "/", true),
  ])
  func overlaps(first: String, second: String, overlap: Bool) throws {
    let (first, second) = (try TopicFilter(first), try TopicFilter(second))
    #expect(first.overlaps(second) == overlap)
    #expect(second.overlaps(first) == overlap)
  }

  /// Among random filters that do not overlap, each random topic finds the one source that matches it
  /// by the words of the MQTT specification, and two that overlap are told from two that do not.
  @Test(arguments: 1...20) func theTableFindsWhatTheSpecificationSays(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let words = ["a", "b", "$s", ""]
    func level() -> String { words.randomElement(using: &random) ?? "" }
    func topic() -> [String] { (0..<Int.random(in: 1...4, using: &random)).map { _ in level() } }
    var filters: [[String]] = []
    for _ in 0..<60 {
      var levels = topic().map { Int.random(in: 0..<3, using: &random) == 0 ? "+" : $0 }
      if Int.random(in: 0..<4, using: &random) == 0 { levels.append("#") }
      if levels.joined(separator: "/").isEmpty { continue }
      let new = try TopicFilter(levels.joined(separator: "/"))
      let others = filters.map { $0.joined(separator: "/") } + TopicRoute.defaultFilters
      let isFree = try others.allSatisfy { try !TopicFilter($0).overlaps(new) }
      if isFree { filters.append(levels) }
    }
    let yaml = filters.enumerated().map { number, levels in
      "- {topic: \"\(levels.joined(separator: "/"))\", device: \"s\(number)\", register: r, "
        + "payload: number, unit: Wh, kind: consumption}"
    }
    let decoder = try SourcedDecoder(yaml.joined(separator: "\n"))
    for _ in 0..<2_000 {
      let topic = topic()
      let matching = filters.indices.filter { matches(topic, filters[$0]) }
      #expect(matching.count <= 1, "\(topic) matches \(matching.map { filters[$0] })")
      let expected = matching.first.map { "s\($0) r register 1000 consumption arrival" }
      #expect(
        decoder.lines("1", on: topic.joined(separator: "/")) == [expected ?? "unknown_topic "])
    }
  }

  /// MQTT 5.0, section 4.7, word by word.
  private func matches(_ topic: [String], _ filter: [String]) -> Bool {
    if topic[0].hasPrefix("$"), ["+", "#"].contains(filter[0]) { return false }
    for (index, level) in filter.enumerated() {
      if level == "#" { return true }
      guard index < topic.count, level == "+" || level == topic[index] else { return false }
    }
    return topic.count == filter.count
  }
}
