// Wakes a thread that waits with poll(2).

import Glibc

/// The end of a pipe that is readable once somebody rang, until it is silenced.
final class Bell: Sendable {
  let descriptor: Int32
  private let writeEnd: Int32

  init() {
    var ends: [Int32] = [-1, -1]
    precondition(pipe(&ends) == 0, "no file descriptor left for a pipe")
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    descriptor = ends[0]
    writeEnd = ends[1]
  }

  deinit {
    close(descriptor)
    close(writeEnd)
  }

  func ring() {
    var byte: UInt8 = 1
    _ = write(writeEnd, &byte, 1)
  }

  func silence() {
    var bytes: UInt64 = 0
    _ = read(descriptor, &bytes, MemoryLayout<UInt64>.size)
  }
}

/// Waits until one of the descriptors is readable, but not longer than that.
func wait(for descriptors: [Int32], milliseconds: Int32) {
  var watched = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
  _ = poll(&watched, nfds_t(watched.count), milliseconds)
}
