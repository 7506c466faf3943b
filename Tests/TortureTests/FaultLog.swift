// What happened when: faults as they really came about, and what went wrong besides.

import Foundation
import Synchronization

/// The log of one run; tells standard error as it goes.
final class FaultLog: Sendable {
  /// One fault as it came about.
  struct Occurrence: Codable, Sendable {
    var fault: String
    /// Seconds after the beginning.
    var at: Double
    /// Seconds it lasted.
    var lasted: Double
  }

  private struct State {
    var occurrences: [Occurrence] = []
    var problems: [String] = []
    var slowestStop = 0.0
  }

  private let beganAt = ContinuousClock.now
  private let state = Mutex(State())

  /// Seconds since the beginning.
  var elapsed: Double { (ContinuousClock.now - beganAt) / .seconds(1) }

  /// Notes a fault that is over.
  func happened(_ fault: ScheduledFault, from begin: Double) {
    let occurrence = Occurrence(
      fault: fault.title, at: begin.rounded(places: 2), lasted: (elapsed - begin).rounded(places: 2)
    )
    state.withLock { $0.occurrences.append(occurrence) }
  }

  /// Notes something that must not be: it makes the verdict fail.
  func problem(_ text: String) {
    state.withLock { $0.problems.append(text) }
    say("PROBLEM: \(text)")
  }

  /// Notes how long a SIGTERM took.
  func stopTook(_ seconds: Double) {
    state.withLock { $0.slowestStop = max($0.slowestStop, seconds) }
  }

  /// One line on standard error.
  func say(_ text: String) {
    let line = "torture \(elapsed.rounded(places: 1)) s: \(text)\n"
    FileHandle.standardError.write(Data(line.utf8))
  }

  var occurrences: [Occurrence] { state.withLock { $0.occurrences } }
  var problems: [String] { state.withLock { $0.problems } }
  var slowestStop: Double { state.withLock { $0.slowestStop } }
}

extension Double {
  func rounded(places: Int) -> Double {
    let scale = (0..<places).reduce(1.0) { scale, _ in scale * 10 }
    return (self * scale).rounded() / scale
  }
}
