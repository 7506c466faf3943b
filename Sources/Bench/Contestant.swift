// A process under test, or one that feeds it: started, watched, and ended with all its children.

import Foundation
import PrivateServices
import Synchronization

/// A command in a session of its own.
final class Contestant {
  private var child: ChildProcess
  private let log: String
  private let name: String
  private let hasChildren: Bool
  /// Most memory that it, or its processes together, had resident when looked at. A process that
  /// came after another had ended takes its place.
  private(set) var peakBytes = 0
  private var scannedAt = ContinuousClock.now - .seconds(1)
  private var finalSeconds: Double?
  private var status: Int32?

  /// - Parameters:
  ///   - hasChildren: whether other processes work for it, so that their cost is its cost.
  ///   - scratch: folder for its output.
  init(
    _ name: String, _ command: [String], environment: [String: String] = [:],
    hasChildren: Bool = false, scratch: String
  ) throws {
    self.name = name
    self.hasChildren = hasChildren
    log = "\(scratch)/\(name)-\(UUID().uuidString.prefix(8)).log"
    // It dies with the bench, however the bench ends.
    let words = ["/usr/bin/env", "setpriv", "--pdeathsig", "KILL", "--"] + command
    child = try ChildProcess(words, environment: environment, output: log)
    Running.add(child.pid)
  }

  deinit { stop() }

  /// The program itself, or a shell that waits for its pipeline.
  var pid: Int32 { child.pid }
  var output: String {
    String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
  }

  /// Its CPU up to now, user and system.
  var seconds: Double {
    if let finalSeconds { return finalSeconds }
    guard hasChildren else { return ProcessCost(pid).map { $0.seconds + $0.reapedSeconds } ?? 0 }
    return ProcessCost.ofSession(pid).reduce(0) { $0 + $1.cost.seconds + $1.cost.reapedSeconds }
  }

  /// Looks at its memory, and takes note of its end.
  ///
  /// - Returns: how it ended; nil while it runs.
  @discardableResult
  func look() -> Int32? {
    if let status { return status }
    if !hasChildren {
      peakBytes = max(peakBytes, ProcessCost.peakBytes(pid) ?? 0)
    } else if ContinuousClock.now - scannedAt > .milliseconds(300) {
      let members = ProcessCost.ofSession(pid)
      peakBytes = max(
        peakBytes, members.reduce(0) { $0 + (ProcessCost.peakBytes($1.pid) ?? 0) })
      scannedAt = .now
    }
    // The kernel keeps the cost of a process that has ended until its parent waits for it.
    guard let cost = ProcessCost(pid), cost.hasEnded else { return nil }
    finalSeconds = seconds
    status = child.waitForExit(atMost: .seconds(1))
    Running.remove(pid)
    return status
  }

  /// Waits until it has ended by itself.
  ///
  /// - Throws: ``BenchError`` with the end of its output unless it ended with 0 in time.
  func waitForSuccess(
    atMost limit: Duration = .seconds(3_600), alongside other: Contestant? = nil
  ) throws {
    let deadline = ContinuousClock.now + limit
    while true {
      if let status = look() {
        if status == 0 { return }
        throw failure("ended with status \(status)")
      }
      if let other, let status = other.look() {
        throw other.failure("ended with status \(status) before its work was done")
      }
      if ContinuousClock.now > deadline { throw failure("did not end within \(limit)") }
      // The end of a process and its memory are no events that could be waited for together.
      usleep(2_000)
    }
  }

  func failure(_ what: String) -> BenchError {
    BenchError(.failed, "\(name) \(what)\(lastWords)")
  }

  /// The end of its output, with words before it; empty where it said nothing.
  var lastWords: String {
    let tail = output.split(separator: "\n").suffix(15).joined(separator: "\n")
    return tail.isEmpty ? "" : "; its last words:\n\(tail)"
  }

  /// Asks all its processes to end, and ends them after ten seconds.
  ///
  /// - Returns: how it ended.
  @discardableResult
  func stop() -> Int32? {
    if look() == nil {
      signal(SIGTERM)
      status = child.waitForExit(atMost: .seconds(10))
    }
    if status == nil || hasChildren { signal(SIGKILL) }
    if status == nil { status = child.waitForExit(atMost: .seconds(5)) }
    Running.remove(pid)
    return status
  }

  private func signal(_ number: Int32) { Running.signal(number, session: pid) }
}

/// The contestants that run now, for a bench that is interrupted.
public enum Running {
  private static let sessions = Mutex<Set<Int32>>([])

  static func add(_ session: Int32) { _ = sessions.withLock { $0.insert(session) } }
  static func remove(_ session: Int32) { _ = sessions.withLock { $0.remove(session) } }

  static func signal(_ number: Int32, session: Int32) {
    for member in ProcessCost.ofSession(session) { kill(member.pid, number) }
  }

  /// Ends them all at once.
  public static func endAll() {
    for session in sessions.withLock({ $0 }) { signal(SIGKILL, session: session) }
  }
}
