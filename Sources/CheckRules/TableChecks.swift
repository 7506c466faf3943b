// The CHECK constraints of one table: those that are enforced here, and those left to PostgreSQL.

import EnergyReadings

/// A constraint as the catalogue describes it.
public struct ConstraintDefinition: Sendable, Equatable {
  public var name: String
  /// As `pg_get_expr` prints it.
  public var expression: String
  /// The column whose domain demands it; nil for the table's own.
  public var domainColumn: String?
  /// Why it is not to be judged here, where the catalogue itself gives a reason.
  public var deferral: String?

  public init(
    name: String, expression: String, domainColumn: String? = nil, deferral: String? = nil
  ) {
    self.name = name
    self.expression = expression
    self.domainColumn = domainColumn
    self.deferral = deferral
  }
}

/// A constraint that PostgreSQL alone judges; its violations are found by the repair.
public struct DeferredCheck: Sendable, Equatable {
  public var name: String
  public var expression: String
  /// Why, in one sentence.
  public var reason: String
}

/// The constraints of one target table, compiled.
public final class TableChecks: Sendable {
  public let kind: ReadingKind
  public let table: String
  /// Enforced here, in the order in which PostgreSQL checks them: by name (manual, CREATE TABLE).
  public let enforced: [CheckConstraint]
  public let deferred: [DeferredCheck]
  /// The enforced constraints of common shapes, which nearly every reading passes in one go.
  let direct: DirectTests
  /// The other enforced constraints.
  let others: [CheckConstraint]
  let columns: [CheckedColumn]
  /// The columns that an enforced constraint reads, and how a reading fills them.
  let fields: [(column: Int, field: ReadingField)]

  /// Compiles what can be judged here.
  public init(
    kind: ReadingKind, table: String, columns: [CheckedColumn],
    constraints: [ConstraintDefinition], environment: CheckEnvironment
  ) {
    self.kind = kind
    self.table = table
    let fields = columns.map { ReadingField(column: $0.name, of: kind) }
    // A column that the ingestor writes and that nothing here knows how to fill, or that would
    // round what it is given, is left alone.
    let known = zip(columns, fields).map { column, field in
      var column = column
      if column.isCarried, !(field?.isHeldExactly(by: column) ?? false) { column.type = "unknown" }
      return column
    }
    (enforced, deferred) = TableChecks.compile(constraints, known, environment)
    direct = DirectTests(enforced)
    others = enforced.filter { $0.directTest == nil }
    self.columns = columns
    let used = Set(enforced.flatMap(\.columns))
    self.fields = fields.enumerated().compactMap { index, field in
      guard used.contains(index), let field else { return nil }
      return (index, field)
    }
  }

  /// What the constraints of common shapes say of a reading.
  enum DirectVerdict {
    /// It passes them for sure, and there are no others.
    case passed
    /// It passes them for sure; the others are to be looked at.
    case passedSoFar
    /// One of them is violated, or undecided.
    case open
  }

  /// Fills `row` with what the enforced constraints ask of a reading, and judges it by those of common
  /// shapes. A method of the table's own, and by indices: to take its arrays out of it would count a
  /// reference to each, for every reading.
  func judgeDirectly(
    _ reading: Reading, _ row: inout [SQLValue], in arena: inout ByteArena
  ) -> DirectVerdict {
    while row.count < columns.count { row.append(.null) }
    for index in fields.indices {
      row[fields[index].column] = fields[index].field.value(of: reading, in: &arena)
    }
    guard direct.allPass(row: row.span, texts: arena.bytes.span) else { return .open }
    return others.isEmpty ? .passed : .passedSoFar
  }

  /// Those that can be judged here, by name, and those that cannot.
  private static func compile(
    _ constraints: [ConstraintDefinition], _ columns: [CheckedColumn],
    _ environment: CheckEnvironment
  ) -> (enforced: [CheckConstraint], deferred: [DeferredCheck]) {
    var enforced: [CheckConstraint] = []
    var deferred: [DeferredCheck] = []
    for constraint in constraints.sorted(by: { $0.name < $1.name }) {
      do throws(Deferral) {
        if let reason = constraint.deferral { throw Deferral(reason: reason) }
        enforced.append(
          try CheckConstraint(
            name: constraint.name, expression: constraint.expression,
            columns: columns.renaming(constraint.domainColumn, to: "VALUE"),
            environment: environment))
      } catch {
        deferred.append(
          DeferredCheck(
            name: constraint.name, expression: constraint.expression, reason: error.reason))
      }
    }
    return (enforced, deferred)
  }
}

extension [CheckedColumn] {
  /// A domain's constraints call the value they judge VALUE.
  fileprivate func renaming(_ name: String?, to other: String) -> [CheckedColumn] {
    guard let name else { return self }
    return map { column in
      var column = column
      if column.name == name { column.name = other }
      return column
    }
  }
}

