// Messages as they arrived, not yet looked at: what goes to the spool.

import EnergyReadings
import PayloadDecoding

/// Messages in order of arrival, as they can be spooled.
protocol ArrivedMessages: ~Copyable {
  var messageCount: Int { get }
  /// Calls `body` with topic, payload and time of receipt of each.
  func forEachMessage<Failure: Error>(
    _ body: (Span<UInt8>, Span<UInt8>, Timestamp) throws(Failure) -> Void
  ) throws(Failure)
}

extension Batch: ArrivedMessages {}

/// Messages in order of arrival, with their bytes. Reused.
struct MessageBox: ~Copyable, ArrivedMessages {
  private(set) var arena = ByteArena()
  private(set) var messages: [Message] = []

  var isEmpty: Bool { messages.isEmpty }
  var messageCount: Int { messages.count }
  var byteCount: Int { arena.count }

  /// Copies a message that C lends. Of what no decoder takes, only the beginning is kept.
  mutating func append(
    topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, receivedAt: Timestamp
  ) {
    let kept = UnsafeRawBufferPointer(rebasing: payload.prefix(PayloadDecoder.maximumPayload + 1))
    messages.append(
      Message(topic: arena.append(topic), payload: arena.append(kept), receivedAt: receivedAt))
  }

  mutating func removeAll() {
    arena.removeAll()
    messages.removeAll(keepingCapacity: true)
  }

  func forEachMessage<Failure: Error>(
    _ body: (Span<UInt8>, Span<UInt8>, Timestamp) throws(Failure) -> Void
  ) throws(Failure) {
    try arena.forEach(of: messages, body)
  }
}

extension ByteArena {
  /// Calls `body` with topic, payload and time of receipt of messages whose bytes are here.
  func forEach<Failure: Error>(
    of messages: [Message],
    _ body: (Span<UInt8>, Span<UInt8>, Timestamp) throws(Failure) -> Void
  ) throws(Failure) {
    for message in messages {
      try body(self[message.topic], self[message.payload], message.receivedAt)
    }
  }
}
