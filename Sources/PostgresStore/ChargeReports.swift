// The states of charge of one batch, which the batteries' book follows.

import EnergyReadings

/// What became of a state of charge.
public enum ChargeOutcome: UInt8, Sendable, CaseIterable {
  /// `current_charge` is what it says, and what was charged and discharged since.
  case applied
  /// There is a newer one.
  case superseded
  /// No registry knows the battery.
  case unregistered
  /// A constraint does not let the battery's row be updated.
  case refused

  /// The stable name in metrics.
  public var name: StaticString {
    switch self {
    case .applied: "applied"
    case .superseded: "superseded"
    case .unregistered: "unregistered"
    case .refused: "refused"
    }
  }
}

/// States of charge in order of arrival. Reused from batch to batch.
final class ChargeReports {
  private var reports: [ReportedCharge] = []
  private var batteries = ByteArena()

  var isEmpty: Bool { reports.isEmpty }

  func removeAll() {
    if reports.isEmpty { return }
    reports.removeAll(keepingCapacity: true)
    batteries.removeAll()
  }

  func append(_ report: ReportedCharge, in arena: borrowing ByteArena) {
    var report = report
    report.device = batteries.append(arena[report.device])
    reports.append(report)
  }

  /// Locks the batteries, and those of operations that will be stored, in one order: to lock some
  /// before and some after could make two transactions wait for each other.
  func lock(
    with operations: [BatteryBook.Operation], of others: borrowing ByteArena,
    over connection: PostgresConnection
  ) throws(PostgresError) {
    var ids = ArrayParameter(.text, capacity: reports.count + operations.count)
    for report in reports { ids.append(batteries[report.device]) }
    for operation in operations { ids.append(others[operation.device]) }
    try connection.query(
      """
      SELECT FROM grid.energy_storage WHERE storage_id = ANY ($1::text[]) ORDER BY storage_id
      FOR NO KEY UPDATE
      """, arrays: [ids], as: "lock grid.energy_storage")
  }

  /// Lets the book follow, within the open transaction, after the operations.
  ///
  /// - Returns: how many came to what, by ``ChargeOutcome/rawValue``.
  func apply(
    over connection: PostgresConnection
  ) throws(PostgresError) -> InlineArray<4, Int> {
    var devices = ArrayParameter(.text, capacity: reports.count)
    var times = ArrayParameter(.timestamp, capacity: reports.count)
    var energies = ArrayParameter(.bigint, capacity: reports.count)
    var shares = ArrayParameter(.bigint, capacity: reports.count)
    for report in reports {
      devices.append(batteries[report.device])
      times.append(report.timestamp)
      energies.append(report.measure == .energy ? report.value : nil)
      shares.append(report.measure == .share ? report.value : nil)
    }
    var outcomes = InlineArray<4, Int>(repeating: 0)
    try connection.query(
      """
      SELECT outcome, count(*) FROM unnest(ingest.report_charges(
        $1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[])) AS outcome GROUP BY outcome
      """, arrays: [devices, times, energies, shares], as: "report charges"
    ) { row in
      let name = row.text(0)
      guard let outcome = ChargeOutcome.allCases.first(where: { "\($0.name)" == name }) else {
        return
      }
      outcomes[Int(outcome.rawValue)] = Int(row.int64(1) ?? 0)
    }
    return outcomes
  }
}
