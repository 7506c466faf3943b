// What decoding costs: CPU time a reading, of the release build only, printed for the record.

import EnergyReadings
import Foundation
import Glibc
import PayloadDecoding
import Testing

@Suite struct DecodingSpeedTests {
  #if DEBUG
    private static let isMeasured = false
  #else
    private static let isMeasured = true
  #endif

  /// Of a capture the message with the most readings and nothing turned away, in JSON (a plain number is
  /// JSON too) or in another notation; nil where there is none.
  private static func example(
    of format: String, isJSON: Bool, _ decoder: SourcedDecoder
  ) throws -> (message: HeardLine, readings: Int)? {
    var best: (message: HeardLine, readings: Int)?
    for message in try HeardLine.all(of: format) {
      let outcome = decoder.decode(message.bytes, on: message.topic)
      let readings = outcome.samples.count + outcome.readings.count
      let begins = message.bytes.first.map { "{[0123456789".utf8.contains($0) } ?? false
      if begins == isJSON, outcome.rejections.isEmpty, readings > best?.readings ?? 0 {
        best = (message, readings)
      }
    }
    return best
  }

  /// The goal of a microsecond is for JSON; telegrams and CBOR may take three. `deploy/micro-bench
  /// --formats fixtures/formats` prints the figures.
  @Test(.enabled(if: isMeasured), arguments: HeardLine.captures)
  func everyJSONDecoderIsBelowAMicrosecondAReading(format: String) throws {
    let yaml = try String(
      contentsOf: HeardLine.folder.appending(path: "sources.yaml"), encoding: .utf8)
    let sources = try SourceFile.table(yaml: yaml, name: "sources.yaml")
    var isMeasured = false
    for isJSON in [true, false] {
      let example = try Self.example(of: format, isJSON: isJSON, SourcedDecoder(yaml))
      guard let (message, readings) = example else { continue }
      isMeasured = true
      let nanoseconds = measure(message, sources, readings: readings)
      print(
        "decode \(format): \(nanoseconds) ns a reading, \(readings) in \(message.bytes.count) bytes"
      )
      #expect(nanoseconds < (isJSON ? 1_000 : 3_000), "\(message.topic)")
    }
    #expect(isMeasured)
  }

  /// The best of several rounds: neighbours on the machine only ever make it slower.
  private func measure(
    _ heard: HeardLine, _ sources: SourceTable, readings: Int
  ) -> Int {
    let decoder = PayloadDecoder()
    let (topic, payload) = (Array(heard.topic.utf8), heard.bytes)
    var (arena, decoded, best) = (ByteArena(capacity: 1 << 20), DecodedReadings(), Int.max)
    for _ in 0..<10 {
      let start = threadNanoseconds()
      for round in 0..<10_000 {
        if round % 1_000 == 0 { arena.removeAll() }
        let message = Message(
          topic: arena.append(topic.span), payload: arena.append(payload.span),
          receivedAt: SourcedDecoder.arrival)
        decoder.decode(message, from: sources, in: &arena, into: &decoded)
      }
      best = min(best, (threadNanoseconds() - start) / 10_000 / readings)
      #expect(decoded.samples.count + decoded.accepted.count == readings)
    }
    return best
  }

  private func threadNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}
