// Formats of sources, and the file that lists them: whatever arrives can be stored or explained.

import EnergyReadings
import Foundation
import MeterSimulator
import PayloadDecoding

extension FuzzTarget {
  /// - Parameters:
  ///   - captures: files of `fixtures/formats` whose payloads mutation begins with.
  ///   - words: what means something to the format.
  ///   - others: topics of the sources that the captures lack.
  static func sourced(
    _ captures: [String], words: [String], others: [String] = []
  ) throws -> FuzzTarget {
    let decoding = Decoding(sources: try allSources())
    var payloads: Set<[UInt8]> = []
    var topics = Set(others.map { Array($0.utf8) })
    for capture in captures {
      try Fixtures.forEachMessage(of: "formats/\(capture).ndjson") { topic, payload in
        topics.insert(topic)
        payloads.insert(payload)
      }
    }
    // Of one format eight topics are enough; each format of several has its own.
    let sorted = topics.sorted { $0.lexicographicallyPrecedes($1) }
      .prefix(captures.count == 1 ? 8 : topics.count)
    return FuzzTarget(
      corpus: payloads.sorted { $0.lexicographicallyPrecedes($1) }, dictionary: words + common
    ) { input in
      var outcome = Hasher()
      for topic in sorted { try decoding.decode(input, on: topic, &outcome) }
      return outcome.finalize()
    }
  }

  /// A file of sources becomes a table, or an error that says where and why.
  static func sourceFile() throws -> FuzzTarget {
    let file = try String(contentsOfFile: Fixtures.path("formats/sources.yaml"), encoding: .utf8)
    let entry = """
      - topic: "a/{device}/+"
        payload: json
        where: {/m: x}
        device: /id
        devices: {a: b}
        unit: kWh
        time: [/t, "local:Europe/Berlin"]
        values:
          - {value: [/a, /b/0], scale: 0.1, mode: net_register, kind: charge, kind_negative: discharge}
      """
    let words = [
      "topic:", "format:", "device:", "value:", "unit: Wh", "kind: consumption", "mode: power",
      "scale: 1e-6", "max_kw: 1", "digits: 6", "time: arrival", "payload: csv", "zone: UTC", "- ",
      "{device}", "#", "+", "/", "{", "}", "[", "]", "&a", "*a", "|", "\"", "\n", "\n  ", "\t", "~",
    ]
    return FuzzTarget(corpus: [file, entry].map { Array($0.utf8) }, dictionary: words) { input in
      var outcome = Hasher()
      do throws(SourceFileError) {
        let table = try SourceFile.table(yaml: String(decoding: input, as: UTF8.self), name: "s")
        outcome.combine(min(table.sources.count, 8))
      } catch {
        guard error.description.hasPrefix("s:"), !error.problem.problem.isEmpty else {
          throw FuzzFinding("a mistake that is not explained: \(error)")
        }
        outcome.combine(error.problem.key.prefix(12))
        outcome.combine(error.problem.problem.prefix(8))
      }
      return outcome.finalize()
    }
  }

  private static func allSources() throws -> SourceTable {
    try SourceFile.table(
      yaml: String(contentsOfFile: Fixtures.path("formats/sources.yaml"), encoding: .utf8),
      name: "sources.yaml")
  }

  private static let common = [
    "null", "true", "NaN", "-Infinity", "{}", "[]", "[", "]", "{", "}", ",", ":", "\"", "0", "-1",
    "1e400", "1e-400", "999999999999", "0.0000005", "\"unavailable\"", "\"\"", "1781078460", "1.61",
    "\"2026-10-25T02:30:00\"", "\"1970-01-01T00:00:07\"", #"\u0000"#, #"\ud800"#, "\u{0}", "é",
  ]
}
