// Random JSON documents, and what a bad line or a bad program makes of good ones.

import SeededRandom

/// Documents that RFC 8259 allows, with every kind of value, blank and escape, less deep than the
/// decoder's limit. Keys of one object differ, since Foundation keeps only one of equal ones.
enum RandomJSON {
  static func document(using random: inout SeededGenerator) -> String {
    blank(&random) + value(depth: 0, &random) + blank(&random)
  }

  private static func value(depth: Int, _ random: inout SeededGenerator) -> String {
    switch random.number(0...(depth < 6 ? 9 : 5)) {
    case 0: return "null"
    case 1: return random.oneIn(2) ? "true" : "false"
    case 2, 3: return number(&random)
    case 4, 5: return "\"\(text(&random))\""
    case 6, 7:
      let elements = (0..<random.number(0...5)).map { _ in
        blank(&random) + value(depth: depth + 1, &random) + blank(&random)
      }
      return "[" + (elements.isEmpty ? blank(&random) : elements.joined(separator: ",")) + "]"
    default:
      let members = (0..<random.number(0...5)).map { index in
        blank(&random) + "\"\(index)\(text(&random))\"" + blank(&random) + ":" + blank(&random)
          + value(depth: depth + 1, &random) + blank(&random)
      }
      return "{" + (members.isEmpty ? blank(&random) : members.joined(separator: ",")) + "}"
    }
  }

  private static func number(_ random: inout SeededGenerator) -> String {
    var text = random.oneIn(3) ? "-" : ""
    text += String(random.number(0...(random.oneIn(3) ? 9 : 99_999_999)))
    if random.oneIn(2) { text += "." + String(random.number(0...99_999)) }
    if random.oneIn(3) {
      text += random.element(of: ["e", "E"]) + random.element(of: ["", "+", "-"])
      text += String(random.number(0...20))
    }
    return text
  }

  private static let pieces = [
    "a", "kWh", " ", "é", "ไฟ", "🔋", #"\""#, #"\\"#, #"\/"#, #"\n"#, #"\u00e9"#, #"\uD83D\uDD0B"#,
    #"\u0041"#, "{", "]", ",", ":", "'", "0123456789abcdef", "\u{7F}",
  ]

  private static func text(_ random: inout SeededGenerator) -> String {
    (0..<random.number(0...6)).map { _ in random.element(of: pieces) }.joined()
  }

  private static func blank(_ random: inout SeededGenerator) -> String {
    random.oneIn(4) ? random.element(of: [" ", "\n", "\t", "\r\n", "  "]) : ""
  }
}

/// One to three small damages: a byte changed, lost, doubled, moved in; the end cut off.
enum Mutation {
  private static let dangerous =
    Array("{}[]\",:\\0123456789.eE+-tfnu \n\t\r/'".utf8)
    + [0, 1, 0x1F, 0x7F, 0x80, 0xC3, 0xE0, 0xED, 0xF0, 0xFF]

  static func of(_ original: [UInt8], using random: inout SeededGenerator) -> [UInt8] {
    var bytes = original
    for _ in 0..<random.number(1...3) where !bytes.isEmpty {
      let place = random.number(0...(bytes.count - 1))
      switch random.number(0...6) {
      case 0: bytes[place] ^= 1 << UInt8(random.number(0...7))
      case 1: bytes[place] = random.element(of: dangerous)
      case 2: bytes.insert(random.element(of: dangerous), at: place)
      case 3: bytes.remove(at: place)
      case 4:
        let end = min(bytes.count, place + random.number(1...12))
        bytes.insert(contentsOf: Array(bytes[place..<end]), at: random.number(0...bytes.count))
      case 5: bytes.removeSubrange(place..<min(bytes.count, place + random.number(1...12)))
      default: if random.oneIn(4) { bytes.removeLast(bytes.count - place) }
      }
    }
    return bytes
  }
}
