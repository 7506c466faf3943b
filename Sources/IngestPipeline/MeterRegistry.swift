// What the database knows of devices: an immutable snapshot that every worker reads without a lock.

import EnergyReadings
import PostgresStore

/// What the registries say of one device.
struct RegisteredDevice {
  /// Producer: its only energy source, absent where it has several. Consumer: its type.
  var attribute: ByteSlice = .absent
  /// `location_json`.
  var location: ByteSlice = .absent
  var locationHasGridCode = false
}

/// A snapshot of the registries. Look-ups hash the device's bytes: no string, no allocation.
public final class MeterRegistry: Sendable {
  /// The texts that entries point to.
  let arena: ByteArena
  private let tables: [DeviceTable]
  /// Public keys of devices that sign, by device id.
  let keys: [String: [UInt8]]

  private init(arena: ByteArena, tables: [DeviceTable], keys: [String: [UInt8]]) {
    self.arena = arena
    self.tables = tables
    self.keys = keys
  }

  /// A registry of nothing.
  public static let empty = MeterRegistry(
    arena: ByteArena(), tables: ReadingKind.allCases.map { _ in DeviceTable() }, keys: [:])

  /// Reads the registries.
  public static func load(over connection: PostgresConnection) throws(PostgresError)
    -> MeterRegistry
  {
    var arena = ByteArena()
    var tables: [DeviceTable] = []
    for kind in ReadingKind.allCases {
      var table = DeviceTable()
      try connection.forEachRow(query(for: kind)) { row in
        let id = arena.append(row, column: 0)
        let device = RegisteredDevice(
          attribute: arena.append(row, column: 1), location: arena.append(row, column: 2),
          locationHasGridCode: row.string(3) == "t")
        table.insert(id, device, in: arena)
      }
      tables.append(table)
    }
    var keys: [String: [UInt8]] = [:]
    for row in try connection.query("SELECT device_id, public_key FROM ingest.device_keys") {
      if let id = row[0], let key = row[1].flatMap(Base58.decode) { keys[id] = key }
    }
    return MeterRegistry(arena: arena, tables: tables, keys: keys)
  }

  private static func query(for kind: ReadingKind) -> String {
    switch kind {
    case .production:
      """
      SELECT producer_id, CASE WHEN cardinality(energy_sources) = 1 THEN energy_sources[1] END,
        location_json, location_json ? 'grid_code' FROM blockchain.registered_producers
      """
    case .consumption:
      """
      SELECT consumer_id, consumer_type, location_json, location_json ? 'grid_code'
      FROM blockchain.registered_consumers
      """
    case .storage:
      "SELECT storage_id, NULL, NULL, false FROM grid.energy_storage"
    }
  }

  /// Number of registered devices of a kind.
  public func count(of kind: ReadingKind) -> Int { tables[Int(kind.rawValue)].count }

  /// What is known of a device, or nil where it is not registered.
  func device(_ id: Span<UInt8>, kind: ReadingKind) -> RegisteredDevice? {
    tables[Int(kind.rawValue)].device(id, in: arena)
  }
}

/// An open-addressing hash table from device ids to entries; FNV-1a, linear probing.
private struct DeviceTable {
  private var slots: [Int32] = [Int32](repeating: -1, count: 16)
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
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for index in id.indices { hash = (hash ^ UInt64(id[index])) &* 0x100_0000_01b3 }
    var slot = Int(truncatingIfNeeded: hash ^ hash >> 32) & (slots.count - 1)
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

extension ByteArena {
  /// Copies a field; NULL is absent.
  fileprivate mutating func append(_ row: borrowing PostgresRow, column: Int) -> ByteSlice {
    guard let text = row.string(column) else { return .absent }
    return append(text.utf8.span)
  }
}
