// The captures of `fixtures/formats`: what publishers publish, and what a decoder must make of it.
//
// What each line says in `comment` is worked out by `expected.py` beside them, from the documented
// shapes and with no line of this program.

import EnergyReadings
import Foundation
import PayloadDecoding
import Testing

/// One line of a capture.
struct HeardLine: Decodable {
  var topic: String
  var payload: String?
  /// Where it is not UTF-8.
  var payload64: Data?
  /// What becomes of it: the lines of an outcome, `; ` between them.
  var comment: String

  var bytes: [UInt8] { payload.map { Array($0.utf8) } ?? payload64.map(Array.init) ?? [] }

  enum CodingKeys: String, CodingKey {
    case topic, payload, comment
    case payload64 = "payload_b64"
  }

  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "fixtures/formats")

  static func all(of format: String) throws -> [HeardLine] {
    let text = try String(
      contentsOf: folder.appending(path: "\(format).ndjson"), encoding: .utf8)
    return try text.split(separator: "\n").map {
      try JSONDecoder().decode(HeardLine.self, from: Data($0.utf8))
    }
  }

  /// Names of the captures.
  static let captures: [String] =
    (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?
    .filter { $0.hasSuffix(".ndjson") }.map { String($0.dropLast(".ndjson".count)) }.sorted() ?? []
}

@Suite struct FixtureTests {
  /// All formats are configured at once: none stands in the way of another.
  @Test(arguments: HeardLine.captures) func everyLineBecomesWhatItSays(format: String) throws {
    let decoder = try SourcedDecoder(
      String(contentsOf: HeardLine.folder.appending(path: "sources.yaml"), encoding: .utf8))
    let heard = try HeardLine.all(of: format)
    #expect(!heard.isEmpty)
    var skipped = 0
    for message in heard {
      let outcome = decoder.decode(message.bytes, on: message.topic)
      skipped += outcome.skipped
      #expect(outcome.lines.joined(separator: "; ") == message.comment, "\(message.topic)")
    }
    let expected = try String(
      contentsOf: HeardLine.folder.appending(path: "\(format).expected.csv"), encoding: .utf8)
    #expect(expected.contains("\ncount,skipped,\(skipped),"))
  }

  /// A mapping needs no more than its name.
  @Test(arguments: SourceFile.readyMappings) func twoWordsAreEnough(format: String) throws {
    let decoder = try SourcedDecoder("- format: \(format)")
    for message in try HeardLine.all(of: format) {
      let lines = decoder.decode(message.bytes, on: message.topic).lines
      #expect(lines.joined(separator: "; ") == message.comment, "\(message.topic)")
    }
  }

  /// Besides the formats, GridTokenX's JSON, which is always there, and mappings of a user's own.
  @Test func noCaptureIsLeftOut() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: HeardLine.folder.path)
      .filter { !$0.hasSuffix(".py") && $0 != "__pycache__" }
    let formats = SourceFile.decoders + SourceFile.readyMappings + ["gridtokenx-ami", "mapping"]
    #expect(
      Set(files)
        == Set(
          formats.flatMap { ["\($0).ndjson", "\($0).expected.csv"] }
            + ["sources.yaml", "registry.json"]))
  }
}
