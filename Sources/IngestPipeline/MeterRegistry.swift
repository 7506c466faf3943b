// What the database knows of devices: an immutable snapshot that every worker reads without a lock.

import CheckRules
import EnergyReadings
import PostgresStore

/// What the registries say of one device.
struct RegisteredDevice {
  /// Producer: its only energy source, absent where it has several. Consumer: its type.
  var attribute: ByteSlice = .absent
  /// `location_json`.
  var location: ByteSlice = .absent
  var locationHasGridCode = false
  /// What the plausibility rules ask.
  var facts = DeviceFacts()
}

/// A snapshot of the registries. Look-ups hash the device's bytes: no string, no allocation.
public final class MeterRegistry: Sendable {
  /// The texts that entries point to.
  let arena: ByteArena
  // Three constants: to take one out of an array counts a reference to each of its own arrays.
  private let producers, consumers, batteries: DeviceTable
  /// Devices out of use that no registry knows.
  private let strangers: [DeviceTable]
  private let hasStrangers: Bool
  /// Public keys of devices that sign, by device id.
  let keys: [String: [UInt8]]

  private init(
    arena: consuming ByteArena, tables: [DeviceTable], strangers: [DeviceTable],
    keys: [String: [UInt8]]
  ) {
    self.arena = arena
    producers = tables[Int(ReadingKind.production.rawValue)]
    consumers = tables[Int(ReadingKind.consumption.rawValue)]
    batteries = tables[Int(ReadingKind.storage.rawValue)]
    self.strangers = strangers
    hasStrangers = strangers.contains { $0.count > 0 }
    self.keys = keys
  }

  /// A registry of nothing.
  public static let empty = MeterRegistry(
    arena: ByteArena(), tables: ReadingKind.allCases.map { _ in DeviceTable() },
    strangers: ReadingKind.allCases.map { _ in DeviceTable() }, keys: [:])

  /// Reads the registries.
  public static func load(over connection: PostgresConnection) throws(PostgresError)
    -> MeterRegistry
  {
    var reader = RegistryReader()
    for kind in ReadingKind.allCases {
      try connection.forEachRow(RegistryReader.query(for: kind)) { reader.read($0, kind) }
    }
    try connection.forEachRow(RegistryReader.inactiveQuery) { reader.readInactive($0) }
    var keys: [String: [UInt8]] = [:]
    for row in try connection.query("SELECT device_id, public_key FROM ingest.device_keys") {
      if let id = row[0], let key = row[1].flatMap(Base58.decode) { keys[id] = key }
    }
    return MeterRegistry(
      arena: reader.arena, tables: reader.tables, strangers: reader.strangers, keys: keys)
  }

  /// Number of registered devices of a kind.
  public func count(of kind: ReadingKind) -> Int {
    switch kind {
    case .production: producers.count
    case .consumption: consumers.count
    case .storage: batteries.count
    }
  }

  /// What is known of a device, or nil where it is not registered.
  func device(_ id: Span<UInt8>, kind: ReadingKind) -> RegisteredDevice? {
    switch kind {
    case .production: producers.device(id, in: arena)
    case .consumption: consumers.device(id, in: arena)
    case .storage: batteries.device(id, in: arena)
    }
  }
}

extension MeterRegistry {
  /// What the rules ask of a device that is not registered; nil for nearly all of them.
  func stranger(_ id: Span<UInt8>, kind: ReadingKind) -> DeviceFacts? {
    if !hasStrangers { return nil }
    return strangers[Int(kind.rawValue)].device(id, in: arena)?.facts
  }
}

/// An open-addressing hash table from device ids to entries; linear probing.
private struct DeviceTable {
  private var slots: [Int32] = [Int32](repeating: -1, count: 16)
  private let seed = UInt64.random(in: .min ... .max)
  private var ids: [ByteSlice] = []
  private var devices: [RegisteredDevice] = []

  var count: Int { ids.count }

  mutating func insert(_ id: ByteSlice, _ device: RegisteredDevice, in arena: borrowing ByteArena) {
    if ids.count * 2 >= slots.count { grow(arena) }
    slots[slot(for: arena[id], in: arena)] = Int32(ids.count)
    ids.append(id)
    devices.append(device)
  }

  func device(_ id: Span<UInt8>, in arena: borrowing ByteArena) -> RegisteredDevice? {
    let entry = slots[slot(for: id, in: arena)]
    return entry < 0 ? nil : devices[Int(entry)]
  }

  /// The slot that holds `id`, or the free one where it would go.
  private func slot(for id: Span<UInt8>, in arena: borrowing ByteArena) -> Int {
    var slot = Int(truncatingIfNeeded: id.hash(seed: seed)) & (slots.count - 1)
    while slots[slot] >= 0, !arena[ids[Int(slots[slot])]].elementsEqual(id) {
      slot = (slot + 1) & (slots.count - 1)
    }
    return slot
  }

