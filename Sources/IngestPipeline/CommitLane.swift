// The way of a full batch into the database: one connection, opened when needed, and the same batch
// again until it is in.

import Dispatch
import EnergyReadings
import PostgresStore
import Synchronization

/// Commits batches for one worker. Blocks; lives on the worker's thread.
final class CommitLane {
  private let url: String
  private let worker: Int
  private let observer: any IngestObserver
  private let stop: StopSignal
  private var connection: PostgresConnection?
  /// Whether the last use went well: what the observer was told.
  private var isUsable = false
  private let silence = DispatchQueue(label: "commit silence")

  init(url: String, worker: Int, observer: any IngestObserver, stop: StopSignal) {
    self.url = url
    self.worker = worker
    self.observer = observer
    self.stop = stop
  }

  /// Stores the batch and reports it.
  ///
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
        let ledger = try noticingSilence { () throws(PostgresError) in
          try batch.commit(to: BatchStore(try connected()))
        }
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

  /// Attempts at a commit once the program is to stop. They follow one another at once: it was the
  /// stop that the pauses waited for.
  private static let attemptsWhenStopping = 3

  /// Time after which a database that neither answers nor hangs up is reported.
  private static let silenceLimit = DispatchTimeInterval.seconds(10)

  /// Runs `body` and reports a database that lets it wait: a lock that somebody holds, a disk or a
  /// machine that stands still. The thread itself cannot, for it waits within libpq.
  private func noticingSilence<Value>(
    _ body: () throws(PostgresError) -> Value
  ) throws(PostgresError) -> Value {
    let noticed = NoticedSilence()
    let target = connection?.target ?? ""
    let report = DispatchWorkItem { [observer, worker] in
      noticed.flag.store(true, ordering: .releasing)
      observer.databaseChanged(
        PostgresError(
          message: "no answer for 10 s; look for locks in pg_stat_activity and at the server",
          target: target, operation: "commit"), worker: worker)
    }
    silence.asyncAfter(deadline: .now() + CommitLane.silenceLimit, execute: report)
    defer {
      report.cancel()
      // A report that has begun is over after this, so that none overtakes what follows.
      silence.sync {}
      if noticed.flag.load(ordering: .acquiring) { isUsable = false }
    }
    return try body()
  }

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

/// Whether a silence was reported.
private final class NoticedSilence: Sendable {
  let flag = Atomic(false)
}
