// One line of a capture: a message as it was heard on the broker.

import EnergyReadings
import Foundation

/// One message of a capture file (`wire-format.md`, "Captures").
public struct CaptureRecord: Sendable, Equatable {
  /// Since the capture began, ≥ 0.
  public var timeMilliseconds: Int64
  public var topic: String
  /// 0…2.
  public var qos: UInt8
  public var payload: [UInt8]
  /// Whether the broker sent it as a retained message.
  public var retain: Bool
  /// When the capture began: on its first line, so that what tells no time of its own keeps the one
  /// at which it was heard.
  public var began: Timestamp?
  /// A note for people and tests; replay ignores it.
  public var comment: String?

  public init(
    timeMilliseconds: Int64, topic: String, qos: UInt8 = 1, payload: [UInt8],
    retain: Bool = false, began: Timestamp? = nil, comment: String? = nil
  ) {
    self.timeMilliseconds = timeMilliseconds
    self.topic = topic
    self.qos = qos
    self.payload = payload
    self.retain = retain
    self.began = began
    self.comment = comment
  }
}

extension [UInt8] {
  /// Appends the record as one line of a capture, newline included.
  ///
  /// The payload is text where it is valid UTF-8, else base64 in `payload_b64`.
  mutating func append(line record: CaptureRecord) {
    append(#"{"t_ms":"#)
    append(decimal: record.timeMilliseconds, places: 0)
    append(#","topic":"#)
    append(jsonString: record.topic.utf8)
    append(#","qos":"#)
    append(digits: UInt64(record.qos))
    if String(validating: record.payload, as: UTF8.self) != nil {
      append(#","payload":"#)
      append(jsonString: record.payload)
    } else {
      append(#","payload_b64":""#)
      append(contentsOf: Data(record.payload).base64EncodedData())
      append(UInt8(ascii: "\""))
    }
    if record.retain { append(#","retain":true"#) }
    if let began = record.began {
      append(#","began":"#)
      append(jsonString: began.description.utf8)
    }
    if let comment = record.comment {
      append(#","comment":"#)
      append(jsonString: comment.utf8)
    }
    append("}\n")
  }
}
