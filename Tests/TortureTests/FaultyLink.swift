// A TCP proxy on loopback that can be a bad network: it delays, trickles, stalls, half-closes, resets
// and refuses.

import NIOCore
import NIOPosix
import SeededRandom
import Synchronization

/// A proxy in front of one port. Its methods block and are for plain threads.
final class FaultyLink: Sendable {
  /// How bytes get through, until told otherwise.
  enum Manner: Sendable, Equatable {
    case pass
    /// Nothing gets through.
    case stall
    case delay(milliseconds: Int64)
    /// 1 to 64 bytes at a time, some milliseconds apart.
    case trickle
    /// So many bytes a second and direction of a connection, each of them late.
    case slow(bytesPerSecond: Int, milliseconds: Int64 = 0)
  }

  /// Where it listens on 127.0.0.1.
  let port: Int
  private let loop: any EventLoop
  private let traffic: NIOLoopBound<LinkTraffic>
  private let listener: Mutex<(any Channel)?>

  /// - Parameter target: port on 127.0.0.1 that it leads to.
  init(to target: Int, seed: UInt64) throws {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let traffic = try loop.submit {
      NIOLoopBound(LinkTraffic(target: target, seed: seed), eventLoop: loop)
    }.wait()
    var random = SeededGenerator(seed: seed)
    var opened: (any Channel)?
    var port = 0
    while opened == nil {
      // Below the range of outgoing connections (ip(7)): nobody else takes the port while the link
      // refuses.
      port = random.number(10_240...30_000)
      opened = try? FaultyLink.listen(on: port, traffic, loop)
    }
    self.loop = loop
    self.traffic = traffic
    self.port = port
    listener = Mutex(opened)
  }

  private static func listen(
    on port: Int, _ traffic: NIOLoopBound<LinkTraffic>, _ loop: any EventLoop
  ) throws -> any Channel {
    try ServerBootstrap(group: loop)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.autoRead, value: false)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try traffic.value.accept(channel) }
      }
      .bind(host: "127.0.0.1", port: port).wait()
  }

  /// Changes how bytes get through, in both directions, from now on.
  func behave(_ manner: Manner) throws {
    try loop.submit { [traffic] in traffic.value.manner = manner }.wait()
  }

  /// Bytes that went through so far, in both directions.
  func carried() throws -> Int { try loop.submit { [traffic] in traffic.value.carried }.wait() }

  /// Resets all connections; what is on its way is lost.
  func cut() throws {
    try loop.submit { [traffic] in traffic.value.cut() }.wait()
  }

  /// Ends one direction of all connections; the other stays open.
  func halfClose(towardTarget: Bool) throws {
    try loop.submit { [traffic] in traffic.value.halfClose(towardTarget: towardTarget) }.wait()
  }

  /// Whether the link takes new connections; when it does not, the old ones are reset too.
  func listen(_ isOpen: Bool) throws {
    try listener.withLock { listener in
      if isOpen, listener == nil {
        listener = try FaultyLink.listen(on: port, traffic, loop)
      } else if !isOpen, let open = listener {
        listener = nil
        try open.close().wait()
        try cut()
      }
    }
  }

  /// Ends it, and forgets what it held back.
  func close() throws {
    try listen(false)
    try behave(.pass)
  }
}
