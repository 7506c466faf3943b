// The connections of a faulty link.

import NIOCore
import NIOPosix
import SeededRandom

/// What passes through one link. Lives on its event loop.
final class LinkTraffic {
  var manner = FaultyLink.Manner.pass { didSet { for relay in relays.values { relay.forward() } } }
  var random: SeededGenerator
  /// Bytes that were sent on, in both directions.
  var carried = 0
  private let target: Int
  private var relays: [ObjectIdentifier: LinkRelay] = [:]

  init(target: Int, seed: UInt64) {
    self.target = target
    random = SeededGenerator(seed: seed)
  }

  /// Connects a new connection with the target; where nobody listens, it is reset.
  func accept(_ channel: any Channel) throws {
    let near = LinkRelay(of: self, isTarget: false)
    let far = NIOLoopBound(LinkRelay(of: self, isTarget: true), eventLoop: channel.eventLoop)
    near.partner = far.value
    far.value.partner = near
    try channel.pipeline.syncOperations.addHandler(near)
    let boundNear = NIOLoopBound(near, eventLoop: channel.eventLoop)
    ClientBootstrap(group: channel.eventLoop)
      .channelOption(.autoRead, value: false)
      .channelOption(.allowRemoteHalfClosure, value: true)
      .channelOption(.socketOption(.tcp_nodelay), value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(far.value)
        }
      }
      .connect(host: "127.0.0.1", port: target)
      .whenComplete { result in
        switch result {
        case .success where boundNear.value.isOpen:
          boundNear.value.begin()
          far.value.begin()
        case .success: far.value.reset()
        case .failure: boundNear.value.reset()
        }
      }
  }

  func opened(_ relay: LinkRelay) { relays[ObjectIdentifier(relay)] = relay }
  func closed(_ relay: LinkRelay) { relays[ObjectIdentifier(relay)] = nil }

  func cut() {
    for relay in relays.values { relay.reset() }
  }

  func halfClose(towardTarget: Bool) {
    for relay in relays.values where relay.isTarget == towardTarget && relay.hasBegun {
      relay.endOutput()
    }
  }
}
