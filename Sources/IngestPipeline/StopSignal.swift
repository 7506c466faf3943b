// Asks a worker's thread to stop, also while it waits for the broker.

import Glibc
import Synchronization

/// A flag that is also a readable file descriptor.
public final class StopSignal: Sendable {
  /// The end of a pipe that is readable once ``set()`` was called.
  let descriptor: Int32
  private let writeEnd: Int32
  private let flag = Atomic<Bool>(false)

  public init() {
    var ends: [Int32] = [-1, -1]
    precondition(pipe(&ends) == 0, "no file descriptor left for a pipe")
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    descriptor = ends[0]
    writeEnd = ends[1]
  }

  deinit {
    close(descriptor)
    close(writeEnd)
  }

  public var isSet: Bool { flag.load(ordering: .acquiring) }

  public func set() {
    flag.store(true, ordering: .releasing)
    var byte: UInt8 = 1
    _ = write(writeEnd, &byte, 1)
  }

  /// Waits, but not longer than that; returns at once when set.
  public func wait(milliseconds: Int32) {
    var descriptor = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    _ = poll(&descriptor, 1, milliseconds)
  }
}
