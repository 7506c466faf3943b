// The list of nodes that simdjson's document becomes: right slices, right links, and exactly the
// documents that RFC 8259 allows, by comparison with Foundation.

import EnergyReadings
import Foundation
import PayloadDecoding
import SeededRandom
import Testing

/// A parsed document with what it stands in.
private final class Document {
  var arena = ByteArena()
  let parser: JSONParser
  let error: JSONError?

  /// - Parameter tail: what stands behind the document, as in a batch.
  init(
    _ bytes: [UInt8], _ parser: JSONParser = JSONParser(), tail: StaticString = "\"}]}",
    checksEscapes: Bool = true
  ) {
    self.parser = parser
    _ = arena.append("{\"")
    let text = arena.append(bytes.span)
    _ = arena.append(tail)
    do throws(JSONError) {
      try parser.parse(text, in: &arena, checksEscapes: checksEscapes)
      error = nil
    } catch {
      self.error = error
    }
  }

  func text(_ slice: ByteSlice) -> String { arena.string(slice) }

  /// The JSON text of the node at `index`, a string with its quotes.
  func source(_ index: Int) -> String {
    let text = text(parser[index].value)
    return parser[index].kind == .string ? "\"\(text)\"" : text
  }
}

/// Foundation's opinion; it reads fragments too.
private func foundation(_ bytes: [UInt8]) -> Any? {
  try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
}

@Suite struct JSONParserTests {
  @Test func nodesOfANestedDocument() throws {
    let text = #" {"a":[1, {"b" : "x\"y"} ,[ ],true], "c\n":null,"d":{} ,"e":-1.5E+3} "#
    let document = Document(Array(text.utf8))
    try #require(document.error == nil)
    let nodes = (0..<document.parser.count).map { document.parser[$0] }
    #expect(
      nodes.map(\.kind) == [
        .object, .array, .number, .object, .string, .array, .true, .null, .object, .number,
      ])
    #expect(
      nodes.indices.map(document.source) == [
        text.trimmingCharacters(in: .whitespaces), #"[1, {"b" : "x\"y"} ,[ ],true]"#, "1",
        #"{"b" : "x\"y"}"#, #""x\"y""#, "[ ]", "true", "null", "{}", "-1.5E+3",
      ])
    #expect(nodes.map(\.next) == [10, 7, 3, 5, 5, 6, 7, 8, 9, 10])
    #expect(
      nodes.map { document.text($0.key) } == ["", "a", "", "", "b", "", "", #"c\n"#, "d", "e"])
    #expect(nodes.indices.filter { nodes[$0].hasEscapes } == [4])
    #expect(nodes.indices.filter { nodes[$0].keyHasEscapes } == [7])
    #expect(Array(document.parser.members(of: 0)) == [1, 7, 8, 9])
    #expect(Array(document.parser.members(of: 1)) == [2, 3, 5, 6])
    #expect(Array(document.parser.members(of: 8)) == [])
  }

  @Test func stringsOfEveryLength() throws {
    for length in 0..<100 {
      let text = String(repeating: "ab", count: length).prefix(length)
      for tail in ["", #"\\"#, #"\""#, #"\u0041"#] {
        let document = Document(Array("[\"\(text)\(tail)\",\"\(text)\"]".utf8))
        try #require(document.error == nil)
        #expect(document.source(1) == "\"\(text)\(tail)\"")
        #expect(document.source(2) == "\"\(text)\"")
        #expect(document.parser[1].hasEscapes != tail.isEmpty)
      }
    }
  }

  static let errors: [(String, JSONError.Code)] = [
    ("", .empty), (" \n", .empty), ("{} {}", .trailing), ("1 2", .trailing), ("[01]", .badNumber),
    ("[1.]", .badNumber), ("[\"\\x\"]", .badString), ("{\"\\uD800\":1}", .badString),
    ("{\"a\":}", .syntax), ("[1}", .syntax), ("[tru]", .syntax), ("nul", .syntax),
  ]

  /// What is copied in blocks is what the parser makes of it, wherever an escape falls, and what it does
  /// not read is left to the parser.
  @Test func plainStringsAreCopiedAsTheParserReadsThem() throws {
    var random = SeededGenerator(seed: 0x5717)
    let plain = [
      "a", "{", "longer than a block of sixteen", #"\""#, #"\""#, #"\""#, #"\\"#, #"\n"#, #"\/"#,
    ]
    let others = [#"\u0041"#, "ไ", #"\x"#, "\u{1}"]
    var (copied, left) = (0, 0)
    for _ in 0..<20_000 {
      let isPlain = random.oneIn(2)
      let text = (0..<random.number(0...40)).map { _ in
        isPlain || !random.oneIn(20) ? random.element(of: plain) : random.element(of: others)
      }.joined()
      let bytes = Array("\"\(text)\"".utf8)
      let document = Document(bytes, checksEscapes: false)
      let line = bytes + Array(repeating: UInt8(ascii: "\\"), count: JSONParser.padding)
      let copy = copyPlainString(
        of: line.span.extracting(0..<bytes.count), from: 1, to: &document.arena)
      if let copy {
        try #require(document.error == nil, "\(text)")
        let whole = document.parser[0]
        let expected = document.parser.unescaped(whole.value, in: &document.arena)
        #expect(document.text(copy.text) == document.text(expected), "\(text)")
        #expect(copy.next == bytes.count, "\(text)")
        copied += 1
      } else {
        #expect(!isPlain, "\(text)")
        left += 1
      }
    }
    #expect(copied > 10_000 && left > 2_000, "\(copied) \(left)")
  }

  @Test(arguments: errors)
  func errorsAreTold(text: String, code: JSONError.Code) throws {
    let document = Document(Array(text.utf8))
    let error = try #require(document.error)
    #expect(error.code == code)
    #expect((0...text.utf8.count).contains(error.offset), "\(error.offset)")
    #expect(document.parser.count == 0)
  }

  /// A value that only begins behind the document is none of it, and looking for its end would lead
  /// out of the arena: it is a cut document, whatever is wrong with that value.
  @Test(arguments: ["[", "[1,", "{\"a\":", "{\"a\": ", "[[1],", "{\"a\":{\"b\":"])
  func whatStandsBehindADocumentIsNotLookedAt(text: String) {
    for tail in [#""\x""#, "01", #""\uD800""#, "\"", "[01]", #"{"\x":1}"#] as [StaticString] {
      #expect(Document(Array(text.utf8), tail: tail).error?.code == .syntax, "\(tail)")
    }
  }

  @Test func depthAndUTF8AreTold() {
    let deep = String(repeating: "[", count: 33) + String(repeating: "]", count: 33)
    #expect(Document(Array(deep.utf8)).error?.code == .tooDeep)
    #expect(Document(Array("[\"".utf8) + [0xFF] + Array("\"]".utf8)).error?.code == .invalidUTF8)
  }

  @Test func twoThousandRandomDocumentsHaveTheirValuesInTheirSlices() throws {
    var random = SeededGenerator(seed: 0x15)
    let parser = JSONParser()
    for _ in 0..<2_000 {
      let text = RandomJSON.document(using: &random)
      let document = Document(Array(text.utf8), parser)
      #expect(document.error == nil, "\(text)")
      guard document.error == nil else { continue }
      let whole = try #require(foundation(Array(text.utf8)) as? NSObject)
      #expect(try value(0, of: document) as? NSObject == whole, "\(text)")
    }
  }

  /// The value at `index`: containers built from their members, every scalar read by Foundation
  /// from its slice; containers' own slices are read as well and must say the same.
  private func value(_ index: Int, of document: Document) throws -> Any {
    let node = document.parser[index]
    let slice = try #require(foundation(Array(document.source(index).utf8)))
    switch node.kind {
    case .array:
      var array: [Any] = []
      for member in document.parser.members(of: index) {
        array.append(try value(member, of: document))
      }
      #expect(array as NSArray == slice as? NSArray)
      return array
    case .object:
      var object: [String: Any] = [:]
      for member in document.parser.members(of: index) {
        let quoted = "\"\(document.text(document.parser[member].key))\""
        let key = try #require(foundation(Array(quoted.utf8)) as? String)
        object[key] = try value(member, of: document)
      }
      #expect(object as NSDictionary == slice as? NSDictionary)
      return object
    default: return slice
    }
  }

  @Test func mutatedDocumentsAreAcceptedOnlyWhereFoundationAcceptsThem() {
    var random = SeededGenerator(seed: 0xF022)
    let parser = JSONParser()
    var accepted = 0
    for _ in 0..<20_000 {
      let original = Array(RandomJSON.document(using: &random).utf8)
      let bytes = Mutation.of(original, using: &random)
      // Foundation refuses numbers that a Double cannot hold; RFC 8259 does not.
      let text = String(decoding: bytes, as: UTF8.self)
      if text.contains(/[eE][+-]?[0-9]{3,}/) { continue }
      guard Document(bytes, parser).error == nil else { continue }
      accepted += 1
      #expect(
        foundation(bytes) != nil, "\(String(decoding: bytes, as: UTF8.self).debugDescription)")
    }
    // Neither a parser that accepts nothing nor a mutator that breaks nothing would tell anything.
    #expect((1_000...15_000).contains(accepted), "\(accepted)")
  }
}

