// Reads the CHECK constraints of the target tables from PostgreSQL's catalogue.

import CheckRules
import EnergyReadings
import PostgresStore

/// What the catalogue says of the target tables, before it is compiled. Equal while nothing changed.
public struct RuleCatalog: Sendable, Equatable {
  /// One table: its columns and constraints.
  struct Table: Sendable, Equatable {
    var kind: ReadingKind
    var name: String
    var columns: [CheckedColumn]
    var constraints: [ConstraintDefinition]
  }

  var tables: [Table]
  var environment: CheckEnvironment
  /// The database's clock minus this machine's, µs; no part of what is compared.
  var clockOffset: Int64

  public static func == (left: RuleCatalog, right: RuleCatalog) -> Bool {
    left.tables == right.tables && left.environment == right.environment
  }

  /// Reads the catalogue, in a transaction of its own.
  public static func load(over connection: PostgresConnection) throws(PostgresError)
    -> RuleCatalog
  {
    try connection.transaction { () throws(PostgresError) in
      let environment = try environment(connection)
      // Names outside pg_catalog are printed with their schema then, and constants the same way
      // whatever the session is set to.
      try connection.execute(
        """
        SET LOCAL search_path = pg_catalog; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO';
        SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL standard_conforming_strings = on
        """, as: "read the catalogue")
      let before = Timestamp.now.microseconds
      let clock = try connection.query(
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
      let middle = (before + Timestamp.now.microseconds) / 2
      let obstacle = try connection.query(obstacleQuery).first?[0]
      var tables: [Table] = []
      for kind in ReadingKind.allCases {
        tables.append(try table(of: kind, obstacle: obstacle, connection))
      }
      return RuleCatalog(
        tables: tables, environment: environment,
        clockOffset: (clock.first?[0].flatMap { Int64($0) } ?? middle) - middle)
    }
  }

  /// Compiles the constraints; those that cannot be judged here are deferred to PostgreSQL.
  public func compiled(_ plausibility: PlausibilitySettings) -> RuleSet {
    RuleSet(
      tables: tables.map {
        TableChecks(
          kind: $0.kind, table: $0.name, columns: $0.columns, constraints: $0.constraints,
          environment: environment)
      }, plausibility: plausibility, clockOffset: clockOffset)
  }

  /// Asks PostgreSQL how it folds case and which offset the session's time zone has, instead of
  /// guessing it from names of locales and zones.
  private static func environment(
    _ connection: PostgresConnection
  ) throws(PostgresError) -> CheckEnvironment {
    let row = try connection.query(
      """
      WITH days AS (
        SELECT extract(epoch FROM (day AT TIME ZONE 'UTC')
          - (day AT TIME ZONE current_setting('TimeZone')))::bigint AS west
        FROM generate_series('1970-01-01Z'::timestamptz, '2071-01-01Z', '30 days') AS day
      )
      SELECT lower('ABCDEFGHIJKLMNOPQRSTUVWXYZ') = 'abcdefghijklmnopqrstuvwxyz'
          AND upper('abcdefghijklmnopqrstuvwxyz') = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
        CASE WHEN min(west) = max(west) THEN -min(west) END
      FROM days
      """)[0]
    return CheckEnvironment(
      isCasePlain: row[0] == "t", utcOffsetSeconds: row[1].flatMap { Int64($0) })
  }

  private static func table(
    of kind: ReadingKind, obstacle: String?, _ connection: PostgresConnection
  ) throws(PostgresError) -> Table {
    let (name, carried) = BatchStore.table(of: kind)
    let columns = try connection.query(columnsQuery, [name], as: "read columns of \(name)").map {
      row in
      let isCarried = carried.contains(row[0] ?? "")
      return CheckedColumn(
        name: row[0] ?? "", type: row[1] ?? "", isCarried: isCarried, defaultExpression: row[2],
        hasPlainCollation: row[3] == "t")
    }
    let trigger = try connection.query(triggerQuery, [name], as: "read triggers of \(name)")
    let deferral =
      obstacle
      ?? trigger.first?[0].map {
        "trigger \($0) may change the row before PostgreSQL checks it"
      }
    let constraints = try connection.query(
      constraintsQuery, [name], as: "read constraints of \(name)")
    return Table(
      kind: kind, name: name, columns: columns,
      constraints: constraints.map { row in
        ConstraintDefinition(
          name: row[0] ?? "", expression: row[1] ?? "", domainColumn: row[2],
          deferral: deferral ?? row[3].map { "it holds for partition \($0) only" })
      })
  }

  /// What makes every expression mean something else than is computed here: another encoding, in
  /// which characters are counted otherwise, and casts between PostgreSQL's own types that somebody
  /// made (16384 is the first oid of what is not PostgreSQL's own; transam.h).
  private static let obstacleQuery = """
    SELECT CASE
      WHEN current_setting('server_encoding') <> 'UTF8' THEN
        'the database is encoded in ' || current_setting('server_encoding') || ', not in UTF8'
      WHEN EXISTS (
        SELECT FROM pg_cast WHERE oid >= 16384 AND castsource < 16384 AND casttarget < 16384)
      THEN 'the database has casts of its own between built-in types' END
    """

  /// A domain's column has the type that the domain is made of; one that the database generates, or
  /// that a domain fills, cannot be known here.
  private static let columnsQuery = """
    WITH RECURSIVE base AS (
      SELECT attnum, attname, atttypid AS type, atttypmod AS modifier, attcollation,
        attgenerated <> '' OR attidentity <> '' AS is_generated, false AS has_domain_default
      FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
      UNION ALL
      SELECT attnum, attname, typbasetype, typtypmod, attcollation, is_generated,
        has_domain_default OR typdefaultbin IS NOT NULL
      FROM base JOIN pg_type ON pg_type.oid = type WHERE typtype = 'd'
    )
    SELECT attname,
      CASE WHEN is_generated OR adbin IS NULL AND has_domain_default THEN 'generated' ELSE format_type(type, modifier) END,
      pg_get_expr(adbin, adrelid),
      attcollation = 0 OR collname IN ('default', 'C', 'POSIX', 'ucs_basic')
    FROM base
      JOIN pg_type ON pg_type.oid = type AND typtype <> 'd'
      LEFT JOIN pg_attrdef ON adrelid = $1::regclass AND adnum = attnum
      LEFT JOIN pg_collation ON pg_collation.oid = attcollation
    ORDER BY attnum
    """

  /// Row triggers that fire before an insert (pg_trigger.h: 1 row, 2 before, 4 insert).
  private static let triggerQuery = """
    SELECT tgname FROM pg_trigger
    WHERE (tgrelid = $1::regclass
        OR tgrelid IN (SELECT relid FROM pg_partition_tree($1::regclass)))
      AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 7 = 7
    ORDER BY tgname LIMIT 1
    """

  /// The table's own constraints, inherited ones included; those of its columns' domains; and those
  /// that a partition has besides. `conenforced` came with PostgreSQL 18.
  private static let constraintsQuery = """
    WITH RECURSIVE domain AS (
      SELECT attname, atttypid AS type FROM pg_attribute
      WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
      UNION ALL
      SELECT attname, typbasetype FROM domain JOIN pg_type ON pg_type.oid = type
      WHERE typtype = 'd'
    ), partition AS (
      SELECT relid FROM pg_partition_tree($1::regclass) WHERE relid <> $1::regclass
    )
    SELECT conname, pg_get_expr(conbin, conrelid), NULL, NULL
    FROM pg_constraint AS c
    WHERE contype = 'c' AND conrelid = $1::regclass
      AND coalesce(to_jsonb(c) ->> 'conenforced', 'true') = 'true'
    UNION ALL
    SELECT conname, pg_get_expr(conbin, 0), attname, NULL
    FROM pg_constraint AS c JOIN domain ON contypid = type
    WHERE contype = 'c'
    UNION ALL
    SELECT conname, pg_get_expr(conbin, conrelid), NULL, conrelid::regclass::text
    FROM pg_constraint AS c JOIN partition ON conrelid = relid
    WHERE contype = 'c' AND coninhcount = 0
    ORDER BY 1, 3, 4
    """
}
