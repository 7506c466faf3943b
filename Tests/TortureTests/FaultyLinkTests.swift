// The bad network of the torture run, held against a server and a client of its own.

import NIOCore
import NIOPosix
import Testing

@Suite struct FaultyLinkTests {
  @Test func passesEverythingInOrder() async throws {
    try await onThread {
      let pair = try LinkedPair()
      let bytes = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
      try pair.client.send(bytes)
      #expect(try pair.server.receive(bytes.count) == bytes)
      try pair.server.send([1, 2, 3])
      #expect(try pair.client.receive(3) == [1, 2, 3])
      try pair.end()
    }
  }

  @Test func whatIsDelayedOrTrickledArrivesWhole() async throws {
    try await onThread {
      let pair = try LinkedPair()
      let bytes = (0..<1_000).map { UInt8(truncatingIfNeeded: $0) }
      for manner in [FaultyLink.Manner.delay(milliseconds: 200), .trickle] {
        try pair.link.behave(manner)
        let begin = ContinuousClock.now
        try pair.client.send(bytes)
        #expect(try pair.server.receive(bytes.count) == bytes)
        #expect(ContinuousClock.now - begin > .milliseconds(15), "\(manner)")
      }
      try pair.end()
    }
  }

  @Test func stallsUntilItPassesAgain() async throws {
    try await onThread {
      let pair = try LinkedPair()
      try pair.link.behave(.stall)
      try pair.client.send([1, 2, 3])
      #expect(try pair.server.hearsNothing(for: .milliseconds(200)))
      try pair.link.behave(.pass)
      #expect(try pair.server.receive(3) == [1, 2, 3])
      try pair.end()
    }
  }

  /// Also an end waits while it is stalled.
  @Test func anEndPassesOnceTheStallIsOver() async throws {
    try await onThread {
      let pair = try LinkedPair()
      try pair.link.behave(.stall)
      try pair.client.send([7])
      try pair.client.close()
      #expect(try pair.server.hearsNothing(for: .milliseconds(100)))
      try pair.link.behave(.pass)
      #expect(try pair.server.receive(1) == [7])
      try pair.server.waitForEndOfInput()
      try pair.end()
    }
  }

  @Test(arguments: [true, false]) func oneDirectionEndsTheOtherStays(towardTarget: Bool)
    async throws
  {
    try await onThread {
      let pair = try LinkedPair()
      let (deaf, heard) = towardTarget ? (pair.server, pair.client) : (pair.client, pair.server)
      try pair.link.halfClose(towardTarget: towardTarget)
      try deaf.waitForEndOfInput()
      try deaf.send([4, 5])
      #expect(try heard.receive(2) == [4, 5])
      try pair.end()
    }
  }

  @Test func aCutEndsBothSides() async throws {
    try await onThread {
      let pair = try LinkedPair()
      try pair.link.cut()
      try pair.server.waitForEnd()
      try pair.client.waitForEnd()
      try pair.end()
    }
  }

  @Test func refusesUntilItListensAgain() async throws {
    try await onThread {
      let pair = try LinkedPair()
      try pair.link.listen(false)
      try pair.client.waitForEnd()
      #expect(throws: (any Error).self) { try Peer.connect(to: pair.link.port) }
      try pair.link.listen(true)
      let again = try Peer.connect(to: pair.link.port)
      try again.send([9])
      #expect(try pair.nextServerSide().receive(1) == [9])
      try again.close()
      try pair.end()
    }
  }
}

/// A server, a link to it, and a client that came through the link.
private struct LinkedPair {
  let link: FaultyLink
  let client: Peer
  let server: Peer
  private let listener: any Channel
  private let accepted: Arrivals<Peer>

  init() throws {
    let accepted = Arrivals<Peer>()
    listener = try ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let peer = Peer(channel)
          try channel.pipeline.syncOperations.addHandler(PeerHandler(peer.events))
          accepted.put(peer)
        }
      }
      .bind(host: "127.0.0.1", port: 0).wait()
    link = try FaultyLink(to: listener.localAddress?.port ?? 0, seed: 3)
    client = try Peer.connect(to: link.port)
    server = try accepted.next()
    self.accepted = accepted
    // Once something came through, both sides of the link are connected.
    try client.send([0])
    _ = try server.receive(1)
  }

  func nextServerSide() throws -> Peer { try accepted.next() }

  func end() throws {
    try? client.close()
    try link.close()
    try listener.close().wait()
  }
}

/// One end of a connection, for a thread that blocks.
private final class Peer: Sendable {
  let events = Arrivals<PeerEvent>()
  private let channel: any Channel

  init(_ channel: any Channel) { self.channel = channel }

  static func connect(to port: Int) throws -> Peer {
    let made = Arrivals<Peer>()
    _ = try ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelOption(.allowRemoteHalfClosure, value: true)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let peer = Peer(channel)
          try channel.pipeline.syncOperations.addHandler(PeerHandler(peer.events))
          made.put(peer)
        }
      }
      .connect(host: "127.0.0.1", port: port).wait()
    return try made.next()
  }

  func send(_ bytes: [UInt8]) throws {
    // Not awaited: it completes when the other side has read.
    channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
  }

  func receive(_ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      guard case .bytes(let more) = try events.next() else { throw Arrivals<PeerEvent>.TooLate() }
      bytes += more
    }
    return bytes
  }

  func hearsNothing(for time: Duration) throws -> Bool { events.isSilent(for: time) }

  func waitForEndOfInput() throws {
    while try events.next() != .endOfInput {}
  }

  func waitForEnd() throws {
    while try events.next() != .end { if !channel.isActive { return } }
  }

  func close() throws { try channel.close().wait() }
}

private enum PeerEvent: Sendable, Equatable {
  case bytes([UInt8])
  case endOfInput
  case end
}

private final class PeerHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  private let events: Arrivals<PeerEvent>

  init(_ events: Arrivals<PeerEvent>) { self.events = events }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    events.put(.bytes(Array(unwrapInboundIn(data).readableBytesView)))
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case .inputClosed? = event as? ChannelEvent else { return }
    events.put(.endOfInput)
  }

  func channelInactive(context: ChannelHandlerContext) { events.put(.end) }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }
}