@Suite struct HostilePayloadTests {
  private static let valid: [(payload: String, topic: String)] = [
    (
      reading(.production, #""energy_source":"so\u006car","location":{"grid_code":"B"}"#),
      Topics.production
    ),
    (reading(.consumption, #""appliance_breakdown":{"tv":0.1},"sequence":7"#), Topics.consumption),
    (reading(.storage, #""price_per_unit":2.5,"storage_id":"b-1""#), Topics.storage),
    ("[\(reading()),\(reading())]", Topics.consumption),
    ("\(reading())\n\(reading())\n", Topics.consumption),
    (#"{"timestamp":"2026-06-10T07:00:00","energy_generated":1,"energy_consumed":2}"#, Topics.ami),
  ]

  /// No mutation crashes the decoder or vanishes: every payload gives readings or rejections, and
  /// whatever reading it gives stands in JSON that Foundation takes too.
  @Test func twoHundredThousandMutatedPayloads() {
    var random = SeededGenerator(seed: 0xBAD)
    let decoder = PayloadDecoder()
    var arena = ByteArena()
    var decoded = DecodedReadings()
    var accepted = 0
    for _ in 0..<200_000 {
      let sample = random.element(of: Self.valid)
      let payload = Mutation.of(Array(sample.payload.utf8), using: &random)
      arena.removeAll()
      let topic = Array(sample.topic.utf8)
      let message = Message(
        topic: arena.append(topic.span), payload: arena.append(payload.span),
        receivedAt: Timestamp(microseconds: 0))
      decoder.decode(message, in: &arena, into: &decoded)
      if decoded.accepted.isEmpty, decoded.rejected.isEmpty {
        Issue.record("nothing came of \(String(decoding: payload, as: UTF8.self))")
      }
      accepted += decoded.accepted.isEmpty ? 0 : 1
      for reading in decoded.accepted {
        let bytes = Array(arena.bytes[reading.place.text.range])
        if foundation(bytes) == nil {
          Issue.record("taken from no JSON: \(String(decoding: bytes, as: UTF8.self))")
        }
      }
    }
    #expect((10_000...150_000).contains(accepted), "\(accepted)")
  }
}
