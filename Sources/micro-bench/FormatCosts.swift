// What decoding costs for each format: a message of each shape in the captures of `fixtures/formats`.

import EnergyReadings
import Foundation
import MeterSimulator
import PayloadDecoding

/// One shape of a format, and what a reading of it costs to decode.
struct FormatCost: Codable {
  /// Name of the capture.
  var format: String
  /// The first level of the topic, and what the payload is.
  var shape: String
  /// Readings in the message, and its bytes.
  var readings, bytes: Int
  /// CPU time; median of the rounds.
  var nanosecondsPerReading: Double
  /// Median of the rounds; nil where the machine does not count them.
  var instructionsPerReading: Double?
  var allocationsPerReading: Double
}

/// The formats of a folder of captures, whose `sources.yaml` they are read by.
struct FormatBench {
  private static let messages = 10_000
  private let folder: String
  private let sources: SourceTable
  private let decoder = PayloadDecoder()

  init(folder: String) throws {
    self.folder = folder
    let yaml = try String(contentsOfFile: folder + "/sources.yaml", encoding: .utf8)
    sources = try SourceFile.table(yaml: yaml, name: folder + "/sources.yaml")
  }

  func measure(rounds: Int, _ meter: CostMeter) throws -> [FormatCost] {
    let files = try FileManager.default.contentsOfDirectory(atPath: folder)
      .filter { $0.hasSuffix(".ndjson") }.sorted()
    return try files.flatMap { file in
      try examples(of: file).map { measure($0, rounds, meter) }
    }
  }

  /// A message of a capture that holds readings and is all fine.
  private struct Example {
    var format, shape: String
    var topic, payload: [UInt8]
    var readings: Int
  }

  /// Of each shape the first message with the most readings.
  private func examples(of file: String) throws -> [Example] {
    let reader = try CaptureReader(file: "\(folder)/\(file)")
    var examples: [Example] = []
    while case .message = try reader.next() {
      let example = reader.withMessage { topic, payload in
        Example(
          format: String(file.dropLast(".ndjson".count)), shape: shape(topic, payload),
          topic: topic.bytes, payload: payload.bytes, readings: readings(topic.bytes, payload.bytes)
        )
      }
      if example.readings == 0 { continue }
      guard let known = examples.firstIndex(where: { $0.shape == example.shape }) else {
        examples.append(example)
        continue
      }
      if examples[known].readings < example.readings { examples[known] = example }
    }
    return examples
  }

  private func shape(_ topic: Span<UInt8>, _ payload: Span<UInt8>) -> String {
    let level = String(decoding: topic.bytes.prefix { $0 != UInt8(ascii: "/") }, as: UTF8.self)
    switch payload.isEmpty ? 0 : payload[0] {
    case UInt8(ascii: "{"), UInt8(ascii: "["): return "\(level), JSON"
    case UInt8(ascii: "/"): return "\(level), telegram"
    case UInt8(ascii: "0")...UInt8(ascii: "9"): return "\(level), number"
    default: return "\(level), binary"
    }
  }

  /// Readings in a message; 0 where anything in it is turned away.
  private func readings(_ topic: [UInt8], _ payload: [UInt8]) -> Int {
    var arena = ByteArena()
    var decoded = DecodedReadings()
    decoder.decode(message(topic, payload, in: &arena), from: sources, in: &arena, into: &decoded)
    return decoded.rejected.isEmpty ? decoded.accepted.count + decoded.samples.count : 0
  }

  /// Received on 2026-06-10.
  private func message(
    _ topic: [UInt8], _ payload: [UInt8], in arena: inout ByteArena
  ) -> Message {
    Message(
      topic: arena.append(topic.span), payload: arena.append(payload.span),
      receivedAt: Timestamp(microseconds: 1_781_074_800_000_000))
  }

  private func measure(_ example: Example, _ rounds: Int, _ meter: CostMeter) -> FormatCost {
    var arena = ByteArena(capacity: 1 << 20)
    var decoded = DecodedReadings()
    let costs = (0..<rounds + 2).map { _ in
      meter.costs {
        for number in 0..<FormatBench.messages {
          // As a batch does, now and then.
          if number % 500 == 0 { arena.removeAll() }
          let message = message(example.topic, example.payload, in: &arena)
          decoder.decode(message, from: sources, in: &arena, into: &decoded)
        }
      }
    }.dropFirst(2)
    let readings = Double(FormatBench.messages * example.readings)
    let counted = costs.compactMap(\.instructions).map(Double.init)
    return FormatCost(
      format: example.format, shape: example.shape, readings: example.readings,
      bytes: example.payload.count,
      nanosecondsPerReading: median(costs.map { Double($0.nanoseconds) }) / readings,
      instructionsPerReading: counted.count < costs.count ? nil : median(counted) / readings,
      allocationsPerReading: Double(costs.map(\.allocations).max() ?? 0) / readings)
  }
}

extension Span where Element == UInt8 {
  fileprivate var bytes: [UInt8] { withUnsafeBufferPointer { Array($0) } }
}

extension [FormatCost] {
  /// Lines of a table for people.
  var table: [String] {
    let header = [
      "format", "topic, payload", "readings", "bytes", "ns", "instructions", "allocations",
    ]
    let rows = map { cost in
      [
        cost.format, cost.shape, "\(cost.readings)", "\(cost.bytes)",
        String(format: "%.0f", cost.nanosecondsPerReading),
        cost.instructionsPerReading.map { String(format: "%.0f", $0) } ?? "-",
        String(format: "%.2f", cost.allocationsPerReading),
      ]
    }
    return ([header] + rows).aligned(texts: 2)
  }
}
