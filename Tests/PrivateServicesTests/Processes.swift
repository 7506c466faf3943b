// What the tests ask of the outside: the kernel's running processes, psql, the broker's clients.

import Foundation
import PrivateServices
import Testing

/// A place for the directories of these tests that every user may enter.
let scratch = NSTemporaryDirectory()

enum Processes {
  /// The processes with this text in their command line.
  static func mentioning(_ text: String) -> [Int32] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { Int32($0) }.filter { pid in
      let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
      return line.range(of: Data(text.utf8)) != nil
    }
  }

  /// Waits until no process has this text in its command line.
  static func gone(mentioning text: String, within limit: Duration) -> Bool {
    let deadline = ContinuousClock.now + limit
    while !mentioning(text).isEmpty {
      if ContinuousClock.now > deadline { return false }
      usleep(10_000)  // strangers' processes cannot be waited for
    }
    return true
  }

  /// Runs a program and returns its status and what it printed.
  ///
  /// Not by Foundation.Process: the alarms and ends of its children are blocked in a Swift task.
  static func run(_ program: String, _ arguments: [String]) throws -> (status: Int32, text: String)
  {
    let output = scratch + "/output-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: output) }
    var child = try ChildProcess(["/usr/bin/env", program] + arguments, output: output)
    let ended = child.waitForExit(atMost: .seconds(60))
    if ended == nil { kill(child.pid, SIGKILL) }
    let status = try #require(ended, "did not end: \(program) \(arguments)")
    let text = try String(contentsOfFile: output, encoding: .utf8)
    return (status, text.trimmingCharacters(in: .newlines))
  }

  /// Runs SQL with psql; the text is its unaligned output, or the error.
  static func sql(_ url: String, _ statement: String) throws -> (status: Int32, text: String) {
    try run("psql", ["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement])
  }
}
