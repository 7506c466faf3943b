// Publishes as meters do: at QoS 1, and counts what the broker acknowledged.

import EnergyReadings
import MQTTSession

/// A blocking publisher for one thread.
public final class MQTTPublisher {
  private let session: MQTTSession
  private var queued = 0
  /// Messages given to ``publish(topic:payload:qos:retain:)``.
  public private(set) var published = 0
  /// Messages at QoS 1 that the broker has taken responsibility for, and all at QoS 0.
  public private(set) var acknowledged = 0

  /// Messages on their way at once: enough to keep a broker busy, few enough for its queues.
  private static let window = 1_000
  /// Messages handed to the kernel together.
  private static let burst = 64

  /// Connects and waits for the broker's answer, 10 s at most.
  ///
  /// - Throws: ``MQTTError``.
  public init(_ settings: MQTTSettings) throws(MQTTError) {
    session = try MQTTSession(settings)
    session.onPublished = { [unowned self] _ in acknowledged += 1 }
    try session.connect(within: .seconds(10))
  }

  /// Publishes one message; blocks while too many are on their way.
  public func publish(
    topic: String, payload: [UInt8], qos: Int32 = 1, retain: Bool = false
  ) throws(MQTTError) {
    try session.publish(topic: topic, payload: payload, qos: qos, retain: retain)
    published += 1
    queued += 1
    if queued >= MQTTPublisher.burst { try push() }
    while published - acknowledged >= MQTTPublisher.window { try exchange(milliseconds: 1_000) }
  }

  /// Hands what is queued to the kernel and looks for acknowledgements.
  public func push() throws(MQTTError) {
    queued = 0
    try session.flush()
    try session.receive()
    try failOnRefusal()
  }

  /// Waits for acknowledgements or the time, keeping the connection alive.
  public func exchange(milliseconds: Int32) throws(MQTTError) {
    try session.keepAlive()
    try session.flush()
    _ = session.wait(milliseconds: milliseconds)
    try push()
  }

  /// Waits until the broker has acknowledged everything, then says good-bye.
  public func finish() throws(MQTTError) {
    let deadline = ContinuousClock.now + .seconds(60)
    while acknowledged < published {
      try exchange(milliseconds: 100)
      if ContinuousClock.now > deadline {
        throw MQTTError(
          target: session.settings.target, operation: "publish",
          message: "\(published - acknowledged) messages were not acknowledged within 60 s")
      }
    }
    session.disconnect()
  }

  private func failOnRefusal() throws(MQTTError) {
    for event in session.takeEvents() {
      switch event {
      case .disconnected(let reason):
        throw MQTTError(target: session.settings.target, operation: "connect", message: reason)
      case .connected, .subscribed: break
      }
    }
  }
}
