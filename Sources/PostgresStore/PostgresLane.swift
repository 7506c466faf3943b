// A connection for asynchronous callers: an actor on a thread of its own, so that libpq never
// blocks a cooperative thread.

import Dispatch

/// A serial queue as an executor.
public final class SerialQueue: SerialExecutor {
  private let queue: DispatchQueue

  public init(label: String) { queue = DispatchQueue(label: label) }

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  public func checkIsolated() { dispatchPrecondition(condition: .onQueue(queue)) }
}

/// One lazily opened connection; a broken one is opened again at the next call.
public actor PostgresLane {
  private let executor: SerialQueue
  private let url: String
  private let applicationName: String
  private var connection: PostgresConnection?

  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  public init(url: String, applicationName: String) {
    self.url = url
    self.applicationName = applicationName
    executor = SerialQueue(label: applicationName)
  }

  /// Runs `body` with the connection, on the lane's own thread. The connection must not leave it.
  ///
  /// - Throws: ``PostgresError``.
  public func run<Value: Sendable>(
    _ body: @Sendable (PostgresConnection) throws(PostgresError) -> Value
  ) throws(PostgresError) -> Value {
    if connection?.isBroken ?? true {
      connection = try PostgresConnection(url: url, applicationName: applicationName)
    }
    guard let connection else { preconditionFailure("just opened") }
    return try body(connection)
  }

  /// Closes the connection; the next call opens another.
  public func close() { connection = nil }
}
