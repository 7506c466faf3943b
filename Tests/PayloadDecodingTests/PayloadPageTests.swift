// Payloads as people read them: exact, marked where it matters, bounded, harmless for a terminal.

import PayloadDecoding
import SeededRandom
import Testing

private func page(
  _ payload: String, _ path: String = "", index: Int32? = nil, note: String = "why",
  limits: PrintLimits = .none
) -> [String] {
  PayloadPage(Array(payload.utf8), path: path, index: index, note: note, limits: limits)
    .lines.map(\.text)
}

@Suite struct PayloadPageTests {
  @Test func jsonIsIndentedAndOtherwiseAsItCame() {
    #expect(
      page(#"{"b":1.50e+2 ,"a":[true,null,{}],"e":[ ],"k\u0041":"x\u00e9é\/","z":-0}"#) == [
        #"{"#,
        #"  "b": 1.50e+2,"#,
        #"  "a": ["#,
        #"    true,"#,
        #"    null,"#,
        #"    {}"#,
        #"  ],"#,
        #"  "e": [],"#,
        #"  "k\u0041": "x\u00e9é\/","#,
        #"  "z": -0"#,
        #"}"#,
      ])
    #expect(page("42") == ["42"])
  }

  @Test func theOffendingValueIsMarked() {
    let lines = PayloadPage(
      Array(#"{"timestamp":1,"location":{"lat":"north","lon":2}}"#.utf8), path: "$.location.lat",
      note: "wrong_type"
    ).lines
    #expect(
      lines.map(\.text) == [
        #"{"#,
        #"  "timestamp": 1,"#,
        #"  "location": {"#,
        #"    "lat": "north","#,
        #"           ^^^^^^^ wrong_type"#,
        #"    "lon": 2"#,
        #"  }"#,
        #"}"#,
      ])
    #expect(lines.map(\.role) == [.plain, .plain, .plain, .marked, .note, .plain, .plain, .plain])
  }

  /// What a path marks: the lines with an arrow, and the line before each.
  struct Mark: Sendable {
    var payload: String
    var path: String
    var index: Int32?
    var expected: [String]
  }

  static let marks = [
    Mark(
      payload: #"{"a":1}"#, path: "$.energy_amount",
      expected: ["{", "^ missing here: energy_amount (why)"]),
    Mark(
      payload: #"{"location":{}}"#, path: "$.location.lat",
      expected: [#"  "location": {}"#, "              ^ missing here: lat (why)"]),
    Mark(
      payload: #"{"location":7}"#, path: "$.location.lat",
      expected: [#"  "location": 7"#, "              ^ missing here: lat (why)"]),
    Mark(payload: "[1,2]", path: "$[5].x", expected: ["[", "^ missing here: [5].x (why)"]),
    Mark(payload: "[1,2]", path: "$[-1]", expected: ["[", "^ missing here: [-1] (why)"]),
    Mark(
      payload: "[1,2]", path: "$[99999999999999999999]",
      expected: ["[", "^ missing here: [99999999999999999999] (why)"]),
    Mark(payload: #"[1,{"x":2}]"#, path: "$[1].x", expected: [#"    "x": 2"#, "         ^ why"]),
    // A letter about one of several readings holds that one alone, even where it is an array.
    Mark(payload: #"{"x":2}"#, path: "$[3].x", index: 3, expected: [#"  "x": 2"#, "       ^ why"]),
    Mark(payload: "[[1]]", path: "$[0]", index: 0, expected: ["[", "^ why"]),
    Mark(payload: "[5]", path: "$[0]", expected: ["  5", "  ^ why"]),
    Mark(payload: "{}", path: "$", expected: ["{}", "^ why"]),
    Mark(
      payload: #"{"a":1,"b":0,"a":22}"#, path: "$.a",
      expected: [#"  "a": 1,"#, "       ^ also here", #"  "a": 22"#, "       ^^ why"]),
    Mark(
      payload: #"{"a":{},"a":{"b":3}}"#, path: "$.a.b",
      expected: [#"    "b": 3"#, "         ^ why"]),
    Mark(payload: #"{"a.b":1}"#, path: "$.a.b", expected: [#"  "a.b": 1"#, "         ^ why"]),
    Mark(payload: #"{"ab":1,"a":2}"#, path: "$.a", expected: [#"  "a": 2"#, "       ^ why"]),
    Mark(
      payload: #"{"\u0061":1}"#, path: "$.a", expected: [#"  "\u0061": 1"#, "            ^ why"]),
    Mark(
      payload: #"{"\u0061":1}"#, path: #"$.\u0061"#,
      expected: [#"  "\u0061": 1"#, "            ^ why"]),
    Mark(payload: #"{"a":1}"#, path: "topic", expected: []),
    Mark(payload: #"{"a":1}"#, path: "", expected: []),
    Mark(payload: "a\nbc d", path: "$", expected: ["a", "^ why"]),
    Mark(payload: #"{"a":0x1}"#, path: "$", expected: [#"{"a":0x1}"#, "     ^ why"]),
  ]

  @Test(arguments: marks)
  func aPathMarks(_ mark: Mark) {
    let lines = PayloadPage(
      Array(mark.payload.utf8), path: mark.path, index: mark.index, note: "why"
    ).lines
    var found: [String] = []
    for (line, next) in zip(lines, lines.dropFirst()) where next.role == .note {
      #expect(line.role == .marked)
      found += [line.text, next.text]
    }
    #expect(found == mark.expected, "\(mark.payload) \(mark.path)")
  }

  @Test func brokenJSONIsMarkedWhereItBreaks() {
    #expect(page(#" {"a":"#, "$") == [#" {"a":"#, "^ somewhere: why"])
    #expect(page(#" {"a":"#, "") == [#" {"a":"#])
    #expect(page("{\"a\":1}\n{\"b\":2}", "$").count == 3)
    let long = String(repeating: "[1],", count: 5_000)
    let lines = PayloadPage(Array(long.utf8), path: "$", note: "n").lines
    #expect(lines.map(\.role) == [.marked, .note])
    #expect(lines[0].text.hasPrefix("[1],[1]"))
    #expect(lines[0].text.hasSuffix(" more characters"))
  }

  @Test func otherTextAndBytes() {
    #expect(page("") == ["(empty)"])
    #expect(page("a=1\tb\r\n\u{1B}[31mred\0") == [#"a=1\tb\r"#, #"\u{1b}[31mred\u{0}"#])
    let bytes = [0x1F, 0xC3, 0xA9, 0xFF] + Array("Hello, world ~~~".utf8)
    #expect(
      PayloadPage(bytes, path: "$", note: "why").lines.map(\.text) == [
        "00000000  1f c3 a9 ff 48 65 6c 6c 6f 2c 20 77 6f 72 6c 64  |....Hello, world|",
        "                   ^^ why",
        "00000010  20 7e 7e 7e                                      | ~~~|",
      ])
    #expect(PayloadPage(bytes, path: "", note: "why").lines.count == 2)
    // UTF-16 is valid UTF-8, and no text to read.
    #expect(page("h\0i\0", "$").first?.hasPrefix("00000000  68 00 69 00 ") == true)
  }

  // MARK: - Bounds

  private func size(_ payload: String, _ path: String, limits: PrintLimits = PrintLimits()) -> Int {
    page(payload, path, limits: limits).reduce(0) { $0 + $1.count + 1 }
  }

  @Test func aMebibyteDoesNotFloodTheTerminal() {
    let elements = "[" + (0..<100_000).map { "\($0)" }.joined(separator: ",") + "]"
    let text = #"{"a":""# + String(repeating: "x", count: 1_000_000) + #""}"#
    let digits = "[1" + String(repeating: "0", count: 1_000_000) + "]"
    let same = "{" + (0..<100_000).map { _ in #""a":1"# }.joined(separator: ",") + "}"
    let objects =
      "["
      + (0..<1_000).map { _ in "[" + String(repeating: "[1,2],", count: 50) + "0]" }
      .joined(separator: ",") + "]"
    let lines = String(repeating: "no JSON\n", count: 100_000)
    for payload in [elements, text, digits, same, objects, lines] {
      #expect(size(payload, "$.a") < 20_000, "\(payload.prefix(20))")
      #expect(size(payload, "$.a", limits: .none) > payload.utf8.count)
    }
    let bytes = [UInt8](repeating: 0x20, count: 1 << 20) + [0xFF]
    let dump = PayloadPage(bytes, path: "$", note: "why").lines.map(\.text).suffix(3)
    #expect(
      dump == [
        "… 1045376 more bytes", "00100000  ff" + String(repeating: " ", count: 47) + "|.|",
        "          ^^ why",
      ])
  }

  @Test func whatIsLeftOutIsCountedAndTheOffendingValueIsNot() {
    let payload = "[" + (0..<10_000).map { #"{"x":\#($0)}"# }.joined(separator: ",") + "]"
    let lines = page(payload, "$[5000].x", limits: PrintLimits())
    #expect(
      lines.suffix(7) == [
        "  … 4980 more", "  [5000] {", #"    "x": 5000"#, "         ^^^^ why", "  },",
        "  … 4999 more", "]",
      ])
    #expect(
      page(#"["\#(String(repeating: "é", count: 250))"]"#, limits: PrintLimits())[1]
        == "  \"\(String(repeating: "é", count: 200))\"… 50 more characters")
  }

  @Test func deepNesting() {
    let deep = String(repeating: #"{"a":"#, count: 31)
    let lines = page(
      deep + "[7]" + String(repeating: "}", count: 31),
      "$" + String(repeating: ".a", count: 31) + "[0]")
    #expect(lines.count == 2 * 32 + 2)
    #expect(lines[33] == String(repeating: " ", count: 64) + "^ why")
    // Deeper than a decoder goes: text.
    #expect(page(String(repeating: "[", count: 100_000)).count == 1)
  }

  // MARK: - Hostile text

  @Test func nothingSteersTheTerminal() {
    let hostile = "\u{7F}\u{9B}31m\u{202E}\u{2066}\u{200B}\u{FEFF}\u{2028}\u{E0041}\u{AD}"
    let json = #"{"\#(hostile)":"\#(hostile)"}"#
    for payload in [json, hostile, "\u{1B}]0;owned\u{07}\(hostile)"] {
      for line in page(payload, "$.\(hostile)", note: "\u{1B}[2J\(hostile)") {
        #expect(line.unicodeScalars.allSatisfy { $0.isPrintable }, "\(line.debugDescription)")
      }
    }
    #expect(page(json)[1].hasPrefix(#"  "\u{7f}\u{9b}31m\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}"#))
    #expect("ไฟฟ้า é 🔋 中".printable == "ไฟฟ้า é 🔋 中")
  }

  /// A document without the blanks that mean nothing.
  private func compact(_ document: String) -> String {
    var text = ""
    var isInString = false
    var isEscaped = false
    for character in document.unicodeScalars {
      if !isEscaped, character == "\"" { isInString.toggle() }
      isEscaped = isInString && !isEscaped && character == "\\"
      if isInString || !" \n\t\r".unicodeScalars.contains(character) {
        text.unicodeScalars.append(character)
      }
    }
    return text
  }

  /// Every digit, escape and key is printed as it came; and what is damaged makes neither a crash
  /// nor a character that steers.
  @Test func randomDocumentsArePrintedExactly() {
    var random = SeededGenerator(seed: 5)
    for _ in 0..<400 {
      let document = RandomJSON.document(using: &random)
      let printed = page(document).joined(separator: "\n").replacing("\\u{7f}", with: "\u{7F}")
      #expect(compact(printed) == compact(document))
      let damaged = Mutation.of(Array(document.utf8), using: &random)
      for limits in [PrintLimits(), .none] {
        let lines = PayloadPage(damaged, path: "$[0].a", note: "n", limits: limits).lines
        #expect(!lines.isEmpty)
        #expect(lines.allSatisfy { $0.text.unicodeScalars.allSatisfy { $0.isPrintable } })
      }
    }
  }
}
