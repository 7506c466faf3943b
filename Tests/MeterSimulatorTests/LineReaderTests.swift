// Reading lines: every ending, gzip in every state, lines too long to hold.

import Foundation
import MeterSimulator
import Testing

/// The lines of a file with their numbers, up to an error that no line can follow.
private func lines(of file: String) throws -> (read: [String], errors: [CaptureError]) {
  let reader = try LineReader(file: file)
  var read: [String] = []
  var errors: [CaptureError] = []
  while true {
    do {
      guard let line = try reader.next() else { return (read, errors) }
      read.append("\(reader.lineNumber):\(String(decoding: line, as: UTF8.self))")
    } catch let error as CaptureError {
      errors.append(error)
    }
  }
}

/// The gzip file that `CaptureWriter` makes of records with these topics.
private func gzip(topics: [String]) throws -> [UInt8] {
  try withScratchFile("part.ndjson.gz") { file in
    let writer = try CaptureWriter(file: file)
    for topic in topics {
      try writer.write(CaptureRecord(timeMilliseconds: 0, topic: topic, payload: []))
    }
    try writer.close()
    return try contents(of: file)
  }
}

private func line(topic: String) -> String {
  #"{"t_ms":0,"topic":"\#(topic)","qos":1,"payload":""}"#
}

@Suite struct LineReaderTests {
  @Test(
    arguments: [
      ("", []),
      ("\n\n", []),
      ("one", ["1:one"]),
      ("one\n", ["1:one"]),
      ("one\ntwo", ["1:one", "2:two"]),
      ("one\r\n\r\nthree\r\n", ["1:one", "3:three"]),
      ("\none\rtwo\n", ["2:one\rtwo"]),
      ("one\r", ["1:one"]),
    ] as [(String, [String])])
  func everyEndingOfALine(text: String, expected: [String]) throws {
    try withScratchFile("lines.ndjson") { file in
      try write(text.utf8, to: file)
      let (read, errors) = try lines(of: file)
      #expect(read == expected)
      #expect(errors.isEmpty)
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func linesOfAnyLengthSurviveTheBuffer(seed: UInt64) throws {
    var state = seed
    let texts = (0..<200).map { index in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let isLong = index % 40 == 7
      let count = Int(state >> 33) % (isLong ? 3_000_000 : 20_000) + 1
      return String(repeating: "\(index % 10)", count: count)
    }
    try withScratchFile("lines.txt") { file in
      try write(texts.joined(separator: "\n").utf8, to: file)
      let (read, errors) = try lines(of: file)
      #expect(read == texts.enumerated().map { "\($0 + 1):\($1)" })
      #expect(errors.isEmpty)
    }
  }

  @Test func gzipIsKnownByItsBytesAndItsMembersAreJoined() throws {
    try withScratchFile("no-suffix") { file in
      try write(try gzip(topics: ["a", "b"]) + gzip(topics: ["c"]), to: file)
      let (read, errors) = try lines(of: file)
      #expect(read == ["a", "b", "c"].enumerated().map { "\($0 + 1):\(line(topic: $1))" })
      #expect(errors.isEmpty)
    }
  }

  @Test func aPlainFileMayHaveAGzipName() throws {
    try withScratchFile("plain.ndjson.gz") { file in
      try write("one\n".utf8, to: file)
      #expect(try lines(of: file).read == ["1:one"])
    }
  }

  @Test func truncatedGzipIsReportedBehindItsLastWholeLine() throws {
    // Topics that do not compress, so that the cut leaves whole lines in front of it.
    let topics = (0..<20_000).map { "\($0 &* 2_654_435_761 % 4_294_967_291)" }
    let whole = try gzip(topics: topics)
    try withScratchFile("cut.ndjson.gz") { file in
      try write(whole.prefix(whole.count / 2), to: file)
      let (read, errors) = try lines(of: file)
      #expect(read.count > 1_000 && read.count < topics.count)
      #expect(read == topics.prefix(read.count).enumerated().map { "\($0 + 1):\(line(topic: $1))" })
      #expect(errors.map(\.code) == [.truncated])
      #expect(errors.first?.line == read.count + 1)
      let place = "\(file):\(read.count + 1): the gzip data end"
      #expect(errors.first?.description.hasPrefix(place) == true)
    }
  }

  @Test func aWrongChecksumIsReported() throws {
    var bytes = try gzip(topics: ["a"])
    bytes[bytes.count - 5] ^= 1
    try withScratchFile("damaged.gz") { file in
      try write(bytes, to: file)
      let errors = try lines(of: file).errors
      #expect(errors.map(\.code) == [.damaged])
      #expect(errors.first?.detail == "incorrect data check")
    }
  }

  @Test(arguments: ["\n", "\r\n", ""])
  func aLineThatIsTooLongIsReportedAndSkipped(ending: String) throws {
    let limit = LineReader.maximumLineBytes
    let filler = [UInt8](repeating: UInt8(ascii: "x"), count: 2 * limit + 1)
    var bytes = Array("one\n".utf8) + filler.prefix(limit) + Array("\r\n".utf8)
    for count in [limit + 1, limit + 2, 2 * limit + 1] {
      bytes += filler.prefix(count) + Array("\nnext\n".utf8)
    }
    bytes += filler.prefix(limit + 5) + Array(ending.utf8)
    try withScratchFile("long.txt") { file in
      try write(bytes, to: file)
      let (read, errors) = try lines(of: file)
      #expect(read.map(\.utf8.count) == [5, limit + 2, 6, 6, 6])
      #expect(read.suffix(3) == ["4:next", "6:next", "8:next"])
      #expect(errors.map(\.code) == Array(repeating: .lineTooLong, count: 4))
      #expect(errors.map(\.line) == [3, 5, 7, 9])
    }
  }

  @Test func bytesBehindALineAreReadable() throws {
    try withScratchFile("lines.txt") { file in
      // Fills the first block to its last byte.
      try write(Array(repeating: UInt8(ascii: "x"), count: 1 << 20), to: file)
      let reader = try LineReader(file: file)
      let line = try #require(try reader.next())
      let padded = UnsafeRawBufferPointer(
        start: line.baseAddress, count: line.count + LineReader.padding)
      #expect(padded.suffix(LineReader.padding).allSatisfy { $0 == 0 })
    }
  }

  @Test func aMissingFileIsNamed() throws {
    try withScratchFile("missing.ndjson") { file in
      #expect {
        try LineReader(file: file)
      } throws: {
        "\($0)" == "\(file): cannot be opened: No such file or directory"
      }
    }
  }

  @Test func aFolderIsNoFile() throws {
    let folder = FileManager.default.temporaryDirectory.path
    let errors = try lines(of: folder).errors
    #expect(errors.map(\.code) == [.cannotRead])
    #expect(errors.first?.description == "\(folder):1: cannot be read: Is a directory")
  }
}