/// What of a reading a column holds.
enum ReadingField: Sendable {
  case device, energy, timestamp, location
  case energySource, efficiency, qualityScore, equipment
  case consumerType, applianceBreakdown
  case operation, price, gridLocation

  init?(column: String, of kind: ReadingKind) {
    switch (kind, column) {
    case (.production, "producer_id"), (.consumption, "consumer_id"), (.storage, "storage_id"):
      self = .device
    case (_, "energy_amount"): self = .energy
    case (.storage, "executed_at"): self = .timestamp
    case (.production, "timestamp"), (.consumption, "timestamp"): self = .timestamp
    case (.production, "location_json"), (.consumption, "location_json"): self = .location
    case (.production, "energy_source"): self = .energySource
    case (.production, "efficiency"): self = .efficiency
    case (.production, "quality_score"): self = .qualityScore
    case (.production, "equipment_id"): self = .equipment
    case (.consumption, "consumer_type"): self = .consumerType
    case (.consumption, "appliance_breakdown"): self = .applianceBreakdown
    case (.storage, "operation_type"): self = .operation
    case (.storage, "price_per_unit"): self = .price
    case (.storage, "grid_location"): self = .gridLocation
    default: return nil
    }
  }

  /// Whether the column stores the value as it is here.
  func isHeldExactly(by column: CheckedColumn) -> Bool {
    let decimals =
      switch self {
      case .energy, .price: 6
      case .efficiency, .qualityScore: 4
      default: 0
      }
    if decimals == 0 || column.type == "numeric" { return true }
    return (column.decimals ?? 0) >= decimals
  }

  /// Where the payload gives it; empty where the topic does.
  var path: String {
    switch self {
    case .device: ""
    case .energy: "$.energy_amount"
    case .timestamp: "$.timestamp"
    case .location: "$.location"
    case .energySource: "$.energy_source"
    case .efficiency: "$.efficiency"
    case .qualityScore: "$.quality_score"
    case .equipment: "$.equipment_id"
    case .consumerType: "$.consumer_type"
    case .applianceBreakdown: "$.appliance_breakdown"
    case .operation: "$.operation_type"
    case .price: "$.price_per_unit"
    case .gridLocation: "$.grid_location"
    }
  }

  /// The value as the column will hold it.
  func value(of reading: Reading, in arena: inout ByteArena) -> SQLValue {
    switch self {
    case .device: .text(SQLText(row: reading.device))
    case .energy: .number(SQLNumber(mantissa: Int128(reading.energy.microKWh), scale: 6))
    case .timestamp: .timestamp(reading.timestamp.microseconds)
    case .location: .json(SQLText(row: arena.appendLocation(of: reading)))
    case .energySource: .text(SQLText(row: reading.energySource))
    case .efficiency: .number(SQLNumber(mantissa: Int128(reading.efficiency), scale: 4))
    case .qualityScore: .number(SQLNumber(mantissa: Int128(reading.qualityScore), scale: 4))
    case .equipment: reading.equipment.isPresent ? .text(SQLText(row: reading.equipment)) : .null
    case .consumerType: .text(SQLText(row: reading.consumerType))
    case .applianceBreakdown:
      .json(
        SQLText(
          row: reading.applianceBreakdown.isPresent
            ? reading.applianceBreakdown : arena.append("{}")))
    case .operation: .text(SQLText(row: arena.append(reading.operation.name)))
    case .price: .number(SQLNumber(mantissa: Int128(reading.price ?? 0), scale: 6))
    case .gridLocation:
      .text(SQLText(row: reading.gridLocation.isPresent ? reading.gridLocation : reading.gridCode))
    }
  }
}

extension ByteArena {
  /// `location_json` as the row will have it: with the topic's grid code where the object names
  /// none. Copied, so only where a constraint asks.
  fileprivate mutating func appendLocation(of reading: Reading) -> ByteSlice {
    let object = reading.location.isPresent ? reading.location : append("{}")
    if reading.locationHasGridCode || !reading.gridCode.isPresent { return object }
    let start = append(#"{"grid_code":""#)
    for index in reading.gridCode.range {
      if bytes[index] == UInt8(ascii: "\"") || bytes[index] == UInt8(ascii: "\\") {
        _ = append("\\")
      }
      _ = append(ByteSlice(offset: index, count: 1))
    }
    let isEmpty = !bytes[object.range].contains(UInt8(ascii: ":"))
    _ = append(isEmpty ? "\"" : "\",")
    _ = append(object.subslice(from: 1, count: Int(object.count) - 1))
    return ByteSlice(offset: Int(start.offset), count: count - Int(start.offset))
  }
}
