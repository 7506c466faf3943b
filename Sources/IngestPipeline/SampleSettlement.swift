// Samples of registers become rows and dead letters of their batch, once its transaction has locked
// what the database remembers of the registers.

import CheckRules
import EnergyReadings
import PayloadDecoding
import PostgresStore

extension Batch {
  /// Keeps a sample until the database tells what came before it.
  func keep(
    _ sample: RegisterSample, _ place: ReadingPlace, _ reference: ReferenceData
  ) {
    self.reference = reference
    count += 1
    let reading = Reading(
      kind: sample.flow.kind, device: sample.device, gridCode: sample.gridCode,
      timestamp: sample.timestamp)
    var rejection = samples.problem(of: sample, in: arena)
    do throws(Rejection) {
      try judge.judgeTime(
        ofSample: reading, by: reference.rules, receivedAt: messages[messages.count - 1].receivedAt)
      try enrichment.admit(sample, from: reference.registry, in: arena)
    } catch {
      rejection = rejection ?? error
    }
    samples.add(sample, place, message: messages.count - 1, rejection, in: arena)
  }

  /// Keeps what a battery says that it holds; where its time cannot be, a dead letter.
  func keep(_ charged: DecodedReadings.Charged, _ reference: ReferenceData) {
    var charge = charged.charge
    let receivedAt = messages[messages.count - 1].receivedAt
    do throws(Rejection) {
      try judge.judgeTime(
        ofSample: Reading(
          kind: .storage, device: charge.device, gridCode: .absent, timestamp: charge.timestamp),
        by: reference.rules, receivedAt: receivedAt)
    } catch {
      received(Int(ReadingKind.storage.rawValue))
      return reject(
        error, place: charged.place, kind: .storage, device: charge.device,
        message: messages.count - 1)
    }
    // A clock that is ahead must not make what comes later look old.
    if receivedAt.microseconds < charge.timestamp.microseconds { charge.timestamp = receivedAt }
    rows.append(charge, in: arena)
  }

  /// How much there is without the samples.
  struct Checkpoint {
    var rows: BatchRows.Mark
    var sources: [Int]
    var deadLetters, marks: Int
    var ledger: BatchLedger
    var lettersRefused: Set<Int>
  }

  var checkpoint: Checkpoint {
    Checkpoint(
      rows: rows.mark, sources: sources.map(\.count), deadLetters: deadLetters.count,
      marks: marks.count, ledger: ledger, lettersRefused: lettersRefused)
  }

  func cut(to start: Checkpoint) {
    if samples.isEmpty { return }
    rows.cut(to: start.rows)
    for (kind, count) in start.sources.enumerated() {
      sources[kind].removeLast(sources[kind].count - count)
    }
    deadLetters.removeLast(deadLetters.count - start.deadLetters)
    marks.removeLast(marks.count - start.marks)
    ledger = start.ledger
    lettersRefused = start.lettersRefused
  }

  /// Makes rows and dead letters of the samples, from what the database remembers of their
  /// registers.
  ///
  /// Texts are added to the samples' own arena: the batch's may be read by the spool meanwhile.
  private func settleSamples(after start: Checkpoint) {
    cut(to: start)
    samples.begin()
    for index in samples.items.indices {
      let item = samples.items[index]
      let source = RowSource(
        message: item.message, place: item.place, device: item.sample.device,
        timestamp: item.sample.timestamp, sample: Int32(index))
      var kind = item.sample.flow.kind
      do throws(Rejection) {
        if let rejection = samples.rejection(of: index) { throw rejection }
        try settle(item.sample, of: Int(item.register), source, &kind)
      } catch {
        countSample(kind)
        count(.refused)
        reject(error, kind, source)
      }
    }
  }

