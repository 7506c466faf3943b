// One worker: one MQTT session, one PostgreSQL connection, one loop: receive, decode, enrich, check,
// commit, acknowledge.

import CheckRules
import Foundation
import MQTTSession
import PayloadDecoding
import ServiceLifecycle
import Spool

/// What a worker needs to know.
public struct WorkerSettings: Sendable {
  public var mqtt: MQTTSettings
  /// Topic filters, without `$share`.
  public var filters: [String]
  /// Filters whose messages mean something only in order, one after the other: worker 0 subscribes to
  /// them for itself, in no group.
  public var orderedFilters: [String] = []
  /// Whether they are those of the sources, and change with them; default no.
  public var followsSources = false
  /// Group of the shared subscription; nil subscribes for this worker alone.
  public var shareGroup: String?
  public var postgresURL: String
  /// Readings at which a batch closes; 1…1,000,000, default 10,000. While the one before is committed,
  /// it grows to four times as many, or to twice as many messages.
  public var batchSize = 10_000
  /// How long the first message of a batch waits for more, once the socket is empty and the batch
  /// before is committed; default 20 ms.
  public var linger: Duration = .milliseconds(20)
  public var enrichment = EnrichmentSettings()
  /// Where batches go while the database is away; nil leaves them with the broker.
  public var spool: SpoolSettings?

  /// All filters, as they are without a group.
  public var allFilters: [String] { filters + orderedFilters }

  /// The filters as they are subscribed.
  var subscriptions: [String] { filters.map(subscription(of:)) + orderedFilters }

  /// The name under which a filter of the group's is subscribed.
  func subscription(of filter: String) -> String {
    shareGroup.map { "$share/\($0)/\(filter)" } ?? filter
  }

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
  private let observer: any IngestObserver
  private let stop: StopSignal
  private let path: CommitPath
  /// How many messages of the path's were taken when acknowledgements were held last.
  private var heldThrough = 0
  private var lastKeepAlive = ContinuousClock.now
  private let reference: ReferenceHolder
  private var subscriptions: SourceSubscriptions
  private var keepAlives = KeepAlives()
  private let watch: SessionWatch

  init(
    _ number: Int, _ settings: WorkerSettings, _ reference: ReferenceHolder, _ states: MeterStates,
    _ observer: any IngestObserver, _ stop: StopSignal
  ) {
    self.number = number
    self.settings = settings
    self.observer = observer
    self.stop = stop
    self.reference = reference
    subscriptions = SourceSubscriptions(settings, reference.sources, hearsOrdered: number == 0)
    path = CommitPath(number, settings, reference, states, observer, stop)
    watch = SessionWatch(number, settings, observer)
  }

  func run() {
    // Without a database nothing could be stored, and without a spool nothing kept: the broker
    // keeps the messages meanwhile.
    guard path.waitUntilReady() else { return }
    while !stop.isSet {
      do throws(MQTTError) {
        let session = try MQTTSession(settings.mqtt)
        session.onMessage = { [unowned self] message in take(message) }
        try session.connect()
        let isAllKept = try serve(session)
        // A good-bye would carry the held acknowledgements along. Without it the session just ends,
        // and the broker delivers again what could not be stored.
        if isAllKept { session.disconnect() }
      } catch {
        // Held acknowledgements died with the connection; the broker delivers again, and the ids
        // make that harmless. What is in hand is stored now.
        path.settle()
        path.rest(milliseconds: watch.lost(error))
      }
    }
    path.finish()
  }

  private func take(_ message: borrowing ReceivedMessage) {
    // What begins with $ is the broker's own (MQTT 5.0, 4.7.2).
    if message.topic.first == UInt8(ascii: "$") { return watch.hear(message) }
    if number == 0, keepAlives.hear(message.topic) { return }
    path.take(message)
  }

