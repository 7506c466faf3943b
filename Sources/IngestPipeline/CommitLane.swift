// The thread that talks to PostgreSQL for one worker: libpq blocks, and a database that neither
// answers nor hangs up must not keep the worker from its session and its spool.

import Dispatch
import PostgresStore
import Synchronization

/// One connection, opened when needed, and one job at a time.
// Unchecked: the connection is used by jobs only, and they run one after the other on the queue;
// `busySince` by the worker's thread only. A batch that is lent to a job is not changed by the
// worker before it has taken the outcome.
final class CommitLane: @unchecked Sendable {
  enum Outcome {
    case prepared
    case committed(BatchLedger, took: Duration)
    case failed(PostgresError)
  }

  /// Rings when an outcome is there.
  let bell = Bell()
  /// Host, port and database, for messages.
  let target: String
  /// When the job began whose outcome was not taken yet; nil when there is none.
  private(set) var busySince: ContinuousClock.Instant?
  private let url: String
  private let applicationName: String
  private let queue: DispatchQueue
  private var connection: PostgresConnection?
  private let outcome = Mutex<Outcome?>(nil)

  init(url: String, worker: Int) {
    self.url = url
    applicationName = "meter-ingestor worker \(worker)"
    target = (try? PostgresConnection.target(of: url)) ?? "POSTGRES_URL"
    queue = DispatchQueue(label: "commit-\(worker)")
  }

  var isBusy: Bool { busySince != nil }

  /// Begins to look whether the database has what is needed.
  func prepare(
    _ check: @escaping @Sendable (PostgresConnection) throws(PostgresError) -> Void
  ) {
    begin { (connection) throws(PostgresError) in
      try check(connection)
      return .prepared
    }
  }

  /// Begins to store a batch; it is lent until the outcome is taken.
  func commit(_ batch: Batch) {
    nonisolated(unsafe) let batch = batch
    begin { (connection) throws(PostgresError) in
      let start = ContinuousClock.now
      let ledger = try batch.commit(to: BatchStore(connection))
      return .committed(ledger, took: .now - start)
    }
  }

  /// The outcome of the last job; nil while it is at work.
  func takeOutcome() -> Outcome? {
    guard let taken = outcome.withLock({ $0.take() }) else { return nil }
    bell.silence()
    busySince = nil
    return taken
  }

  private func begin(
    _ job: @escaping @Sendable (PostgresConnection) throws(PostgresError) -> Outcome
  ) {
    precondition(!isBusy, "one job at a time")
    busySince = .now
    queue.async { [self] in
      let result = perform(job)
      outcome.withLock { $0 = result }
      bell.ring()
    }
  }

  /// Runs a job on the open connection. One on which something failed is not used again: the server
  /// may have become a standby, and its name may lead to another one now.
  private func perform(
    _ job: (PostgresConnection) throws(PostgresError) -> Outcome
  ) -> Outcome {
    do throws(PostgresError) {
      return try job(try opened())
    } catch {
      connection = nil
      return .failed(error)
    }
  }

  private func opened() throws(PostgresError) -> PostgresConnection {
    if let connection { return connection }
    let opened = try PostgresConnection(url: url, applicationName: applicationName)
    connection = opened
    return opened
  }
}
