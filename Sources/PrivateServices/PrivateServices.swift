// A PostgreSQL and a mosquitto of one's own on loopback, for the demo, for measurements and for
// tests.

import Foundation
import Synchronization

/// A running PostgreSQL and a running mosquitto that belong to one owner and end with it.
///
/// They listen on free ports of 127.0.0.1, keep everything in one new directory, and live in
/// sessions of their own, so that a Ctrl-C for the owner is not one for them. They end with
/// ``stop()``, with the last reference, or with the owner's process, after a SIGKILL too.
///
/// All methods block (a start takes about a second): call them from a plain thread, not from a task
/// that others share a pool with. They may be called from several threads; one works at a time.
public final class PrivateServices: Sendable {
  /// How PostgreSQL is stopped.
  public enum PostgresStop: Sendable {
    /// In order: sessions are ended, everything is written.
    case fast
    /// At once; the next start recovers from the log.
    case immediate
    /// SIGKILL to all its processes: the nearest thing to a power failure.
    case kill
  }

  /// The new directory with the data and the logs of both services.
  public let directory: String
  /// Port of PostgreSQL on 127.0.0.1; the same after a restart.
  public let postgresPort: Int
  /// Port of the broker on 127.0.0.1; the same after a restart.
  public let mqttPort: Int
  /// Options the broker was started with.
  public let broker: BrokerOptions

  private struct State: Sendable {
    var reaper: Reaper
    var postgres: ChildProcess?
    var broker: ChildProcess?
    var stopped = false
  }

  private let postgresServer: PostgresServer
  private let mosquitto: MosquittoBroker
  private let keepData: Bool
  private let state: Mutex<State>

  private static let readyLimit = Duration.seconds(30)

  /// Starts both services in a new directory `meter-ingestor-services-…` inside `directory`.
  ///
  /// PostgreSQL does not run as root. When the caller is root, it runs as the user `postgres`; and
  /// when that user may not enter `directory` (a checkout below a home with mode 0700), the new
  /// directory is made in `/var/tmp` instead. ``directory`` says which it became.
  ///
  /// - Parameters:
  ///   - directory: created when missing.
  ///   - keepData: leave the new directory behind at the end, after an orderly shutdown, for a look
  ///   at
  ///     data and logs. Default false: it is removed.
  /// - Throws: ``PrivateServicesError``: a program is missing, a service does not start within 30 s
  ///   (with the end of its log). Nothing is left behind then.
  public static func start(
    in directory: String, broker: BrokerOptions = .init(), postgres: PostgresOptions = .init(),
    keepData: Bool = false
  ) throws -> PrivateServices {
    let binaries = try Programs.postgresDirectory()
    let mosquitto = try Programs.find("mosquitto", package: "mosquitto")
    let asUser = try PostgresServer.userSwitch()
    let home = try makeHome(in: directory, asUser: asUser)
    var reaper = try Reaper(directory: home, keepData: keepData)
    do {
      return try PrivateServices(
        reaper: reaper, keepData: keepData,
        postgres: PostgresServer(
          binaries: binaries, directory: home, options: postgres, asUser: asUser),
        mosquitto: MosquittoBroker(program: mosquitto, directory: home, options: broker))
    } catch {
      try? reaper.reap(keepData: keepData)
      throw error
    }
  }

  private init(
    reaper: Reaper, keepData: Bool, postgres: PostgresServer, mosquitto: MosquittoBroker
  ) throws {
    try postgres.initialise()
    try mosquitto.initialise()
    var (server, serverPort) = try Self.onFreePort("PostgreSQL") {
      try postgres.start(port: $0, atMost: Self.readyLimit)
    }
    let broker: ChildProcess
    let brokerPort: Int
    do {
      (broker, brokerPort) = try Self.onFreePort("mosquitto") {
        try mosquitto.start(port: $0, atMost: Self.readyLimit)
      }
    } catch {
      try? postgres.stop(&server, mode: .immediate)
      throw error
    }
    self.directory = postgres.directory
    self.postgresServer = postgres
    self.mosquitto = mosquitto
    self.keepData = keepData
    self.broker = mosquitto.options
    self.postgresPort = serverPort
    self.mqttPort = brokerPort
    self.state = Mutex(State(reaper: reaper, postgres: server, broker: broker))
  }

