// Commits a full batch on another thread while its owner fills the next: for sources that need no
// acknowledgement, such as a capture that is replayed directly.

import Dispatch
import PostgresStore

/// Two batches in turn over one connection: PostgreSQL works while the next batch is decoded.
///
/// Use it from one thread.
// Unchecked: a batch is handed over with `async` and taken back after `wait`, so only one thread
// at a time touches it, the connection or `failure`.
public final class CommitQueue: @unchecked Sendable {
  private let store: BatchStore
  private let observer: any IngestObserver
  private let queue = DispatchQueue(label: "commit")
  private let pending = DispatchGroup()
  private var spare: Batch
  private var failure: PostgresError?

  /// - Parameter spare: the batch that is filled after the first.
  public init(_ connection: PostgresConnection, spare: Batch, observer: any IngestObserver) {
    store = BatchStore(connection)
    self.spare = spare
    self.observer = observer
  }

  /// Begins to commit `full` and gives the other batch, empty, once its own commit is over.
  ///
  /// - Throws: the failure of an earlier commit.
  public func exchange(_ full: Batch) throws(PostgresError) -> Batch {
    try finish()
    let empty = spare
    spare = full
    observer.batchClosed(full, worker: 0)
    queue.async(group: pending) { self.commitSpare() }
    return empty
  }

  /// Waits for the last commit.
  public func finish() throws(PostgresError) {
    pending.wait()
    if let failure { throw failure }
  }

  private func commitSpare() {
    let start = ContinuousClock.now
    do throws(PostgresError) {
      let ledger = try spare.commit(to: store)
      observer.batchCommitted(spare, ledger, took: .now - start, worker: 0)
      spare.removeAll()
    } catch {
      failure = error
    }
  }
}
