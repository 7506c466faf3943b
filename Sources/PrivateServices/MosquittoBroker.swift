// One mosquitto broker with a configuration of its own: write, start, stop.

import Foundation

struct MosquittoBroker: Sendable {
  let program: String
  let directory: String
  let options: BrokerOptions

  /// Its path is also what the reaper knows the broker by.
  var configuration: String { "\(directory)/mosquitto.conf" }
  var log: String { "\(directory)/broker.log" }

  /// Makes the directory of saved sessions, and the password file when there are users.
  func initialise() throws {
    try FileManager.default.createDirectory(
      atPath: "\(directory)/sessions", withIntermediateDirectories: false)
    guard !options.users.isEmpty else { return }
    try Data().write(to: URL(filePath: passwords))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: passwords)
    let tool = try Programs.find("mosquitto_passwd", package: "mosquitto")
    for (user, password) in options.users {
      try ChildProcess.run([tool, "-b", passwords, user, password], scratch: directory)
    }
  }

  /// Starts the broker and waits until it listens; nil when another program took the port.
  func start(port: Int, atMost limit: Duration) throws -> ChildProcess? {
    let text = lines(port: port).joined(separator: "\n") + "\n"
    try text.write(toFile: configuration, atomically: true, encoding: .utf8)
    var broker = try ChildProcess([program, "-c", configuration], output: log)
    let ended = Poll.until(atMost: limit) {
      broker.exitStatus() ?? (LoopbackPorts.isListening(port, process: broker.pid) ? -1 : nil)
    }
    switch ended {
    case -1: return broker
    case .some where LoopbackPorts.isListening(port): return nil
    default:
      ProcessTable.signal(SIGKILL, to: [broker.pid])
      _ = broker.waitForExit(atMost: .seconds(5))
      let what = ended.map { "ended with status \($0)" } ?? "was not ready within \(limit)"
      throw PrivateServicesError(
        .notReady, "mosquitto \(what); the end of its log:\n\(LogTail.read(log, lines: 20))")
    }
  }

  /// Sends the signal (SIGTERM saves the sessions, SIGKILL does not) and waits for the end.
  func stop(_ broker: inout ChildProcess, signal: Int32) throws {
    ProcessTable.signal(signal, to: [broker.pid])
    ProcessTable.signal(SIGCONT, to: [broker.pid])
    let limit = Duration.seconds(60)
    guard broker.waitForExit(atMost: limit) != nil else {
      throw PrivateServicesError(
        .notStopped, "mosquitto (pid \(broker.pid)) did not stop within \(limit)")
    }
  }

  private var passwords: String { "\(directory)/mosquitto.passwords" }

  private func lines(port: Int) -> [String] {
    var lines = [
      "# Generated for a private broker; deploy/mosquitto.conf is the one for production.",
      "listener \(port) 127.0.0.1",
      "allow_anonymous \(options.users.isEmpty)",
      "persistence true",
      "persistence_location \(directory)/sessions/",
      "autosave_interval \(options.autosaveSeconds)",
      // Without limits: a broker that drops what it has accepted breaks the promise of no loss.
      "max_queued_messages 0",
      "max_inflight_messages 0",
      "log_dest stderr",
    ]
    // As root, mosquitto would become the user mosquitto, who may not write here.
    if geteuid() == 0 { lines.append("user root") }
    if !options.users.isEmpty { lines.append("password_file \(passwords)") }
    if let acl = options.aclFile { lines.append("acl_file \(acl)") }
    if let tls = options.tls {
      lines += [
        "cafile \(tls.certificates.authority)",
        "certfile \(tls.certificates.serverCertificate)",
        "keyfile \(tls.certificates.serverKey)",
        "require_certificate \(tls.requireClientCertificate)",
      ]
    }
    return lines + options.settings
  }
}
