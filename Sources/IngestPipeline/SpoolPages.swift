// Reads a spool from its oldest message on, and fills batches with what it reads.

import EnergyReadings
import PayloadDecoding
import Spool

/// Where the reader of a spool stands.
struct SpoolPages: ~Copyable {
  /// The last of the spool's messages that a batch holds, and the salvage that its number holds for.
  struct Place {
    var through: Int64
    var generation: Int
  }

  /// Messages that were read and are not in a batch yet: those from `next` on.
  private var page = SpooledMessages()
  private var next = 0
  private var generation = 0

  /// Adds the next messages to `batch`, which has the size of one page at most, until it `isFull`.
  ///
  /// - Returns: nil when there are none, or they cannot be read.
  mutating func fill(
    _ batch: Batch, from spool: WorkerSpool, by reference: ReferenceData, isFull: (Batch) -> Bool
  ) -> Place? {
    if next == page.count || generation != spool.generation { turn(spool) }
    guard next < page.count else { return nil }
    while next < page.count, !isFull(batch) {
      let message = page.messages[next]
      batch.add(
        topic: page.arena[message.topic], payload: page.arena[message.payload],
        receivedAt: message.receivedAt, by: reference)
      next += 1
    }
    return Place(through: page.messages[next - 1].sequence, generation: generation)
  }

  private mutating func turn(_ spool: WorkerSpool) {
    page = spool.oldest(limit: 10_000, bytes: 8 << 20)
    next = 0
    generation = spool.generation
  }
}
