// Base58, against the vectors that Bitcoin's own tests use and its IETF draft.

import EnergyReadings
import SeededRandom
import Testing

@Suite struct Base58Tests {
  @Test(
    arguments: [
      ([], ""), ([0], "1"), ([0, 0, 0], "111"), ([0x61], "2g"), ([0x62, 0x62, 0x62], "a3gV"),
      ([0x63, 0x63, 0x63], "aPEr"), ([0x51, 0x6B, 0x6F, 0xCD, 0x0F], "ABnLTmg"),
      ([0x57, 0x2E, 0x47, 0x94], "3EFU7m"), ([0x10, 0xC8, 0x51, 0x1E], "Rt5zm"),
      ([0xEC, 0xAC, 0x89, 0xCA, 0xD9, 0x39, 0x23, 0xC0, 0x23, 0x21], "EJDM8drfXA6uyA"),
      ([0, 0, 0x28, 0x7F, 0xB4, 0xCD], "11233QC4"),
      (Array("Hello World!".utf8), "2NEpo7TZRRrLZSi2U"),
      (
        Array("The quick brown fox jumps over the lazy dog.".utf8),
        "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z"
      ),
    ] as [([UInt8], String)])
  func vectors(bytes: [UInt8], text: String) {
    #expect(Base58.encode(bytes) == text)
    #expect(Base58.decode(text) == bytes)
  }

  @Test(arguments: ["0", "O", "I", "l", "2g ", " 2g", "2+g", "é", "2g\u{0}", "2\n", "２"])
  func charactersOutsideTheAlphabet(text: String) {
    #expect(Base58.decode(text) == nil)
  }

  @Test func longTextsAreRefused() {
    #expect(Base58.decode(String(repeating: "1", count: 128))?.count == 128)
    #expect(Base58.decode(String(repeating: "1", count: 129)) == nil)
  }

  @Test func whatIsEncodedIsDecoded() {
    var random = SeededGenerator(seed: 0xB58)
    for _ in 0..<2_000 {
      let zeros = [UInt8](repeating: 0, count: random.oneIn(3) ? random.number(1...5) : 0)
      let bytes = zeros + (0..<random.number(0...64)).map { _ in UInt8(random.number(0...255)) }
      #expect(Base58.decode(Base58.encode(bytes)) == bytes)
    }
  }
}
