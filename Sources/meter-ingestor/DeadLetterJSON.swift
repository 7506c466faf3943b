// Dead letters as JSON for scripts: names as the columns of ingest.dead_letters.

import EnergyReadings
import Foundation
import PostgresStore

/// What `dead-letters list --json` prints.
struct DeadLetterListing: Encodable {
  var total: Int
  var counts: [Count]
  var letters: [Letter]

  struct Count: Encodable {
    var reason: String
    var rule: String?
    var letters: Int
    var devices: Int
    var firstReceivedAt: String
    var lastReceivedAt: String
    var exampleID: String

    enum CodingKeys: String, CodingKey {
      case reason, rule, letters, devices
      case firstReceivedAt = "first_received_at"
      case lastReceivedAt = "last_received_at"
      case exampleID = "example_id"
    }

    init(_ count: DeadLetterCount) {
      reason = count.reason
      rule = count.rule
      letters = count.letters
      devices = count.devices
      firstReceivedAt = "\(count.firstAt)"
      lastReceivedAt = "\(count.lastAt)"
      exampleID = "\(count.example)"
    }
  }

  struct Letter: Encodable {
    var id: String
    var receivedAt: String
    var lastReceivedAt: String
    var topic: String
    var kind: String?
    var device: String?
    var reason: String
    var rule: String?
    var constraint: String?
    var sqlState: String?
    var path: String?
    var detail: String?
    var attempts: Int
    var resolvedAt: String?
    var resolution: String?

    enum CodingKeys: String, CodingKey {
      case id, topic, kind, reason, rule, detail, attempts, resolution
      case receivedAt = "received_at"
      case lastReceivedAt = "last_received_at"
      case device = "device_id"
      case constraint = "constraint_name"
      case sqlState = "sqlstate"
      case path = "json_path"
      case resolvedAt = "resolved_at"
    }

    init(_ entry: DeadLetterEntry) {
      id = "\(entry.id)"
      receivedAt = "\(entry.receivedAt)"
      lastReceivedAt = "\(entry.lastReceivedAt)"
      topic = entry.topic
      kind = entry.kind
      device = entry.device
      reason = entry.verdict.reason
      rule = entry.verdict.rule
      constraint = entry.verdict.constraint
      sqlState = entry.verdict.sqlstate
      path = entry.verdict.path
      detail = entry.verdict.detail
      attempts = entry.attempts
      resolvedAt = entry.resolvedAt.map { "\($0)" }
      resolution = entry.resolution
    }
  }
}

/// What `dead-letters show --json` prints: the columns, and the payload as a capture has it, text
/// where it is UTF-8 and else base64.
struct DeadLetterDocument: Encodable {
  private let file: DeadLetterFile

  init(_ file: DeadLetterFile) { self.file = file }

  private enum CodingKeys: String, CodingKey {
    case history, payload
    case base64 = "payload_b64"
    case payloadBytes = "payload_bytes"
    case index = "payload_index"
  }

  func encode(to encoder: any Encoder) throws {
    try DeadLetterListing.Letter(file.entry).encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(file.history, forKey: .history)
    try container.encodeIfPresent(file.content.payloadBytes, forKey: .payloadBytes)
    try container.encodeIfPresent(file.content.index, forKey: .index)
    if let text = String(validating: file.content.payload, as: UTF8.self) {
      try container.encode(text, forKey: .payload)
    } else {
      try container.encode(Data(file.content.payload).base64EncodedString(), forKey: .base64)
    }
  }
}
