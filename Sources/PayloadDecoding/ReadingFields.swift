// The fields of one own-format reading, read one by one and judged by type, length and range.

import EnergyReadings

/// The names that a reading of the own format may have.
enum ReadingField: UInt32, CaseIterable {
  case timestamp, energyAmount, deviceID, energySource, efficiency, qualityScore, equipmentID
  case consumerType, applianceBreakdown, operationType, pricePerUnit, gridLocation, location
  case intervalSeconds, sequence, signature

  /// The field of that name for a kind; nil where readings of the kind have no such field.
  init?(_ name: Span<UInt8>, kind: ReadingKind) {
    guard let field = ReadingField.common(name) ?? ReadingField.specific(name, to: kind) else {
      return nil
    }
    self = field
  }

  private static func common(_ name: Span<UInt8>) -> ReadingField? {
    switch name.count {
    case 8 where name.elementsEqual("sequence"): .sequence
    case 8 where name.elementsEqual("location"): .location
    case 9 where name.elementsEqual("timestamp"): .timestamp
    case 9 where name.elementsEqual("signature"): .signature
    case 13 where name.elementsEqual("energy_amount"): .energyAmount
    case 16 where name.elementsEqual("interval_seconds"): .intervalSeconds
    default: nil
    }
  }

  private static func specific(_ name: Span<UInt8>, to kind: ReadingKind) -> ReadingField? {
    switch (kind, name.count) {
    case (.production, 10) where name.elementsEqual("efficiency"): .efficiency
    case (.production, 11) where name.elementsEqual("producer_id"): .deviceID
    case (.production, 12) where name.elementsEqual("equipment_id"): .equipmentID
    case (.production, 13) where name.elementsEqual("energy_source"): .energySource
    case (.production, 13) where name.elementsEqual("quality_score"): .qualityScore
    case (.consumption, 11) where name.elementsEqual("consumer_id"): .deviceID
    case (.consumption, 13) where name.elementsEqual("consumer_type"): .consumerType
    case (.consumption, 19) where name.elementsEqual("appliance_breakdown"): .applianceBreakdown
    case (.storage, 10) where name.elementsEqual("storage_id"): .deviceID
    case (.storage, 13) where name.elementsEqual("grid_location"): .gridLocation
    case (.storage, 14) where name.elementsEqual("operation_type"): .operationType
    case (.storage, 14) where name.elementsEqual("price_per_unit"): .pricePerUnit
    default: nil
    }
  }
}

/// What the payload says of a reading in the making. Kept and used again, since to make one for each
/// reading would count a reference to the parser.
///
/// The reading itself is filled where it will stay: copied right after its parts were written, it would
/// be read in larger pieces than it was written in, which the processor cannot forward.
final class ReadingFields {
  /// Fields that the payload names, be it as `null`.
  private var named: UInt32 = 0
  /// Fields with a value.
  private var seen: UInt32 = 0
  private(set) var unknown = 0
  private let parser: JSONParser

  init(_ parser: JSONParser) { self.parser = parser }

  /// Reads every member of the object at `object` into `reading`.
  func read(
    _ object: Int, into reading: inout Reading, in arena: inout ByteArena
  ) throws(Rejection) {
    (named, seen, unknown) = (0, 0, 0)
    let end = parser[object].next
    var index = object + 1
    while index < end {
      let node = parser[index]
      let key = parser.key(of: node, in: &arena)
      if let field = ReadingField(arena[key], kind: reading.kind) {
        if named & 1 << field.rawValue != 0 {
          throw Rejection(.malformedPayload, path: arena.path(node), detail: "given twice")
        }
        named |= 1 << field.rawValue
        // `null` is how many a meter says "not known": the same as an absent field.
        if node.kind != .null {
          seen |= 1 << field.rawValue
          try read(field, at: index, into: &reading, in: &arena)
        }
      } else {
        unknown += 1
      }
      index = node.next
    }
    try require(.timestamp, "timestamp")
    try require(.energyAmount, "energy_amount")
    if reading.kind == .storage { try require(.operationType, "operation_type") }
  }

  private func require(_ field: ReadingField, _ name: StaticString) throws(Rejection) {
    if seen & 1 << field.rawValue == 0 {
      throw Rejection(.missingField, path: "$.\(name)", detail: "\(name) is required")
    }
  }