  private mutating func grow(_ arena: borrowing ByteArena) {
    slots = [Int32](repeating: -1, count: slots.count * 2)
    for (index, id) in ids.enumerated() { slots[slot(for: arena[id], in: arena)] = Int32(index) }
  }
}

/// Takes rows of the registries into tables.
private struct RegistryReader: ~Copyable {
  var arena = ByteArena()
  var tables = ReadingKind.allCases.map { _ in DeviceTable() }
  var strangers = ReadingKind.allCases.map { _ in DeviceTable() }
  /// Types and lists of sources: a handful for a million devices, so each is kept once.
  private var vocabulary: [ByteSlice] = []

  /// Device, its attribute (of a battery, its grid code), location, whether that names a grid code,
  /// rated power in micro-kW, capacity in micro-kWh, and since when it is inactive.
  static func query(for kind: ReadingKind) -> String {
    switch kind {
    case .production:
      """
      SELECT device.producer_id, array_to_string(device.energy_sources, E'\n'),
        device.location_json, device.location_json ? 'grid_code',
        (nullif(device.capacity_kw, 'NaN') * 1000000)::bigint, 0, \(inactiveSince)
      FROM blockchain.registered_producers AS device LEFT JOIN ingest.inactive_devices AS inactive
        ON inactive.kind = 'production' AND inactive.device_id = device.producer_id
      """
    case .consumption:
      """
      SELECT device.consumer_id, device.consumer_type,
        device.location_json, device.location_json ? 'grid_code',
        (nullif(device.peak_demand_kw, 'NaN') * 1000000)::bigint, 0, \(inactiveSince)
      FROM blockchain.registered_consumers AS device LEFT JOIN ingest.inactive_devices AS inactive
        ON inactive.kind = 'consumption' AND inactive.device_id = device.consumer_id
      """
    case .storage:
      """
      SELECT device.storage_id, left(device.location_json ->> 'grid_code', 100), NULL, false, 0,
        least(device.capacity_mwh * 1000000000, 9e18)::bigint,
        CASE WHEN device.status = 'active' THEN \(inactiveSince) ELSE 0 END
      FROM grid.energy_storage AS device LEFT JOIN ingest.inactive_devices AS inactive
        ON inactive.kind = 'storage' AND inactive.device_id = device.storage_id
      """
    }
  }

  /// Microseconds since 1970; NULL for a device in use, which least and greatest would pass over.
  /// Operators may write -infinity for always.
  private static let inactiveSince = """
    CASE WHEN inactive.since IS NOT NULL THEN (extract(epoch FROM
      least(greatest(inactive.since, '0001-01-01Z'), '9999-12-31Z')) * 1000000)::bigint END
    """

  static var inactiveQuery: String {
    "SELECT kind, device_id, \(inactiveSince) FROM ingest.inactive_devices AS inactive"
  }

  mutating func readInactive(_ row: borrowing PostgresRow) {
    guard let kind = row.string(0).flatMap({ ReadingKind(topicLevel: $0.utf8.span) }) else {
      return
    }
    let id = append(row, 1)
    if tables[Int(kind.rawValue)].device(arena[id], in: arena) != nil { return }
    var device = RegisteredDevice()
    device.facts.inactiveSince = row.integer(2).map(Timestamp.init)
    strangers[Int(kind.rawValue)].insert(id, device, in: arena)
  }

  mutating func read(_ row: borrowing PostgresRow, _ kind: ReadingKind) {
    let id = append(row, 0)
    var device = RegisteredDevice(
      location: append(row, 2), locationHasGridCode: row.isTrue(3))
    let attribute = row.withText(1) { text in
      guard let text else { return ByteSlice.absent }
      return word(text)
    }
    if kind == .production { device.facts.sources = attribute }
    if !arena[attribute].contains(UInt8(ascii: "\n")), attribute.count > 0 {
      device.attribute = attribute
    }
    device.facts.ratedPower = row.integer(4) ?? 0
    device.facts.capacity = row.integer(5) ?? 0
    device.facts.inactiveSince = row.integer(6).map(Timestamp.init)
    tables[Int(kind.rawValue)].insert(id, device, in: arena)
  }

  /// Copies a field; NULL is absent.
  private mutating func append(_ row: borrowing PostgresRow, _ column: Int) -> ByteSlice {
    row.withText(column) { text in
      guard let text else { return .absent }
      return arena.append(text)
    }
  }

  private mutating func word(_ text: Span<UInt8>) -> ByteSlice {
    for known in vocabulary where arena[known].elementsEqual(text) { return known }
    let added = arena.append(text)
    if vocabulary.count < 64 { vocabulary.append(added) }
    return added
  }
}

extension PostgresRow {
  fileprivate func isTrue(_ column: Int) -> Bool {
    withText(column) { text in
      guard let text else { return false }
      return text.elementsEqual("t")
    }
  }

  fileprivate func integer(_ column: Int) -> Int64? {
    withText(column) { text in
      guard let text else { return nil }
      return try? ExactDecimal.parse(text, integerDigits: 18, scale: 0)
    }
  }
}
