// Messages that came back from a spool, and the record that each of them is on disk.

import EnergyReadings
import Foundation

/// One message of ``SpooledMessages``.
public struct SpooledMessage: Sendable, Hashable {
  /// Its number in the spool; they have no gaps and rise in the order of arrival.
  public var sequence: Int64
  public var receivedAt: Timestamp
  /// The topic's bytes in ``SpooledMessages/arena``.
  public var topic: ByteSlice
  /// The payload's bytes in ``SpooledMessages/arena``.
  public var payload: ByteSlice
}

/// Messages in the order of arrival, with their bytes. Empty when nothing is spooled.
public struct SpooledMessages: ~Copyable, Sendable {
  /// What the slices of ``messages`` point into.
  public private(set) var arena: ByteArena
  public private(set) var messages: [SpooledMessage] = []

  public var isEmpty: Bool { messages.isEmpty }
  public var count: Int { messages.count }
  /// What to hand to ``Spool/remove(through:)`` once these are stored; nil when empty.
  public var lastSequence: Int64? { messages.last?.sequence }

  /// - Parameter capacity: bytes to make room for.
  public init(capacity: Int = 0) { arena = ByteArena(capacity: capacity) }

  /// Copies a record that ``SpoolRecord`` has read.
  mutating func append(_ record: SpoolRecord, of bytes: Span<UInt8>, sequence: Int64) {
    messages.append(
      SpooledMessage(
        sequence: sequence, receivedAt: record.receivedAt,
        topic: arena.append(bytes.extracting(record.topic)),
        payload: arena.append(bytes.extracting(record.payload))))
  }
}

/// A message as it stands in a row: eight bytes of checksum, eight of the time of receipt, four of
/// the topic's length (all big-endian), topic, payload.
///
/// The checksum is 62 bits of a SHA-256 over all that follows and the row's number, so that neither
/// a flipped bit nor a row in another's place goes unseen. It is the digest of ``ReadingID``, whose
/// derivation may never change: an old file can be read by a newer program.
struct SpoolRecord {
  /// Bytes that a record has beside topic and payload.
  static let overhead = 20

  let receivedAt: Timestamp
  /// Where topic and payload stand in the record.
  let topic: Range<Int>
  let payload: Range<Int>

  /// Reads a record; nil when it is not what was written at `sequence`.
  init?(_ bytes: Span<UInt8>, sequence: Int64) {
    guard bytes.count >= SpoolRecord.overhead else { return nil }
    let topicEnd = SpoolRecord.overhead + Int(bytes.bigEndian(16..<20))
    guard topicEnd <= bytes.count else { return nil }
    topic = SpoolRecord.overhead..<topicEnd
    payload = topicEnd..<bytes.count
    receivedAt = Timestamp(microseconds: Int64(bitPattern: bytes.bigEndian(8..<16)))
    guard
      bytes.bigEndian(0..<8)
        == SpoolRecord.checksum(
          head: bytes.extracting(8..<topicEnd), payload: bytes.extracting(payload),
          sequence: sequence)
    else { return nil }
  }

  /// Writes a record into `buffer`, whose content is forgotten.
  static func write(
    topic: Span<UInt8>, payload: Span<UInt8>, receivedAt: Timestamp, sequence: Int64,
    to buffer: inout [UInt8]
  ) {
    buffer.removeAll(keepingCapacity: true)
    buffer.append(bigEndian: 0, bytes: 8)
    buffer.append(bigEndian: UInt64(bitPattern: receivedAt.microseconds), bytes: 8)
    buffer.append(bigEndian: UInt64(topic.count), bytes: 4)
    // Pointers of the standard library's own append, lent for the call.
    topic.withUnsafeBufferPointer { buffer.append(contentsOf: $0) }
    let sum = checksum(
      head: buffer.span.extracting(8..<buffer.count), payload: payload, sequence: sequence)
    for index in 0..<8 { buffer[index] = UInt8(truncatingIfNeeded: sum >> (56 - 8 * index)) }
    payload.withUnsafeBufferPointer { buffer.append(contentsOf: $0) }
  }

  private static func checksum(
    head: Span<UInt8>, payload: Span<UInt8>, sequence: Int64
  ) -> UInt64 {
    ReadingID(topic: head, payload: payload, index: Int(sequence)).low
  }
}

extension Span where Element == UInt8 {
  fileprivate func bigEndian(_ range: Range<Int>) -> UInt64 {
    var value: UInt64 = 0
    for index in range { value = value << 8 | UInt64(self[index]) }
    return value
  }
}

extension [UInt8] {
  fileprivate mutating func append(bigEndian value: UInt64, bytes: Int) {
    for index in 0..<bytes {
      append(UInt8(truncatingIfNeeded: value >> (8 * (bytes - 1 - index))))
    }
  }
}
