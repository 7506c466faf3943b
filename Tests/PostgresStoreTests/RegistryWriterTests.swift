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

  // MARK: - The report

  private func consumer(_ id: String, _ place: String, _ members: String) -> RegistryEntry {
    RegistryEntry(
      registry: .consumer, key: id, place: place,
      json: """
        {"consumer_id":"\(id)","consumer_name":"House","location_json":{"grid_code":"G-1"},
        \(members)}
        """)
  }

  @Test func theReportTellsWhatChanged() throws {
    let connection = try PostgresConnection(url: TestServices.migratedDatabase())
    let writer = RegistryWriter(connection)
    try writer.upsert(Self.file)
    let before = try content(connection)
    let entries = [
      // As it is, but for its district, which is not said.
      consumer("c-1", "line 2", #""consumer_type":"residential","verified":null"#),
      consumer("c-2", "line 3", #""consumer_type":"commercial","peak_demand_kw":"4.5""#),
    ]
    #expect(
      try writer.register(entries, keeping: .nothing).lines.map(\.outcome) == [.unchanged, .added])
    #expect(try content(connection) == before)
    let first = try writer.register(entries)
    #expect(first.lines.map(\.outcome) == [.unchanged, .added])
    #expect(first.isWritten)
    let changes = try writer.register([
      consumer(
        "c-2", "line 2",
        #""consumer_type":"industrial","verified":true,"location_json":{"street":"7"}"#)
    ])
    #expect(
      changes.lines.map(\.outcome) == [
        .changed([
          .init(column: "consumer_type", before: "commercial", after: "industrial"),
          .init(
            column: "location_json", before: #"{"grid_code": "G-1"}"#,
            after: #"{"street": "7", "grid_code": "G-1"}"#),
          .init(column: "verified", before: "false", after: "true"),
        ])
      ])
    // What nothing is said of stays.
    #expect(
      try connection.query(
        "SELECT peak_demand_kw, verified FROM blockchain.registered_consumers ORDER BY consumer_id"
      ) == [["0.000000", "f"], ["4.500000", "t"]])
  }

  /// One of some hundred is found, and the others are written where that was asked for.
  @Test(arguments: [RegistryKeeping.allOrNothing, .whatIsGood])
  func theRefusedAreFoundAmongTheOthers(keeping: RegistryKeeping) throws {
    let connection = try PostgresConnection(url: TestServices.migratedDatabase())
    var entries = (0..<1_200).map {
      consumer("c-\($0)", "line \($0 + 2)", #""consumer_type":"residential""#)
    }
    entries[777] = consumer("c-777", "line 779", #""consumer_type":"martian""#)
    entries[1_100] = consumer("c-5", "line 1102", #""consumer_type":"commercial""#)
    let refusal = RegistryRefusal(registry: nil, key: "", place: "line 1500", reason: "no kind")
    let report = try RegistryWriter(connection).register(
      entries, refused: [refusal], keeping: keeping)
    let refused = report.lines.filter {
      if case .refused = $0.outcome { true } else { false }
    }
    #expect(refused.map(\.place) == ["line 1500", "line 779", "line 1102"])
    let reasons = refused.map { line in
      if case .refused(let reason) = line.outcome { reason } else { "" }
    }
    #expect(reasons[1].contains("registered_consumers_consumer_type_check"), "\(reasons[1])")
    #expect(reasons[1].contains("'agricultural'"), "\(reasons[1])")
    #expect(reasons[2] == "the same consumer stands at line 7 already")
    #expect((report.added, report.refused) == (1_198, 3))
    #expect(report.isWritten == (keeping == .whatIsGood))
    #expect(
      try connection.query(
        "SELECT count(*) FROM blockchain.registered_consumers WHERE consumer_type = 'residential'"
      ) == [[keeping == .whatIsGood ? "1198" : "0"]])
  }
}
