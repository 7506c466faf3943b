// One PostgreSQL server on a database directory of its own: make, start, stop, freeze.

import Foundation

struct PostgresServer: Sendable {
  let binaries: String
  let directory: String
  let options: PostgresOptions
  /// PostgreSQL refuses to run as root (initdb and postgres exit): the words that become
  /// `postgres`.
  let asUser: [String]

  var database: String { "\(directory)/database" }
  var log: String { "\(directory)/postgres.log" }

  /// The words in front of a command that run it as PostgreSQL's user; none unless we are root.
  static func userSwitch() throws -> [String] {
    guard geteuid() == 0 else { return [] }
    guard getpwnam("postgres") != nil else {
      throw PrivateServicesError(
        .programMissing,
        "no user postgres, and PostgreSQL does not run as root: run deploy/prerequisites, "
          + "or apt-get install postgresql-common")
    }
    return [
      // PostgreSQL's programs return to the directory they were started in, which this user may not
      // be allowed to enter.
      try Programs.find("env", package: "coreutils"), "-C", "/",
      try Programs.find("setpriv", package: "util-linux"),
      "--reuid=postgres", "--regid=postgres", "--clear-groups", "--",
    ]
  }

  /// Makes the database directory (initdb).
  func initialise() throws {
    if !asUser.isEmpty {
      let install = try Programs.find("install", package: "coreutils")
      try ChildProcess.run(
        [install, "-d", "-o", "postgres", "-g", "postgres", "-m", "0700", database],
        scratch: directory)
    }
    try ChildProcess.run(
      asUser + [
        "\(binaries)/initdb", "-D", database, "-U", "postgres", "-A", "trust", "-E", "UTF8",
        "--locale=C.UTF-8", "--no-sync", "--no-instructions",
      ], scratch: directory)
    let others = options.requirePasswords ? "scram-sha-256" : "trust"
    let rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 \(others)\n"
    try rules.write(toFile: "\(directory)/pg_hba.conf", atomically: true, encoding: .utf8)
  }

  /// Starts the server and waits until it accepts connections; nil when another program took the
  /// port.
  func start(port: Int, atMost limit: Duration) throws -> ChildProcess? {
    let settings = settings.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }
    var server = try ChildProcess(
      asUser + ["\(binaries)/postgres", "-D", database, "-p", "\(port)"] + settings, output: log)
    let ended = Poll.until(atMost: limit) {
      server.exitStatus() ?? (isReady(server.pid) ? -1 : nil)
    }
    switch ended {
    case -1: return server
    case .some where LoopbackPorts.isListening(port): return nil
    default:
      ProcessTable.signal(SIGKILL, to: [server.pid])
      _ = server.waitForExit(atMost: .seconds(5))
      let what = ended.map { "ended with status \($0)" } ?? "was not ready within \(limit)"
      throw PrivateServicesError(
        .notReady, "PostgreSQL \(what); the end of its log:\n\(LogTail.read(log, lines: 20))")
    }
  }

  /// Stops the server and waits for each of its processes.
  func stop(_ server: inout ChildProcess, mode: PrivateServices.PostgresStop) throws {
    let family = [server.pid] + ProcessTable.children(of: server.pid)
    switch mode {
    case .fast: ProcessTable.signal(SIGINT, to: [server.pid])
    case .immediate: ProcessTable.signal(SIGQUIT, to: [server.pid])
    case .kill: ProcessTable.signal(SIGKILL, to: family)
    }
    ProcessTable.signal(SIGCONT, to: family)  // one that is paused would never take note
    let limit = Duration.seconds(60)
    let gone: Void? = Poll.until(atMost: limit) {
      let over = server.exitStatus() != nil && !family.contains(where: ProcessTable.isRunning)
      return over ? () : nil
    }
    if gone == nil {
      throw PrivateServicesError(
        .notStopped, "PostgreSQL (pid \(server.pid)) did not stop within \(limit)")
    }
  }

  /// Freezes or wakes the server and its sessions. The postmaster first, so that it starts no
  /// other.
  func signalAll(_ signal: Int32, _ server: ChildProcess) {
    ProcessTable.signal(signal, to: [server.pid])
    ProcessTable.signal(signal, to: ProcessTable.children(of: server.pid))
  }

  private var settings: [String: String] {
    [
      "listen_addresses": "127.0.0.1",
      // No socket file: its path may have 107 bytes at most, and a directory can be deeper.
      "unix_socket_directories": "",
      "hba_file": "\(directory)/pg_hba.conf",
      "fsync": options.fsync ? "on" : "off",
      "synchronous_commit": "on",
      "max_wal_size": "4GB",
      "shared_buffers": "256MB",
      "max_connections": "200",
      "timezone": "UTC",
      "log_timezone": "UTC",
      "log_line_prefix": "%m [%p] %u@%d ",
    ].merging(options.settings) { $1 }
  }

  /// The lock file's first line is the server's pid and its eighth becomes `ready`: what pg_ctl
  /// waits for (src/include/utils/pidfile.h).
  private func isReady(_ pid: Int32) -> Bool {
    guard let text = try? String(contentsOfFile: "\(database)/postmaster.pid", encoding: .utf8)
    else { return false }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.count > 7 && lines[0] == "\(pid)"
      && lines[7].trimmingPrefix(" ").hasPrefix("ready")
  }
}
