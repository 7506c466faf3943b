// The three tables that readings go to: their columns, and how a reading becomes a row.

import EnergyReadings

/// One target table as this program writes it.
struct ReadingTable {
  let kind: ReadingKind
  let name: String
  /// Columns that a row carries; the others take their default.
  let columns: [String]
  /// What the meter measured. A second delivery that differs here is a conflict; what enrichment
  /// adds (type, source, place, price) may have changed in between.
  let measured: [String]

  private init(_ kind: ReadingKind, _ name: String, columns: [String], measured: [String]) {
    self.kind = kind
    self.name = name
    self.columns = columns
    self.measured = measured
  }

  static let all = [
    ReadingTable(
      .production, "grid.energy_production",
      columns: [
        "id", "producer_id", "energy_amount", "energy_source", "location_json", "efficiency",
        "quality_score", "equipment_id", "timestamp",
      ],
      measured: ["energy_amount", "efficiency", "equipment_id"]),
    ReadingTable(
      .consumption, "grid.energy_consumption",
      columns: [
        "id", "consumer_id", "energy_amount", "consumer_type", "location_json",
        "appliance_breakdown", "timestamp",
      ],
      measured: ["energy_amount", "appliance_breakdown"]),
    ReadingTable(
      .storage, "grid.storage_operations",
      columns: [
        "id", "storage_id", "operation_type", "energy_amount", "price_per_unit", "grid_location",
        "executed_at",
      ],
      measured: ["operation_type", "energy_amount"]),
  ]

  var columnList: String { columns.joined(separator: ", ") }
  var copy: String { "COPY \(name) (\(columnList)) FROM STDIN (FORMAT binary)" }
  /// The temporary table in which repair looks at rows before it inserts them.
  var staged: String { "staged_\(kind)" }
}

extension CopyBuffer {
  /// Appends `reading`, checked and enriched, as a row of its kind's table.
  public func append(_ reading: Reading, id: ReadingID, in arena: borrowing ByteArena) {
    switch reading.kind {
    case .production: appendProduction(reading, id, arena)
    case .consumption: appendConsumption(reading, id, arena)
    case .storage: appendStorage(reading, id, arena)
    }
    endRow()
  }

  private func appendProduction(
    _ reading: Reading, _ id: ReadingID, _ arena: borrowing ByteArena
  ) {
    beginRow(columns: 9)
    uuid(id)
    text(arena[reading.device])
    numeric6(reading.energy.microKWh)
    text(arena[reading.energySource])
    location(of: reading, arena)
    numeric4(reading.efficiency)
    numeric4(reading.qualityScore)
    if reading.equipment.isPresent { text(arena[reading.equipment]) } else { null() }
    timestamp(reading.timestamp)
  }

  private func appendConsumption(
    _ reading: Reading, _ id: ReadingID, _ arena: borrowing ByteArena
  ) {
    beginRow(columns: 7)
    uuid(id)
    text(arena[reading.device])
    numeric6(reading.energy.microKWh)
    text(arena[reading.consumerType])
    location(of: reading, arena)
    if reading.applianceBreakdown.isPresent {
      jsonb(arena[reading.applianceBreakdown])
    } else {
      emptyObject()
    }
    timestamp(reading.timestamp)
  }

  private func appendStorage(_ reading: Reading, _ id: ReadingID, _ arena: borrowing ByteArena) {
    beginRow(columns: 7)
    uuid(id)
    text(arena[reading.device])
    text(reading.operation.name)
    numeric6(reading.energy.microKWh)
    numeric6(reading.price ?? 0)
    text(arena[reading.gridLocation.isPresent ? reading.gridLocation : reading.gridCode])
    timestamp(reading.timestamp)
  }

  /// `location_json`: the reading's own object, with the topic's grid code where it names none.
  private func location(of reading: Reading, _ arena: borrowing ByteArena) {
    let object = arena[reading.location]
    if reading.locationHasGridCode || !reading.gridCode.isPresent {
      if object.isEmpty { emptyObject() } else { jsonb(object) }
    } else {
      jsonb(object, inserting: "grid_code", arena[reading.gridCode])
    }
  }

  private func emptyObject() {
    jsonb("{}".utf8.span)
  }
}
