// One worker: one thread, one MQTT session, one PostgreSQL connection, one loop: receive, decode,
// enrich, check, commit, acknowledge.

import CheckRules
import EnergyReadings
import Foundation
import MQTTSession
import PostgresStore
import ServiceLifecycle

/// What a worker needs to know.
public struct WorkerSettings: Sendable {
  public var mqtt: MQTTSettings
  /// Topic filters, without `$share`.
  public var filters: [String]
  /// Group of the shared subscription; nil subscribes for this worker alone.
  public var shareGroup: String?
  public var postgresURL: String
  /// Readings at which a batch closes; 1…1,000,000, default 10,000.
  public var batchSize = 10_000
  /// How long the first message of a batch waits for more once the socket is empty; default 20 ms.
  public var linger: Duration = .milliseconds(20)
  public var enrichment = EnrichmentSettings()

  public init(mqtt: MQTTSettings, filters: [String], postgresURL: String) {
    self.mqtt = mqtt
    self.filters = filters
    self.postgresURL = postgresURL
  }
}

// For log lines of others: the URL may hold a password.
extension WorkerSettings: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "settings of \(mqtt)" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["mqtt": mqtt]) }
}

/// Runs the loop on a thread of its own until graceful shutdown: then it stops reading, commits,
/// acknowledges and returns.
public struct Worker: Service {
  private let number: Int
  private let settings: WorkerSettings
  private let reference: ReferenceHolder
  private let states: MeterStates
  private let observer: any IngestObserver

  /// - Parameter states: shared by the workers of a process, which hear one meter in turn.
  public init(
    number: Int, settings: WorkerSettings, reference: ReferenceHolder, states: MeterStates,
    observer: any IngestObserver
  ) {
    self.number = number
    self.states = states
    self.settings = settings
    self.reference = reference
    self.observer = observer
  }

  public func run() async throws {
    let stop = StopSignal()
    await withGracefulShutdownHandler {
      await withCheckedContinuation { continuation in
        let thread = Thread {
          WorkerLoop(number, settings, reference, states, observer, stop).run()
          continuation.resume()
        }
        thread.name = "worker-\(number)"
        thread.start()
      }
    } onGracefulShutdown: {
      stop.set()
    }
  }
}

extension Worker: CustomStringConvertible {
  public var description: String { "Worker \(number)" }
}

/// The loop itself. Lives on the worker's thread.
private final class WorkerLoop {
  private let number: Int
  private let settings: WorkerSettings
  private let reference: ReferenceHolder
  private let observer: any IngestObserver
  private let stop: StopSignal
  private let lane: CommitLane
  private let batch: Batch
  private var firstMessageAt: ContinuousClock.Instant?
  /// What the open batch is judged by.
  private var snapshot = ReferenceData.empty
  private var lastKeepAlive = ContinuousClock.now
  private var backoff = Backoff()

  init(
    _ number: Int, _ settings: WorkerSettings, _ reference: ReferenceHolder, _ states: MeterStates,
    _ observer: any IngestObserver, _ stop: StopSignal
  ) {
    self.number = number
    self.settings = settings
    self.reference = reference
    self.observer = observer
    self.stop = stop
    lane = CommitLane(
      url: settings.postgresURL, worker: number, observer: observer, stop: stop)
    batch = Batch(enrichment: settings.enrichment, states: states)
  }

  func run() {
    // Without a database nothing could be stored: the broker keeps the messages meanwhile.
    let isReady = lane.waitUntilReady { (connection) throws(PostgresError) in
      try SchemaCheck.check(connection)
      if number == 0, try SchemaCheck.isSuperuser(connection) {
        observer.warning(
          "connected as a superuser; the role meter_ingestor has all the rights that are needed",
          worker: number)
      }
      try reference.loadIfEmpty(over: connection)
    }
    guard isReady else { return }
    while !stop.isSet {
      do throws(MQTTError) {
        let session = try MQTTSession(settings.mqtt)
        session.onMessage = { [unowned self] message in take(message) }
        try session.connect()
        let isAllStored = try serve(session)
        // A good-bye would carry the held acknowledgements along. Without it the session just ends,
        // and the broker delivers again what could not be stored.
        if isAllStored { session.disconnect() }
      } catch {
        observer.brokerChanged(error, worker: number)
        // Held acknowledgements died with the connection; the broker delivers again, and the ids
        // make that harmless. What is in hand is stored now.
        settle()
        stop.wait(milliseconds: backoff.next())
      }
    }
  }

