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
    /// The database will be back, or the conflict is over: the same batch again.
    case retry
    /// A row is at fault: find it.
    case repair
    /// Nobody knows: the same batch again, loudly, and never dropped.
    case unknown
  }

  /// The one table from SQLSTATE to a decision.
  public var remedy: Remedy {
    guard let sqlState else { return .retry }
    switch sqlState.prefix(2) {
    // Data exception, integrity constraint violation, WITH CHECK OPTION, a value beyond a limit
    // (an index entry of more than 8 KiB), a trigger's RAISE.
    case "22", "23", "44", "54", "P0": return .repair
    // Connection, transaction rollback, resources, object in use, operator intervention, system.
    case "08", "25", "40", "53", "55", "57", "58": return .retry
    default: return .unknown
    }
  }

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
