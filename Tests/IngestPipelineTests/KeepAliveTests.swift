// Which GX devices are told that somebody listens, and when.

import IngestPipeline
import PayloadDecoding
import Testing

@Suite struct KeepAliveTests {
  private func table(_ yaml: String) throws -> SourceTable {
    try SourceFile.table(yaml: yaml, name: "sources.yaml")
  }

  /// The filters that are added, and those that end.
  private func follow(_ yaml: String, _ keepAlives: inout KeepAlives) throws -> [String] {
    let filters = keepAlives.follow(try table(yaml))
    return filters.added.map { "+ \($0)" } + filters.ended.map { "- \($0)" }
  }

  private func hear(_ topic: String, _ keepAlives: inout KeepAlives) -> Bool {
    var isFound = false
    Array(topic.utf8).withUnsafeBytes { isFound = keepAlives.hear($0) }
    return isFound
  }

  /// Topic and payload of what is due, sorted.
  private func due(
    _ keepAlives: inout KeepAlives, after seconds: Int, _ start: ContinuousClock.Instant
  ) -> [String] {
    keepAlives.due(start + .seconds(seconds)).map {
      "\($0.topic) \(String(decoding: $0.payload, as: UTF8.self))"
    }.sorted()
  }

  @Test func aDeviceIsFoundAndToldAgainAndAgain() throws {
    var keepAlives = KeepAlives()
    let start = ContinuousClock.now
    #expect(try follow("- format: victron", &keepAlives) == ["+ N/+/system/0/Serial"])
    #expect(due(&keepAlives, after: 0, start) == [])
    #expect(hear("N/c0619ab1/system/0/Serial", &keepAlives))
    #expect(!hear("N/b0/grid/30/Ac/Energy/Forward", &keepAlives))
    #expect(!hear("N/b0", &keepAlives))
    for topic in ["N//x", "N/a+b/x", "N", "tele/N/x", "N/\(String(repeating: "a", count: 33))/x"] {
      #expect(!hear(topic, &keepAlives))
    }
    let changes = #"{"keepalive-options":["suppress-republish"]}"#
    // All that it knows at first, then changes.
    #expect(due(&keepAlives, after: 1, start) == ["R/b0/keepalive ", "R/c0619ab1/keepalive "])
    #expect(due(&keepAlives, after: 30, start) == [])
    #expect(
      due(&keepAlives, after: 31, start)
        == ["R/b0/keepalive \(changes)", "R/c0619ab1/keepalive \(changes)"])
    // On a new connection again all, and the search begins anew.
    keepAlives.reset()
    #expect(try follow("- format: victron", &keepAlives) == ["+ N/+/system/0/Serial"])
    #expect(due(&keepAlives, after: 33, start) == ["R/b0/keepalive ", "R/c0619ab1/keepalive "])
  }

  /// Another root, and then none: what finds nobody any more is not listened to.
  @Test func theFiltersFollowTheSources() throws {
    var keepAlives = KeepAlives()
    _ = keepAlives.follow(try table("- format: victron"))
    #expect(
      try follow("- {format: victron, root: house/N}", &keepAlives)
        == ["+ house/N/+/system/0/Serial", "- N/+/system/0/Serial"])
    #expect(
      try follow("- format: opendtu", &keepAlives) == ["- house/N/+/system/0/Serial"])
  }

  @Test func aPortalThatTheSourceNamesIsToldUnheard() throws {
    var keepAlives = KeepAlives()
    let start = ContinuousClock.now
    let yaml = """
      - {topic: site/7/N/c0619ab1/grid/30/Ac/Energy/Forward, device: g, value: /value, unit: kWh,
         kind: consumption, keep_alive: true}
      """
    #expect(try follow(yaml, &keepAlives) == [])
    #expect(due(&keepAlives, after: 1, start) == ["site/7/R/c0619ab1/keepalive "])
    // Sources that are gone need nothing.
    #expect(try follow("- format: opendtu", &keepAlives) == [])
    #expect(due(&keepAlives, after: 40, start) == [])
  }

  @Test func itCanBeSwitchedOffAndHasToMakeSense() throws {
    #expect(try table("- {format: victron, keep_alive: false}").keepAlives.isEmpty)
    #expect(try table("- format: victron\n- format: victron-pv").keepAlives.count == 1)
    for yaml in [
      "- {format: victron, root: house}",
      "- {topic: \"N/#\", device: g, value: /value, unit: kWh, kind: consumption, keep_alive: true}",
    ] {
      let error = #expect(throws: SourceFileError.self) { try table(yaml) }
      #expect(error?.problem.key == "keep_alive")
    }
  }

  /// Anybody may publish names.
  @Test func theirNumberIsBounded() throws {
    var keepAlives = KeepAlives()
    _ = keepAlives.follow(try table("- format: victron"))
    for number in 0..<12_000 { _ = hear("N/p\(number)/x", &keepAlives) }
    #expect(keepAlives.due(.now + .seconds(5)).count == 10_000)
  }
}
