// One side of a connection through a faulty link: how bytes get to the other side, or do not.

import Glibc
import NIOCore
import SeededRandom

/// Holds what it hears until its partner has sent it on. Lives on the link's event loop.
final class LinkRelay: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private enum Piece {
    case bytes(ByteBuffer, due: NIODeadline)
    /// The peer has ended its direction.
    case end
    /// The connection is over.
    case closed
  }

  let isTarget: Bool
  var partner: LinkRelay?
  private let traffic: LinkTraffic
  private var context: ChannelHandlerContext?
  private var held = CircularBuffer<Piece>()
  private var heldBytes = 0
  private var isReading = false
  private var isWaiting = false
  private var isOutputOpen = true

  /// Beyond it, nothing more is read: as little as a network would hold.
  private static let limit = 256 * 1_024

  init(of traffic: LinkTraffic, isTarget: Bool) {
    self.traffic = traffic
    self.isTarget = isTarget
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    traffic.opened(self)
  }

  var isOpen: Bool { context != nil }
  private(set) var hasBegun = false

  /// Both sides are connected.
  func begin() {
    hasBegun = true
    read(true)
  }

  private func read(_ wanted: Bool) {
    guard wanted != isReading, let context else { return }
    isReading = wanted
    context.channel.setOption(.autoRead, value: wanted).whenFailure { _ in }
  }

  // MARK: What comes in

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    heldBytes += buffer.readableBytes
    let late =
      switch traffic.manner {
      case .delay(let milliseconds), .slow(_, let milliseconds): milliseconds
      default: Int64(0)
      }
    held.append(.bytes(buffer, due: .now() + .milliseconds(late)))
    forward()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .inputClosed? = event as? ChannelEvent {
      held.append(.end)
      forward()
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    self.context = nil
    held.append(.closed)
    forward()
    // Nothing that waits for this side can be sent any more.
    partner?.forward()
  }

  /// Also the end of a connection that never came about.
  func handlerRemoved(context: ChannelHandlerContext) {
    self.context = nil
    forward()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) { partner?.forward() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }

  // MARK: What goes out

  /// Sends on what may be sent on now.
  func forward() {
    while let piece = held.first, let partner, !isWaiting, traffic.manner != .stall {
      guard let target = partner.context else {
        held.removeAll()
        break
      }
      guard target.channel.isWritable else { break }
      held.removeFirst()
      switch piece {
      case .bytes(let buffer, let due): send(buffer, due, partner)
      case .end: partner.endOutput()
      case .closed:
        target.close(promise: nil)
        self.partner = nil
      }
    }
    if held.isEmpty { heldBytes = 0 }
    if isOpen {
      read(heldBytes < LinkRelay.limit)
    } else if held.isEmpty {
      traffic.closed(self)
      // The two would keep each other.
      self.partner = nil
    }
  }

  private func send(_ buffer: ByteBuffer, _ due: NIODeadline, _ partner: LinkRelay) {
    var buffer = buffer
    if due > .now() {
      held.prepend(.bytes(buffer, due: due))
      return wait(until: due)
    }
    guard let (most, pause) = portion else {
      heldBytes -= buffer.readableBytes
      return partner.write(buffer)
    }
    let count = min(buffer.readableBytes, most)
    if let slice = buffer.readSlice(length: count) { partner.write(slice) }
    heldBytes -= count
    if buffer.readableBytes > 0 { held.prepend(.bytes(buffer, due: due)) }
    wait(until: .now() + pause(count))
  }

  /// How much may be sent at once, and how long a pause that many bytes cost; nil is without limit.
  private var portion: (most: Int, pause: (Int) -> TimeAmount)? {
    switch traffic.manner {
    case .trickle:
      (
        traffic.random.number(1...64),
        { _ in .milliseconds(Int64(self.traffic.random.number(1...10))) }
      )
    case .slow(let rate, _):
      (max(1, rate / 50), { .nanoseconds(Int64($0) * 1_000_000_000 / Int64(rate)) })
    default: nil
    }
  }

  private func write(_ buffer: ByteBuffer) {
    guard let context, isOutputOpen else { return }
    traffic.carried += buffer.readableBytes
    context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
  }

  private func wait(until time: NIODeadline) {
    guard let loop = (context ?? partner?.context)?.eventLoop else { return }
    isWaiting = true
    loop.assumeIsolated().scheduleTask(deadline: time) { [self] in
      isWaiting = false
      forward()
    }
  }

  /// Tells this side's peer that nothing more comes.
  func endOutput() {
    guard let context, isOutputOpen else { return }
    isOutputOpen = false
    context.close(mode: .output, promise: nil)
  }

  /// Ends the connection so that both peers see a reset; what is held is lost.
  func reset() {
    // First both, since the end of one side is the end of the other.
    let sides = [self, partner].compactMap(\.self)
    for side in sides { side.prepareReset() }
    for side in sides { side.context?.close(promise: nil) }
  }

  /// A close after this is a reset (socket(7), SO_LINGER).
  private func prepareReset() {
    held.removeAll()
    let options = context?.channel as? any SocketOptionProvider
    options?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenFailure { _ in }
  }
}
