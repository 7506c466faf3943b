// The batteries' book: what operations add to the charge of grid.energy_storage, and which of them
// cannot be true by it.

import EnergyReadings

/// Which rules the book judges, and how strictly.
public struct BatteryRules: Sendable, Equatable {
  /// Names of the rules that are on.
  public var names: [String]
  /// How far an operation may go beyond the book, in hundredths of the battery's capacity.
  public var tolerancePercent: Int64

  public init(names: [String], tolerancePercent: Int64) {
    self.names = names
    self.tolerancePercent = tolerancePercent
  }
}

/// Storage operations that were just inserted, as array literals for PostgreSQL.
struct BatteryBook {
  let ids, oppositeIDs, devices, times, amounts: String

  /// An operation and what it adds to its battery's charge, micro-kWh.
  struct Operation {
    var id: ReadingID
    /// The id that the opposite operation for the same time would have.
    var opposite: ReadingID
    var device: ByteSlice
    var time: Timestamp
    var microKWh: Int64
  }

  /// - Parameter batteries: what the operations' devices are slices of.
  init(_ operations: [Operation], of batteries: borrowing ByteArena) {
    ids = arrayLiteral(operations.map(\.id.description))
    oppositeIDs = arrayLiteral(operations.map(\.opposite.description))
    var names: [String] = []
    for operation in operations { names.append(batteries.string(operation.device)) }
    devices = arrayLiteral(names)
    times = arrayLiteral(operations.map(\.time.description))
    amounts = arrayLiteral(operations.map { FixedPoint.text($0.microKWh, scale: 6) })
  }

  /// From the arrays that the repair's INSERT returns.
  init?(row: ArraySlice<String?>) {
    let texts = row.compactMap(\.self)
    guard texts.count == 5 else { return nil }
    (ids, oppositeIDs, devices, times, amounts) = (texts[0], texts[1], texts[2], texts[3], texts[4])
  }

  /// Judges the operations by the book, marks those that cannot be true, and lets the charge follow;
  /// within the open transaction of their batch.
  ///
  /// - Returns: the rules that were broken, once for each operation.
  func apply(
    _ rules: BatteryRules?, over connection: PostgresConnection
  ) throws(PostgresError) -> [String] {
    var broken: [String] = []
    if let rules, !rules.names.isEmpty {
      broken = try connection.query(
        BatteryBook.flag,
        [
          ids, oppositeIDs, devices, times, amounts,
          FixedPoint.text(rules.tolerancePercent, scale: 2), arrayLiteral(rules.names),
        ], as: "judge by grid.energy_storage"
      ).compactMap { $0[0] }
    }
    try connection.query(
      "SELECT ingest.apply_storage_operations($1::text[], $2::numeric[], $3::timestamptz[])",
      [devices, amounts, times],
      as: "update grid.energy_storage")
    return broken
  }

  private static let flag = """
    INSERT INTO ingest.reading_flags (reading_id, kind, device_id, at, rule, detail)
    SELECT ($1::uuid[])[position], 'storage', ($3::text[])[position],
      ($4::timestamptz[])[position], rule, detail
    FROM ingest.battery_flags(
      $1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::numeric[], $6::numeric)
    WHERE rule = ANY ($7::text[])
    ON CONFLICT DO NOTHING
    RETURNING rule
    """
}
