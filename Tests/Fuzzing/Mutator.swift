// Makes bad inputs of good ones: damaged bytes, and words exchanged, doubled and moved.

import SeededRandom

/// Draws inputs from a corpus that grows; the same seed and outcomes give the same inputs.
struct Mutator {
  /// Inputs are at most this long, bytes, save one in ``magnified``.
  static let ordinaryBytes = 2_048
  /// One input in so many is blown up to one of ``magnifiedBytes``, for what is slower than linear
  /// or has a limit.
  static let magnified = 2_000
  static let magnifiedBytes = [20_000, 70_000, 300_000, 1_100_000]
  /// Inputs that are kept beside the original ones, and their longest: short ones are quick, and
  /// more of a mutation's places in them mean something.
  static let keptInputs = 2_000
  static let keptBytes = 700

  private(set) var corpus: [[UInt8]]
  private let originals: Int
  private let dictionary: [[UInt8]]
  private var random: SeededGenerator

  private static let dangerous =
    Array("{}[]()\",:;\\0123456789.eE+-*/%<>=~!|&?_'tfnu \n\t\r".utf8)
    + [0, 1, 0x1F, 0x7F, 0x80, 0xBF, 0xC3, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xFF]

  init(corpus: [[UInt8]], dictionary: [[UInt8]], seed: UInt64) {
    let short = corpus.filter { !$0.isEmpty && $0.count <= Mutator.ordinaryBytes }
    self.corpus = short.isEmpty ? [[0x20]] : short
    originals = self.corpus.count
    self.dictionary = dictionary.isEmpty ? [[0x20]] : dictionary
    random = SeededGenerator(seed: seed)
  }

  /// Keeps an input for further mutation; where there are many, in the place of another.
  mutating func keep(_ input: [UInt8]) {
    guard input.count <= Mutator.keptBytes, !input.isEmpty else { return }
    if corpus.count < originals + Mutator.keptInputs {
      corpus.append(input)
    } else {
      corpus[random.number(originals...(corpus.count - 1))] = input
    }
  }

  mutating func next() -> [UInt8] {
    var bytes = random.element(of: corpus)
    var changes = 1
    while changes < 12, random.oneIn(2) { changes += 1 }
    for _ in 0..<changes {
      if bytes.isEmpty { bytes = random.element(of: dictionary) }
      if random.oneIn(2) { damage(&bytes) } else { rearrange(&bytes) }
    }
    if bytes.count > Mutator.ordinaryBytes {
      bytes.removeLast(bytes.count - Mutator.ordinaryBytes)
    }
    if random.oneIn(Mutator.magnified), !bytes.isEmpty { magnify(&bytes) }
    return bytes
  }

  // MARK: - Bytes

  private mutating func damage(_ bytes: inout [UInt8]) {
    let place = random.number(0...(bytes.count - 1))
    switch random.number(0...6) {
    case 0: bytes[place] ^= 1 << UInt8(random.number(0...7))
    case 1: bytes[place] = random.element(of: Mutator.dangerous)
    case 2: bytes.insert(random.element(of: Mutator.dangerous), at: place)
    case 3: bytes.remove(at: place)
    case 4: bytes.removeSubrange(part(of: bytes, from: place))
    case 5: bytes.insert(contentsOf: Array(bytes[part(of: bytes, from: place)]), at: place)
    default: if random.oneIn(4) { bytes.removeLast(bytes.count - place) }
    }
  }

  /// A short range, now and then one to the end.
  private mutating func part(of bytes: [UInt8], from place: Int) -> Range<Int> {
    let length = random.oneIn(8) ? bytes.count : random.number(1...24)
    return place..<min(bytes.count, place + length)
  }

  // MARK: - Words

  private mutating func rearrange(_ bytes: inout [UInt8]) {
    let word = word(of: bytes)
    switch random.number(0...7) {
    case 0, 1: bytes.replaceSubrange(word, with: random.element(of: dictionary))
    case 2: bytes.insert(contentsOf: random.element(of: dictionary), at: word.lowerBound)
    case 3:
      let other = random.element(of: corpus)
      bytes.replaceSubrange(word, with: Array(other[self.word(of: other)]))
    case 4:
      // The beginning of one and the end of another.
      let other = random.element(of: corpus)
      let end = self.word(of: other).lowerBound
      bytes.replaceSubrange(word.lowerBound..., with: other[end...])
    case 5:
      let second = self.word(of: bytes)
      guard word.upperBound <= second.lowerBound else { return }
      let (left, right) = (Array(bytes[word]), Array(bytes[second]))
      bytes.replaceSubrange(second, with: left)
      bytes.replaceSubrange(word, with: right)
    case 6:
      // From one word to the next, many times: depth and repetition.
      let end = max(word.upperBound, self.word(of: bytes).upperBound)
      repeatPart(word.lowerBound..<end, of: &bytes, upTo: random.number(10...600))
    default: bytes.removeSubrange(word)
    }
  }

  /// The word at a random place: letters, digits and what numbers have; what stands between quotes,
  /// with one of them; or one other character.
  private mutating func word(of bytes: [UInt8]) -> Range<Int> {
    let place = random.number(0...(bytes.count - 1))
    var start = place
    var end = place + 1
    if Mutator.isWord(bytes[place]) {
      while start > 0, Mutator.isWord(bytes[start - 1]) { start -= 1 }
      while end < bytes.count, Mutator.isWord(bytes[end]) { end += 1 }
    } else if bytes[place] == UInt8(ascii: "\"") || bytes[place] == UInt8(ascii: "'") {
      while end < bytes.count, bytes[end] != bytes[place] { end += 1 }
      end = min(end + 1, bytes.count)
    }
    return start..<end
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."),
      UInt8(ascii: "+"), UInt8(ascii: "-"), 0x80...:
      true
    default: false
    }
  }

  private mutating func magnify(_ bytes: inout [UInt8]) {
    let start = word(of: bytes).lowerBound
    let end = random.oneIn(3) ? bytes.count : word(of: bytes).upperBound
    guard start < end else { return }
    repeatPart(start..<end, of: &bytes, upTo: random.element(of: Mutator.magnifiedBytes))
  }

  private func repeatPart(_ range: Range<Int>, of bytes: inout [UInt8], upTo length: Int) {
    let part = Array(bytes[range])
    guard !part.isEmpty else { return }
    let times = max(1, length / part.count)
    bytes.insert(contentsOf: repeatElement(part, count: times).joined(), at: range.upperBound)
  }
}
