// Fills what meters do not publish from the registry, and turns away what nobody can fill.

import CheckRules
import EnergyReadings

/// What becomes of a device that the registry does not know.
public enum UnregisteredPolicy: String, Sendable, CaseIterable {
  /// A dead letter `unregistered_device`.
  case reject
  /// Stored when the payload itself is complete.
  case accept
}

/// How readings are completed.
public struct EnrichmentSettings: Sendable {
  /// For producers and consumers; default accept.
  public var unregistered: UnregisteredPolicy = .accept
  /// For batteries; default reject. A foreign key of the database demands registration anyway, so
  /// `accept` only leaves the refusal to PostgreSQL.
  public var unregisteredStorage: UnregisteredPolicy = .reject
  /// Price per kWh of a storage operation that names none, in millionths; nil: such an operation
  /// is turned away.
  public var tariff: Int64?
  /// The same by the time of the day, where it has several prices; it comes before ``tariff``.
  public var tariffTable: TariffTable?

  public init() {}
}

package struct Enrichment {
  let settings: EnrichmentSettings

  package init(settings: EnrichmentSettings) { self.settings = settings }

  /// Completes `reading` from the registry.
  ///
  /// - Returns: what the rules ask of the device, nil where nothing is known of it.
  package func complete(
    _ reading: inout Reading, from registry: MeterRegistry, in arena: inout ByteArena
  ) throws(Rejection) -> DeviceFacts? {
    let known = registry.device(arena[reading.device], kind: reading.kind)
    let policy =
      reading.kind == .storage ? settings.unregisteredStorage : settings.unregistered
    if known == nil, policy == .reject { throw unregistered(reading, arena) }
    switch reading.kind {
    case .production:
      reading.energySource = try attribute(
        reading.energySource, named: "energy_source", of: reading, known, registry, &arena)
    case .consumption:
      reading.consumerType = try attribute(
        reading.consumerType, named: "consumer_type", of: reading, known, registry, &arena)
    case .storage:
      try completeStorage(&reading, known, registry, in: &arena)
    }
    if reading.kind != .storage, !reading.location.isPresent, let known, known.location.isPresent {
      reading.location = arena.append(known.location, from: registry.arena)
      reading.locationHasGridCode = known.locationHasGridCode
    }
    return known?.facts ?? registry.stranger(arena[reading.device], kind: reading.kind)
  }

  /// Turns away samples of a device that no registry knows, before its register is remembered: no
  /// format of theirs says all that a row needs, and names that anybody can think of must not fill
  /// `ingest.register_state`.
  ///
  /// One that is known as something else is heard: most meters have an export register as well, and
  /// most of those stand still.
  package func admit(
    _ sample: RegisterSample, from registry: MeterRegistry, in arena: borrowing ByteArena
  ) throws(Rejection) {
    let kind = sample.flow.kind
    // The foreign key is left to PostgreSQL where the operator wants that.
    if kind == .storage, settings.unregisteredStorage == .accept { return }
    if registry.device(arena[sample.device], kind: kind) != nil { return }
    for other in ReadingKind.allCases
    where registry.device(arena[sample.device], kind: other) != nil { return }
    throw unregistered(Reading(kind: kind, device: sample.device, gridCode: .absent), arena)
  }

  /// The payload's own value, else the registry's.
  private func attribute(
    _ own: ByteSlice, named name: StaticString, of reading: Reading, _ known: RegisteredDevice?,
    _ registry: MeterRegistry, _ arena: inout ByteArena
  ) throws(Rejection) -> ByteSlice {
    if own.isPresent { return own }
    guard let known else { throw unregistered(reading, arena) }
    guard known.attribute.isPresent else {
      throw Rejection(
        .missingField, path: "$.\(name)",
        detail: "the payload gives no \(name), and the registry has not exactly one")
    }
    return arena.append(known.attribute, from: registry.arena)
  }

  private func completeStorage(
    _ reading: inout Reading, _ known: RegisteredDevice?, _ registry: MeterRegistry,
    in arena: inout ByteArena
  ) throws(Rejection) {
    // Where neither payload nor topic says so, it is in the grid where it is registered.
    if reading.gridLocation.count == 0, reading.gridCode.count == 0, let known,
      known.attribute.isPresent
    {
      reading.gridLocation = arena.append(known.attribute, from: registry.arena)
    }
    if reading.price == nil {
      reading.price = settings.tariffTable?.price(until: reading.timestamp) ?? settings.tariff
    }
    if reading.price == nil {
      throw Rejection(
        .missingField, path: "$.price_per_unit",
        detail: "the payload gives no price, and no tariff is configured (ingest.tariff, "
          + "ingest.tariff-table)")
    }
  }

  private func unregistered(_ reading: Reading, _ arena: borrowing ByteArena) -> Rejection {
    let registry =
      switch reading.kind {
      case .production: "blockchain.registered_producers"
      case .consumption: "blockchain.registered_consumers"
      case .storage: "grid.energy_storage"
      }
    return Rejection(
      .unregisteredDevice,
      detail: "\(arena.string(reading.device)) is not in \(registry); register it, or publish "
        + "complete readings")
  }
}
