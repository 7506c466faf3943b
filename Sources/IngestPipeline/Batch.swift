// The batch in the making: messages are decoded, enriched, checked and encoded as they arrive, so
// that a full batch only has to be sent.

import CheckRules
import EnergyReadings
import PayloadDecoding
import PostgresStore

/// One batch; reused after its commit.
///
/// What becomes of samples stands in SampleSettlement.swift, and how the batch is stored in
/// BatchCommit.swift.
public final class Batch {
  // Unchecked here and below: a batch belongs to one thread, and no access to one of these encloses
  // another to the same. The run-time check would be a sixth of the cost of a reading.
  @exclusivity(unchecked) var arena = ByteArena(capacity: 1 << 20)
  let rows = BatchRows()
  private let decoder = PayloadDecoder()
  @exclusivity(unchecked) private var decoded = DecodedReadings()
  @exclusivity(unchecked) var messages: [Message] = []
  var deadLetters: [DeadLetter] = []
  /// Where each row came from, by kind.
  @exclusivity(unchecked) var sources: [[RowSource]] = [[], [], []]
  @exclusivity(unchecked) var ledger = BatchLedger()
  let enrichment: Enrichment
  let judge: ReadingJudge
  /// The rules of the last message.
  private var rules: RuleSet?
  /// Dead letters among the messages, by the message's number; empty but in a redrive.
  var letters: [Int: RedrivenLetter] = [:]
  /// Numbers of the messages whose dead letter was refused again.
  var lettersRefused: Set<Int> = []
  /// Whether the batch is only rehearsed: then flags are kept to be told of.
  private let isRehearsal: Bool
  var marks: [(kind: ReadingKind, row: Int, flag: ReadingFlag)] = []
  /// The number of a message that has a skip of that kind; filled where the batch is only rehearsed.
  public private(set) var skipExamples: [SkipReason: Int] = [:]
  private let signatures = SignatureCheck()
  let samples = PendingSamples()
  /// What messages made it necessary to ask for.
  private var requests: [MessageRequest] = []
  /// What samples are completed and judged by.
  var reference = ReferenceData.empty

  struct RowSource {
    var message: Int32
    var place: ReadingPlace
    var device: ByteSlice
    var timestamp: Timestamp
    /// Its number among the samples, -1 for an interval that the device itself made.
    var sample: Int32 = -1
  }

  /// - Parameters:
  ///   - states: what rules remember of the meters; shared by all batches of a process.
  ///   - isRehearsal: whether the batch is for ``rehearse(in:_:)``.
  public init(
    enrichment: EnrichmentSettings, states: MeterStates = MeterStates(), isRehearsal: Bool = false
  ) {
    self.isRehearsal = isRehearsal
    self.enrichment = Enrichment(settings: enrichment)
    judge = ReadingJudge(states: states)
  }

  /// Readings taken, good and bad.
  @exclusivity(unchecked) public internal(set) var count = 0
  public var isEmpty: Bool { messages.isEmpty }
  /// Bytes at which a batch is to be closed whatever it counts: 32 MiB, so that large messages, or many
  /// that hold no reading, cannot fill the memory.
  public static let maximumBytes = 32 << 20
  /// Bytes that the batch's messages and texts occupy.
  public var byteCount: Int { arena.count }
  public var messageCount: Int { messages.count }
  /// Readings taken so far, by kind; without the samples of registers.
  public var received: InlineArray<4, Int> { ledger.received }

  /// Takes a message that C lends: copies it and judges its readings.
  public func add(
    topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, receivedAt: Timestamp,
    by reference: ReferenceData
  ) {
    // Of what is too long anyway, only the beginning is kept.
    let kept = UnsafeRawBufferPointer(rebasing: payload.prefix(PayloadDecoder.maximumPayload + 1))
    add(
      Message(
        topic: arena.append(topic), payload: arena.append(kept), receivedAt: receivedAt,
        payloadBytes: payload.count),
      reference)
  }

  /// Takes a message from memory of Swift's.
  public func add(
    topic: Span<UInt8>, payload: Span<UInt8>, receivedAt: Timestamp, by reference: ReferenceData
  ) {
    topic.withUnsafeBytes { topic in
      payload.withUnsafeBytes { payload in
        add(topic: topic, payload: payload, receivedAt: receivedAt, by: reference)
      }
    }
  }

  /// Takes a dead letter that is tried again.
  ///
  /// What it was received at stays, since that is what its time is judged by. Of an element of
  /// several readings the letter holds that element alone, or, where one object makes two readings,
  /// the whole of it.
  func add(_ letter: RedrivenLetter, by reference: ReferenceData) {
    letters[messages.count] = letter
    var message = Message(
      topic: arena.append(letter.topic.utf8.span), payload: arena.append(letter.payload.span),
      receivedAt: letter.receivedAt)
    message.isLive = false
    add(message, reference)
  }

