// A worker's spool while the program runs: opened, opened again when it is found damaged, and what
// it refuses is told.

import EnergyReadings
import Spool

/// Where a worker puts batches that cannot be committed, and how soon.
public struct SpoolSettings: Sendable {
  /// Where the spools are, one file a worker.
  public var directory: String
  /// How long a batch may take, or fail, to be committed before it goes to the spool; default 2 s.
  public var after: Duration
  public var limits: SpoolLimits

  public init(
    directory: String, after: Duration = .seconds(2), limits: SpoolLimits = SpoolLimits()
  ) {
    self.directory = directory
    self.after = after
    self.limits = limits
  }
}

/// What a worker's spool holds.
public struct SpoolLevel: Sendable, Equatable {
  public var messages = 0
  public var bytes = 0
  /// When the first of them arrived; nil when empty.
  public var oldestReceivedAt: Timestamp?
}

/// The spool of one worker. Nothing of it throws: what cannot be done is reported, and tried again
/// a second later.
final class WorkerSpool {
  private let settings: SpoolSettings
  private let clientID: String
  private let worker: Int
  private let observer: any IngestObserver
  private var spool: Spool?
  private var retryAt = ContinuousClock.now
  /// What it refused last; nil when it is well.
  private(set) var failure: SpoolError?
  /// Counts salvages: numbers of messages of an earlier one mean nothing any more.
  private(set) var generation = 0

  init(_ settings: SpoolSettings, clientID: String, worker: Int, observer: any IngestObserver) {
    self.settings = settings
    self.clientID = clientID
    self.worker = worker
    self.observer = observer
    open()
  }

  var isOpen: Bool { spool != nil }
  var isEmpty: Bool { spool?.isEmpty ?? true }
  var depth: Int { spool?.depth ?? 0 }
  var after: Duration { settings.after }

  /// Whether what was refused may be tried again.
  var isDue: Bool { failure == nil || ContinuousClock.now >= retryAt }

  private func open() {
    do throws(SpoolError) {
      let opened = try Spool(
        directory: settings.directory, clientID: clientID, limits: settings.limits)
      if let damage = opened.damage { observer.warning("\(damage)", worker: worker) }
      spool = opened
      succeeded()
      report()
    } catch {
      failed(error)
    }
  }

  /// Opens a spool that could not be opened so far.
  func openIfNeeded() {
    if spool == nil, isDue { open() }
  }

  /// Adds messages; they are durable when this returns true.
  ///
  /// A message that waits too long drops nothing: the spool takes no more until it is drained, and
  /// the broker keeps the rest.
  func append(_ messages: borrowing some ArrivedMessages & ~Copyable) -> Bool {
    guard let spool, isDue else { return false }
    do throws(SpoolError) {
      if let oldest = spool.oldestReceivedAt, isTooOld(oldest) {
        throw SpoolError(
          .full, file: spool.file, detail: "its first message has waited since \(oldest)")
      }
      try spool.append { (appender) throws(SpoolError) in
        try messages.forEachMessage { (topic, payload, receivedAt) throws(SpoolError) in
          try appender.add(topic: topic, payload: payload, receivedAt: receivedAt)
        }
      }
      succeeded()
      report(added: messages.messageCount)
      return true
    } catch {
      failed(error)
      return false
    }
  }

  private func isTooOld(_ oldest: Timestamp) -> Bool {
    let age = Timestamp.now.microseconds - oldest.microseconds
    return age > Int64(settings.limits.age / .microseconds(1))
  }

  /// The number of the message that was appended last.
  var lastSequence: Int64 { spool?.lastSequence ?? 0 }

  /// The next messages to drain; empty when there are none or they cannot be read.
  func oldest(limit: Int, bytes: Int) -> SpooledMessages {
    guard let spool, !spool.isEmpty, isDue else { return SpooledMessages() }
    do throws(SpoolError) {
      return try spool.oldest(limit: limit, bytes: bytes)
    } catch {
      failed(error)
      return SpooledMessages()
    }
  }

  /// Forgets messages that are in the database.
  func remove(through sequence: Int64, drained count: Int) {
    guard let spool else { return }
    do throws(SpoolError) {
      try spool.remove(through: sequence)
      // There is room again.
      succeeded()
    } catch {
      // They are drained once more then, and found stored.
      failed(error)
    }
    report(drained: count)
  }

  /// Tells how full it is.
  func report(added: Int = 0, drained: Int = 0) {
    guard let spool else { return }
    observer.spoolChanged(
      SpoolLevel(
        messages: spool.depth, bytes: spool.bytes, oldestReceivedAt: spool.oldestReceivedAt),
      added: added, drained: drained, worker: worker)
  }

  private func succeeded() {
    if failure != nil { observer.spoolRefused(nil, worker: worker) }
    failure = nil
  }

  private func failed(_ error: SpoolError) {
    failure = error
    retryAt = .now + .seconds(1)
    observer.spoolRefused(error, worker: worker)
    guard error.code == .damaged, spool != nil else { return }
    // Opening it again salvages. Not here: the caller still has the one that holds the lock.
    spool = nil
    generation += 1
    retryAt = .now
  }
}