  /// Receives and commits until the program is to stop.
  ///
  /// - Returns: false where the last batch could not be stored.
  private func serve(_ session: MQTTSession) throws(MQTTError) -> Bool {
    let answerIsDue = ContinuousClock.now + WorkerLoop.answerLimit
    while true {
      // The answer to a connection is heard even when no more messages are to be.
      let isListening = !session.isConnected || path.mayReceive
      let isReadable = session.wait(
        milliseconds: path.waitingTime, isListening: isListening,
        atLeast: path.isOpen ? WorkerLoop.portion : 1, wakeUps: [stop.descriptor, path.bell])
      if stop.isSet { break }
      var isDrained = true
      if isReadable || (isListening && path.isOpen) {
        isDrained = try session.receive { !session.isConnected || !path.isFull }
      }
      try handleEvents(of: session)
      ask(session)
      if !session.isConnected, .now > answerIsDue {
        throw MQTTError(
          target: settings.mqtt.target, operation: "connect", message: "no answer within 10 s")
      }
      try followSources(session)
      try keepAwake(session)
      path.advance()
      // Before more is held, or what is durable would wait for it.
      try acknowledge(session)
      if path.isClosable, path.isFull || (isDrained && path.isDue) {
        try close(session)
        try acknowledge(session)
      }
    }
    guard path.settle() else { return false }
    try announce("offline", session)
    try session.flush()
    return true
  }

  /// Closes the batch: its acknowledgements are held apart from those of what arrives meanwhile.
  private func close(_ session: MQTTSession) throws(MQTTError) {
    guard session.canHold else {
      path.settle()
      return
    }
    try session.hold()
    heldThrough = path.taken
    path.close()
    path.advance()
  }

  /// Sends the acknowledgements of what is durable, and no others.
  private func acknowledge(_ session: MQTTSession) throws(MQTTError) {
    if !path.isOpen {
      try keepAlive(session)
      try session.flush()
    } else if path.durable >= heldThrough {
      try session.release()
    }
  }

  /// Bytes that are worth to be woken for while a batch gathers anyway: some 150 messages of one
  /// reading. To read each as it comes would cost a third more CPU a message.
  private static let portion: Int32 = 32 << 10

  /// How long a broker that took the connection may take to say so.
  private static let answerLimit = Duration.seconds(10)

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
      case .disconnected: throw session.loss
      case .subscribed(let granted):
        // Only now is nothing missed that meters publish.
        if try watch.subscribed(granted) { observer.brokerChanged(nil, worker: number) }
      }
    }
  }

  private func connected(_ session: MQTTSession, sessionPresent: Bool) throws(MQTTError) {
    watch.connected(session.terms, sessionPresent: sessionPresent)
    keepAlives.reset()
    // Always: a session that is present may have been made with other filters.
    try subscribe(to: subscriptions.names, session)
    for name in subscriptions.ended { try session.unsubscribe(name) }
    if number == 0 {
      // What was published meanwhile may be missing among what has to be heard in order.
      path.connectionRenewed()
      try session.listen(to: SessionWatch.droppedTopic)
      try session.listen(to: SessionWatch.versionTopic)
    }
    try announce("online", session)
  }

  /// Queues what the messages made it necessary to ask for: it leaves with the next acknowledgements,
  /// which is soon enough, and as long as nothing can be stored an answer would be of no use.
  private func ask(_ session: MQTTSession) {
    for request in path.takeRequests() {
      do throws(MQTTError) {
        try session.publish(topic: request.topic, payload: request.payload, qos: 0)
      } catch {
        // Whoever is not asked now is when his next message comes.
        observer.warning("\(error)", worker: number)
      }
    }
  }

  /// Subscribes to what new sources need, and ends what they do not; sent with the next
  /// acknowledgements, or at once where there are none to hold.
  private func followSources(_ session: MQTTSession) throws(MQTTError) {
    guard session.isConnected, let change = subscriptions.follow(reference.sources) else { return }
    if !change.added.isEmpty { try subscribe(to: change.added, session) }
    for name in change.ended { try session.unsubscribe(name) }
    observer.subscriptionsChanged(added: change.added, ended: change.ended, worker: number)
  }

  /// Finds GX devices and keeps them awake; one worker of the process does. Sent with the next
  /// acknowledgements, or at once where there are none to hold.
  private func keepAwake(_ session: MQTTSession) throws(MQTTError) {
    guard number == 0, session.isConnected else { return }
    let filters = keepAlives.follow(reference.sources)
    for filter in filters.added { try session.listen(to: filter) }
    for filter in filters.ended { try session.unsubscribe(filter) }
    for (topic, payload) in keepAlives.due(.now) {
      try session.publish(topic: topic, payload: payload, qos: 0)
    }
  }

  private func subscribe(to names: [String], _ session: MQTTSession) throws(MQTTError) {
    try session.subscribe(names)
    watch.asked(for: names)
  }

  private func announce(_ state: String, _ session: MQTTSession) throws(MQTTError) {
    guard let topic = settings.mqtt.statusTopic else { return }
    try session.publish(topic: topic, payload: Array(state.utf8), retain: true)
  }
}