  deinit { try? stop() }

  // MARK: Addresses

  /// `postgresql://postgres@127.0.0.1:PORT/postgres`, as superuser.
  public var postgresURL: String { url(database: "postgres") }

  /// A libpq URI for one database and role; with a password when one is needed.
  public func url(
    database: String, user: String = "postgres", password: String? = nil
  ) -> String {
    let login = Self.encode(user) + (password.map { ":" + Self.encode($0) } ?? "")
    return "postgresql://\(login)@127.0.0.1:\(postgresPort)/\(Self.encode(database))"
  }

  /// `mqtt://127.0.0.1:PORT`, or `mqtts://…` when the broker speaks TLS.
  public var mqttURL: String { mqttURL() }

  /// The broker's address with a login.
  public func mqttURL(user: String? = nil, password: String? = nil) -> String {
    let scheme = broker.tls == nil ? "mqtt" : "mqtts"
    let login = user.map { Self.encode($0) + (password.map { ":" + Self.encode($0) } ?? "") + "@" }
    return "\(scheme)://\(login ?? "")127.0.0.1:\(mqttPort)"
  }

  /// Pid of the PostgreSQL server (its postmaster); nil while it is stopped.
  public var postgresPID: Int32? { state.withLock { $0.postgres?.pid } }

  /// Pid of the broker; nil while it is stopped.
  public var brokerPID: Int32? { state.withLock { $0.broker?.pid } }

  // MARK: Databases

  /// Creates a database, as a copy of `template` when one is given, and returns its URL.
  ///
  /// Nobody may be connected to the template meanwhile (PostgreSQL's rule).
  @discardableResult
  public func createDatabase(_ name: String, template: String? = nil) throws -> String {
    let copy = template.map { " TEMPLATE \(Self.quote($0))" } ?? ""
    try administer("CREATE DATABASE \(Self.quote(name))\(copy)")
    return url(database: name)
  }

  /// Drops a database and ends its sessions; one that does not exist is no error.
  public func dropDatabase(_ name: String) throws {
    try administer("DROP DATABASE IF EXISTS \(Self.quote(name)) WITH (FORCE)")
  }

  // MARK: Faults

  /// Stops PostgreSQL and waits for the end of all its processes; no effect while it is stopped.
  public func stopPostgres(_ mode: PostgresStop = .fast) throws {
    try state.withLock { state in
      guard var server = state.postgres else { return }
      try postgresServer.stop(&server, mode: mode)
      state.postgres = nil
    }
  }

  /// Starts PostgreSQL again, on its port and its data; no effect while it runs.
  public func startPostgres() throws {
    try state.withLock { state in
      try Self.expectLiving(state)
      if var server = state.postgres, server.exitStatus() == nil { return }
      let server = try postgresServer.start(port: postgresPort, atMost: Self.readyLimit)
      state.postgres = try server ?? Self.portTaken("PostgreSQL", postgresPort)
    }
  }

  /// Stops the broker and waits for its end; no effect while it is stopped. SIGTERM (the default)
  /// saves sessions and queued messages, SIGKILL loses what came after the last save.
  public func stopBroker(_ signal: Int32 = SIGTERM) throws {
    try state.withLock { state in
      guard var broker = state.broker else { return }
      try mosquitto.stop(&broker, signal: signal)
      state.broker = nil
    }
  }

  /// Starts the broker again, on its port and its saved sessions; no effect while it runs.
  public func startBroker() throws {
    try state.withLock { state in
      try Self.expectLiving(state)
      if var broker = state.broker, broker.exitStatus() == nil { return }
      let broker = try mosquitto.start(port: mqttPort, atMost: Self.readyLimit)
      state.broker = try broker ?? Self.portTaken("mosquitto", mqttPort)
    }
  }

  /// Freezes PostgreSQL with all its sessions: connections stay open, and nothing answers.
  public func pausePostgres() { signalPostgres(SIGSTOP) }

  /// Wakes a frozen PostgreSQL.
  public func resumePostgres() { signalPostgres(SIGCONT) }

