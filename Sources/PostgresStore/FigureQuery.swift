// Runs the queries of the status page: read-only, and bounded in time.

extension PostgresLane {
  /// Runs one query in a transaction that can change nothing.
  ///
  /// - Parameter milliseconds: what the statement may take, 1 or more; PostgreSQL cancels it then
  ///   (SQLSTATE 57014).
  /// - Returns: the rows as text.
  /// - Throws: ``PostgresError``.
  public func readOnly(
    _ sql: String, _ parameters: [String], atMost milliseconds: Int
  ) throws(PostgresError) -> [[String?]] {
    try run { (connection) throws(PostgresError) in
      try connection.transaction { () throws(PostgresError) in
        // No parallel workers and no compilation: they save the reader time, at the ingest's cost.
        try connection.execute(
          """
          SET TRANSACTION READ ONLY;
          SET LOCAL statement_timeout = \(milliseconds);
          SET LOCAL max_parallel_workers_per_gather = 0;
          SET LOCAL jit = off
          """, as: "prepare a figure")
        return try connection.query(sql, parameters, as: "read a figure")
      }
    }
  }
}
