// The values that a CHECK constraint computes with: trivially copyable, so that judging a row costs
// no allocation and no reference count.

import EnergyReadings

/// The value of one column or expression. A text is a place in one of three memories, and a number
/// is exact.
public enum SQLValue: Sendable {
  case null
  case boolean(Bool)
  /// `smallint`, `integer`, `bigint` (scale 0) and `numeric` (the column's scale).
  case number(SQLNumber)
  /// `text` and `character varying`, as the column would store it.
  case text(SQLText)
  /// `timestamp with time zone`: µs since 1970-01-01T00:00:00Z.
  case timestamp(Int64)
  case interval(SQLInterval)
  /// The text of a `jsonb` value: any valid JSON, in the writer's own spacing and order.
  case json(SQLText)
  /// A value, not NULL, of a type that only IS NULL asks about, such as `uuid`.
  case opaque
  /// A value that is not known here, such as a number beyond the range of ``SQLNumber``; whatever
  /// depends on it is left to PostgreSQL.
  case undecided
}

/// Which memory a text stands in.
public enum TextPool: UInt8, Sendable {
  /// The arena of the batch.
  case row
  /// The constants of the constraint.
  case constants
  /// What the evaluator made while it judged this row.
  case scratch
}

/// A text by its place.
public struct SQLText: Sendable {
  public var slice: ByteSlice
  public var pool: TextPool

  public init(_ slice: ByteSlice, in pool: TextPool) {
    self.slice = slice
    self.pool = pool
  }

  /// A text in the arena of the batch; the slice must be present.
  public init(row slice: ByteSlice) { self.init(slice, in: .row) }

  /// Bytes.
  var count: Int { Int(slice.count) }

  /// The part of this text that starts `start` bytes behind its beginning.
  func part(from start: Int, count: Int) -> SQLText {
    SQLText(slice.subslice(from: start, count: count), in: pool)
  }
}

/// An interval with its three parts apart, as PostgreSQL keeps them (manual, 8.5.4).
public struct SQLInterval: Sendable {
  public var months: Int32
  public var days: Int32
  public var microseconds: Int64

  public init(months: Int32 = 0, days: Int32 = 0, microseconds: Int64 = 0) {
    self.months = months
    self.days = days
    self.microseconds = microseconds
  }

  /// What intervals are ordered by: a month counts 30 days and a day 24 hours.
  var span: Int128 {
    (Int128(months) * 30 + Int128(days)) * 86_400_000_000 + Int128(microseconds)
  }
}

/// Why a value is left to PostgreSQL in one row: it raises an error there, or is beyond what is
/// computed here.
struct Undecided: Error {}
