// The samples of a batch, until its transaction has locked their registers and they can become
// intervals.

import CheckRules
import EnergyReadings
import PayloadDecoding
import PostgresStore

/// Samples in order of arrival. Reused from batch to batch.
final class PendingSamples {
  struct Item {
    var sample: RegisterSample
    var place: ReadingPlace
    /// The number of its message in the batch.
    var message: Int32
    /// The number of its register in ``book``.
    var register: Int32
  }

  private(set) var items: [Item] = []
  /// What is remembered of the registers.
  let book = RegisterBook()
  /// Texts of the intervals. Apart from the batch's, which the spool may read while the batch is
  /// being committed.
  @exclusivity(unchecked) var texts = ByteArena()
  /// What was turned away before anything was asked of the database, by the number of the sample.
  private var rejected: [Int: Rejection] = [:]
  /// What the database refused in the attempt that is under way.
  private var refused: [Int: Rejection] = [:]
  private var rounds = 0
  typealias Judged = Result<(Reading, [ReadingFlag]), Rejection>
  /// What the rules said of the intervals, by the number of the sample.
  private var verdicts: [(interval: RegisterInterval, verdict: Judged)?] = []

  var isEmpty: Bool { items.isEmpty }

  func removeAll() {
    if items.isEmpty { return }
    items.removeAll(keepingCapacity: true)
    book.removeAll()
    texts.removeAll()
    verdicts.removeAll(keepingCapacity: true)
    rejected.removeAll()
    refused.removeAll()
  }

  /// Why a sample has no register to belong to; nil where it has.
  func problem(of sample: RegisterSample, in arena: borrowing ByteArena) -> Rejection? {
    for (name, text) in [("device", sample.device), ("register", sample.register)] {
      let bytes = arena[text]
      guard (1...400).contains(bytes.count), !bytes.contains(0), bytes.isUTF8,
        bytes.characterCount <= 100
      else {
        return Rejection(
          .outOfRange, detail: "the name of its \(name) is not 1 to 100 characters of UTF-8")
      }
    }
    return nil
  }

  func add(
    _ sample: RegisterSample, _ place: ReadingPlace, message: Int, _ rejection: Rejection?,
    in arena: borrowing ByteArena
  ) {
    var register = -1
    if let rejection {
      rejected[items.count] = rejection
    } else {
      register = book.number(device: arena[sample.device], register: arena[sample.register])
    }
    items.append(
      Item(
        sample: sample, place: place, message: Int32(message), register: Int32(register)))
  }

  /// Locks the registers for the rest of the open transaction.
  func lock(over connection: PostgresConnection) throws(PostgresError) {
    refused.removeAll()
    rounds = 0
    if book.count > 0 { try book.lock(over: connection) }
  }

  /// Begins with what the registers were when they were locked.
  func begin() {
    book.reset()
    while verdicts.count < items.count { verdicts.append(nil) }
  }

  /// What the rules said of the same interval in an earlier attempt; nil where there was none.
  func verdict(on interval: RegisterInterval, of index: Int) -> Judged? {
    guard let known = verdicts[index], known.interval == interval else { return nil }
    return known.verdict
  }

  func judged(_ interval: RegisterInterval, of index: Int, _ verdict: Judged) {
    verdicts[index] = (interval, verdict)
  }

  /// Why a sample was turned away before its register was looked at; nil where it was not.
  func rejection(of index: Int) -> Rejection? { rejected[index] ?? refused[index] }

  /// Rounds after which a register whose intervals the database refuses is left alone: each interval
  /// that takes the place of a refused one may be refused too.
  private static let mostRounds = 4

  /// Notes what the database refuses.
  func refuse(_ samples: [(index: Int, rejection: Rejection)]) {
    rounds += 1
    for (index, rejection) in samples {
      refused[index] = rejection
      guard rounds >= PendingSamples.mostRounds else { continue }
      for other in items.indices
      where items[other].register == items[index].register && refused[other] == nil {
        refused[other] = rejection
      }
    }
  }

  /// The reading that an interval is, with its texts in ``texts``.
  func reading(
    of sample: RegisterSample, _ interval: RegisterInterval, in arena: borrowing ByteArena
  ) -> Reading {
    var reading = Reading(
      kind: interval.flow.kind, device: texts.append(arena[sample.device]),
      gridCode: sample.gridCode.isPresent ? texts.append(arena[sample.gridCode]) : .absent,
      energy: EnergyAmount(microKWh: interval.microKWh), timestamp: interval.end)
    reading.operation = interval.flow.operation
    reading.intervalSeconds = interval.seconds
    reading.register = texts.append(arena[sample.register])
    return reading
  }
}

extension RegisterSample {
  /// Marks of an interval that is not measured in every respect, for `ingest.reading_flags`.
  var doubts: [(rule: StaticString, detail: String)] {
    var doubts: [(rule: StaticString, detail: String)] = []
    if measure == .power { doubts.append(("estimated", "power over time, not a counter")) }
    if isTimeOfArrival { doubts.append(("arrival_time", "the payload does not say when")) }
    return doubts
  }
}

extension Span where Element == UInt8 {
  fileprivate var isUTF8: Bool { (try? UTF8Span(validating: self)) != nil }

  /// Unicode scalars of valid UTF-8.
  fileprivate var characterCount: Int {
    var count = 0
    for index in indices where self[index] & 0xC0 != 0x80 { count += 1 }
    return count
  }
}
