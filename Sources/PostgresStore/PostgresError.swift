// What PostgreSQL or libpq said, and what to do about it.

/// One failure of a statement or a connection.
public struct PostgresError: Error, Sendable {
  /// Five characters (manual, appendix A); nil where the connection itself failed.
  public var sqlState: String?
  /// One line, without passwords.
  public var message: String
  public var constraint: String?
  /// What the server adds to the message, which may repeat values of the row.
  public var detail: String?
  /// Host, port and database.
  public var target: String
  /// What was being done, for people: `connect`, `copy grid.energy_consumption`, ….
  public var operation: String

  public init(
    sqlState: String? = nil, message: String, constraint: String? = nil, target: String,
    operation: String
  ) {
    self.sqlState = sqlState
    self.message = message
    self.constraint = constraint
    self.target = target
    self.operation = operation
  }

  /// What helps after a failure.
  public enum Remedy: Sendable {
    /// The database will be back, or the conflict is over: the same batch again, and the spool when
    /// that takes long.
    case retry
    /// A row is at fault: find it. What is stored already is merged, what cannot be stored is
    /// rejected, and its neighbours are kept.
    case repair
    /// Somebody has to act, or nobody knows: as `retry`, and never dropped.
    case unknown
  }

  /// The one table from SQLSTATE to a decision, by its class (manual, appendix A).
  ///
  /// Repair is for what can be the fault of one row. Where all rows would fail alike, it would turn
  /// them all away; so in doubt a class is not there.
  public var remedy: Remedy {
    guard let sqlState else { return .retry }
    switch sqlState.prefix(2) {
    // Cardinality violation, case not found, and PL/pgSQL's RAISE, ASSERT and STRICT: what a trigger
    // or a function of a CHECK meets in a row.
    case "20", "21", "P0": return .repair
    // Data exception, integrity constraint violation, WITH CHECK OPTION, a value beyond a limit
    // (an index entry of more than 8 KiB).
    case "22", "23", "44", "54": return .repair
    // Connection exception; transaction rollback: serialization failure, deadlock.
    case "08", "40": return .retry
    // Invalid transaction state: a standby is read-only (25006), a session was idle too long.
    case "25": return .retry
    // Insufficient resources: disk, memory, connections. Object in use, lock not available.
    case "53", "55": return .retry
    // Operator intervention: shutdown, starting up, cancelled by hand or by a timeout. System error:
    // a disk. Snapshot too old. Foreign data wrapper: another server is away.
    case "57", "58", "72", "HV": return .retry
    // A wrong password or role, or no such database: until somebody sets it right.
    case "28", "3D", "0P": return .unknown
    // No such table, column or schema, no right to it, or an unknown statement: `migrate` or GRANT.
    case "42", "3F", "0A": return .unknown
    // The server itself is damaged, or its configuration file.
    case "XX", "F0": return .unknown
    // A routine or trigger that fails for every row.
    case "09", "27", "2F", "38", "39": return .unknown
    // What this program gives no occasion for: cursors, savepoints, grants, and the rest.
    default: return .unknown
    }
  }

  /// Whether another transaction stood in the way (class 40: serialization failure, deadlock).
  public var isConflict: Bool { sqlState?.hasPrefix("40") ?? false }

  /// Whether the server lacks a table, column, function or schema: `migrate` helps.
  public var isMissingSchema: Bool {
    ["42P01", "42703", "42883", "3F000"].contains(sqlState)
  }

  /// Whether the password or the role was refused: waiting does not help.
  public var isRefusedLogin: Bool { sqlState?.hasPrefix("28") ?? false }
}

extension PostgresError: CustomStringConvertible {
  public var description: String {
    let code = sqlState.map { " (SQLSTATE \($0))" } ?? ""
    return "\(operation) at \(target): \(message)\(code)\(advice.map { ". \($0)" } ?? "")"
  }

  private var advice: String? {
    if isMissingSchema { return "Run `meter-ingestor migrate`" }
    if isRefusedLogin { return "Check user and password in POSTGRES_URL, and its database" }
    if sqlState == "42501" {
      return "Grant the role what it needs: `meter-ingestor migrate` sets up meter_ingestor"
    }
    return sqlState == nil ? "Is PostgreSQL running there, and may this host connect?" : nil
  }
}
