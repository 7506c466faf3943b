// Empties the session of a worker that goes for good: brokers keep routing a shared subscription's
// messages to a member that is away, and keep those it did not acknowledge.

import CheckRules
import MQTTSession
import Spool

/// What a drain found.
public struct DrainReport: Sendable {
  /// Whether the broker had a session of that name.
  public var hadSession = false
  /// Messages that the broker still held for it.
  public var messages = 0
  /// Messages that were in its spool.
  public var spooled = 0
}

/// Takes over a worker's session and its spool, commits what both hold, and ends the session. Blocks.
public final class SessionDrain {
  private let settings: WorkerSettings
  private let stop: StopSignal
  private let path: CommitPath
  private var report = DrainReport()
  /// Finds nobody here, but knows the filters and messages by which a worker does.
  private var keepAlives = KeepAlives()
  /// The worker's subscriptions under all names that they may have: with the group, and without.
  private let subscriptions: [String]
  private var isAnswered = false
  /// Unsubscriptions that the broker has not answered.
  private var pending: Set<Int32> = []
  /// When the last message came.
  private var heardAt = ContinuousClock.now

  /// - Parameters:
  ///   - settings: those of the worker: its client id, filters, group and spool.
  ///   - reference: what all messages are judged by; a drain is over before that gets old.
  public init(
    _ settings: WorkerSettings, reference: ReferenceData, states: MeterStates,
    observer: any IngestObserver, stop: StopSignal
  ) {
    self.settings = settings
    self.stop = stop
    let holder = ReferenceHolder(sources: reference.sources)
    holder.replace(registry: reference.registry)
    holder.replace(rules: reference.rules)
    subscriptions =
      settings.allFilters + (settings.shareGroup == nil ? [] : settings.subscriptions)
      + keepAlives.follow(reference.sources).added
      + [SessionWatch.droppedTopic, SessionWatch.versionTopic]
    path = CommitPath(0, settings, holder, states, observer, stop)
    report.spooled = path.spooled
  }

  /// - Throws: ``MQTTError``; what was committed until then is acknowledged, and the session stays.
  public func run() throws(MQTTError) -> DrainReport {
    guard path.waitUntilReady(withoutSpool: true) else { throw interrupted }
    let session = try MQTTSession(settings.mqtt)
    session.onMessage = { [unowned self] message in
      heardAt = .now
      if message.topic.first == UInt8(ascii: "$") || keepAlives.hear(message.topic) { return }
      report.messages += 1
      path.take(message)
    }
    session.onUnsubscribed = { [unowned self] id in pending.remove(id) }
    try session.connect()
    try takeOver(session)
    try empty(session)
    while !path.isIdle {
      if stop.isSet { throw interrupted }
      path.rest(milliseconds: 50)
    }
    if let topic = settings.mqtt.statusTopic {
      // Nothing speaks for this client any more.
      try session.publish(topic: topic, payload: [], retain: true)
    }
    session.endSession()
    if !settings.mqtt.isVersion5 { try forget() }
    if let spool = settings.spool {
      // A mark that stays would only make the next of that name say that a session was lost.
      try? SessionMark(directory: spool.directory, clientID: settings.mqtt.clientID).remove()
    }
    return report
  }

  private var interrupted: MQTTError {
    MQTTError(
      target: settings.mqtt.target, operation: "drain \(settings.mqtt.clientID)",
      message: "interrupted; the session is still there, so drain it again")
  }

  /// Waits for the broker's answer, and ends the subscriptions, so that nothing new comes.
  private func takeOver(_ session: MQTTSession) throws(MQTTError) {
    let deadline = ContinuousClock.now + .seconds(10)
    while !isAnswered {
      if stop.isSet { throw interrupted }
      try exchange(session, listening: 100)
      if !isAnswered, .now > deadline {
        throw MQTTError(
          target: settings.mqtt.target, operation: "connect", message: "no answer within 10 s")
      }
    }
    for name in subscriptions { pending.insert(try session.unsubscribe(name)) }
  }

  /// How long the broker has to be silent, with nothing left to acknowledge.
  private static let silence = Duration.milliseconds(500)

  /// Commits and acknowledges until the broker holds nothing more: it sends what it has before it
  /// answers, so an answer with no message before it is the end.
  private func empty(_ session: MQTTSession) throws(MQTTError) {
    var isLast = false
    while true {
      if stop.isSet { throw interrupted }
      try exchange(session, listening: 50)
      guard pending.isEmpty, !path.isOpen, .now - heardAt > SessionDrain.silence else { continue }
      if isLast { return }
      isLast = true
      pending.insert(try session.unsubscribe(SessionWatch.droppedTopic))
      heardAt = .now
    }
  }

  private func exchange(_ session: MQTTSession, listening milliseconds: Int32) throws(MQTTError) {
    let readable = session.wait(
      milliseconds: path.isOpen ? min(milliseconds, path.waitingTime) : milliseconds)
    var isDrained = true
    if readable { isDrained = try session.receive { !isAnswered || !path.isFull } }
    for event in session.takeEvents() {
      switch event {
      case .connected(let isPresent):
        isAnswered = true
        report.hadSession = isPresent
      case .disconnected: throw session.loss
      case .subscribed: break
      }
    }
    path.advance()
    if path.isOpen, path.isFull || (isDrained && path.isDue) { path.settle() }
    if !path.isOpen { try session.flush() }
  }

  /// Ends the session of a broker that knows no expiry.
  private func forget() throws(MQTTError) {
    var clean = settings.mqtt
    clean.cleanStart = true
    clean.statusTopic = nil
    let session = try MQTTSession(clean)
    try session.connect()
    let deadline = ContinuousClock.now + .seconds(10)
    while !session.isConnected, .now < deadline {
      _ = session.wait(milliseconds: 100)
      try session.receive { !session.isConnected }
    }
    session.disconnect()
  }
}
