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

  /// A payload of each capture of `fixtures/formats`: its first that holds readings and is all fine.
  /// Of the formats with several shapes, one of each.
  private static func traffic(
    of format: String, _ decoder: SourcedDecoder
  ) throws -> [(name: String, message: HeardLine, readings: Int)] {
    var traffic: [(name: String, message: HeardLine, readings: Int)] = []
    var shapes: Set<String> = []
    for message in try HeardLine.all(of: format) {
      let outcome = decoder.decode(message.bytes, on: message.topic)
      let readings = outcome.samples.count + outcome.readings.count
      // A topic's first level and a payload's first character tell the shapes apart.
      let first = String(decoding: message.bytes.prefix(1), as: Unicode.ASCII.self)
      let shape = "\(message.topic.split(separator: "/")[0]) \(first)"
      guard readings > 0, outcome.rejections.isEmpty, shapes.insert(shape).inserted else {
        continue
      }
      traffic.append((shapes.count == 1 ? format : "\(format), \(shape)", message, readings))
    }
    return traffic
  }

  /// Per message where it holds one reading; the goal of a microsecond is for JSON.
  @Test(.enabled(if: isMeasured), arguments: HeardLine.captures)
  func everyDecoderIsBelowAMicrosecondAReading(format: String) throws {
    let yaml = try String(
      contentsOf: HeardLine.folder.appending(path: "sources.yaml"), encoding: .utf8)
    let sources = try SourceFile.table(yaml: yaml, name: "sources.yaml")
    let traffic = try Self.traffic(of: format, SourcedDecoder(yaml))
    #expect(!traffic.isEmpty)
    for (name, message, readings) in traffic {
      let nanoseconds = measure(message, sources, readings: readings)
      print(
        "decode \(name): \(nanoseconds) ns a reading, \(readings) in \(message.bytes.count) bytes")
      #expect(nanoseconds < 1_000, "\(name)")
    }
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
