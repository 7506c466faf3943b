// What a constraint has to know about its table and its database before it can be computed here.

/// A column of the table, or the VALUE of a domain.
public struct CheckedColumn: Sendable, Equatable {
  /// As the catalogue has it; `VALUE` for a domain.
  public var name: String
  /// As `format_type()` prints it, such as `numeric(15,6)` or `character varying(20)`.
  public var type: String
  /// Whether the row holds its value; otherwise every row gets its default.
  public var isCarried: Bool
  /// The default as `pg_get_expr` prints it; nil: NULL.
  public var defaultExpression: String?
  /// Whether texts are equal only when their bytes are: the database's default collation, `C`,
  /// `POSIX`, or another deterministic one. Default true; of no meaning to other types.
  public var hasPlainCollation: Bool

  public init(
    name: String, type: String, isCarried: Bool = true, defaultExpression: String? = nil,
    hasPlainCollation: Bool = true
  ) {
    self.name = name
    self.type = type
    self.isCarried = isCarried
    self.defaultExpression = defaultExpression
    self.hasPlainCollation = hasPlainCollation
  }
}

/// What the database's settings mean to expressions.
public struct CheckEnvironment: Sendable, Equatable {
  /// Whether the database's lower() and upper() treat ASCII letters as ASCII does; not so in
  /// Turkish. Default true.
  public var isCasePlain: Bool
  /// Seconds east of UTC of the session's time zone; nil where it changed at any time since 1970
  /// or changes over the year. Default 0.
  public var utcOffsetSeconds: Int64?

  public init(isCasePlain: Bool = true, utcOffsetSeconds: Int64? = 0) {
    self.isCasePlain = isCasePlain
    self.utcOffsetSeconds = utcOffsetSeconds
  }
}

/// Why an expression is left to PostgreSQL: one sentence for people.
public struct Deferral: Error, Sendable {
  public var reason: String

  public init(reason: String) { self.reason = reason }
}

extension Deferral: CustomStringConvertible {
  public var description: String { reason }
}

extension CheckedColumn {
  /// Decimals of `numeric(precision,scale)`, 0…38; nil for other types.
  var decimals: Int? {
    guard type.hasPrefix("numeric("), let comma = type.firstIndex(of: ","), type.hasSuffix(")"),
      let scale = Int(type[type.index(after: comma)...].dropLast()), (0...38).contains(scale)
    else { return nil }
    return scale
  }
}
