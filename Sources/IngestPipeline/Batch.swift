// The batch in the making: messages are decoded, enriched, checked and encoded as they arrive, so
// that a full batch only has to be sent.

import CheckRules
import EnergyReadings
import PayloadDecoding
import PostgresStore

/// What became of the readings of a batch, by kind; the last entry is readings of unknown kind.
public struct BatchLedger: Sendable {
  public static let unknownKind = 3

  public internal(set) var received: InlineArray<4, Int> = .init(repeating: 0)
  public internal(set) var stored: InlineArray<4, Int> = .init(repeating: 0)
  public internal(set) var duplicates: InlineArray<4, Int> = .init(repeating: 0)
  public internal(set) var zeros: InlineArray<4, Int> = .init(repeating: 0)
  /// Rejections by kind and reason; few, so a list.
  public internal(set) var rejected: [(kind: Int, reason: RejectionReason)] = []
  public internal(set) var messages = 0
  public internal(set) var unknownFields = 0
  public internal(set) var wasRepaired = false
}

/// One batch; reused after its commit.
public final class Batch {
  // Unchecked here and below: a batch belongs to one thread, and no access to one of these encloses
  // another to the same. The run-time check would be a sixth of the cost of a reading.
  @exclusivity(unchecked) private var arena = ByteArena(capacity: 1 << 20)
  private let rows = BatchRows()
  private var decoder = PayloadDecoder()
  @exclusivity(unchecked) private var decoded = DecodedReadings()
  @exclusivity(unchecked) private var messages: [Message] = []
  private var deadLetters: [DeadLetter] = []
  /// Where each row came from, by kind.
  @exclusivity(unchecked) private var sources: [[RowSource]] = [[], [], []]
  @exclusivity(unchecked) private var ledger = BatchLedger()
  private let enrichment: Enrichment
  private let rules: RuleSet
  private let signatures = SignatureCheck()

  private struct RowSource {
    var message: Int32
    var place: ReadingPlace
    var device: ByteSlice
    var timestamp: Timestamp
  }

  public init(rules: RuleSet, enrichment: EnrichmentSettings) {
    self.rules = rules
    self.enrichment = Enrichment(settings: enrichment)
  }

  /// Readings taken, good and bad.
  @exclusivity(unchecked) public private(set) var count = 0
  public var isEmpty: Bool { messages.isEmpty }
  /// Bytes that the batch's messages and texts occupy.
  public var byteCount: Int { arena.count }
  public var messageCount: Int { messages.count }
  /// Readings taken so far, by kind.
  public var received: InlineArray<4, Int> { ledger.received }

  /// Takes a message that C lends: copies it and judges its readings.
  public func add(
    topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, receivedAt: Timestamp,
    registry: MeterRegistry
  ) {
    // Of what is too long anyway, only the beginning is kept.
    let kept = UnsafeRawBufferPointer(rebasing: payload.prefix(PayloadDecoder.maximumPayload + 1))
    add(
      Message(
        topic: arena.append(topic), payload: arena.append(kept), receivedAt: receivedAt,
        payloadBytes: payload.count),
      registry)
  }

  /// Takes a message from memory of Swift's.
  public func add(
    topic: Span<UInt8>, payload: Span<UInt8>, receivedAt: Timestamp, registry: MeterRegistry
  ) {
    topic.withUnsafeBytes { topic in
      payload.withUnsafeBytes { payload in
        add(topic: topic, payload: payload, receivedAt: receivedAt, registry: registry)
      }
    }
  }

  private func add(_ message: Message, _ registry: MeterRegistry) {
    messages.append(message)
    ledger.messages += 1
    decoder.decode(message, in: &arena, into: &decoded)
    ledger.unknownFields += decoded.unknownFields
    for index in decoded.accepted.indices {
      judge(decoded.accepted[index].reading, decoded.accepted[index].place, registry)
    }
    for rejected in decoded.rejected {
      received(rejected.kind.map { Int($0.rawValue) } ?? BatchLedger.unknownKind)
      reject(
        rejected.rejection, place: rejected.place, kind: rejected.kind, device: rejected.device,
        message: messages.count - 1)
    }
  }

