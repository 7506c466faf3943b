// The messages that steps work on: what meters publish who leave to the registry what it knows.

import EnergyReadings

/// A kind of traffic.
enum Traffic: String, CaseIterable, Codable {
  case production, consumption, storage
  case production100 = "production, 100 a message"
  case consumption100 = "consumption, 100 a message"
  case storage100 = "storage, 100 a message"
  case ami

  /// Readings in one round, that is, in one batch as large as they are by default.
  static let readings = 10_000
  /// Longer than 15 bytes: a Swift string would not hold it without an allocation.
  static func device(_ number: Int) -> String { "METER-BKK-07-\(100_000 + number)" }

  /// The kind of each reading of an object, in order.
  var kinds: [ReadingKind] {
    switch self {
    case .production, .production100: [.production]
    case .consumption, .consumption100: [.consumption]
    case .storage, .storage100: [.storage]
    case .ami: [.production, .consumption]
    }
  }

  var objectsPerMessage: Int {
    switch self {
    case .production100, .consumption100, .storage100: 100
    default: 1
    }
  }

  private var objects: Int { Traffic.readings / kinds.count }
  var messages: Int { objects / objectsPerMessage }
  /// As many as publish in turn; every device has something newer to say each time.
  var devices: Int { min(1_000, messages) }
  private var objectsPerDevice: Int { objects / devices }

  /// Calls `body` with topic, payload and time of receipt of a round's messages.
  func forEachMessage(of round: Int, _ body: (String, String, Timestamp) -> Void) {
    for message in 0..<messages {
      let device = message % devices
      let first = round * objectsPerDevice + message / devices * objectsPerMessage
      let texts = (0..<objectsPerMessage).map { object(device, sequence: first + $0) }
      let payload = objectsPerMessage == 1 ? texts[0] : "[" + texts.joined(separator: ",") + "]"
      let newest = time(of: first + objectsPerMessage - 1)
      body(topic(device), payload, Timestamp(microseconds: newest.microseconds + 1_000_000))
    }
  }

  private func topic(_ device: Int) -> String {
    let id = Traffic.device(device)
    return self == .ami
      ? "gridtokenx/ami/telemetry/\(id)" : "gridtokenx/v1/BKK-07/\(kinds[0])/\(id)"
  }

  /// A quarter of an hour after the one before.
  private func time(of sequence: Int) -> Timestamp {
    Timestamp(microseconds: 1_781_049_600_000_000 + Int64(sequence) * 900_000_000)
  }

  private func object(_ device: Int, sequence: Int) -> String {
    // Neither stuck nor a spike; six decimals, as a real amount has.
    let amount = "0.\(200_000 + (sequence * 7_919 + device) % 97_777)"
    let time = time(of: sequence).description.dropLast(8)
    let tail = #""interval_seconds":900,"sequence":\#(sequence)}"#
    let head = #"{"timestamp":"\#(time).000Z","energy_amount":\#(amount),"#
    switch self {
    case .production, .production100:
      return head + #""efficiency":0.9712,"quality_score":0.98,"equipment_id":"INV-\#(device)","#
        + tail
    case .consumption, .consumption100:
      return head + #""appliance_breakdown":{"hvac":0.1,"lighting":0.03},"# + tail
    case .storage, .storage100:
      return head + #""operation_type":"charge","price_per_unit":2.6369,"# + tail
    case .ami:
      return #"{"timestamp":"\#(time)","energy_generated":\#(amount),"energy_consumed":\#(amount),"#
        + #""surplus_energy":0.0,"deficit_energy":0.0,"battery_level":71.5,"interval_seconds":900}"#
    }
  }
}
