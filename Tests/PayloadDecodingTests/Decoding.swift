// One message in, its outcome out, in words that a table of expectations can hold.

import EnergyReadings
import PayloadDecoding

/// What became of one message.
final class Outcome {
  var readings: [Reading] = []
  var readingIndices: [Int32?] = []
  var rejections: [Rejection] = []
  var rejectionIndices: [Int32?] = []
  /// The bytes that each dead letter would hold.
  var rejectedTexts: [String] = []
  var rejectedKinds: [ReadingKind?] = []
  /// Whose each dead letter would be; empty where nobody's.
  var rejectedDevices: [String] = []
  var unknownFields = 0
  var samples: [RegisterSample] = []
  var sampleIndices: [Int32?] = []
  var charges: [ReportedCharge] = []
  var skipped = 0
  var requests: [MessageRequest] = []
  /// Everything above points into it.
  var arena = ByteArena()

  /// `reason path` of each rejection, `[index]` in front where it is one of several.
  var reasons: [String] {
    zip(rejections, rejectionIndices).map { rejection, index in
      "\(index.map { "[\($0)] " } ?? "")\(rejection.reason.code) \(rejection.path)"
    }
  }

  /// `reason path` of the only rejection; "ok" where there is a reading and no rejection.
  var verdict: String {
    switch (readings.count, rejections.count) {
    case (1, 0): "ok"
    case (0, 1): reasons[0]
    default: "\(readings.count) readings, \(reasons)"
    }
  }

  func text(_ slice: ByteSlice) -> String? { slice.isPresent ? arena.string(slice) : nil }
}

enum Topics {
  static let production = "gridtokenx/v1/BKK-07/production/p-1"
  static let consumption = "gridtokenx/v1/BKK-07/consumption/c-1"
  static let storage = "gridtokenx/v1/BKK-07/storage/b-1"
  static let ami = "gridtokenx/ami/telemetry/GTX-MTR-H17"

  static func of(_ kind: ReadingKind) -> String {
    switch kind {
    case .production: production
    case .consumption: consumption
    case .storage: storage
    }
  }
}

func decode(
  _ payload: [UInt8], on topic: String, with decoder: PayloadDecoder = PayloadDecoder(),
  from sources: SourceTable = .none, receivedAt: Timestamp = Timestamp(microseconds: 0),
  isLive: Bool = true
) -> Outcome {
  let outcome = Outcome()
  var decoded = DecodedReadings()
  let topicBytes = Array(topic.utf8)
  var message = Message(
    topic: outcome.arena.append(topicBytes.span), payload: outcome.arena.append(payload.span),
    receivedAt: receivedAt)
  message.isLive = isLive
  decoder.decode(message, from: sources, in: &outcome.arena, into: &decoded)
  outcome.samples = decoded.samples.map(\.sample)
  outcome.sampleIndices = decoded.samples.map(\.place.index)
  outcome.charges = decoded.charges.map(\.charge)
  outcome.skipped = decoded.skipped
  outcome.requests = decoded.requests
  outcome.readings = decoded.accepted.map(\.reading)
  outcome.readingIndices = decoded.accepted.map(\.place.index)
  outcome.rejections = decoded.rejected.map(\.rejection)
  outcome.rejectionIndices = decoded.rejected.map(\.place.index)
  outcome.rejectedTexts = decoded.rejected.map { outcome.arena.string($0.place.text) }
  outcome.rejectedKinds = decoded.rejected.map(\.kind)
  outcome.rejectedDevices = decoded.rejected.map {
    $0.device.isPresent ? outcome.arena.string($0.device) : ""
  }
  outcome.unknownFields = decoded.unknownFields
  return outcome
}

func decode(_ payload: String, on topic: String) -> Outcome {
  decode(Array(payload.utf8), on: topic)
}

/// A complete reading of a kind; `fields` come behind what is required.
func reading(_ kind: ReadingKind = .consumption, _ fields: String = "") -> String {
  let operation = kind == .storage ? #","operation_type":"charge""# : ""
  let rest = fields.isEmpty ? "" : "," + fields
  return #"{"timestamp":"2026-06-10T07:00:00Z","energy_amount":0.25\#(operation)\#(rest)}"#
}
