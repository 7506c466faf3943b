// Packets that were made beforehand reach a subscriber as they should, and each is answered for.

import Foundation
import MQTTSession
import PrivateServices
import TestServices
import Testing

@Suite struct ReadyPacketsTests {
  private func publisher() throws -> MQTTSession {
    var settings = try MQTTSettings(
      url: TestServices.shared.mqttURL, clientID: TestServices.freshName())
    settings.isVersion5 = false
    settings.cleanStart = true
    let session = try MQTTSession(settings)
    try session.connect(within: .seconds(10))
    return session
  }

  /// Payloads around the sizes at which the length takes another byte (MQTT 3.1.1, 2.2.3).
  @Test func everySizeArrives() throws {
    let topic = "ready/\(TestServices.freshName())"
    let subscriber = try Subscriber(TestServices.shared, TestServices.freshName(), topic)
    let head = 2 + topic.utf8.count + 2
    let sizes = [0, 1] + [127, 128, 16_383, 16_384, 2_097_151, 2_097_152].map { $0 - head }
    let session = try publisher()
    var packets: [UInt8] = []
    for (index, size) in sizes.enumerated() {
      packets += MQTTSession.publishPacket(
        topic: Array(topic.utf8), payload: [UInt8](repeating: 97 + UInt8(index), count: size),
        id: UInt16(65_535 - index))
    }
    try session.send(packets: packets.span)
    var acknowledged = 0
    while acknowledged < sizes.count {
      acknowledged += try session.takeAcknowledgements(
        atLeast: sizes.count - acknowledged, within: .seconds(20))
    }
    #expect(acknowledged == sizes.count)
    try subscriber.receive(sizes.count)
    #expect(subscriber.payloads.map(\.utf8.count) == sizes)
    #expect(
      subscriber.payloads.enumerated().allSatisfy { index, payload in
        payload.utf8.allSatisfy { $0 == 97 + UInt8(index) }
      })
    session.disconnect()
    subscriber.end()
  }

  @Test func aMissingAnswerIsAnError() throws {
    let session = try publisher()
    let error = #expect(throws: MQTTError.self) {
      try session.takeAcknowledgements(atLeast: 3, within: .milliseconds(50))
    }
    #expect(error?.message.contains("3 messages were not acknowledged") == true)
    session.disconnect()
  }

  /// A packet that is none ends the connection: the broker hangs up.
  @Test func aLostConnectionIsAnError() throws {
    let session = try publisher()
    let packets: [UInt8] = [0xF0, 0x00]
    try session.send(packets: packets.span)
    #expect(throws: MQTTError.self) {
      try session.takeAcknowledgements(atLeast: 1, within: .seconds(20))
    }
  }
}
