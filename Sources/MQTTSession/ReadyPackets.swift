// Packets that were made beforehand, sent past the library: what a load generator needs.
//
// libmosquitto keeps a copy of each message, and at each acknowledgement walks through all that are on
// their way (`message__release_to_inflight`, lib/messages_mosq.c of 2.0.11): with a thousand of them,
// 7 µs a message, more than the broker takes for it.

import CMosquitto
import Glibc

extension MQTTSession {
  /// A PUBLISH of QoS 1 as MQTT 3.1.1 writes it (section 3.3).
  ///
  /// - Parameter id: the packet's identifier, 1…65,535.
  public static func publishPacket(topic: [UInt8], payload: [UInt8], id: UInt16) -> [UInt8] {
    var packet: [UInt8] = [0x32]
    // Seven bits a byte, the lowest first (section 2.2.3).
    var rest = 2 + topic.count + 2 + payload.count
    repeat {
      packet.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
      rest >>= 7
    } while rest > 0
    packet += [UInt8(topic.count >> 8), UInt8(topic.count & 0xFF)] + topic
    packet += [UInt8(id >> 8), UInt8(id & 0xFF)] + payload
    return packet
  }

  /// Hands all of `packets` to the kernel, waiting for room, 10 s at most each time.
  ///
  /// Only for a session of MQTT 3.1.1 without TLS that the library sends and receives nothing for
  /// meanwhile.
  ///
  /// - Throws: ``MQTTError`` when the connection is lost or the broker does not read.
  public func send(packets: Span<UInt8>) throws(MQTTError) {
    var sent = 0
    while sent < packets.count {
      // The kernel copies; the pointer does not outlive the call.
      let count = packets.extracting(sent...).withUnsafeBytes {
        Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count >= 0 {
        sent += count
      } else if errno == EAGAIN || errno == EWOULDBLOCK {
        try waitForRoom()
      } else if errno != EINTR {
        throw lost(MOSQ_ERR_ERRNO.rawValue, errno)
      }
    }
  }

  /// Waits for acknowledgements (PUBACK of MQTT 3.1.1, section 3.4: four bytes).
  ///
  /// - Parameter count: is not woken for fewer, unless the kernel is short of memory; 1…8,192.
  /// - Returns: how many have come.
  /// - Throws: ``MQTTError`` when the connection is lost, something else comes, or nothing in time.
  public func takeAcknowledgements(
    atLeast count: Int, within limit: Duration
  ) throws(MQTTError) -> Int {
    let milliseconds = Int32(limit / .milliseconds(1))
    guard wait(milliseconds: milliseconds, atLeast: Int32(4 * count)) else {
      throw MQTTError(
        target: settings.target, operation: "publish",
        message: "\(count) messages were not acknowledged within \(milliseconds) ms")
    }
    var bytes = [UInt8](repeating: 0, count: 4 * 8_192)
    // Looked at first, so that only whole ones are taken.
    let arrived = recv(socket, &bytes, bytes.count, Int32(MSG_PEEK))
    guard arrived > 0 else { throw lost(MOSQ_ERR_CONN_LOST.rawValue, errno) }
    let whole = arrived / 4
    for index in 0..<whole where bytes[4 * index] != 0x40 {
      throw lost(MOSQ_ERR_PROTOCOL.rawValue, 0)
    }
    recv(socket, &bytes, 4 * whole, 0)
    return whole
  }
}
