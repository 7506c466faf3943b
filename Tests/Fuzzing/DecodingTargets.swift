// Payloads and topics: whatever arrives becomes readings and rejections that can be stored.

import EnergyReadings
import Foundation
import MeterSimulator
import PayloadDecoding

extension FuzzTarget {
  static func ownFormat() throws -> FuzzTarget {
    let decoding = Decoding()
    return FuzzTarget(corpus: try hostilePayloads(), dictionary: words) { input in
      var outcome = Hasher()
      for topic in Decoding.ownTopics { try decoding.decode(input, on: topic, &outcome) }
      return outcome.finalize()
    }
  }

  static func amiFormat() throws -> FuzzTarget {
    let decoding = Decoding()
    let topic = Array("gridtokenx/ami/telemetry/GTX-MTR-H17".utf8)
    let own = [
      #"{"meter_id":"GTX-MTR-H17","timestamp":"2026-06-10T07:00:00","energy_generated":1.5,"#
        + #""energy_consumed":0.25,"surplus_energy":1.25,"deficit_energy":0,"power_w":500}"#,
      #"{"timestamp":1781074800,"interval_seconds":900,"energy_consumed":"0.125"}"#,
      #"{"timestamp":"2026-06-10T07:00:00Z","energy_generated":null,"energy_consumed":-1e-7}"#,
    ].map { Array($0.utf8) }
    return FuzzTarget(
      corpus: try own + hostilePayloads(),
      dictionary: words + [#""energy_generated":"#, #""energy_consumed":"#]
    ) { input in
      var outcome = Hasher()
      try decoding.decode(input, on: topic, &outcome)
      return outcome.finalize()
    }
  }

  static func topic() -> FuzzTarget {
    let decoding = Decoding()
    let payload = Array(#"{"timestamp":"2026-06-10T07:00:00Z","energy_amount":0.25}"#.utf8)
    let topics = [
      "gridtokenx/v1/BKK-07/production/p-1", "gridtokenx/v1/BKK-07/consumption/c-1",
      "gridtokenx/v1/BKK-07/storage/b-1", "gridtokenx/ami/telemetry/GTX-MTR-H17",
      "gridtokenx/ami/telemetry/GTX-MTR-H17/dlms", "gridtokenx/ami/telemetry/m/v4",
      "gridtokenx/v1/ingestor/ingestor-0/status", "a/b", "/", "",
    ]
    let levels = [
      "gridtokenx", "v1", "/", "//", "production", "consumption", "storage", "ami", "telemetry",
      "ingestor", "status", "dlms", "v4", "+", "#", "ไฟฟ้า", "\u{0}", "é",
    ]
    return FuzzTarget(corpus: topics.map { Array($0.utf8) }, dictionary: levels) { input in
      var outcome = Hasher()
      try decoding.decode(payload, on: input, &outcome)
      return outcome.finalize()
    }
  }

  static func payloadPage() throws -> FuzzTarget {
    let paths = [
      "$", "$.energy_amount", "$[3].timestamp", "$.a.b[0]", "topic", "", "$[", "$.\u{1B}",
    ]
    return FuzzTarget(corpus: try hostilePayloads(), dictionary: words) { input in
      let path = paths[input.count % paths.count]
      var outcome = Hasher()
      for limits in input.count < 20_000 ? [PrintLimits(), .none] : [PrintLimits()] {
        let index: Int32? = input.first == UInt8(ascii: "{") ? 3 : nil
        let page = PayloadPage(input, path: path, index: index, note: "why", limits: limits)
        guard !page.lines.isEmpty else { throw FuzzFinding("nothing is printed") }
        for line in page.lines where !line.text.unicodeScalars.allSatisfy(\.isPrintable) {
          throw FuzzFinding("a line steers the terminal: \(line.text.debugDescription)")
        }
        outcome.combine(page.lines.count.bitWidth - page.lines.count.leadingZeroBitCount)
        outcome.combine(page.lines.count { $0.role == .marked })
        outcome.combine(page.lines.count { $0.role == .note })
        outcome.combine(page.lines.first?.text.prefix(2))
      }
      return outcome.finalize()
    }
  }

  /// The payloads of the capture that has one of everything that goes wrong.
  static func hostilePayloads() throws -> [[UInt8]] {
    var payloads: Set<[UInt8]> = []
    try Fixtures.forEachMessage(of: "hostile-day.ndjson.gz") { _, payload in
      payloads.insert(payload)
    }
    return payloads.sorted { $0.lexicographicallyPrecedes($1) }
  }

  private static let words: [String] = [
    #""timestamp":"#, #""energy_amount":"#, #""energy_source":"#, #""efficiency":"#,
    #""quality_score":"#, #""equipment_id":"#, #""producer_id":"#, #""location":"#,
    #""consumer_type":"#, #""appliance_breakdown":"#, #""interval_seconds":"#, #""sequence":"#,
    #""signature":"#, #""operation_type":"charge""#, #""price_per_unit":"#, #""grid_code":"#,
    #""grid_location":"#, #""energy_\u0061mount":"#, "null", "true", "false", "{}", "[]", "[", "{",
    "}", "]", ",", ":", "\"", "\n", "\r\n", "0", "-0", "1e400", "1e-400", "-1", "0.0000005",
    "999999999.999999", "999999999.9999995", "1000000000", "9223372036854775808", "00", "1.",
    ".5", "1e", "1E+2", "NaN", "Infinity", #""\u0000""#, #""\ud800""#, #""\ud83d\ude00""#,
    #""\\""#, #""\""#, "\u{FEFF}", "ไฟฟ้า", "\u{202E}", "2026-06-10T07:00:00Z", "2026-02-29",
    "1781074800", "1781074800000", "23:59:60", "+14:00", "-00:00", ".000000001", "9999-12-31",
  ]
}

/// A decoder that is used again for each input, as a worker uses it.
final class Decoding {
  static let ownTopics = ["production/h-p1", "consumption/h-c1", "storage/h-b1"].map {
    Array("gridtokenx/v1/BKK-07/\($0)".utf8)
  }

  private let decoder = PayloadDecoder()
  private let sources: SourceTable
  private var arena = ByteArena()
  private var decoded = DecodedReadings()

  init(sources: SourceTable = .none) { self.sources = sources }

  func decode(_ payload: [UInt8], on topic: [UInt8], _ outcome: inout Hasher) throws {
    arena.removeAll()
    let message = Message(
      topic: arena.append(topic.span), payload: arena.append(payload.span),
      receivedAt: Timestamp(microseconds: 1_800_000_000_000_000))
    decoder.decode(message, from: sources, in: &arena, into: &decoded)
    outcome.combine(min(decoded.accepted.count, 4))
    outcome.combine(min(decoded.unknownFields, 3))
    // Of many readings the first ones tell the outcome, or every mixture would be a new one.
    var rest = Hasher()
    for (index, accepted) in decoded.accepted.enumerated() {
      if index < 2 { try check(accepted, &outcome) } else { try check(accepted, &rest) }
    }
    for sampled in decoded.samples.prefix(4) { try check(sampled.sample, &outcome) }
    outcome.combine(min(decoded.samples.count, 4))
    for charged in decoded.charges.prefix(4) { try check(charged.charge, &outcome) }
    outcome.combine(min(decoded.charges.count, 4))
    outcome.combine(decoded.skipped == 0)
    for (index, rejected) in decoded.rejected.enumerated() {
      if index < 2 { try check(rejected, &outcome) } else { try check(rejected, &rest) }
    }
  }

  /// A reading must fit its columns, or COPY would fail for the whole batch.
  private func check(_ accepted: DecodedReadings.Accepted, _ outcome: inout Hasher) throws {
    let reading = accepted.reading
    guard reading.energy.microKWh.magnitude < 1_000_000_000_000_000 else {
      throw FuzzFinding("\(reading.energy.microKWh) µkWh does not fit DECIMAL(15,6)")
    }
    guard (0...10_000).contains(reading.efficiency), (0...10_000).contains(reading.qualityScore)
    else { throw FuzzFinding("a ratio beyond 0…1") }
    let texts = [
      reading.energySource, reading.equipment, reading.consumerType, reading.gridLocation,
      reading.signature, reading.energyText, accepted.place.text,
    ]
    for text in texts { try checkText(text, &outcome) }
    for object in [reading.location, reading.applianceBreakdown] where object.isPresent {
      try checkText(object, &outcome)
      let bytes = arena.bytes[object.range]
      guard bytes.first == UInt8(ascii: "{"), bytes.last == UInt8(ascii: "}") else {
        throw FuzzFinding("an object that is none: \(arena.string(object))")
      }
    }
    outcome.combine(reading.energy.microKWh.signum())
    outcome.combine(reading.timestamp.microseconds.signum())
    outcome.combine(reading.price?.signum())
    outcome.combine(reading.intervalSeconds == nil)
    outcome.combine(reading.sequence == nil)
    outcome.combine(reading.operation.name.utf8CodeUnitCount)
  }

  /// A sample must fit the columns that its state is kept in.
  private func check(_ sample: RegisterSample, _ outcome: inout Hasher) throws {
    guard sample.value.magnitude < 1_000_000_000_000_000 else {
      throw FuzzFinding("\(sample.value) is beyond any register")
    }
    if sample.measure == .register, sample.value < 0 { throw FuzzFinding("a total below 0") }
    for text in [sample.register, sample.device] {
      try checkText(text, &outcome)
      guard text.count > 0, arena.string(text).unicodeScalars.count <= 100 else {
        throw FuzzFinding("a name that does not fit: \(arena.string(text))")
      }
    }
    outcome.combine(sample.value.signum())
    outcome.combine(sample.measure)
    outcome.combine(sample.isTimeOfArrival)
  }

  /// A state of charge must fit the column of what a battery holds; a share is at most the whole.
  private func check(_ charge: ReportedCharge, _ outcome: inout Hasher) throws {
    let limit: Int64 = charge.measure == .share ? 1_000_000 : 999_999_999_999_999
    guard (0...limit).contains(charge.value) else {
      throw FuzzFinding("\(charge.value) is no state of charge")
    }
    try checkText(charge.device, &outcome)
    outcome.combine(charge.value == 0)
  }

  private func checkText(_ slice: ByteSlice, _ outcome: inout Hasher) throws {
    outcome.combine(slice.isPresent)
    guard slice.isPresent else { return }
    let bytes = arena.bytes[slice.range]
    guard !bytes.contains(0), String(validating: bytes, as: UTF8.self) != nil else {
      throw FuzzFinding("a text that PostgreSQL would refuse: \(Array(bytes.prefix(80)))")
    }
  }

  private func check(_ rejected: DecodedReadings.Rejected, _ outcome: inout Hasher) throws {
    let rejection = rejected.rejection
    guard !rejection.detail.isEmpty,
      rejection.path.isEmpty || rejection.path == "topic" || rejection.path.hasPrefix("$")
    else { throw FuzzFinding("a rejection that explains nothing: \(rejection)") }
    outcome.combine(arena.string(rejected.place.text).isEmpty)
    outcome.combine(rejection.reason)
    outcome.combine(rejection.path.prefix(8))
    outcome.combine(rejection.detail.prefix(12))
  }
}

/// The files that the repository keeps for tests.
enum Fixtures {
  /// Calls `body` with topic and payload of each message of a capture.
  static func forEachMessage(
    of capture: String, _ body: ([UInt8], [UInt8]) -> Void
  ) throws {
    let reader = try CaptureReader(file: path(capture))
    while true {
      switch try reader.next() {
      case .end: return
      case .broken(let problem): throw FuzzFinding(problem)
      case .message:
        reader.withMessage { topic, payload in
          body(
            topic.withUnsafeBufferPointer { Array($0) },
            payload.withUnsafeBufferPointer { Array($0) })
        }
      }
    }
  }

  static func path(_ name: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "fixtures/\(name)").path
  }
}