  /// Takes what is to be published since the last call.
  func takeRequests() -> [MessageRequest] {
    if requests.isEmpty { return [] }
    defer { requests.removeAll() }
    return requests
  }

  /// Takes a message and the samples that it holds, for callers that decode themselves.
  ///
  /// - Parameter samples: makes them, their texts in the arena that it is given.
  package func add(
    topic: Span<UInt8>, payload: Span<UInt8>, receivedAt: Timestamp, by reference: ReferenceData,
    samples: (inout ByteArena) -> [RegisterSample]
  ) {
    let text = arena.append(payload)
    take(Message(topic: arena.append(topic), payload: text, receivedAt: receivedAt), reference)
    for sample in samples(&arena) {
      keep(sample, ReadingPlace(index: nil, text: text), reference)
    }
  }

  private func take(_ message: Message, _ reference: ReferenceData) {
    if rules !== reference.rules { follow(reference.rules) }
    messages.append(message)
    ledger.messages += 1
  }

  private func add(_ message: Message, _ reference: ReferenceData) {
    take(message, reference)
    decoder.decode(message, from: reference.sources, in: &arena, into: &decoded)
    ledger.unknownFields += decoded.unknownFields
    if !decoded.requests.isEmpty { requests += decoded.requests }
    countSkips()
    let before = count
    for index in decoded.accepted.indices where isAsked(decoded.accepted[index].place) {
      settle(&decoded.accepted[index].reading, decoded.accepted[index].place, reference)
    }
    if decoded.holdsOthers { addOthers(reference) }
    // A letter that holds nothing of what it is about stays open.
    if count == before, letters[messages.count - 1] != nil,
      !decoded.charges.contains(where: { isAsked($0.place) })
    {
      lettersRefused.insert(messages.count - 1)
    }
  }

  /// What else the last message holds. Apart, since few hold any, and to look into each array counts a
  /// reference to it.
  private func addOthers(_ reference: ReferenceData) {
    for sampled in decoded.samples where isAsked(sampled.place) {
      keep(sampled.sample, sampled.place, reference)
    }
    for charged in decoded.charges where isAsked(charged.place) { keep(charged, reference) }
    for rejected in decoded.rejected where isAsked(rejected.place) {
      received(rejected.kind.map { Int($0.rawValue) } ?? BatchLedger.unknownKind)
      reject(
        rejected.rejection, place: rejected.place, kind: rejected.kind, device: rejected.device,
        message: messages.count - 1)
    }
  }

  private func countSkips() {
    for index in decoded.skips.indices where decoded.skips[index] > 0 {
      if isRehearsal, ledger.skipped[index] == 0, let reason = SkipReason(rawValue: UInt8(index)) {
        skipExamples[reason] = messages.count - 1
      }
      ledger.skipped[index] += decoded.skips[index]
    }
  }

  /// Whether a reading of the last message is wanted: of a dead letter about one of two readings of
  /// one object, only that. Of an element of several, the letter holds that element alone, and all
  /// that is in it is wanted.
  private func isAsked(_ place: ReadingPlace) -> Bool {
    guard !letters.isEmpty, let index = place.index, let letter = letters[messages.count - 1],
      let asked = letter.index, place.text == messages[messages.count - 1].payload
    else { return true }
    return index == asked
  }

  /// Takes over what rules the batteries' book is to judge.
  private func follow(_ rules: RuleSet) {
    self.rules = rules
    let judged = PlausibilityRule.allCases.filter {
      $0.isJudgedByBook && rules.plausibility[$0] != .off
    }
    rows.batteryRules = BatteryRules(
      names: judged.map { "\($0.name)" }, tolerancePercent: rules.plausibility.batteryPercent)
  }

  func received(_ kind: Int) {
    ledger.received[kind] += 1
    count += 1
  }

  /// Makes a row or a dead letter of a decoded reading, which is completed where it stands.
  private func settle(
    _ reading: inout Reading, _ place: ReadingPlace, _ reference: ReferenceData
  ) {
    received(Int(reading.kind.rawValue))
    let source = RowSource(
      message: Int32(messages.count - 1), place: place, device: reading.device,
      timestamp: reading.timestamp)
    do throws(Rejection) {
      try signatures.verify(reading, with: reference.registry, in: arena)
      try enter(&reading, from: source, reference)
    } catch {
      reject(error, reading.kind, source)
    }
  }

