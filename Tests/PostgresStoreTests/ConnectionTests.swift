// Connections: how they fail, what they say, and what they never say.

import EnergyReadings
import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct ConnectionTests {
  @Test func nobodyListens() throws {
    let error = try #require(throws: PostgresError.self) {
      try PostgresConnection(url: "postgresql://u:s3cret@127.0.0.1:1/db")
    }
    #expect("\(error)".contains("127.0.0.1:1/db") && !"\(error)".contains("s3cret"))
    #expect(error.remedy == .retry && !error.isRefusedLogin)
  }

  @Test(arguments: [
    "postgresql://u:s3cret@h/db?no_such=1", "postgresql://u:s3cret@[::1/db", "s3cret=1",
  ])
  func anInvalidAddressIsNotRepeated(url: String) throws {
    let error = try #require(throws: PostgresError.self) { try PostgresConnection(url: url) }
    #expect("\(error)".contains("POSTGRES_URL") && !"\(error)".contains("s3cret"))
  }

  @Test func aWrongPasswordIsTold() throws {
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path,
      postgres: .init(fsync: false, requirePasswords: true))
    try PostgresConnection(url: services.postgresURL).execute(
      "CREATE ROLE m LOGIN PASSWORD 'right'")
    let error = try #require(throws: PostgresError.self) {
      try PostgresConnection(
        url: services.url(database: "postgres", user: "m", password: "s3cret"))
    }
    #expect(error.isRefusedLogin && "\(error)".contains("Check user and password"))
    #expect(!"\(error)".contains("s3cret"))
    _ = try PostgresConnection(
      url: services.url(database: "postgres", user: "m", password: "right"))
    try services.stop()
  }

  @Test func aCommitThatRollsBackIsNoCommit() throws {
    let connection = try PostgresConnection(url: TestServices.emptyDatabase())
    try connection.execute("CREATE TABLE t (n int)")
    let error = #expect(throws: PostgresError.self) {
      try connection.transaction { () throws(PostgresError) in
        try connection.execute("INSERT INTO t VALUES (1)")
        // Swallowed here, but the transaction is lost.
        try? connection.execute("SELECT 1 / 0")
      }
    }
    #expect(error?.message == "the transaction was rolled back")
    #expect(throws: PostgresError.self) {
      try connection.transaction { () throws(PostgresError) in
        try connection.execute("INSERT INTO t VALUES (2)")
        throw PostgresError(message: "no", target: "", operation: "test")
      }
    }
    #expect(try connection.value("SELECT count(*) FROM t") == "0")
  }

  @Test func everyClassOfErrorHasItsRemedy() {
    func remedy(_ state: String?) -> PostgresError.Remedy {
      PostgresError(sqlState: state, message: "", target: "", operation: "").remedy
    }
    for state in ["22003", "22P05", "23505", "23514", "44000", "P0001"] {
      #expect(remedy(state) == .repair)
    }
    for state in [
      nil, "08006", "25006", "40001", "40P01", "53100", "53300", "55P03", "57P03", "58030",
    ] {
      #expect(remedy(state) == .retry)
    }
    for state in ["42P01", "42501", "XX000", "0A000"] { #expect(remedy(state) == .unknown) }
  }

  @Test func registriesTellThatTheyChanged() throws {
    let url = try TestServices.migratedDatabase()
    let listener = try PostgresConnection(url: url)
    try listener.execute("LISTEN meter_registry")
    let location = RegistryFile.DeviceLocation(gridCode: "G-1")
    var file = RegistryFile(
      producers: [
        .init(
          producerID: "p-1", producerName: "Roof", producerType: "residential",
          energySources: ["solar"], location: location, capacityKW: "5.5")
      ],
      consumers: [
        .init(
          consumerID: "c-1", consumerName: "House", consumerType: "residential", location: location)
      ],
      storages: [
        .init(
          storageID: "b-1", storageOperator: "us", storageType: "lithium", capacityMWh: "0.01",
          currentCharge: "0.005", location: location, installedAt: "2026-01-01T00:00:00Z")
      ],
      locations: [
        .init(
          province: "Bangkok", district: "Bang Rak", gridCode: "G-1", substation: "S",
          coordinates: .init(longitude: 100.5, latitude: 13.7), capacityMW: "12.5")
      ],
      deviceKeys: [.init(deviceID: "c-1", publicKey: "11111111111111111111111111111112")])
    let connection = try PostgresConnection(url: url)
    #expect(try RegistryWriter(connection).upsert(file) == 5)
    try listener.execute("SELECT 1")
    #expect(try listener.notifications().contains("meter_registry"))
    // What the battery holds by now is not what it held when it was registered.
    try connection.execute("UPDATE grid.energy_storage SET current_charge = 0.007")
    file.producers[0].capacityKW = "6"
    file.storages[0].capacityMWh = "0.02"
    #expect(try RegistryWriter(connection).upsert(file) == 5)
    #expect(
      try connection.query(
        """
        SELECT capacity_kw, capacity_mwh, current_charge
        FROM blockchain.registered_producers, grid.energy_storage
        """) == [["6.000000", "0.020000", "0.007000"]])
    file.consumers[0].consumerType = "martian"
    file.producers[0].capacityKW = "7"
    let error = #expect(throws: PostgresError.self) { try RegistryWriter(connection).upsert(file) }
    #expect(error?.constraint == "registered_consumers_consumer_type_check")
    #expect(
      try connection.value("SELECT capacity_kw FROM blockchain.registered_producers") == "6.000000")
  }
}
