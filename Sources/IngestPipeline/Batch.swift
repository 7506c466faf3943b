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
  /// Rejections by kind and reason, with the rule or constraint that was broken; few, so a list.
  public internal(set) var rejected: [(kind: Int, reason: RejectionReason, rule: String?)] = []
  /// How often stored readings break each rule, by ``PlausibilityRule/rawValue``.
  public internal(set) var flagged = [Int](repeating: 0, count: PlausibilityRule.allCases.count)
  public internal(set) var messages = 0
  public internal(set) var unknownFields = 0
  public internal(set) var wasRepaired = false
  /// Dead letters that were tried again, and how many of them were refused once more.
  public internal(set) var redriven = 0
  public internal(set) var redrivenAgain = 0
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
  private let judge: ReadingJudge
  /// The rules of the last message.
  private var rules: RuleSet?
  /// Dead letters among the messages, by the message's number; empty but in a redrive.
  private var letters: [Int: RedrivenLetter] = [:]
  /// Numbers of the messages whose dead letter was refused again.
  private var lettersRefused: Set<Int> = []
  /// Whether the batch is only rehearsed: then flags are kept to be told of.
  private let isRehearsal: Bool
  private var marks: [(kind: ReadingKind, row: Int, flag: ReadingFlag)] = []
  private let signatures = SignatureCheck()

  private struct RowSource {
    var message: Int32
    var place: ReadingPlace
    var device: ByteSlice
    var timestamp: Timestamp
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
    add(
      Message(
        topic: arena.append(letter.topic.utf8.span), payload: arena.append(letter.payload.span),
        receivedAt: letter.receivedAt), reference)
  }

  private func add(_ message: Message, _ reference: ReferenceData) {
    if rules !== reference.rules { follow(reference.rules) }
    messages.append(message)
    ledger.messages += 1
    decoder.decode(message, in: &arena, into: &decoded)
    ledger.unknownFields += decoded.unknownFields
    let before = count
    for index in decoded.accepted.indices where isAsked(decoded.accepted[index].place) {
      settle(decoded.accepted[index].reading, decoded.accepted[index].place, reference)
    }
    for rejected in decoded.rejected where isAsked(rejected.place) {
      received(rejected.kind.map { Int($0.rawValue) } ?? BatchLedger.unknownKind)
      reject(
        rejected.rejection, place: rejected.place, kind: rejected.kind, device: rejected.device,
        message: messages.count - 1)
    }
    // A letter that holds nothing of what it is about stays open.
    if count == before, letters[messages.count - 1] != nil {
      lettersRefused.insert(messages.count - 1)
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

  private func received(_ kind: Int) {
    ledger.received[kind] += 1
    count += 1
  }

  /// Makes a row or a dead letter of a decoded reading.
  private func settle(_ decoded: Reading, _ place: ReadingPlace, _ reference: ReferenceData) {
    var reading = decoded
    let kind = Int(reading.kind.rawValue)
    received(kind)
    let message = messages.count - 1
    let flags: [ReadingFlag]
    do throws(Rejection) {
      try signatures.verify(reading, with: reference.registry, in: arena)
      if reading.energy == .zero {
        // Heard, but nothing to store: the tables hold amounts above 0 only.
        ledger.zeros[kind] += 1
        if reference.registry.device(arena[reading.device], kind: reading.kind) != nil {
          judge.heard(
            reading, by: reference.rules, in: arena, receivedAt: messages[message].receivedAt)
        }
        return
      }
      let facts = try enrichment.complete(&reading, from: reference.registry, in: &arena)
      flags = try judge.judge(
        &reading, by: reference.rules, facts: facts, registry: reference.registry.arena,
        in: &arena, receivedAt: messages[message].receivedAt, now: letters.isEmpty ? nil : .now)
    } catch {
      reject(
        error.inside(element: element(at: place, of: message)), place: place, kind: reading.kind,
        device: reading.device, message: message)
      return
    }
    rows.append(reading, in: arena)
    for flag in flags { mark(reading, flag) }
    sources[kind].append(
      RowSource(
        message: Int32(message), place: place, device: reading.device,
        timestamp: reading.timestamp))
  }

  private func mark(_ reading: Reading, _ flag: ReadingFlag) {
    rows.flagLast(of: reading, rule: flag.rule.name, detail: flag.detail, in: arena)
    ledger.flagged[Int(flag.rule.rawValue)] += 1
    if isRehearsal {
      marks.append((reading.kind, rows.count(of: reading.kind) - 1, flag))
    }
  }

  private func reject(
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
    deadLetters.append(letter)
    ledger.rejected.append(
      (
        kind.map { Int($0.rawValue) } ?? BatchLedger.unknownKind, rejection.reason,
        rejection.rule ?? rejection.constraint
      ))
  }

  /// Stores the batch in one transaction. May be called again after an error.
  ///
  /// - Returns: what became of every reading.
  /// - Throws: ``PostgresError``; nothing is stored then, and the batch is as it was.
  public func commit(to store: BatchStore) throws(PostgresError) -> BatchLedger {
    let outcome = try store.commit(
      rows,
      deadLetters: { refused, buffer in
        for letter in deadLetters { buffer.append(letter, in: arena) }
        for row in refused { buffer.append(letter(for: row), in: arena) }
      },
      finally: { (outcome, connection) throws(PostgresError) in
        if letters.isEmpty { return }
        let ends = self.outcome(of: letters, refused: outcome.refused)
        try DeadLetterSettlement.settle(
          passed: ends.passed, zeros: ends.zeros, refused: ends.refused, over: connection)
      })
    return settled(outcome)
  }

  /// The ledger, once the database has judged.
  private func settled(_ outcome: StoreOutcome) -> BatchLedger {
    var settled = ledger
    settled.wasRepaired = outcome.wasRepaired
    for name in outcome.flagged {
      guard let rule = PlausibilityRule(name: name) else { continue }
      settled.flagged[Int(rule.rawValue)] += 1
    }
    settled.redriven = letters.count
    settled.redrivenAgain =
      letters.isEmpty
      ? 0
      : self.outcome(
        of: letters, refused: outcome.refused
      ).refused.count
    for kind in ReadingKind.allCases {
      let index = Int(kind.rawValue)
      settled.stored[index] = outcome.stored[index]
      settled.duplicates[index] = outcome.duplicates[index]
    }
    for row in outcome.refused {
      settled.rejected.append(
        (Int(row.kind.rawValue), row.rejection.reason, row.rejection.constraint))
    }
    return settled
  }

  private func letter(for refused: RefusedRow) -> DeadLetter {
    let source = sources[Int(refused.kind.rawValue)][refused.row]
    let message = messages[Int(source.message)]
    var letter = DeadLetter(
      receivedAt: message.receivedAt, topic: message.topic, payload: source.place.text,
      index: source.place.index, kind: refused.kind, device: source.device,
      rejection: refused.rejection.inside(
        element: element(at: source.place, of: Int(source.message))))
    letter.id = sameLetter(Int(source.message), source.place)
    return letter
  }

  /// The reading's place among several of its payload, that of its dead letter included.
  private func element(at place: ReadingPlace, of message: Int) -> Int32? {
    letters.isEmpty ? place.index : place.index ?? letters[message]?.index
  }

  /// The id of the dead letter that a reading was tried again from; nil for another reading than it
  /// is about, which gets a letter of its own.
  private func sameLetter(_ message: Int, _ place: ReadingPlace) -> ReadingID? {
    guard !letters.isEmpty, let letter = letters[message],
      place.index == nil || place.index == letter.index
    else { return nil }
    return letter.id
  }

  /// Ids of the dead letters that were tried again: what passed, what was zero, and what was refused
  /// once more.
  private func outcome(
    of letters: [Int: RedrivenLetter], refused rows: [RefusedRow]
  ) -> (passed: [ReadingID], zeros: [ReadingID], refused: [ReadingID]) {
    var refused = lettersRefused
    for row in rows {
      let source = sources[Int(row.kind.rawValue)][row.row]
      if sameLetter(Int(source.message), source.place) != nil {
        refused.insert(Int(source.message))
      }
    }
    let withRows = Set(sources.joined().map { Int($0.message) })
    var ends: (passed: [ReadingID], zeros: [ReadingID], refused: [ReadingID]) = ([], [], [])
    for (message, letter) in letters.sorted(by: { $0.key < $1.key }) {
      if refused.contains(message) {
        ends.refused.append(letter.id)
      } else if withRows.contains(message) {
        ends.passed.append(letter.id)
      } else {
        ends.zeros.append(letter.id)
      }
    }
    return ends
  }

  /// Stores the batch within the caller's transaction, which is to be rolled back, and tells what
  /// would become of every reading; takes the exact way of the repair.
  ///
  /// - Parameter body: gets each verdict that is worth a word, and the number of its message in the
  ///   batch; flags of the batteries' book have no message.
  public func rehearse(
    in store: BatchStore, _ body: (Verdict, Int?) -> Void
  ) throws(PostgresError) -> BatchLedger {
    let outcome = try store.rehearse(rows)
    for letter in deadLetters { body(Verdict(letter, in: arena), letter.message) }
    for row in outcome.refused {
      let source = sources[Int(row.kind.rawValue)][row.row]
      body(Verdict(letter(for: row), in: arena), Int(source.message))
    }
    for mark in marks {
      let source = sources[Int(mark.kind.rawValue)][mark.row]
      body(
        Verdict(
          rule: "\(mark.flag.rule.name)", device: arena.string(source.device),
          detail: mark.flag.detail), Int(source.message))
    }
    for rule in outcome.flagged { body(Verdict(rule: rule, device: "", detail: ""), nil) }
    return settled(outcome)
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
    ledger = BatchLedger()
    count = 0
  }
}
