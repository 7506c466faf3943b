// Registering devices: all of a file or nothing, as often as one likes.

import EnergyReadings
import Foundation
import PostgresStore
import TestServices
import Testing

@Suite struct RegistryWriterTests {
  private static let location = RegistryFile.DeviceLocation(gridCode: "G-1", district: "Bang Rak")

  private static let file = RegistryFile(
    producers: [
      .init(
        producerID: "p-1", producerName: "O'Neill \"Roof\" ๑", producerType: "residential",
        energySources: ["solar", "wind"], location: location, capacityKW: "5.5")
    ],
    consumers: [
      .init(
        consumerID: "c-1", consumerName: "House", consumerType: "residential", location: location)
    ],
    storages: [
      .init(
        storageID: "b-1", storageOperator: "us", storageType: "lithium", capacityMWh: "0.01",
        location: location, installedAt: "2026-01-01T00:00:00Z")
    ],
    locations: [
      .init(
        province: "Bangkok", district: "Bang Rak", gridCode: "G-1", substation: "S",
        coordinates: .init(longitude: 100.5, latitude: 13.7), capacityMW: "12.5")
    ],
    deviceKeys: [.init(deviceID: "c-1", publicKey: "11111111111111111111111111111112")])

  private static let tables = [
    "blockchain.registered_producers", "blockchain.registered_consumers", "grid.energy_storage",
    "grid.locations", "ingest.device_keys",
  ]

  /// All five tables without the times of writing.
  private func content(_ connection: PostgresConnection) throws -> [[[String?]]] {
    try Self.tables.map { table in
      try connection.query("SELECT to_jsonb(stored) - 'updated_at' FROM \(table) AS stored")
    }
  }

  @Test func theSameFileAgainChangesNothing() throws {
    let connection = try PostgresConnection(url: TestServices.migratedDatabase())
    #expect(try RegistryWriter(connection).upsert(Self.file) == 5)
    #expect(
      try connection.query(
        """
        SELECT producer_name, energy_sources, location_json, capacity_kw, verified
        FROM blockchain.registered_producers
        """) == [
          [
            "O'Neill \"Roof\" ๑", "{solar,wind}",
            #"{"district": "Bang Rak", "grid_code": "G-1"}"#, "5.500000", "f",
          ]
        ])
    #expect(
      try connection.query("SELECT coordinates, capacity_mw FROM grid.locations")
        == [["(100.5,13.7)", "12.50"]])
    let before = try content(connection)
    #expect(try RegistryWriter(connection).upsert(Self.file) == 5)
    #expect(try content(connection) == before)
    #expect(try RegistryWriter(connection).upsert(RegistryFile()) == 0)
    #expect(try content(connection) == before)
  }

  /// A file whose one entry the database refuses, and what is said of it.
  struct BadEntry {
    var name: String
    var sqlState: String
    var constraint: String?
    var spoil: @Sendable (inout RegistryFile) -> Void

    static let all = [
      BadEntry(
        name: "producer type", sqlState: "23514",
        constraint: "registered_producers_producer_type_check"
      ) { $0.producers[0].producerType = "martian" },
      BadEntry(
        name: "producer capacity", sqlState: "23514",
        constraint: "registered_producers_capacity_kw_check"
      ) { $0.producers[0].capacityKW = "0" },
      BadEntry(name: "no number", sqlState: "22P02") {
        $0.producers[0].capacityKW = "5,5"
      },
      BadEntry(
        name: "battery capacity", sqlState: "23514",
        constraint: "energy_storage_capacity_mwh_check"
      ) { $0.storages[0].capacityMWh = "-1" },
      BadEntry(name: "long grid code", sqlState: "22001") {
        $0.locations[0].gridCode = String(repeating: "G", count: 21)
      },
      BadEntry(
        name: "hexadecimal key", sqlState: "23514",
        constraint: "device_keys_public_key_check"
      ) { $0.deviceKeys[0].publicKey = String(repeating: "0", count: 64) },
      BadEntry(name: "the same device twice", sqlState: "21000") {
        $0.consumers.append($0.consumers[0])
      },
    ]
  }

  @Test func aBadEntryWritesNothing() throws {
    let connection = try PostgresConnection(url: TestServices.migratedDatabase())
    for entry in BadEntry.all {
      var file = Self.file
      entry.spoil(&file)
      let error = #expect(throws: PostgresError.self, "\(entry.name)") {
        try RegistryWriter(connection).upsert(file)
      }
      #expect(error?.sqlState == entry.sqlState, "\(entry.name)")
      #expect(error?.constraint == entry.constraint, "\(entry.name)")
      #expect(try content(connection).allSatisfy(\.isEmpty), "\(entry.name)")
    }
    #expect(try RegistryWriter(connection).upsert(Self.file) == 5)
  }
}