  /// Lets a register take a sample.
  ///
  /// - Parameter kind: becomes that of the interval: of a net register that falls, another one.
  /// - Throws: also where the interval is turned away: then its register stays as it was, and the
  ///   energy is in the next interval.
  private func settle(
    _ sample: RegisterSample, of register: Int, _ source: RowSource, _ kind: inout ReadingKind
  ) throws(Rejection) {
    var history = samples.book.history(register)
    let isFirst = history == nil
    let outcome = RegisterHistory.take(sample, into: &history)
    switch outcome.verdict {
    case .interval(let interval):
      kind = interval.flow.kind
      try enter(interval, of: sample, source)
    case .heard:
      hear(sample, source)
      count(isFirst ? .first : .unchanged)
    case .known:
      countSample(sample.flow.kind)
      ledger.duplicates[Int(sample.flow.kind.rawValue)] += 1
      count(.known)
    case .outOfRange(let detail): throw Rejection(.outOfRange, detail: detail)
    case .implausible: break
    }
    if let event = outcome.event { ledger.registerEvents[Int(event.kind.rawValue)] += 1 }
    samples.book.update(register, to: history, at: sample.timestamp, outcome.event)
    if case .implausible(let detail) = outcome.verdict {
      throw Rejection(.implausible, detail: detail, rule: "implausible_step")
    }
  }

  private func enter(
    _ interval: RegisterInterval, of sample: RegisterSample, _ source: RowSource
  ) throws(Rejection) {
    let (reading, flags) = try judged(interval, of: sample, source)
    var source = source
    source.timestamp = interval.end
    append(reading, flags, from: source, in: samples.texts)
    countSample(interval.flow.kind)
    count(.interval)
    for (rule, detail) in sample.doubts {
      rows.flagLast(of: reading, rule: rule, detail: detail, in: samples.texts)
    }
  }

  /// The reading of an interval, completed and judged. In another attempt the verdict stands: the
  /// rules remember the meter's past in this process, and would take the reading for an old one.
  private func judged(
    _ interval: RegisterInterval, of sample: RegisterSample, _ source: RowSource
  ) throws(Rejection) -> (Reading, [ReadingFlag]) {
    let index = Int(source.sample)
    if let verdict = samples.verdict(on: interval, of: index) { return try verdict.get() }
    var reading = samples.reading(of: sample, interval, in: arena)
    do throws(Rejection) {
      let flags = try complete(
        &reading, reference, messages[Int(source.message)].receivedAt, in: &samples.texts)
      samples.judged(interval, of: index, .success((reading, flags)))
      return (reading, flags)
    } catch {
      samples.judged(interval, of: index, .failure(error))
      throw error
    }
  }

  private func hear(_ sample: RegisterSample, _ source: RowSource) {
    countSample(sample.flow.kind)
    let reading = Reading(
      kind: sample.flow.kind, device: sample.device, gridCode: sample.gridCode,
      timestamp: sample.timestamp)
    hear(reading, reference, messages[Int(source.message)].receivedAt)
  }

  private func count(_ outcome: SampleOutcome) {
    ledger.sampleOutcomes[Int(outcome.rawValue)] += 1
  }

  private func countSample(_ kind: ReadingKind) {
    ledger.received[Int(kind.rawValue)] += 1
    ledger.samples[Int(kind.rawValue)] += 1
  }

  /// Turns away the samples whose rows the database refuses, and settles the others anew: what comes
  /// after a refused one counts from before it.
  ///
  /// - Returns: whether there were any.
  func refuse(_ outcome: StoreOutcome, after start: Checkpoint) -> Bool {
    let refused = outcome.refused.compactMap { row -> (Int, Rejection)? in
      let sample = sources[Int(row.kind.rawValue)][row.row].sample
      return sample >= 0 ? (Int(sample), row.rejection) : nil
    }
    if refused.isEmpty { return false }
    samples.refuse(refused)
    settleSamples(after: start)
    return true
  }

  func prepareSamples(
    after start: Checkpoint, over connection: PostgresConnection
  ) throws(PostgresError) {
    if samples.isEmpty { return }
    try samples.lock(over: connection)
    settleSamples(after: start)
  }
}
