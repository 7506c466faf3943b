// The figures that come from the database: each is one query, which the page shows to its readers.

/// A named query whose answer is JSON, made by PostgreSQL itself so that no digit is lost.
enum Figure: String, CaseIterable, Sendable {
  case energy, grids, rejections, notices, meter

  /// The query as it runs; parameters are `$1`, `$2`.
  var sql: String { String(decoding: resource, as: UTF8.self) }

  private var resource: [UInt8] {
    switch self {
    case .energy: PackageResources.energy_sql
    case .grids: PackageResources.grids_sql
    case .rejections: PackageResources.rejections_sql
    case .notices: PackageResources.notices_sql
    case .meter: PackageResources.meter_sql
    }
  }

  /// How long an answer serves everybody who asks.
  var lifetime: Duration {
    switch self {
    case .energy: .seconds(5)
    case .grids, .notices: .seconds(2)
    case .rejections, .meter: .seconds(1)
    }
  }

  /// The query with its parameters written out, to be pasted into psql.
  func pasteable(_ parameters: [String]) -> String {
    // From the last, so that $1 is not found in $12.
    parameters.indices.reversed().reduce(sql) { text, index in
      let literal = "'" + parameters[index].replacing("'", with: "''") + "'"
      return text.replacing("$\(index + 1)", with: literal)
    }
  }
}

/// Runs one query read-only and returns its rows as text; bounded in time by whoever provides it.
public typealias FigureReader =
  @Sendable (_ sql: String, _ parameters: [String]) async throws -> [[String?]]

/// A figure as it was read.
struct FigureAnswer: Sendable, Hashable {
  /// JSON without line breaks; nil where the database knows nothing.
  let json: String?
  /// What can be pasted into psql to see the same.
  let query: String
}

/// The database does not give a figure; in words.
struct FigureFailure: Error, CustomStringConvertible {
  let description: String
}
