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
  }

  private func appendProduction(
    _ reading: Reading, _ id: ReadingID, _ arena: borrowing ByteArena
  ) {
    let texts = Int(reading.device.count + reading.energySource.count + reading.equipment.count)
    appendRow(columns: 9, textBytes: texts + reading.locationBytes, key: id.milliseconds) { row in
      row.uuid(id)
      row.text(arena[reading.device])
      row.numeric6(reading.energy.microKWh)
      row.text(arena[reading.energySource])
      row.location(of: reading, arena)
      row.numeric4(reading.efficiency)
      row.numeric4(reading.qualityScore)
      if reading.equipment.isPresent { row.text(arena[reading.equipment]) } else { row.null() }
      row.timestamp(reading.timestamp)
    }
  }

  private func appendConsumption(
    _ reading: Reading, _ id: ReadingID, _ arena: borrowing ByteArena
  ) {
    let texts = Int(
      reading.device.count + reading.consumerType.count + reading.applianceBreakdown.count)
    appendRow(columns: 7, textBytes: texts + reading.locationBytes, key: id.milliseconds) { row in
      row.uuid(id)
      row.text(arena[reading.device])
      row.numeric6(reading.energy.microKWh)
      row.text(arena[reading.consumerType])
      row.location(of: reading, arena)
      if reading.applianceBreakdown.isPresent {
        row.jsonb(arena[reading.applianceBreakdown])
      } else {
        row.emptyObject()
      }
      row.timestamp(reading.timestamp)
    }
  }

  private func appendStorage(_ reading: Reading, _ id: ReadingID, _ arena: borrowing ByteArena) {
    let place = reading.gridLocation.isPresent ? reading.gridLocation : reading.gridCode
    appendRow(columns: 7, textBytes: Int(reading.device.count + place.count), key: id.milliseconds)
    {
      row in
      row.uuid(id)
      row.text(arena[reading.device])
      row.text(reading.operation.name)
      row.numeric6(reading.energy.microKWh)
      row.numeric6(reading.price ?? 0)
      row.text(arena[place])
      row.timestamp(reading.timestamp)
    }
  }
}

extension Reading {
  /// Most bytes of `location_json`: the object, the grid code escaped, and `"grid_code":"",`.
  fileprivate var locationBytes: Int { Int(location.count) + 2 * Int(gridCode.count) + 20 }
}

extension RowWriter {
  /// `location_json`: the reading's own object, with the topic's grid code where it names none.
  fileprivate mutating func location(of reading: Reading, _ arena: borrowing ByteArena) {
    let object = arena[reading.location]
    if reading.locationHasGridCode || !reading.gridCode.isPresent {
      if object.isEmpty { emptyObject() } else { jsonb(object) }
    } else {
      jsonb(object, inserting: "grid_code", arena[reading.gridCode])
    }
  }

  fileprivate mutating func emptyObject() { jsonb("{}".utf8.span) }
}
