// One run of the work behind the monitoring tables: who does it, in which steps, within which bounds.

import PostgresStore

/// The meters of one grid code at the last count.
public struct GridMeters: Sendable, Hashable {
  public var gridCode: String
  public var registered: Int
  /// Heard within the meters' interval.
  public var heard: Int
  /// Not heard within the interval, but before ``MonitoringSettings/silentAfter``.
  public var late: Int
  /// Not heard for longer, or never.
  public var silent: Int

  public init(gridCode: String, registered: Int, heard: Int, late: Int, silent: Int) {
    self.gridCode = gridCode
    self.registered = registered
    self.heard = heard
    self.late = late
    self.silent = silent
  }
}

/// What a run did.
public struct MonitoringReport: Sendable, Equatable {
  /// Whether this process is the one that writes; if not, all else is empty.
  public var isLeader = false
  public var windows = 0
  public var meters: [GridMeters] = []
  public var blocks = 0
  /// Rows of `monitoring.system_metrics` and `monitoring.grid_health` that were old enough to go.
  public var pruned = 0
}

/// Writes `monitoring.grid_health`, `grid.status_history`, the load of `grid.locations` and
/// `monitoring.transaction_metrics`, and lets old rows of what this program wrote go.
///
/// Of all sessions on a database one does the work: it holds an advisory lock until its connection
/// ends. It takes no lock on a table or row that ingestion needs, waits for none longer than 2 s, and
/// no statement of it may take longer than 30 s. What a run does not get done, the next one does. While
/// late readings flood in for many windows, as after an outage, only the newest are written, and all of
/// them every tenth window: each would change again, and to read its rows costs PostgreSQL half of what
/// it takes to store them.
public struct MonitoringJob: Sendable {
  private let settings: MonitoringSettings
  private let clock: ContinuousClock

  /// The number of the advisory lock: "health" in ASCII. Arbitrary but fixed.
  static let lock = 114_784_635_483_240

  public init(settings: MonitoringSettings, clock: ContinuousClock = ContinuousClock()) {
    self.settings = settings
    self.clock = clock
  }

  /// Runs once over a connection that is used for nothing else, and stays open between runs.
  ///
  /// - Parameters:
  ///   - now: the time that counts as now, as PostgreSQL reads it; nil is the server's.
  ///   - isStopping: asked between transactions; true ends the run early.
  /// - Throws: ``PostgresError``; what was committed before stays.
  public func run(
    over connection: PostgresConnection, now: String? = nil, isStopping: () -> Bool = { false }
  ) throws(PostgresError) -> MonitoringReport {
    let session = Session(connection: connection, settings: settings)
    var report = MonitoringReport()
    report.isLeader = try session.lead()
    guard report.isLeader else { return report }
    let now = if let now { now } else { try session.now() }
    report.meters = try session.countMeters(now)
    let isFlood = try session.mark(now)
    let deadline = clock.now + settings.window / 2
    while !isStopping(), clock.now < deadline {
      let written = try session.writeWindows(now)
      report.windows += written
      if isFlood || written < GridHealthSQL.windowsPerTransaction { break }
    }
    report.blocks = try session.followChain()
    report.pruned = try prune(session, now, isStopping)
    return report
  }

  /// - Returns: rows deleted.
  private func prune(
    _ session: Session, _ now: String?, _ isStopping: () -> Bool
  ) throws(PostgresError) -> Int {
    var pruned = 0
    for (sql, seconds) in [
      (RetentionSQL.systemMetrics, settings.retentionSeconds),
      (RetentionSQL.gridHealth, settings.healthRetentionSeconds),
    ] {
      for _ in 0..<Session.prunesPerRun where !isStopping() {
        let (gone, seen) = try session.prune(sql, now, olderThan: seconds)
        pruned += gone
        if seen < RetentionSQL.rowsPerTransaction { break }
      }
    }
    return pruned
  }
}

/// The steps, each a transaction.
private struct Session {
  let connection: PostgresConnection
  let settings: MonitoringSettings

  static let prunesPerRun = 20

