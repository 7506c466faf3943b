// What a worker makes of its broker's behaviour: a session that was forgotten, another client with
// the same id, messages that were dropped.

import Foundation
import MQTTSession
import Spool

/// Watches the sessions of one worker, one after the other.
final class SessionWatch {
  /// Where mosquitto counts what it has thrown away, every ten seconds.
  static let droppedTopic = "$SYS/broker/publish/messages/dropped"
  /// Where mosquitto says which it is, retained.
  static let versionTopic = "$SYS/broker/version"

  private let worker: Int
  private let settings: WorkerSettings
  private let observer: any IngestObserver
  /// Over restarts, where there is a directory for it.
  private let mark: SessionMark?
  /// Whether the broker kept a session for this client, as far as is known.
  private var hadSession: Bool
  private var connectedAt: ContinuousClock.Instant?
  /// Subscriptions that the broker has not answered yet; it answers in order.
  private var asked: [[String]] = []
  /// Whether the first of this connection is answered.
  private var isSubscribed = false
  private var dropped: Int?
  private var backoff = Backoff()
  /// For a session that another client takes: two that fight must not do so at full speed.
  private var truce = Backoff(first: 2_000, limit: 60_000)
  /// Connections in a row that ended at once and without a reason.
  private var shortLives = 0

  init(_ worker: Int, _ settings: WorkerSettings, _ observer: any IngestObserver) {
    self.worker = worker
    self.settings = settings
    self.observer = observer
    mark = settings.spool.map {
      SessionMark(directory: $0.directory, clientID: settings.mqtt.clientID)
    }
    hadSession = mark?.isSet ?? false
  }

  // MARK: Beginning

  /// The broker took the connection.
  func connected(_ terms: BrokerTerms, sessionPresent: Bool) {
    connectedAt = .now
    asked = []
    isSubscribed = false
    if hadSession, !sessionPresent {
      observer.sessionLost(
        "the broker at \(settings.mqtt.target) has lost the session of "
          + "\(settings.mqtt.clientID): what was published since it was last connected may be "
          + "missing. Subscribed again; the broker needs persistence (mosquitto: persistence true) "
          + "and a session must be kept for as long as the ingestor may be away", worker: worker)
    }
    for finding in BrokerAudit(settings: settings).findings(terms) {
      observer.warning(finding, worker: worker)
    }
  }

  /// The broker was asked for these.
  func asked(for filters: [String]) { asked.append(filters) }

  /// The broker answered a subscription.
  ///
  /// - Returns: whether it was the first of the connection.
  /// - Throws: ``MQTTError`` when that was refused altogether. For a later one the session is not given
  ///   up: other sources go on.
  func subscribed(_ granted: [Int32]) throws(MQTTError) -> Bool {
    let filters = asked.isEmpty ? "" : asked.removeFirst().joined(separator: ", ")
    defer { isSubscribed = true }
    if !isSubscribed, granted.allSatisfy({ $0 >= 128 }) {
      throw MQTTError(
        target: settings.mqtt.target, operation: "subscribe to \(filters)",
        message: "not allowed; check the broker's ACL", isRefusal: true)
    }
    if granted.contains(where: { $0 != 1 }) {
      observer.warning(
        "the broker granted QoS \(granted) instead of 1; is the ingestor allowed to read "
          + "\(filters)?", worker: worker)
    }
    hadSession = settings.mqtt.sessionExpiry > 0
    // Without the mark only a loss during a restart goes unnoticed.
    if hadSession { try? mark?.set() }
    return !isSubscribed
  }

  // MARK: Hearing

  /// Takes a message of the broker about itself.
  func hear(_ message: borrowing ReceivedMessage) {
    let text = String(decoding: message.payload, as: UTF8.self)
    if message.topic.elementsEqual(SessionWatch.versionTopic.utf8) {
      if let finding = BrokerAudit(settings: settings).finding(version: text) {
        observer.warning(finding, worker: worker)
      }
      return
    }
    guard let count = Int(text) else { return }
    observer.brokerDropped(count, worker: worker)
    // The broker counts from its own start.
    if let dropped, count > dropped {
      observer.warning(
        "the broker has dropped \(count - dropped) messages since it was last asked, for this "
          + "client or others; raise its limits (mosquitto: max_queued_messages 0, "
          + "max_queued_bytes 0, max_inflight_messages 0)", worker: worker)
    }
    dropped = count
  }

  // MARK: Ending

  /// A connection that ends sooner says something about the next.
  private static let shortLife = Duration.seconds(5)
  /// Short lives after which another client is suspected: MQTT 3.1.1 gives no reason.
  private static let suspicion = 3

  /// The connection ended or was not made.
  ///
  /// - Returns: how long to wait before the next attempt, ms.
  func lost(_ error: MQTTError) -> Int32 {
    let lifetime = connectedAt.map { ContinuousClock.now - $0 } ?? .zero
    connectedAt = nil
    if lifetime >= SessionWatch.shortLife {
      shortLives = 0
      backoff.reset()
      // The other one has given up.
      if lifetime >= .seconds(120) { truce.reset() }
    } else if error.wasConnected {
      shortLives += 1
    }
    guard error.isTakenOver || shortLives >= SessionWatch.suspicion else {
      observer.brokerChanged(error, worker: worker)
      return backoff.next()
    }
    let pause = truce.next()
    observer.brokerChanged(takenOver(error), worker: worker)
    return pause
  }

  private func takenOver(_ error: MQTTError) -> MQTTError {
    let certainty = error.isTakenOver ? "" : "perhaps, for the connection ends again and again, "
    var told = error
    told.message =
      "\(error.message): \(certainty)another client has the id \(settings.mqtt.clientID). Give "
      + "every ingestor a client id of its own (mqtt.client-id), and stop the other one"
    return told
  }
}
