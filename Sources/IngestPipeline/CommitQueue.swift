// Commits full batches on other threads while their owner fills the next: for sources that need no
// acknowledgement, such as a capture that is replayed directly.

import Dispatch
import PostgresStore
import Synchronization

/// One connection or several, each with a batch, and one batch more that the owner fills: PostgreSQL
/// works while the next is decoded. Use it from one thread.
///
/// Over several connections batches are committed in any order. Two that have readings in common may
/// wait for each other until PostgreSQL ends one of the transactions; that one is tried again.
// Unchecked: a lane is handed to its queue with `async` and comes back through `idle`, so only one
// thread at a time touches it, its batch or its connection.
public final class CommitQueue: @unchecked Sendable {
  private let lanes: [Lane]
  private let observer: any IngestObserver
  private let idle: Mutex<[Lane]>
  /// Counts the idle lanes.
  private let idleCount: DispatchSemaphore
  private let failure = Mutex<PostgresError?>(nil)

  private final class Lane: @unchecked Sendable {
    let number: Int
    let store: BatchStore
    let queue: DispatchQueue
    /// Empty while the lane is idle.
    var batch: Batch

    init(number: Int, _ connection: PostgresConnection, _ batch: Batch) {
      self.number = number
      store = BatchStore(connection)
      queue = DispatchQueue(label: "commit-\(number)")
      self.batch = batch
    }
  }

  /// - Parameter connections: at least one, of which nobody else makes use.
  public init(
    _ connections: [PostgresConnection], observer: any IngestObserver, makeBatch: () -> Batch
  ) {
    precondition(!connections.isEmpty, "without a connection nothing would ever be committed")
    lanes = connections.enumerated().map { Lane(number: $0, $1, makeBatch()) }
    self.observer = observer
    idle = Mutex(lanes)
    idleCount = DispatchSemaphore(value: 0)
    for _ in lanes { idleCount.signal() }
  }

  /// Begins to commit `full` as soon as a connection is free, and gives an empty batch.
  ///
  /// - Throws: the failure of an earlier commit.
  public func exchange(_ full: Batch) throws(PostgresError) -> Batch {
    idleCount.wait()
    let lane = idle.withLock { $0.removeLast() }
    if let failure = failure.withLock({ $0 }) {
      release(lane)
      throw failure
    }
    let empty = lane.batch
    lane.batch = full
    observer.batchClosed(full, worker: lane.number)
    lane.queue.async { [self] in
      commit(lane)
      release(lane)
    }
    return empty
  }

  /// Waits for the last commits.
  public func finish() throws(PostgresError) {
    for _ in lanes { idleCount.wait() }
    for _ in lanes { idleCount.signal() }
    if let failure = failure.withLock({ $0 }) { throw failure }
  }

  private func release(_ lane: Lane) {
    idle.withLock { $0.append(lane) }
    idleCount.signal()
  }

  private func commit(_ lane: Lane) {
    let start = ContinuousClock.now
    do throws(PostgresError) {
      let ledger = try lane.batch.committed(to: lane.store)
      observer.batchCommitted(lane.batch, ledger, took: .now - start, worker: lane.number)
      lane.batch.removeAll()
    } catch {
      failure.withLock { $0 = $0 ?? error }
    }
  }
}

extension Batch {
  /// Commits, and again where it was another transaction that stood in the way: ten times at most.
  fileprivate func committed(to store: BatchStore) throws(PostgresError) -> BatchLedger {
    for _ in 0..<9 {
      do throws(PostgresError) {
        return try commit(to: store)
      } catch {
        if !error.isConflict { throw error }
      }
    }
    return try commit(to: store)
  }
}