  private func received(_ kind: Int) {
    ledger.received[kind] += 1
    count += 1
  }

  private func judge(_ decoded: Reading, _ place: ReadingPlace, _ registry: MeterRegistry) {
    var reading = decoded
    let kind = Int(reading.kind.rawValue)
    received(kind)
    let message = messages.count - 1
    do throws(Rejection) {
      try signatures.verify(reading, with: registry, in: arena)
      if reading.energy == .zero {
        // Heard, but nothing to store: the tables hold amounts above 0 only.
        ledger.zeros[kind] += 1
        return
      }
      try enrichment.complete(&reading, from: registry, in: &arena)
      if let violation = rules.violation(
        by: reading, in: arena, now: messages[message].receivedAt)
      {
        throw violation
      }
    } catch {
      reject(
        error.inside(element: place.index), place: place, kind: reading.kind,
        device: reading.device,
        message: message)
      return
    }
    rows.append(reading, in: arena)
    sources[kind].append(
      RowSource(
        message: Int32(message), place: place, device: reading.device,
        timestamp: reading.timestamp))
  }

  private func reject(
    _ rejection: Rejection, place: ReadingPlace, kind: ReadingKind?, device: ByteSlice,
    message: Int
  ) {
    deadLetters.append(
      DeadLetter(
        receivedAt: messages[message].receivedAt, topic: messages[message].topic,
        payload: place.text,
        payloadBytes: place.index == nil ? messages[message].payloadBytes : nil,
        index: place.index, kind: kind, device: device, rejection: rejection))
    ledger.rejected.append(
      (kind.map { Int($0.rawValue) } ?? BatchLedger.unknownKind, rejection.reason))
  }

  /// Stores the batch in one transaction. May be called again after an error.
  ///
  /// - Returns: what became of every reading.
  /// - Throws: ``PostgresError``; nothing is stored then, and the batch is as it was.
  public func commit(to store: BatchStore) throws(PostgresError) -> BatchLedger {
    let outcome = try store.commit(rows) { refused, buffer in
      for letter in deadLetters { buffer.append(letter, in: arena) }
      for row in refused { buffer.append(letter(for: row), in: arena) }
    }
    var settled = ledger
    settled.wasRepaired = outcome.wasRepaired
    for kind in ReadingKind.allCases {
      let index = Int(kind.rawValue)
      settled.stored[index] = outcome.stored[index]
      settled.duplicates[index] = outcome.duplicates[index]
    }
    for row in outcome.refused {
      settled.rejected.append((Int(row.kind.rawValue), row.rejection.reason))
    }
    return settled
  }

  private func letter(for refused: RefusedRow) -> DeadLetter {
    let source = sources[Int(refused.kind.rawValue)][refused.row]
    let message = messages[Int(source.message)]
    return DeadLetter(
      receivedAt: message.receivedAt, topic: message.topic, payload: source.place.text,
      index: source.place.index, kind: refused.kind, device: source.device,
      rejection: refused.rejection.inside(element: source.place.index))
  }

  /// Calls `body` with the end of each stored interval: what publish-to-commit latency is taken
  /// from.
  public func forEachTimestamp(_ body: (Timestamp) -> Void) {
    for kind in sources { for source in kind { body(source.timestamp) } }
  }

  /// Forgets everything and keeps the memory.
  public func removeAll() {
    arena.removeAll()
    rows.removeAll()
    messages.removeAll(keepingCapacity: true)
    deadLetters.removeAll(keepingCapacity: true)
    for kind in sources.indices { sources[kind].removeAll(keepingCapacity: true) }
    ledger = BatchLedger()
    count = 0
  }
}
