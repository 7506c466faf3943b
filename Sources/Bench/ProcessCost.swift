// What processes have cost so far, as the kernel counts it (proc(5)).

import Foundation

/// One process in the kernel's table.
struct ProcessCost {
  let parent: Int32
  let session: Int32
  let hasEnded: Bool
  /// CPU of its own, user and system; also of one that has ended and was not waited for yet.
  let seconds: Double
  /// CPU of its children that have ended and that it has waited for.
  let reapedSeconds: Double

  private static let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))

  /// nil where there is no such process, or it is another machine's.
  init?(_ pid: Int32) {
    // Field 2, the name, may contain anything: the fields are counted from its end.
    guard let line = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let name = line.lastIndex(of: ")")
    else { return nil }
    let fields = line[line.index(after: name)...].split(separator: " ")
    guard fields.count > 14 else { return nil }
    func number(_ field: Int) -> Double { Double(fields[field - 3]) ?? 0 }
    parent = Int32(number(4))
    session = Int32(number(6))
    hasEnded = fields[0] == "Z" || fields[0] == "X"
    seconds = (number(14) + number(15)) / ProcessCost.ticksPerSecond
    reapedSeconds = (number(16) + number(17)) / ProcessCost.ticksPerSecond
  }

  /// CPU of a server and its children, also of those that have come and gone.
  static func ofFamily(_ server: Int32) -> Double? {
    while let before = ProcessCost(server) {
      let children = all { $0.parent == server }.reduce(0) { $0 + $1.cost.seconds }
      // A child that ended while the table was read is in neither sum, or in both: once more.
      guard let after = ProcessCost(server) else { return nil }
      if after.reapedSeconds == before.reapedSeconds {
        return after.seconds + after.reapedSeconds + children
      }
    }
    return nil
  }

  /// The processes of a session.
  static func ofSession(_ session: Int32) -> [(pid: Int32, cost: ProcessCost)] {
    all { $0.session == session }
  }

  private static func all(
    where isWanted: (ProcessCost) -> Bool
  ) -> [(pid: Int32, cost: ProcessCost)] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { name in
      guard let pid = Int32(name), let cost = ProcessCost(pid), isWanted(cost) else { return nil }
      return (pid, cost)
    }
  }

  /// Most memory that a living process has had resident, in bytes.
  static func peakBytes(_ pid: Int32) -> Int? {
    let text = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    guard let kibibytes = line?.split(separator: " ").dropFirst().first else { return nil }
    return Int(kibibytes).map { $0 * 1_024 }
  }

  /// CPU of the calling thread.
  static var ofThisThread: Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