  /// Completes and judges a reading and makes it a row.
  private func enter(
    _ reading: inout Reading, from source: RowSource, _ reference: ReferenceData
  ) throws(Rejection) {
    let receivedAt = messages[Int(source.message)].receivedAt
    if reading.energy == .zero { return hear(reading, reference, receivedAt) }
    let flags = try complete(&reading, reference, receivedAt, in: &arena)
    append(reading, flags, from: source, in: arena)
  }

  /// Completes and judges a reading.
  ///
  /// - Parameter texts: what the reading's texts stand in, and what completes it is added to.
  func complete(
    _ reading: inout Reading, _ reference: ReferenceData, _ receivedAt: Timestamp,
    in texts: inout ByteArena
  ) throws(Rejection) -> [ReadingFlag] {
    let facts = try enrichment.complete(&reading, from: reference.registry, in: &texts)
    return try judge.judge(
      &reading, by: reference.rules, facts: facts, registry: reference.registry.arena,
      in: &texts, receivedAt: receivedAt, now: letters.isEmpty ? nil : .now)
  }

  /// Makes a reading that was judged a row.
  func append(
    _ reading: Reading, _ flags: [ReadingFlag], from source: RowSource,
    in texts: borrowing ByteArena
  ) {
    rows.append(reading, in: texts)
    if !flags.isEmpty { for flag in flags { mark(reading, flag, in: texts) } }
    sources[Int(reading.kind.rawValue)].append(source)
  }

  /// Heard, but nothing to store: the tables hold amounts above 0 only.
  func hear(_ reading: Reading, _ reference: ReferenceData, _ receivedAt: Timestamp) {
    ledger.zeros[Int(reading.kind.rawValue)] += 1
    if reference.registry.device(arena[reading.device], kind: reading.kind) != nil {
      judge.heard(reading, by: reference.rules, in: arena, receivedAt: receivedAt)
    }
  }

  func reject(_ rejection: Rejection, _ kind: ReadingKind, _ source: RowSource) {
    let message = Int(source.message)
    reject(
      rejection.inside(element: element(at: source.place, of: message)), place: source.place,
      kind: kind, device: source.device, message: message)
  }

  private func mark(_ reading: Reading, _ flag: ReadingFlag, in texts: borrowing ByteArena) {
    rows.flagLast(of: reading, rule: flag.rule.name, detail: flag.detail, in: texts)
    ledger.flagged[Int(flag.rule.rawValue)] += 1
    if isRehearsal {
      marks.append((reading.kind, rows.count(of: reading.kind) - 1, flag))
    }
  }

  func reject(
    _ rejection: Rejection, place: ReadingPlace, kind: ReadingKind?, device: ByteSlice,
    message: Int
  ) {
    var letter = DeadLetter(
      receivedAt: messages[message].receivedAt, topic: messages[message].topic,
      payload: place.text,
      payloadBytes: place.index == nil ? messages[message].payloadBytes : nil,
      index: place.index, kind: kind, device: device, rejection: rejection)
    letter.id = sameLetter(message, place)
    letter.message = message
    if letter.id != nil { lettersRefused.insert(message) }
    // Derived once, since the row may be written twice.
    let id = letter.rowID(in: arena)
    letter.id = id
    deadLetters.append(letter)
    ledger.rejected.append(
      (
        kind.map { Int($0.rawValue) } ?? BatchLedger.unknownKind, rejection.reason,
        rejection.rule ?? rejection.constraint, id
      ))
  }

  /// Calls `body` with the end of each stored interval: what publish-to-commit latency is taken
  /// from.
  public func forEachTimestamp(_ body: (Timestamp) -> Void) {
    for kind in sources { for source in kind { body(source.timestamp) } }
  }

  /// Calls `body` with each message's topic, payload and time of receipt, in order. May be called
  /// while the batch is being committed, which does not change them.
  func forEachMessage<Failure: Error>(
    _ body: (Span<UInt8>, Span<UInt8>, Timestamp) throws(Failure) -> Void
  ) throws(Failure) {
    try arena.forEach(of: messages, body)
  }

  /// Forgets everything and keeps the memory.
  public func removeAll() {
    arena.removeAll()
    rows.removeAll()
    messages.removeAll(keepingCapacity: true)
    deadLetters.removeAll(keepingCapacity: true)
    for kind in sources.indices { sources[kind].removeAll(keepingCapacity: true) }
    if !letters.isEmpty {
      letters.removeAll()
      lettersRefused.removeAll()
    }
    marks.removeAll()
    if !requests.isEmpty { requests.removeAll() }
    skipExamples.removeAll()
    samples.removeAll()
    ledger = BatchLedger()
    count = 0
  }
}
