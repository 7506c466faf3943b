// A batch is stored: what became of every reading, and of the dead letters that were tried again.

import CheckRules
import EnergyReadings
import PayloadDecoding
import PostgresStore

extension Batch {
  /// Stores the batch in one transaction. May be called again after an error.
  ///
  /// - Returns: what became of every reading.
  /// - Throws: ``PostgresError``; nothing is stored then, and the batch is as it was.
  public func commit(to store: BatchStore) throws(PostgresError) -> BatchLedger {
    let start = checkpoint
    do throws(PostgresError) {
      return settled(
        try store.commit(
          rows,
          prepare: { (connection) throws(PostgresError) in
            try prepareSamples(after: start, over: connection)
          },
          review: { refuse($0, after: start) },
          deadLetters: { refused, buffer in
            for letter in deadLetters { buffer.append(letter, in: arena) }
            for row in refused { buffer.append(letter(for: row), in: arena) }
          },
          finally: { (outcome, connection) throws(PostgresError) in
            try finish(outcome, over: connection)
          }))
    } catch {
      cut(to: start)
      throw error
    }
  }

  /// What else changes with the rows.
  private func finish(
    _ outcome: StoreOutcome, over connection: PostgresConnection
  ) throws(PostgresError) {
    try samples.book.store(over: connection)
    if letters.isEmpty { return }
    let ends = self.outcome(of: letters, refused: outcome.refused)
    try DeadLetterSettlement.settle(
      passed: ends.passed, zeros: ends.zeros, refused: ends.refused, over: connection)
  }

  /// The ledger, once the database has judged.
  private func settled(_ outcome: StoreOutcome) -> BatchLedger {
    var settled = ledger
    settled.wasRepaired = outcome.wasRepaired
    settled.charges = outcome.charges
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
      settled.duplicates[index] += outcome.duplicates[index]
    }
    for row in outcome.refused {
      settled.rejected.append(
        (
          Int(row.kind.rawValue), row.rejection.reason, row.rejection.constraint,
          letter(for: row).rowID(in: arena)
        ))
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
  func element(at place: ReadingPlace, of message: Int) -> Int32? {
    letters.isEmpty ? place.index : place.index ?? letters[message]?.index
  }

  /// The id of the dead letter that a reading was tried again from; nil for another reading than it
  /// is about, which gets a letter of its own.
  func sameLetter(_ message: Int, _ place: ReadingPlace) -> ReadingID? {
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
    let start = checkpoint
    let outcome = try store.rehearse(
      rows,
      prepare: { (connection) throws(PostgresError) in
        try prepareSamples(after: start, over: connection)
      },
      review: { refuse($0, after: start) })
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
}
