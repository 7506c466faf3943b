// The broker's limit: a subscriber that holds its acknowledgements as the ingestor does, and throws
// the messages away.

import Foundation
import MQTTSession

extension BenchRun {
  /// Messages after which the subscriber lets its acknowledgements go.
  private static let heldMessages = 2_000
  /// Bytes that it is woken for, as the ingestor is under load.
  private static let portion: Int32 = 32 << 10

  func measureBroker(_ load: BenchLoad) throws -> BenchSample {
    var settings = try MQTTSettings(
      url: stage.mqttURL, clientID: "meter-ingestor-bench-limit-\(getpid())")
    settings.cleanStart = true
    settings.sessionExpiry = 0
    let session = try MQTTSession(settings)
    var received = 0
    session.onMessage = { _ in received += 1 }
    try subscribe(session)
    let meter = CostMeter(stage)
    let publisher = try startPublisher(load)
    let own = ProcessCost.ofThisThread
    var flushed = 0
    var lastNews = ContinuousClock.now
    while received < load.messages {
      let before = received
      _ = session.wait(milliseconds: 10, atLeast: Self.portion)
      try session.receive(while: { received - flushed < Self.heldMessages })
      if received - flushed >= Self.heldMessages || received == before {
        try session.flush()
        flushed = received
      }
      if received > before { lastNews = .now }
      if ContinuousClock.now - lastNews > .seconds(10) {
        throw BenchError(
          .wrongRows,
          "the broker delivered \(received) of \(load.messages) messages, "
            + "then none for 10 s: look at its limits (max_queued_messages 0)")
      }
    }
    var sample = meter.sample(readings: load.readings)
    sample.ownSeconds = ProcessCost.ofThisThread - own
    try session.flush()
    session.disconnect()
    try publisher.waitForSuccess(atMost: .seconds(60))
    sample.publisherSeconds = publisher.seconds
    return sample
  }

  private func subscribe(_ session: MQTTSession) throws {
    try session.connect()
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
      _ = session.wait(milliseconds: 100)
      try session.receive()
      for event in session.takeEvents() {
        switch event {
        case .connected: try session.subscribe([BenchRun.topicFilter])
        case .subscribed(let granted) where granted.allSatisfy { $0 < 128 }: return
        case .subscribed:
          throw BenchError(.failed, "the broker refuses \(BenchRun.topicFilter): check its ACL")
        case .disconnected(let reason): throw BenchError(.failed, "the broker hung up: \(reason)")
        }
      }
      try session.flush()
    }
    throw BenchError(.failed, "the broker did not answer a subscription within 10 s")
  }

  static let topicFilter = "gridtokenx/v1/+/consumption/+"

  /// Publishes the load at full speed, in a process of its own.
  func startPublisher(_ load: BenchLoad) throws -> Contestant {
    // Packets cannot be sent past a library that encrypts them.
    let words =
      stage.isEncrypted
      ? ["replay", "--speed", "max", capture(of: load)] : ["bench-publish", packets(of: load)]
    return try Contestant(
      "publisher", [plan.program] + words, environment: ["MQTT_URL": stage.mqttURL],
      scratch: stage.scratch)
  }
}
