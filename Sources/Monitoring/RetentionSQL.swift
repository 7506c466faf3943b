// How old rows of the monitoring tables go, and how those of other services are left alone.

/// The statements that delete this program's own rows once they are old enough.
///
/// Other services may write to the same tables, and what they wrote is theirs to delete. This
/// program's rows are told by
///
/// | table | a row is this program's when |
/// | --- | --- |
/// | `monitoring.system_metrics` | its name begins with `meter_ingestor_` or `process_`, and its labels have an `instance` |
/// | `monitoring.grid_health` | it has a `completeness`, which only this program writes |
/// | `grid.status_history` | this program's row of `monitoring.grid_health` has its grid code and time |
///
/// `ingest.monitoring_progress` remembers up to where a table was looked through, so that rows of
/// others are passed once and not at each run.
enum RetentionSQL {
  /// Rows that one transaction looks at, but for those of one time, which stay together.
  static let rowsPerTransaction = 5_000

  /// $1 is now, $2 the age in seconds from which rows go. Returns how many went, and were looked at.
  static let systemMetrics = pruning(
    "monitoring.system_metrics",
    own: "metric_name ~ '^(meter_ingestor|process)_' AND labels ? 'instance'")

  /// The same for the windows of grid health, with what `grid.status_history` says of them.
  static let gridHealth = pruning(
    "monitoring.grid_health", own: "completeness IS NOT NULL",
    alongside: """
      , history AS (
        DELETE FROM grid.status_history AS past USING old
        WHERE is_own AND past.recorded_at = old.recorded_at AND past.grid_code = old.grid_code
      )
      """)

  private static func pruning(
    _ table: String, own: String, alongside: String = ""
  ) -> String {
    """
    WITH bound AS (
      SELECT $1::timestamptz - make_interval(secs => $2::integer) AS until, coalesce((
        SELECT through FROM ingest.monitoring_progress WHERE job = 'pruning \(table)'
      ), '-infinity') AS since
    ), old AS MATERIALIZED (
      SELECT *, \(own) AS is_own FROM \(table)
      WHERE recorded_at > (SELECT since FROM bound) AND recorded_at <= (SELECT until FROM bound)
      ORDER BY recorded_at FETCH FIRST \(rowsPerTransaction) ROWS WITH TIES
    ), gone AS (
      DELETE FROM \(table) AS past USING old WHERE past.id = old.id AND is_own RETURNING 1
    )\(alongside), noted AS (
      INSERT INTO ingest.monitoring_progress (job, through)
      SELECT 'pruning \(table)', CASE WHEN count(*) < \(rowsPerTransaction)
        THEN (SELECT until FROM bound) ELSE max(recorded_at) END
      FROM old
      ON CONFLICT (job) DO UPDATE SET through = excluded.through
    )
    SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM old)
    """
  }
}
