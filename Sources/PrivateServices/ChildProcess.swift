// Starts a program in a session of its own and waits for it.
//
// Foundation.Process makes every child the leader of a process group, and such a child cannot
// become the leader of a session; in the session of its owner a service dies of the owner's Ctrl-C
// or of a closed terminal. So this is posix_spawn, whose C arrays are the only unsafe pointers of
// the room.

import Foundation

/// A program in a session of its own; also for tests that start the ingestor and send it signals.
///
/// It sees no descriptor of ours (a leaked pipe would keep its reader waiting for as long as a
/// service lives) and gets default, unblocked signals: a server ignores SIGINT and SIGTERM, and the
/// threads that run Swift tasks block them, which a child of Foundation.Process inherits.
public struct ChildProcess: Sendable {
  public let pid: Int32
  private var status: Int32?

  /// Starts a program with standard input at its end.
  ///
  /// - Parameters:
  ///   - arguments: the program's absolute path, and its arguments.
  ///   - environment: added to ours, of which `PG…` and `LC_…` are left out.
  ///   - output: file that standard output is appended to; relative paths are as for `open`.
  ///   - errors: file that standard error is appended to; default: `output`.
  /// - Throws: ``PrivateServicesError`` when it cannot be started.
  public init(
    _ arguments: [String], environment: [String: String] = [:], output: String,
    errors: String? = nil
  ) throws {
    // setsid(1) execs in place, since a child that is not the leader of a group needs no fork.
    let command = [try Programs.find("setsid", package: "util-linux")] + arguments
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    posix_spawn_file_actions_addopen(
      &actions, 2, errors ?? output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    for descriptor in Self.openDescriptors() where descriptor > 2 {
      posix_spawn_file_actions_addclose(&actions, descriptor)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    Self.setDefaultSignals(&attributes)

    var argv = command.map { strdup($0) } + [nil]
    var envp = Self.environment(with: environment).map { strdup($0) } + [nil]
    defer { for string in argv + envp { free(string) } }
    var pid: pid_t = 0
    let error = posix_spawn(&pid, command[0], &actions, &attributes, &argv, &envp)
    guard error == 0 else {
      throw PrivateServicesError(
        .commandFailed,
        "cannot start \(arguments.joined(separator: " ")): \(String(cString: strerror(error)))")
    }
    self.pid = pid
  }

  /// How the program ended (0…255, or 128 + signal), or nil while it runs.
  public mutating func exitStatus() -> Int32? {
    if let status { return status }
    var raw: Int32 = 0
    guard waitpid(pid, &raw, WNOHANG) != 0 else { return nil }
    // The encoding of <bits/waitstatus.h>, whose macros Swift does not import.
    status = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
    return status
  }

  /// Blocks until the program has ended, or returns nil when it still runs after `limit`.
  public mutating func waitForExit(atMost limit: Duration) -> Int32? {
    Poll.until(atMost: limit) { exitStatus() }
  }

  /// Runs a program to its end and returns what it printed.
  @discardableResult
  static func run(_ arguments: [String], scratch: String) throws -> String {
    let output = "\(scratch)/output-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: output) }
    var child = try ChildProcess(arguments, output: output)
    let limit = Duration.seconds(120)
    guard let status = child.waitForExit(atMost: limit) else {
      ProcessTable.signal(SIGKILL, to: [child.pid])
      _ = child.waitForExit(atMost: .seconds(5))
      throw PrivateServicesError(
        .commandFailed, "\(arguments.joined(separator: " ")) did not end within \(limit)")
    }
    let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
    guard status == 0 else {
      throw PrivateServicesError(
        .commandFailed,
        "\(arguments.joined(separator: " ")) ended with status \(status):\n\(text)")
    }
    return text
  }

  private static func setDefaultSignals(_ attributes: inout posix_spawnattr_t) {
    var all = sigset_t()
    var none = sigset_t()
    sigfillset(&all)
    sigemptyset(&none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
  }

  private static func openDescriptors() -> [Int32] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return names.compactMap { Int32($0) }
  }

  /// Ours, without what would steer libpq, initdb or the locale of messages.
  private static func environment(with own: [String: String]) -> [String] {
    ProcessInfo.processInfo.environment
      .filter { !$0.key.hasPrefix("PG") && !$0.key.hasPrefix("LC_") }
      .merging(["LC_ALL": "C.UTF-8", "TZ": "UTC"]) { $1 }
      .merging(own) { $1 }
      .map { "\($0.key)=\($0.value)" }
  }
}

enum Poll {
  /// Asks every few milliseconds until there is an answer: for events that the kernel does not
  /// announce to a stranger (a file with a certain content, the end of another program's child).
  static func until<Answer>(
    atMost limit: Duration, _ ask: () throws -> Answer?
  ) rethrows -> Answer? {
    let deadline = ContinuousClock.now + limit
    while true {
      if let answer = try ask() { return answer }
      if ContinuousClock.now >= deadline { return nil }
      usleep(3_000)
    }
  }
}