  /// Freezes the broker: connections stay open, and nothing answers.
  public func pauseBroker() { signalBroker(SIGSTOP) }

  /// Wakes a frozen broker.
  public func resumeBroker() { signalBroker(SIGCONT) }

  // MARK: Logs and the end

  /// The last lines of PostgreSQL's log.
  public func postgresLog(last lines: Int = 50) -> String {
    LogTail.read(postgresServer.log, lines: lines)
  }

  /// The last lines of the broker's log.
  public func brokerLog(last lines: Int = 50) -> String {
    LogTail.read(mosquitto.log, lines: lines)
  }

  /// Ends both services and removes the directory, unless the data is to be kept. Idempotent.
  ///
  /// It goes the way of an owner's death: the lock is released, and the reaper does the work.
  ///
  /// - Throws: ``PrivateServicesError`` when they have not ended after 30 s (80 s with `keepData`).
  public func stop() throws {
    try state.withLock { state in
      guard !state.stopped else { return }
      state.stopped = true
      try state.reaper.reap(keepData: keepData)
      _ = state.postgres?.waitForExit(atMost: .seconds(5))
      _ = state.broker?.waitForExit(atMost: .seconds(5))
      state.postgres = nil
      state.broker = nil
    }
  }
}

extension PrivateServices {
  private static func makeHome(in parent: String, asUser: [String]) throws -> String {
    let name = "meter-ingestor-services-" + UUID().uuidString.prefix(8).lowercased()
    let wanted = URL(filePath: parent).standardizedFileURL.path + "/" + name
    do {
      try makeDirectory(wanted)
      if asUser.isEmpty || mayEnter(wanted, asUser: asUser) { return wanted }
      try FileManager.default.removeItem(atPath: wanted)
      try makeDirectory("/var/tmp/\(name)")
      return "/var/tmp/\(name)"
    } catch {
      throw PrivateServicesError(
        .directoryUnusable, "cannot make a directory for private services in \(parent): \(error)")
    }
  }

  private static func makeDirectory(_ path: String) throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    // Whatever the umask: the user postgres has to pass through.
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
  }

  private static func mayEnter(_ directory: String, asUser: [String]) -> Bool {
    guard let test = try? Programs.find("test", package: "coreutils") else { return false }
    return (try? ChildProcess.run(asUser + [test, "-x", directory], scratch: directory)) != nil
  }

  /// Another program may take a port between our look and the service's bind: then once more.
  private static func onFreePort(
    _ service: String, _ start: (Int) throws -> ChildProcess?
  ) throws -> (ChildProcess, Int) {
    let first = try LoopbackPorts.free()
    if let child = try start(first) { return (child, first) }
    let second = try LoopbackPorts.free(except: [first])
    if let child = try start(second) { return (child, second) }
    return (try portTaken(service, second), second)
  }

  private static func portTaken(_ service: String, _ port: Int) throws -> ChildProcess {
    throw PrivateServicesError(
      .notReady, "\(service) cannot listen on 127.0.0.1:\(port): another program took that port")
  }

  private static func expectLiving(_ state: State) throws {
    if state.stopped {
      throw PrivateServicesError(.alreadyStopped, "these private services were stopped for good")
    }
  }

  private func administer(_ statement: String) throws {
    try ChildProcess.run(
      [
        "\(postgresServer.binaries)/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", postgresURL,
        "-c", statement,
      ], scratch: directory)
  }

  private func signalPostgres(_ signal: Int32) {
    state.withLock { state in
      if let server = state.postgres { postgresServer.signalAll(signal, server) }
    }
  }

  private func signalBroker(_ signal: Int32) {
    state.withLock { state in
      if let broker = state.broker { ProcessTable.signal(signal, to: [broker.pid]) }
    }
  }

  private static func quote(_ identifier: String) -> String {
    "\"" + identifier.replacing("\"", with: "\"\"") + "\""
  }

  private static func encode(_ part: String) -> String {
    // The unreserved characters of RFC 3986; everything else is escaped.
    part.addingPercentEncoding(withAllowedCharacters: .alphanumerics.union(["-", ".", "_", "~"]))
      ?? part
  }
}
