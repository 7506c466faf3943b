// Reads the kernel's table of processes and sends signals.

import Foundation

enum ProcessTable {
  /// Whether the process exists and is not merely waiting for its parent to take note of its end.
  static func isRunning(_ pid: Int32) -> Bool {
    guard let stat = fields(pid) else { return false }
    return stat.state != "Z" && stat.state != "X"
  }

  /// The processes whose parent is `parent`.
  static func children(of parent: Int32) -> [Int32] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { Int32($0) }.filter { fields($0)?.parent == parent }
  }

  /// Sends a signal; a process that is gone already is no error.
  static func signal(_ signal: Int32, to pids: [Int32]) {
    for pid in pids { kill(pid, signal) }
  }

  /// Fields 3 and 4 of `/proc/PID/stat` (proc(5)); field 2, the name, may contain anything.
  private static func fields(_ pid: Int32) -> (state: Substring, parent: Int32)? {
    guard let line = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let end = line.lastIndex(of: ")")
    else { return nil }
    let rest = line[line.index(after: end)...].split(separator: " ")
    guard rest.count > 1, let parent = Int32(rest[1]) else { return nil }
    return (rest[0], parent)
  }
}