  private func read(
    _ field: ReadingField, at index: Int, into reading: inout Reading, in arena: inout ByteArena
  ) throws(Rejection) {
    let node = parser[index]
    switch field {
    case .timestamp:
      let text = parser.text(of: node, in: &arena)
      reading.timestamp = try arena.timestamp(node, text: text)
    case .energyAmount:
      reading.energyText = node.value
      reading.energy = EnergyAmount(microKWh: try arena.decimal(node, integerDigits: 9, scale: 6))
    case .deviceID: try checkDevice(node, reading.device, in: &arena)
    case .energySource: reading.energySource = try text(node, limit: 20, in: &arena)
    case .efficiency: reading.efficiency = try arena.ratio(node)
    case .qualityScore: reading.qualityScore = try arena.ratio(node)
    case .equipmentID: reading.equipment = try text(node, limit: 100, in: &arena)
    case .consumerType: reading.consumerType = try text(node, limit: 20, in: &arena)
    case .applianceBreakdown:
      reading.applianceTotal = try checkBreakdown(index, in: &arena)
      reading.applianceBreakdown = node.value
    case .operationType: reading.operation = try operation(node, in: &arena)
    case .pricePerUnit: reading.price = try arena.decimal(node, integerDigits: 9, scale: 6)
    case .gridLocation: reading.gridLocation = try text(node, limit: 100, in: &arena)
    case .location:
      reading.locationHasGridCode = try checkLocation(index, in: &arena)
      reading.location = node.value
    case .intervalSeconds:
      reading.intervalSeconds = Int32(try arena.integer(node, in: 1...31_622_400))
    case .sequence: reading.sequence = try arena.integer(node, in: 0...Int64.max)
    case .signature: reading.signature = try text(node, limit: 128, in: &arena)
    }
  }

  private func checkDevice(
    _ node: JSONNode, _ device: ByteSlice, in arena: inout ByteArena
  ) throws(Rejection) {
    let id = try text(node, limit: 100, in: &arena)
    if !arena[id].elementsEqual(arena[device]) {
      throw Rejection(
        .deviceMismatch, path: arena.path(node),
        detail: "the payload says \(arena.string(id)), the topic \(arena.string(device))")
    }
  }

  private func operation(
    _ node: JSONNode, in arena: inout ByteArena
  ) throws(Rejection) -> StorageOperation {
    guard node.kind == .string else { throw arena.wrongType(node, expected: "a string") }
    let name = parser.text(of: node, in: &arena)
    guard let operation = StorageOperation(name: arena[name]) else {
      throw Rejection(
        .checkViolation, path: arena.path(node), detail: "expected charge or discharge",
        constraint: "storage_operations_operation_type_check")
    }
    return operation
  }

  /// Appliances with kWh each; a name given twice would silently lose one of both in `jsonb`.
  ///
  /// - Returns: their sum; what is no energy that a column could hold adds nothing to it.
  private func checkBreakdown(
    _ object: Int, in arena: inout ByteArena
  ) throws(Rejection) -> EnergyAmount {
    guard parser[object].kind == .object else {
      throw arena.wrongType(parser[object], expected: "an object")
    }
    // Names are compared pair by pair, so their number is bounded.
    var names: InlineArray<64, ByteSlice> = .init(repeating: .absent)
    var count = 0
    var sum = EnergyAmount.zero
    for index in parser.members(of: object) {
      if count == names.count {
        throw Rejection(
          .outOfRange, path: arena.path(parser[object]),
          detail: "more than \(names.count) appliances")
      }
      guard parser[index].kind == .number else {
        throw Rejection(
          .wrongType, path: appliancePath(index, of: object, in: arena),
          detail: "expected kWh as a number")
      }
      names[count] = parser.key(of: parser[index], in: &arena)
      for other in 0..<count where arena[names[other]].elementsEqual(arena[names[count]]) {
        throw Rejection(
          .malformedPayload, path: appliancePath(index, of: object, in: arena),
          detail: "given twice")
      }
      // 64 of at most 10^15 micro-kWh fit.
      sum.microKWh += (try? EnergyAmount(kWh: arena[parser[index].value]))?.microKWh ?? 0
      count += 1
    }
    return sum
  }

  private func appliancePath(_ index: Int, of object: Int, in arena: borrowing ByteArena) -> String
  {
    "\(arena.path(parser[object])).\(arena.string(parser[index].key))"
  }

  /// The text of a string of at most `limit` characters, without NUL, which PostgreSQL cannot hold.
  private func text(
    _ node: JSONNode, limit: Int, in arena: inout ByteArena
  ) throws(Rejection) -> ByteSlice {
    guard node.kind == .string else { throw arena.wrongType(node, expected: "a string") }
    let slice = parser.text(of: node, in: &arena)
    if slice.count > limit, arena[slice].characterCount > limit {
      throw Rejection(
        .outOfRange, path: arena.path(node), detail: "more than \(limit) characters")
    }
    if node.hasEscapes, arena[slice].contains(0) {
      throw Rejection(.outOfRange, path: arena.path(node), detail: "holds a NUL character")
    }
    return slice
  }

  /// Whether the location names its grid code.
  private func checkLocation(
    _ object: Int, in arena: inout ByteArena
  ) throws(Rejection) -> Bool {
    guard parser[object].kind == .object else {
      throw arena.wrongType(parser[object], expected: "an object")
    }
    for index in parser.members(of: object) {
      let key = parser.key(of: parser[index], in: &arena)
      if arena[key].elementsEqual("grid_code") { return true }
    }
    return false
  }
}
