// The captures of `fixtures/formats`: what publishers publish, and what must become of it.

import EnergyReadings
import Foundation
import PayloadDecoding
import Testing

/// One line of a capture.
private struct Heard: Decodable {
  var topic: String
  var payload: String?
  /// Where it is not UTF-8.
  var payload64: Data?
  /// What becomes of it, worked out by hand: the lines of an outcome, `; ` between them.
  var comment: String

  var bytes: [UInt8] { payload.map { Array($0.utf8) } ?? payload64.map(Array.init) ?? [] }

  enum CodingKeys: String, CodingKey {
    case topic, payload, comment
    case payload64 = "payload_b64"
  }
}

@Suite struct FixtureTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "fixtures/formats")

  private static func heard(_ format: String) throws -> [Heard] {
    let text = try String(
      contentsOf: folder.appending(path: "\(format).ndjson"), encoding: .utf8)
    return try text.split(separator: "\n").map {
      try JSONDecoder().decode(Heard.self, from: Data($0.utf8))
    }
  }

  /// All formats are configured at once: none stands in the way of another.
  @Test(arguments: SourceFile.decoders + SourceFile.readyMappings)
  func everyLineBecomesWhatItSays(format: String) throws {
    let decoder = try SourcedDecoder(
      String(contentsOf: Self.folder.appending(path: "sources.yaml"), encoding: .utf8))
    let heard = try Self.heard(format)
    #expect(!heard.isEmpty)
    for message in heard {
      let lines = decoder.decode(message.bytes, on: message.topic).lines
      #expect(lines.joined(separator: "; ") == message.comment, "\(message.topic)")
    }
  }

  /// A mapping needs no more than its name.
  @Test(arguments: SourceFile.readyMappings) func twoWordsAreEnough(format: String) throws {
    let decoder = try SourcedDecoder("- format: \(format)")
    for message in try Self.heard(format) {
      let lines = decoder.decode(message.bytes, on: message.topic).lines
      #expect(lines.joined(separator: "; ") == message.comment, "\(message.topic)")
    }
  }

  @Test func noCaptureIsLeftOut() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
    let formats = SourceFile.decoders + SourceFile.readyMappings
    #expect(Set(files) == Set(formats.map { "\($0).ndjson" } + ["sources.yaml"]))
  }
}
