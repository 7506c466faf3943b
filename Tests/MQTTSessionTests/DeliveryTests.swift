// The order of acknowledgements, the mark of retained messages, and a broker one must not trust.

import Foundation
import MQTTSession
import PrivateServices
import TestServices
import Testing

@Suite struct DeliveryTests {
  /// MQTT 5, 4.6: PUBACKs in the order in which the messages came. The broker's log is the witness.
  @Test func acknowledgementsKeepTheOrder() throws {
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path,
      broker: .init(settings: ["log_type all"]), postgres: .init(fsync: false))
    let client = TestServices.freshName()
    let topic = "order/\(client)"
    let subscriber = try Subscriber(services, client, topic)
    let publisher = try Subscriber(services, TestServices.freshName(), "none")
    for number in 0..<200 {
      try publisher.session.publish(topic: topic, payload: Array("\(number)".utf8))
    }
    try publisher.session.flush()
    try subscriber.receive(200)
    #expect(subscriber.payloads == (0..<200).map(String.init))
    #expect(!services.brokerLog(last: 2_000).contains("Received PUBACK from \(client)"))
    try subscriber.session.flush()
    // The broker reads in order: once a message of one's own is back, it has read all before.
    try subscriber.expectNothing()
    subscriber.end()
    publisher.end()
    // Stopped, it has written its log to the end.
    try services.stopBroker()
    let log = services.brokerLog(last: 5_000)
    let sent = log.matches(of: try Regex("Sending PUBLISH to \(client) \\(d0, q1, r0, m(\\d+),"))
    let acknowledged = log.matches(of: try Regex("Received PUBACK from \(client) \\(Mid: (\\d+),"))
    #expect(sent.count == 200)
    #expect(sent.map { $0[1].substring } == acknowledged.map { $0[1].substring })
    try services.stop()
  }

  @Test func retainedMessagesAreMarked() throws {
    let services = TestServices.shared
    let topic = "retained/\(TestServices.freshName())"
    let subscriber = try Subscriber(services, TestServices.freshName(), "none")
    try subscriber.session.publish(topic: topic, payload: Array("kept".utf8), retain: true)
    try subscriber.session.flush()
    var heard: [String: Bool] = [:]
    subscriber.session.onMessage = { message in
      heard[String(decoding: message.payload, as: UTF8.self)] = message.isRetained
    }
    try subscriber.session.subscribe([topic])
    try subscriber.session.flush()
    try subscriber.pump { heard["kept"] != nil }
    try subscriber.session.publish(topic: topic, payload: Array("live".utf8), retain: true)
    try subscriber.session.flush()
    try subscriber.pump { heard["live"] != nil }
    #expect(heard == ["kept": true, "live": false])
    // An empty payload takes a retained message away.
    try subscriber.session.publish(topic: topic, payload: [], retain: true)
    try subscriber.session.flush()
    subscriber.end()
  }

  @Test func aBrokerOfAnotherAuthorityIsNotTrusted() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
      .path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let right = try ThrowawayCertificates(in: folder + "/right")
    let wrong = try ThrowawayCertificates(in: folder + "/wrong")
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path, broker: .init(tls: .init(right)),
      postgres: .init(fsync: false))
    var settings = try MQTTSettings(url: services.mqttURL, clientID: TestServices.freshName())
    settings.tls = .init(authorityFile: wrong.authority)
    let distrusted = try MQTTSession(settings)
    let error = try #require(throws: MQTTError.self) {
      try distrusted.connect()
      // The handshake may go on after the connection is made.
      let deadline = ContinuousClock.now + .seconds(10)
      while ContinuousClock.now < deadline, !distrusted.isConnected {
        _ = distrusted.wait(milliseconds: 100)
        try distrusted.receive()
        try distrusted.flush()
      }
    }
    #expect("\(error)".contains("127.0.0.1:\(services.mqttPort)"))
    #expect("\(error)".contains("certificate"), "\(error)")
    settings.tls = .init(authorityFile: folder + "/nowhere.crt")
    let missing = #expect(throws: MQTTError.self) { try MQTTSession(settings) }
    #expect("\(try #require(missing))".contains("nowhere.crt"))
    try services.stop()
  }
}
