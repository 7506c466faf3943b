// Publishes a load that was written as packets beforehand, as fast as the broker takes it.
//
// Publisher, broker, ingestor and database share the machine's cores, while meters have their own: what
// the publisher takes is taken from those that are measured. `replay` takes 7 µs a message, this 0.3.

import Foundation
import MQTTSession

public enum PacketPublisher {
  /// Messages on their way at once, so that the broker always finds some.
  private static let window = 4_000
  /// How long a broker may take for half a window.
  private static let patience = Duration.seconds(60)

  /// Sends the packets of a file and returns when the broker has acknowledged each of them.
  ///
  /// - Parameters:
  ///   - file: PUBLISH packets of MQTT 3.1.1 at QoS 1, one after the other.
  ///   - url: where the broker is, `mqtt://…`.
  /// - Throws: ``BenchError`` or `MQTTError`.
  public static func publish(_ file: String, to url: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: file), options: .alwaysMapped)
    let packets = data.span
    var settings = try MQTTSettings(
      url: url, clientID: "meter-ingestor-bench-publisher-\(getpid())")
    settings.isVersion5 = false
    settings.cleanStart = true
    let session = try MQTTSession(settings)
    try session.connect(within: .seconds(10))
    var (end, sent, acknowledged) = (0, 0, 0)
    while true {
      let begin = end
      while end < packets.count, sent - acknowledged < window {
        end = try self.end(ofPacketAt: end, in: packets)
        sent += 1
      }
      try session.send(packets: packets.extracting(begin..<end))
      if acknowledged == sent { break }
      // Not woken for each: half a window is left for the broker to work on.
      acknowledged += try session.takeAcknowledgements(
        atLeast: min(sent - acknowledged, window / 2), within: patience)
    }
    session.disconnect()
  }

  /// Follows the length that stands behind a packet's first byte.
  private static func end(ofPacketAt begin: Int, in packets: Span<UInt8>) throws -> Int {
    var (next, length, shift) = (begin + 1, 0, 0)
    var byte: UInt8 = 0x80
    while byte & 0x80 != 0, next < packets.count, shift <= 21 {
      byte = packets[next]
      length |= Int(byte & 0x7F) << shift
      shift += 7
      next += 1
    }
    guard byte & 0x80 == 0, next + length <= packets.count else {
      throw BenchError(.failed, "the file of packets ends within a packet")
    }
    return next + length
  }
}
