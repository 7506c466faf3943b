// A queue between an event loop and a thread that waits.

import Dispatch
import Synchronization

/// What arrives, in order, for one thread that blocks for it.
final class Arrivals<Element: Sendable>: Sendable {
  struct TooLate: Error {}

  private let queue = Mutex<[Element]>([])
  private let arrived = DispatchSemaphore(value: 0)

  func put(_ element: Element) {
    queue.withLock { $0.append(element) }
    arrived.signal()
  }

  /// The next one; waits 10 s at most.
  func next() throws(TooLate) -> Element {
    guard arrived.wait(timeout: .now() + .seconds(10)) == .success else { throw TooLate() }
    return queue.withLock { $0.removeFirst() }
  }

  /// Whether nothing comes for a while.
  func isSilent(for time: Duration) -> Bool {
    let milliseconds = Int(time / .milliseconds(1))
    guard arrived.wait(timeout: .now() + .milliseconds(milliseconds)) == .success else {
      return true
    }
    arrived.signal()
    return false
  }
}