  private func take(_ message: borrowing ReceivedMessage) {
    if firstMessageAt == nil {
      firstMessageAt = .now
      snapshot = reference.current
    }
    batch.add(
      topic: message.topic, payload: message.payload, receivedAt: .now, by: snapshot)
  }

  /// Receives and commits until the program is to stop.
  ///
  /// Nothing may be sent while a batch is open: every flush sends all acknowledgements that are
  /// held.
  ///
  /// - Returns: false where the last batch could not be stored.
  private func serve(_ session: MQTTSession) throws(MQTTError) -> Bool {
    let answerIsDue = ContinuousClock.now + WorkerLoop.answerLimit
    while true {
      let readable = session.wait(milliseconds: waitingTime(), wakeUp: stop.descriptor)
      if stop.isSet { break }
      var isDrained = true
      if readable {
        isDrained = try session.receive { batch.count < settings.batchSize && !isTooLarge }
      }
      try handleEvents(of: session)
      if !session.isConnected, .now > answerIsDue {
        throw MQTTError(
          target: settings.mqtt.target, operation: "connect", message: "no answer within 10 s")
      }
      if batch.count >= settings.batchSize || isTooLarge || (isDrained && lingerIsOver) {
        guard settle() else { return false }
      }
      if batch.isEmpty {
        try keepAlive(session)
        try session.flush()
      }
    }
    guard settle() else { return false }
    try announce("offline", session)
    try session.flush()
    return true
  }

  /// How long a broker that took the connection may take to say so.
  private static let answerLimit = Duration.seconds(10)

  /// Bytes at which a batch closes whatever it counts, so that large messages cannot fill the memory.
  private var isTooLarge: Bool { batch.byteCount >= 32 << 20 }

  private var lingerIsOver: Bool {
    guard let firstMessageAt else { return false }
    return ContinuousClock.now - firstMessageAt >= settings.linger
  }

  /// How long to wait for the broker: until the linger is over, or a second.
  private func waitingTime() -> Int32 {
    guard let firstMessageAt else { return 1_000 }
    let rest = settings.linger - (ContinuousClock.now - firstMessageAt)
    // Rounded up, or the last millisecond would be spent in a busy loop.
    return rest <= .zero ? 0 : Int32(rest / .milliseconds(1)) + 1
  }

  /// Commits what is in hand.
  ///
  /// - Returns: false when the batch could not be stored and the program is to stop.
  @discardableResult
  private func settle() -> Bool {
    guard !batch.isEmpty else { return true }
    let isStored = lane.commit(batch)
    batch.removeAll()
    firstMessageAt = nil
    return isStored
  }

  private func keepAlive(_ session: MQTTSession) throws(MQTTError) {
    guard ContinuousClock.now - lastKeepAlive >= .seconds(1) else { return }
    lastKeepAlive = .now
    try session.keepAlive()
  }

  // MARK: Session events

  private func handleEvents(of session: MQTTSession) throws(MQTTError) {
    for event in session.takeEvents() {
      switch event {
      case .connected(let sessionPresent):
        try connected(session, sessionPresent: sessionPresent)
      case .disconnected(let reason):
        throw MQTTError(
          target: settings.mqtt.target, operation: "stay connected", message: reason)
      case .subscribed(let granted):
        if granted.allSatisfy({ $0 >= 128 }) {
          throw MQTTError(
            target: settings.mqtt.target,
            operation: "subscribe to \(settings.filters.joined(separator: ", "))",
            message: "not allowed; check the broker's ACL", isRefusal: true)
        }
        if granted.contains(where: { $0 != 1 }) {
          observer.warning(
            "the broker granted QoS \(granted) instead of 1; is the ingestor allowed to read "
              + "\(settings.filters.joined(separator: ", "))?", worker: number)
        }
        // Only now is nothing missed that meters publish.
        observer.brokerChanged(nil, worker: number)
      }
    }
  }

  private func connected(_ session: MQTTSession, sessionPresent: Bool) throws(MQTTError) {
    backoff.reset()
    // Always: a session that is present may have been made with other filters.
    try session.subscribe(
      settings.filters.map { filter in
        settings.shareGroup.map { "$share/\($0)/\(filter)" } ?? filter
      })
    try announce("online", session)
  }

  private func announce(_ state: String, _ session: MQTTSession) throws(MQTTError) {
    guard let topic = settings.mqtt.statusTopic else { return }
    try session.publish(topic: topic, payload: Array(state.utf8), retain: true)
  }
}
