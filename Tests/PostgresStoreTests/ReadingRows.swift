// Readings made by hand, for the store's tests.

import EnergyReadings
import PostgresStore
import TestServices
import Testing

/// A batch of rows in the making.
struct ReadingRows: ~Copyable {
  let rows = BatchRows()
  var arena = ByteArena()

  /// 2026-06-10T00:00:00Z.
  static let start: Int64 = 1_781_049_600_000_000

  mutating func consumption(
    _ device: String = "c-1", second: Int = 0, microKWh: Int64 = 1_000_000, grid: String = "G-1",
    location: String? = nil, breakdown: String? = nil, type: String = "residential"
  ) {
    var reading = reading(.consumption, device, second, microKWh, grid)
    reading.consumerType = text(type)
    if let location { reading.location = text(location) }
    if let breakdown { reading.applianceBreakdown = text(breakdown) }
    rows.append(reading, in: arena)
  }

  mutating func production(
    _ device: String = "p-1", second: Int = 0, microKWh: Int64 = 1_000_000,
    equipment: String? = nil, efficiency: Int32 = 10_000
  ) {
    var reading = reading(.production, device, second, microKWh, "G-1")
    reading.energySource = text("solar")
    reading.efficiency = efficiency
    if let equipment { reading.equipment = text(equipment) }
    rows.append(reading, in: arena)
  }

  mutating func storage(
    _ device: String = "b-1", second: Int = 0, microKWh: Int64 = 1_000_000,
    _ operation: StorageOperation = .charge
  ) {
    var reading = reading(.storage, device, second, microKWh, "G-1")
    reading.operation = operation
    reading.price = 2_500_000
    rows.append(reading, in: arena)
  }

  mutating func charge(
    _ device: String, second: Int, _ value: Int64, _ measure: ReportedCharge.Measure
  ) {
    rows.append(
      ReportedCharge(
        device: text(device), value: value, measure: measure,
        timestamp: Timestamp(microseconds: ReadingRows.start + Int64(second) * 1_000_000)),
      in: arena)
  }

  /// A reading whose breakdown has about that many bytes.
  mutating func reading(second: Int, breakdownBytes: Int) -> Reading {
    var reading = reading(.consumption, "c-1", second, 1_000_000, "G-1")
    reading.consumerType = text("residential")
    reading.applianceBreakdown = text("{\"\(String(repeating: "x", count: breakdownBytes))\":1}")
    return reading
  }

  private mutating func reading(
    _ kind: ReadingKind, _ device: String, _ second: Int, _ microKWh: Int64, _ grid: String
  ) -> Reading {
    reading(
      kind, device, microKWh: microKWh, ReadingRows.start + Int64(second) * 1_000_000, grid: grid)
  }

  /// A reading that is not yet a row, for what the others leave at its default.
  mutating func reading(
    _ kind: ReadingKind, _ device: String, microKWh: Int64, _ microseconds: Int64,
    grid: String = "G-1"
  ) -> Reading {
    Reading(
      kind: kind, device: text(device), gridCode: text(grid),
      energy: EnergyAmount(microKWh: microKWh), timestamp: Timestamp(microseconds: microseconds))
  }

  mutating func text(_ text: String) -> ByteSlice { arena.append(text.utf8.span) }

  /// Commits, with a dead letter for each refused row.
  @discardableResult
  func commit(over connection: PostgresConnection) throws(PostgresError) -> StoreOutcome {
    try BatchStore(connection).commit(rows) { refused, buffer in
      var arena = ByteArena()
      let topic = arena.append("a/topic")
      for row in refused {
        buffer.append(
          DeadLetter(
            receivedAt: Timestamp(microseconds: ReadingRows.start), topic: topic,
            payload: arena.append("\(row.kind) \(row.row)".utf8.span), index: Int32(row.row),
            kind: row.kind, device: .absent, rejection: row.rejection), in: arena)
      }
    }
  }
}

/// A migrated database with two batteries of 1 MWh.
func storeDatabase(_ url: String? = nil) throws -> PostgresConnection {
  let connection = try PostgresConnection(url: url ?? TestServices.migratedDatabase())
  try connection.execute(
    """
    INSERT INTO grid.energy_storage (storage_id, storage_operator, storage_type, capacity_mwh,
      location_json, installed_at)
    SELECT 'b-' || n, 'us', 'lithium', 1, '{}', now() FROM generate_series(1, 2) AS n
    """)
  return connection
}

extension PostgresConnection {
  /// The one value of a query.
  func value(_ sql: String) throws(PostgresError) -> String? {
    try query(sql).first?.first.flatMap(\.self)
  }
}
