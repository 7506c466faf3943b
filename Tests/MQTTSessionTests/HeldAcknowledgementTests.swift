// What the promise stands on: a message that was received but not flushed comes again.

import Foundation
import MQTTSession
import PrivateServices
import TestServices
import Testing

@Suite struct HeldAcknowledgementTests {
  private let services = TestServices.shared

  /// Pins an internal detail of libmosquitto: in threaded mode a PUBACK waits for the next write.
  @Test func unflushedMessagesComeAgain() throws {
    let topic = "held/\(TestServices.freshName())"
    let client = TestServices.freshName()
    try Subscriber(services, client, topic).end()
    try publish(5_000, to: topic)

    let first = try Subscriber(services, client, topic)
    #expect(first.sessionPresent == true)
    // More than mosquitto's default window of 20: the receive maximum is in force.
    try first.receive(5_000)
    first.drop()

    let second = try Subscriber(services, client, topic)
    #expect(second.sessionPresent == true)
    try second.receive(5_000)
    #expect(second.payloads == first.payloads)
    try second.session.flush()
    // The broker reads in order: with this one acknowledged, it has read all before. A session that
    // is resumed sooner may get again what the broker had not read yet.
    try second.expectNothing()
    second.end()

    let third = try Subscriber(services, client, topic)
    #expect(third.sessionPresent == true)
    try third.expectNothing()
    third.end()
  }

  @Test func theLastWillSpeaksOnlyAfterAnUngracefulEnd() throws {
    let status = "status/\(TestServices.freshName())"
    let watcher = try Subscriber(services, TestServices.freshName(), status)
    let polite = try Subscriber(services, TestServices.freshName(), "none", status: status)
    polite.end()
    try watcher.expectNothing()
    let rude = try Subscriber(services, TestServices.freshName(), "none", status: status)
    rude.drop()
    try watcher.receive(1)
    #expect(watcher.payloads == ["offline"])
    watcher.end()
  }

  @Test func oldBrokersAreSpokenToInTheirVersion() throws {
    let topic = "held/\(TestServices.freshName())"
    let client = TestServices.freshName()
    let subscriber = try Subscriber(services, client, topic, isVersion5: false)
    try publish(10, to: topic)
    try subscriber.receive(10)
    subscriber.drop()
    let again = try Subscriber(services, client, topic, isVersion5: false)
    #expect(again.sessionPresent == true)
    try again.receive(10)
    again.end()
  }

  private func publish(_ count: Int, to topic: String) throws {
    let publisher = try Subscriber(services, TestServices.freshName(), "none")
    var acknowledged = 0
    publisher.session.onPublished = { _ in acknowledged += 1 }
    for number in 0..<count {
      try publisher.session.publish(topic: topic, payload: Array("\(number)".utf8))
    }
    try publisher.session.flush()
    try publisher.pump { acknowledged == count }
    publisher.end()
  }
}

/// A session driven by a test.
final class Subscriber {
  private var owned: MQTTSession?
  private(set) var payloads: [String] = []
  private(set) var sessionPresent: Bool?
  private(set) var granted: [Int32] = []

  var session: MQTTSession {
    guard let owned else { preconditionFailure("ended") }
    return owned
  }

  init(
    _ services: PrivateServices, _ client: String, _ topic: String, status: String? = nil,
    isVersion5: Bool = true, tls: MQTTSettings.TLS? = nil
  ) throws {
    var settings = try MQTTSettings(url: services.mqttURL, clientID: client)
    settings.tls = tls
    settings.statusTopic = status
    settings.isVersion5 = isVersion5
    owned = try MQTTSession(settings)
    session.onMessage = { [unowned self] message in
      payloads.append(String(decoding: message.payload, as: UTF8.self))
    }
    try session.connect()
    try pump { sessionPresent != nil }
    if sessionPresent == false {
      try session.subscribe([topic])
      try session.flush()
      try pump { !granted.isEmpty }
      #expect(granted == [1])
    }
  }

  /// Receives, and sends nothing, until a condition holds; 20 s at most.
  func pump(until condition: () -> Bool) throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while !condition() {
      _ = session.wait(milliseconds: 100)
      try session.receive()
      // A TLS handshake takes several turns, and nothing is held yet.
      if !session.isConnected { try session.flush() }
      for event in session.takeEvents() {
        switch event {
        case .connected(let present): sessionPresent = present
        case .subscribed(let levels): granted = levels
        case .disconnected: Issue.record("\(event)")
        }
      }
      if ContinuousClock.now > deadline {
        Issue.record("not within 20 s; \(payloads.count) messages")
        return
      }
    }
  }

  /// Receives until there are `count` messages, and no more of them.
  func pump(atMost count: Int) throws {
    while payloads.count < count, session.wait(milliseconds: 20_000) {
      try session.receive { payloads.count < count }
    }
    #expect(payloads.count == count)
  }

  func receive(_ count: Int) throws { try pump { payloads.count >= count } }

  /// Nothing arrives while a message of one's own makes its way through the broker and back.
  func expectNothing() throws {
    let before = payloads.count
    let probe = "probe/\(TestServices.freshName())"
    try session.subscribe([probe])
    // At QoS 0, or its own acknowledgement would be one more that is held.
    try session.publish(topic: probe, payload: Array("probe".utf8), qos: 0)
    try session.flush()
    try pump { payloads.last == "probe" }
    #expect(payloads.count == before + 1)
    payloads.removeLast()
  }

  /// Goes without a word: nothing that is held is sent.
  func drop() { owned = nil }

  /// Says good-bye.
  func end() {
    owned?.disconnect()
    owned = nil
  }
}
