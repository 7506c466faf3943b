// Whole payloads: several readings, sizes and depths at their limits, and what is no JSON at all.

import EnergyReadings
import PayloadDecoding
import Testing

private func consumption(_ payload: String) -> Outcome { decode(payload, on: Topics.consumption) }

@Suite struct PayloadShapesTests {
  // MARK: - Several readings

  @Test func anArrayIsJudgedOneByOne() {
    let bad = #"{"timestamp":0,"energy_amount":false}"#
    let outcome = consumption("[\(reading()), \(bad) ,42,\(reading()),{},[\(reading())],null]")
    #expect(outcome.readingIndices == [0, 3])
    #expect(
      outcome.reasons == [
        "[1] wrong_type $[1].energy_amount", "[2] wrong_type $[2]",
        "[4] missing_field $[4].timestamp", "[5] wrong_type $[5]", "[6] wrong_type $[6]",
      ])
    #expect(outcome.rejectedTexts == [bad, "42", "{}", "[\(reading())]", "null"])
  }

  @Test func linesAreJudgedOneByOne() {
    let bad = #"{"energy_amount":0.25}"#
    let outcome = consumption("\n\(reading())\n \n\(bad)\r\n{\"timestamp\":\n42\n\(reading())\n")
    #expect(outcome.readingIndices == [0, 4])
    #expect(
      outcome.reasons == [
        "[1] missing_field $[1].timestamp", "[2] malformed_payload $[2]", "[3] wrong_type $[3]",
      ])
    #expect(outcome.rejectedTexts == [bad + "\r", #"{"timestamp":"#, "42"])
  }

  /// A line that breaks the document as a whole, by its text, bytes or depth, harms no other line:
  /// not even as the first.
  static let brokenLines: [[UInt8]] = [
    Array("garbage".utf8), Array(#"{"timestamp":"2026-"#.utf8), Array(#"{"energy_amount":"#.utf8),
    Array("}".utf8), Array("{\"a\":\"\t\"}".utf8), [0xFF, 0xFE], [0xC3], [0], Array("\"".utf8),
    Array(String(repeating: "{\"a\":", count: 40).utf8), Array("[1".utf8), Array("\u{FEFF}".utf8),
  ]

  @Test(arguments: brokenLines)
  func aBrokenLineHarmsNoNeighbour(line: [UInt8]) {
    let good = Array(reading().utf8)
    for place in 0..<3 where place > 0 || line != Array("[1".utf8) {
      var lines = [good, good]
      lines.insert(line, at: place)
      let outcome = decode(Array(lines.joined(separator: [0x0A])), on: Topics.consumption)
      #expect(outcome.readings.count == 2)
      #expect(outcome.reasons == ["[\(place)] malformed_payload $[\(place)]"])
    }
  }

  @Test func whatBeginsAsAnArrayIsNoLines() {
    let outcome = consumption("[\n\(reading()),\n\(reading())\n")
    #expect(outcome.verdict == "malformed_payload $")
  }

  @Test func aBrokenObjectOverSeveralLinesIsOneDeadLetter() {
    let pretty = "{\n  \"timestamp\": 0,\n  \"energy_amount\": 1\n"
    #expect(consumption(pretty + "}").verdict == "ok")
    #expect(consumption(pretty).verdict == "malformed_payload $")
    #expect(consumption(pretty + "}\n}").verdict == "malformed_payload $")
    #expect(consumption(pretty + "}\n" + pretty + "}").verdict == "malformed_payload $")
  }

  @Test func tenThousandReadingsAndNotOneMore() {
    let bare = #"{"timestamp":1781074800,"energy_amount":1}"#
    for (open, separator, close) in [("[", ",", "]"), ("", "\n", "\n")] {
      func several(_ count: Int) -> String {
        open + Array(repeating: bare, count: count).joined(separator: separator) + close
      }
      let most = consumption(several(10_000))
      #expect(most.readings.count == 10_000 && most.rejections.isEmpty)
      let tooMany = consumption(several(10_001))
      #expect(tooMany.readings.count == 10_000)
      #expect(tooMany.reasons == ["out_of_range $[10000]"])
    }
  }

  @Test func anEmptyArrayHoldsNoReading() {
    #expect(consumption(" [ ] ").verdict == "missing_field $")
  }

  @Test func unknownFieldsOfAllReadingsAreCounted() {
    let extra = reading(.consumption, #""a":1,"b":2"#)
    #expect(consumption("[\(extra),\(reading()),\(extra)]").unknownFields == 4)
  }

  // MARK: - No JSON

  @Test(arguments: [
    "", " ", " \r\n\t", "energy=0.25 kWh", "unavailable", "NaN", "nul", "nulll", "{", "}", "[", "]",
    "{]", "[}", "\"", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":1 \"b\":2}", "{a:1}",
    "{'a':1}", "[1,]", "[,1]", "[1 2]", "[1,,2]", "{\"a\":1}}", "{}{}", "{} x", "[] []", "{}\u{0}",
    "\u{FEFF}{}", "{\"a\":1}//", "/**/{}", "{\"a\":tru}", "{\"a\":truee}", "{\"a\":True}",
    "{\"a\":nullx}", "{\"a\":1\u{0}}", "{\"a\":true\u{0}}", "{\"a\"\u{0}:1}", "{\u{C}}",
    "{\"a\":\"\n\"}", "{\"a\":\"\t\"}", "{\"a\":\"\u{1}\"}", "{\"a\":\"\\x\"}", "{\"\\x\":1}",
    "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12G4\"}", "{\"a\":\"\\\"}", "42 43", "01", "+1", "\"a\"b",
  ])
  func noJSON(payload: String) {
    #expect(consumption(payload).verdict == "malformed_payload $")
  }

  @Test(arguments: [
    "01", "00", "-01", "1.", "-1.", ".5", "-.5", "+1", "1e", "1e+", "1E-", "-", "--1", "1.e5",
    "0x10", "1_0", "NaN", "-NaN", "Infinity", "-Infinity", "inf", "1.2.3", "1e5.5", "1e1e1", "1\"",
    "1a", "1/2", "0b1", "1f", "١",
  ])
  func numbersThatJSONDoesNotHave(number: String) {
    for field in ["energy_amount", "unknown"] {
      let payload = #"{"timestamp":0,"\#(field)":\#(number),"sequence":1}"#
      #expect(consumption(payload).verdict == "malformed_payload $")
      #expect(consumption("[\(number)]").verdict == "malformed_payload $")
      #expect(consumption(number).verdict == "malformed_payload $")
    }
  }

  @Test(arguments: ["42", " -1.5e3 ", "\"text\"", "\"\\u00e9\"", "true", "false", "null\n"])
  func loneScalarsAreJSONButNoReading(payload: String) {
    #expect(consumption(payload).verdict == "wrong_type $")
  }

  static let invalidUTF8: [[UInt8]] = [
    [0xFF], [0xC0, 0x80], [0xE0, 0xB8], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x80],
    [0xFC, 0x80], [0xE0, 0x80, 0xAF],
  ]

  @Test(arguments: invalidUTF8)
  func bytesThatAreNoUTF8(bytes: [UInt8]) {
    let parts = reading(.production, #""equipment_id":"dach-?""#).split(separator: "?")
    let payload = Array(parts[0].utf8) + bytes + Array(parts[1].utf8)
    #expect(decode(payload, on: Topics.production).verdict == "malformed_payload $")
    #expect(
      decode(Array(reading().utf8) + bytes, on: Topics.consumption).verdict
        == "malformed_payload $")
  }

  @Test(arguments: [
    #"\uD800"#, #"\uDBFF"#, #"\uDC00"#, #"\uDFFF"#, #"\uD800x"#, #"\uD83D\u0041"#, #"\uD83D\n"#,
    #"\uDD0B\uD83D"#, #"\uD83D\uD83D\uDD0B"#,
  ])
  func loneSurrogates(text: String) {
    for field in ["equipment_id", "unknown", text] {
      let payload = reading(.production, #""\#(field)":"\#(text)""#)
      #expect(decode(payload, on: Topics.production).verdict == "malformed_payload $")
    }
  }

  @Test(arguments: [
    (#"\u00e9\u00E9"#, "éé"), (#"\uD83D\uDD0B"#, "🔋"),
    (#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{C}\n\r\t"),
    (#"\u007f\uFFFF"#, "\u{7F}\u{FFFF}"), ("ไฟ", "ไฟ"), (#"a\u0001"#, "a\u{1}"),
  ])
  func escapesAreResolved(escaped: String, text: String) throws {
    let outcome = decode(
      reading(.production, #""equipment_id":"\#(escaped)""#), on: Topics.production)
    let reading = try #require(outcome.readings.first)
    #expect(outcome.text(reading.equipment) == text)
  }

  // MARK: - Limits

  @Test func depthThirtyTwoAndNotOneMore() {
    func nested(_ depth: Int, _ open: String, _ close: String) -> String {
      String(repeating: open, count: depth - 1) + (open == "[" ? "[]" : "{}")
        + String(repeating: close, count: depth - 1)
    }
    for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
      let most = reading(.consumption, #""unknown":\#(nested(31, open, close))"#)
      #expect(consumption(most).verdict == "ok")
      let tooDeep = reading(.consumption, #""unknown":\#(nested(32, open, close))"#)
      #expect(consumption(tooDeep).verdict == "malformed_payload $")
      #expect(consumption(nested(100_000, open, close)).verdict == "malformed_payload $")
    }
    #expect(consumption(String(repeating: "[", count: 1 << 20)).verdict == "malformed_payload $")
    #expect(consumption(String(repeating: #"{"a":"#, count: 200_000)).rejections.count == 1)
  }

  @Test func oneMebibyteAndNotOneByteMore() {
    func filled(_ count: Int) -> String {
      let frame = reading(.consumption, #""note":"""#)
      let filler = String(repeating: "x", count: count - frame.utf8.count)
      return frame.dropLast(2) + filler + "\"}"
    }
    #expect(consumption(filled(1 << 20)).verdict == "ok")
    #expect(consumption(filled((1 << 20) + 1)).verdict == "malformed_payload $")
  }

  @Test func gzipIsNamed() {
    let outcome = decode([0x1F, 0x8B, 8, 0], on: Topics.consumption)
    #expect(outcome.verdict == "unsupported_format ")
  }

  @Test func aReadingCutAnywhereIsNeverTaken() {
    let payloads = [
      reading(
        .production,
        #""equipment_id":"d\u00e4ch \uD83D\uDD0B ไฟ","efficiency":1,"location":{"a":{"b":[1,{}]}}"#),
      reading(.consumption, #""appliance_breakdown":{"tv":0.1},"location":{"a":{"b":{}}}"#),
      "[\(reading()),\(reading(.consumption, #""location":{"a":[]}"#))]",
    ]
    for payload in payloads {
      let bytes = Array(payload.utf8)
      for end in 0..<bytes.count {
        let topic = payload.contains("equipment") ? Topics.production : Topics.consumption
        #expect(decode(Array(bytes[..<end]), on: topic).verdict == "malformed_payload $")
      }
    }
  }

  /// What follows a payload in memory, here brackets that would complete it, is not part of it.
  @Test func whatStandsBehindAPayloadIsNotRead() {
    let bytes = Array(reading(.consumption, #""location":{"a":{"b":[[1,{"c":{}}]]}},"x":1"#).utf8)
    let decoder = PayloadDecoder()
    for end in 1..<bytes.count {
      for tail in [Array(bytes[end...]), Array("}}}}}}}}".utf8), Array("]]}}]}".utf8), [0x22]] {
        var arena = ByteArena()
        var decoded = DecodedReadings()
        let topic = Array(Topics.consumption.utf8)
        let message = Message(
          topic: arena.append(topic.span), payload: arena.append(bytes.span.extracting(..<end)),
          receivedAt: Timestamp(microseconds: 0))
        _ = arena.append(tail.span)
        decoder.decode(message, in: &arena, into: &decoded)
        #expect(decoded.accepted.isEmpty && decoded.rejected.count == 1)
      }
    }
  }

  @Test func theDecoderIsReusable() {
    let decoder = PayloadDecoder()
    let good = Array(reading().utf8)
    for bad in [[], [0xFF], Array("{\"a\":".utf8), Array("[[[[".utf8), Array("\"\\u".utf8)] {
      #expect(decode(bad, on: Topics.consumption, with: decoder).readings.isEmpty)
      #expect(decode(good, on: Topics.consumption, with: decoder).verdict == "ok")
    }
  }
}
