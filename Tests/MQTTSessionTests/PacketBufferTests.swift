// Many packets for one system call, and nothing forgotten in a buffer.

import CPacketBuffer
import Foundation
import Glibc
import MQTTSession
import PrivateServices
import TestServices
import Testing

@Suite struct PacketBufferTests {
  /// Without the buffer it would be three reads and a write a message.
  @Test(.enabled(if: cpb_is_active(), "a sanitizer stands in its place"))
  func aBurstCostsFewSystemCalls() throws {
    let services = TestServices.shared
    let topic = "burst/\(TestServices.freshName())"
    let subscriber = try Subscriber(services, TestServices.freshName(), topic)
    try publish(1_000, to: topic, services)
    let before = try systemCalls()
    try subscriber.receive(1_000)
    try subscriber.session.flush()
    let after = try systemCalls()
    #expect(after.reads - before.reads < 300)
    // None to wake the thread that a threaded session has elsewhere, either.
    #expect(after.writes - before.writes < 100)
    subscriber.end()
  }

  /// Only what the library wakes a thread with is dropped, and only while it is at work.
  @Test(.enabled(if: cpb_is_active(), "a sanitizer stands in its place"))
  func otherDescriptorsGetEverythingButTheBell() throws {
    var pair: [Int32] = [0, 0]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
    var file = [Int32](repeating: 0, count: 2)
    #expect(pipe(&file) == 0)
    defer { for descriptor in pair + file { close(descriptor) } }
    let buffer = try #require(cpb_new())
    defer { cpb_free(buffer) }
    let (bell, word, line): ([UInt8], [UInt8], [UInt8]) = ([0], [1], [0, 2])
    #expect(write(pair[0], bell, 1) == 1)
    cpb_enter(buffer, CPB_PASS)
    let written = [
      write(pair[0], bell, 1), write(pair[0], word, 1), write(pair[0], bell, 1),
      write(pair[0], line, 2), write(file[1], bell, 1),
    ]
    cpb_leave()
    #expect(written == [1, 1, 1, 2, 1])
    var bytes = [UInt8](repeating: 9, count: 10)
    #expect(read(pair[1], &bytes, 10) == 4)
    #expect(bytes[..<4] == [0, 1, 0, 2])
    #expect(read(file[0], &bytes, 10) == 1)
  }

  /// poll(2) knows only what is still in the kernel.
  @Test(arguments: [false, true])
  func whatIsInABufferIsSeenWithoutFurtherTraffic(isEncrypted: Bool) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
      .path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let certificates = try ThrowawayCertificates(in: folder)
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path,
      broker: isEncrypted ? .init(tls: .init(certificates)) : .init(),
      postgres: .init(fsync: false))
    let tls = isEncrypted ? MQTTSettings.TLS(authorityFile: certificates.authority) : nil
    let subscriber = try Subscriber(services, TestServices.freshName(), "buffered", tls: tls)
    try publish(200, to: "buffered", services, tls: tls)
    let session = subscriber.session
    // A packet a turn, and now and then a turn that finds only a part of one.
    for _ in 0..<1_000 where subscriber.payloads.count < 200 {
      try #require(session.wait(milliseconds: 5_000), "after \(subscriber.payloads.count)")
      var mayReceive = true
      try session.receive {
        defer { mayReceive = false }
        return mayReceive
      }
    }
    #expect(subscriber.payloads == (0..<200).map(String.init))
    subscriber.end()
    try services.stop()
  }

  /// More acknowledgements than the buffer had room for are held apart from those that come later, and
  /// leave alone; what is sent afterwards does not overtake them.
  @Test(
    .enabled(if: cpb_is_active(), "a sanitizer stands in its place"), arguments: [false, true])
  func whatIsHeldIsReleasedAlone(isEncrypted: Bool) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
      .path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let certificates = try ThrowawayCertificates(in: folder)
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path,
      broker: isEncrypted ? .init(tls: .init(certificates)) : .init(),
      postgres: .init(fsync: false))
    let tls = isEncrypted ? MQTTSettings.TLS(authorityFile: certificates.authority) : nil
    let watcher = try Subscriber(services, "watcher", "will", tls: tls)
    let first = try Subscriber(services, "held", "held", status: "will", tls: tls)
    #expect(first.session.canHold)
    try publish(20_000, to: "held", services, tls: tls)
    try first.pump(atMost: 17_000)
    try first.session.hold()
    try first.receive(20_000)
    try first.session.release()
    first.drop()
    // The last will comes once the broker has read all that was sent.
    try watcher.receive(1)
    watcher.end()
    let second = try Subscriber(services, "held", "held", tls: tls)
    #expect(second.sessionPresent == true)
    try second.receive(3_000)
    #expect(second.payloads == (17_000..<20_000).map(String.init))
    try second.session.hold()
    try second.expectNothing()
    second.end()
    try services.stop()
  }

  /// What a receiver of messages leaves in errno says nothing about the socket.
  @Test func aReceiverMayTouchErrno() throws {
    let services = TestServices.shared
    let topic = "errno/\(TestServices.freshName())"
    let subscriber = try Subscriber(services, TestServices.freshName(), topic)
    var count = 0
    subscriber.session.onMessage = { _ in
      count += 1
      errno = EAGAIN
    }
    try publish(300, to: topic, services)
    while count < 300, subscriber.session.wait(milliseconds: 5_000) {
      try subscriber.session.receive()
    }
    #expect(count == 300)
    subscriber.end()
  }

  @Test func messagesBeyondTheBufferKeepTheirPlaceAndContent() throws {
    let services = TestServices.shared
    let topic = "large/\(TestServices.freshName())"
    let subscriber = try Subscriber(services, TestServices.freshName(), topic)
    let publisher = try Subscriber(services, TestServices.freshName(), "none")
    let payloads = [10, 70_000, 0, 65_536, 1, 300_000, 65_530, 20].enumerated().map {
      String(repeating: "\($0 % 10)", count: $1)
    }
    for payload in payloads {
      try publisher.session.publish(topic: topic, payload: Array(payload.utf8))
    }
    try publisher.session.flush()
    try subscriber.receive(payloads.count)
    #expect(subscriber.payloads == payloads)
    publisher.end()
    subscriber.end()
  }

  /// Publishes the numbers from 0, and waits until the broker has them.
  private func publish(
    _ count: Int, to topic: String, _ services: PrivateServices, tls: MQTTSettings.TLS? = nil
  ) throws {
    let publisher = try Subscriber(services, TestServices.freshName(), "none", tls: tls)
    var acknowledged = 0
    publisher.session.onPublished = { _ in acknowledged += 1 }
    for number in 0..<count {
      try publisher.session.publish(topic: topic, payload: Array("\(number)".utf8))
    }
    try publisher.session.flush()
    try publisher.pump { acknowledged == count }
    publisher.end()
  }

  /// Calls of read(2) and write(2) that this thread has made (proc(5), `/proc/pid/io`).
  private func systemCalls() throws -> (reads: Int, writes: Int) {
    let text = try String(contentsOfFile: "/proc/thread-self/io", encoding: .utf8)
    func value(_ name: String) -> Int {
      let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") }
      return line.flatMap { Int($0.dropFirst(name.count + 2)) } ?? 0
    }
    return (value("syscr"), value("syscw"))
  }
}