  func lead() throws(PostgresError) -> Bool {
    try connection.query(GridHealthSQL.lead, ["\(MonitoringJob.lock)"], as: "lock grid health")[0][
      0]
      == "t"
  }

  func now() throws(PostgresError) -> String? {
    try connection.query("SELECT clock_timestamp()", as: "ask the time")[0][0]
  }

  func countMeters(_ now: String?) throws(PostgresError) -> [GridMeters] {
    try bounded { () throws(PostgresError) in
      try connection.query(
        GridHealthSQL.countMeters,
        [now, "\(settings.intervalSeconds)", "\(settings.silentSeconds)"], as: "count meters")
    }
    return try connection.query(
      "SELECT grid_code, registered, heard, late, silent FROM ingest.grid_meters", as: "read meters"
    ).map { row in
      let numbers = row.dropFirst().map { $0.flatMap { Int($0) } ?? 0 }
      return GridMeters(
        gridCode: row[0] ?? "", registered: numbers[0], heard: numbers[1], late: numbers[2],
        silent: numbers[3])
    }
  }

  /// - Returns: whether late readings flood in, so that their windows had better wait.
  func mark(_ now: String?) throws(PostgresError) -> Bool {
    try bounded { () throws(PostgresError) in
      let row = try connection.query(
        GridHealthSQL.mark,
        [now, "\(settings.windowSeconds)", "\(settings.healthRetentionSeconds)"],
        as: "mark windows")[0]
      try connection.query(GridHealthSQL.advance, [now], as: "advance grid health")
      return row[0] == "t" && row[1] != "t"
    }
  }

  /// - Returns: windows written, at most ``GridHealthSQL/windowsPerTransaction``.
  func writeWindows(_ now: String?) throws(PostgresError) -> Int {
    try bounded { () throws(PostgresError) in
      let ends = try connection.query(GridHealthSQL.next, [now], as: "choose windows")
        .compactMap { $0[0] }
      guard !ends.isEmpty else { return 0 }
      let newest = try newestEnd(now)
      let (list, interval) = ("{\(ends.joined(separator: ","))}", "\(settings.intervalSeconds)")
      try connection.query(
        GridHealthSQL.write, [list, "\(settings.windowSeconds)", interval, newest],
        as: "write monitoring.grid_health")
      try connection.query(GridHealthSQL.score, [list, interval], as: "score grid health")
      try connection.query(GridHealthSQL.locate, [newest], as: "update grid.locations")
      return ends.count
    }
  }

  private func newestEnd(_ now: String?) throws(PostgresError) -> String? {
    try connection.query(
      "SELECT (floor(extract(epoch FROM $1::timestamptz) / $2::integer) * $2::integer)::bigint",
      [now, "\(settings.windowSeconds)"], as: "find the newest window")[0][0]
  }

  func followChain() throws(PostgresError) -> Int {
    try bounded { () throws(PostgresError) in
      let rows = try connection.query(
        TransactionMetricsSQL.follow, as: "write monitoring.transaction_metrics")
      return rows[0][0].flatMap { Int($0) } ?? 0
    }
  }

  /// - Returns: rows deleted, and looked at.
  func prune(
    _ sql: String, _ now: String?, olderThan seconds: Int
  ) throws(PostgresError) -> (gone: Int, seen: Int) {
    try bounded { () throws(PostgresError) in
      let row = try connection.query(sql, [now, "\(seconds)"], as: "prune monitoring tables")[0]
      let counts = row.map { $0.flatMap { Int($0) } ?? 0 }
      return (counts[0], counts[1])
    }
  }

  /// A transaction that disturbs nobody: it gives up rather than wait or go on for long. Memory is for
  /// the joins of a million meters, which would go through files otherwise; compiling statements that
  /// run for milliseconds takes longer than they do.
  @discardableResult
  private func bounded<Value>(
    _ body: () throws(PostgresError) -> Value
  ) throws(PostgresError) -> Value {
    try connection.transaction { () throws(PostgresError) in
      try connection.execute(
        "SET LOCAL statement_timeout = '30s'; SET LOCAL lock_timeout = '2s'; "
          + "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off", as: "bound the monitoring job")
      return try body()
    }
  }
}
