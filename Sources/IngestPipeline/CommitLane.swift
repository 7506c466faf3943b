// The way of a full batch into the database: one connection, opened when needed, and the same batch
// again until it is in.

import EnergyReadings
import PostgresStore

/// Commits batches for one worker. Blocks; lives on the worker's thread.
final class CommitLane {
  private let url: String
  private let worker: Int
  private let observer: any IngestObserver
  private let stop: StopSignal
  private var connection: PostgresConnection?
  /// Whether the last use went well: what the observer was told.
  private var isUsable = false

  init(url: String, worker: Int, observer: any IngestObserver, stop: StopSignal) {
    self.url = url
    self.worker = worker
    self.observer = observer
    self.stop = stop
  }

  /// Stores the batch and reports it.
  ///
  /// - Parameter patience: attempts after which a stop is heeded; before that a batch in hand is
  ///   worth the wait.
  /// - Returns: false where the program is to stop and the database does not answer: the batch
  ///   stays with the broker.
  func commit(_ batch: Batch) -> Bool {
    observer.batchClosed(batch, worker: worker)
    var backoff = Backoff()
    var attempt = 0
    while true {
      attempt += 1
      do throws(PostgresError) {
        let start = ContinuousClock.now
        let ledger = try batch.commit(to: BatchStore(try connected()))
        observer.batchCommitted(batch, ledger, took: ContinuousClock.now - start, worker: worker)
        succeeded()
        return true
      } catch {
        observer.commitFailed(error, attempt: attempt, worker: worker)
        failed(error)
        if stop.isSet, attempt >= CommitLane.attemptsWhenStopping { return false }
        stop.wait(milliseconds: backoff.next())
      }
    }
  }

  /// Attempts at a commit when the program is to stop: about a second.
  private static let attemptsWhenStopping = 3

  /// The open connection.
  private func connected() throws(PostgresError) -> PostgresConnection {
    if let connection, !connection.isBroken { return connection }
    connection = nil
    let opened = try PostgresConnection(
      url: url, applicationName: "meter-ingestor worker \(worker)")
    connection = opened
    return opened
  }

  private func succeeded() {
    if !isUsable { observer.databaseChanged(nil, worker: worker) }
    isUsable = true
  }

  private func failed(_ error: PostgresError) {
    if connection?.isBroken ?? true { connection = nil }
    isUsable = false
    observer.databaseChanged(error, worker: worker)
  }

  /// Waits until the database answers and has the tables, reporting why it does not.
  ///
  /// - Returns: false when the program is to stop.
  func waitUntilReady(_ check: (PostgresConnection) throws(PostgresError) -> Void) -> Bool {
    var backoff = Backoff()
    while !stop.isSet {
      do throws(PostgresError) {
        try check(try connected())
        succeeded()
        return true
      } catch {
        failed(error)
        stop.wait(milliseconds: backoff.next())
      }
    }
    return false
  }
}
