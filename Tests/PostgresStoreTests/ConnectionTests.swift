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

  /// What a meter is called may have any character.
  @Test func anArrayKeepsEveryCharacter() throws {
    let connection = try PostgresConnection(url: TestServices.migratedDatabase())
    for texts in [[], [""], ["a", "", "NULL", "{,}", #"\"#, #"a"b"#, #"\""#, " ", "ü€😀", "'"]] {
      let stored = try connection.query("SELECT unnest($1::text[])", [arrayLiteral(texts)])
      #expect(stored.map { $0[0] } == texts)
    }
  }

  @Test(arguments: [
    "postgresql://u:s3cret@h/db?no_such=1", "postgresql://u:s3cret@[::1/db", "s3cret=1",
    // What people write when a password holds an @ or a /, or forget.
    "postgresql://u:p@s3cret@h:5432/db", "postgresql://u:s3cret/x@h/db",
    "postgresql://u:p/s3cret@h/db", "postgresql://u:p@x:s3cret@h/db", "postgresql://u:s3cret/db",
  ])
  func anInvalidAddressIsNotRepeated(url: String) throws {
    let error = try #require(throws: PostgresError.self) { try PostgresConnection(url: url) }
    #expect("\(error)".contains("POSTGRES_URL") && !"\(error)".contains("s3cret"))
  }

  @Test(arguments: [
    ("postgresql://u:s3cret@h:5433/db", "h:5433/db"), ("postgres://u:p%40s3cret@h/db", "h:5432/db"),
    ("postgresql://u@[::1]:5433/db?connect_timeout=2", "::1:5433/db"),
    ("postgresql://u:s3cret@a:1,b:2/db", "a,b:1,2/db"),
    ("host=h port=5433 user=u password=p@s3cret/ dbname=a@b", "h:5433/a@b"),
    ("postgresql://u@/db?host=/run/postgresql", "/run/postgresql:5432/db"),
    ("postgresql:///db?host=@socket", "@socket:5432/db"),
  ])
  func theTargetIsHostPortAndDatabase(url: String, target: String) throws {
    #expect(try PostgresConnection.target(of: url) == target)
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
    // libpq does not tell this one apart from a refused password, so the advice names both.
    let missing = try #require(throws: PostgresError.self) {
      try PostgresConnection(url: services.url(database: "nowhere", user: "m", password: "right"))
    }
    #expect("\(missing)".contains("nowhere") && "\(missing)".contains("and its database"))
    let login = try #require(throws: PostgresError.self) {
      try PostgresConnection(url: services.url(database: "postgres", user: "m"))
    }
    #expect(login.isRefusedLogin)
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
    for state in ["22003", "22P05", "23505", "23514", "44000", "54000", "P0001"] {
      #expect(remedy(state) == .repair)
    }
    for state in [
      nil, "08006", "25006", "40001", "40P01", "53100", "53300", "55P03", "57P03", "58030",
    ] {
      #expect(remedy(state) == .retry)
    }
    for state in ["42P01", "42501", "XX000", "0A000"] { #expect(remedy(state) == .unknown) }
  }

  /// Rows come as they are, and an error between them ends the statement, not the connection.
  @Test func rowsComeOneByOne() throws {
    let connection = try PostgresConnection(url: TestServices.shared.postgresURL)
    var rows: [String?] = []
    try connection.forEachRow("SELECT n, nullif(n, 2), 'é' FROM generate_series(1, 3) AS n") {
      rows += [$0.string(0), $0.string(1), $0.withText(2) { "\($0?.count ?? 0)" }]
    }
    #expect(rows == ["1", "1", "2", "2", nil, "2", "3", "3", "2"])
    var seen = 0
    let error = #expect(throws: PostgresError.self) {
      try connection.forEachRow("SELECT 1 / (500 - n) FROM generate_series(1, 1000) AS n") { _ in
        seen += 1
      }
    }
    #expect(error?.sqlState == "22012" && seen == 499)
    #expect(throws: PostgresError.self) { try connection.forEachRow("SELEKT 1") { _ in } }
    #expect(try connection.value("SELECT 1") == "1")
  }

  @Test func parametersAreNoSQL() throws {
    let connection = try PostgresConnection(url: TestServices.shared.postgresURL)
    #expect(
      try connection.query(
        "SELECT $1::text, $2::text, $3::text", ["'; DROP TABLE x --", nil, "é\\\""])
        == [["'; DROP TABLE x --", nil, "é\\\""]])
  }

  @Test func noticesAreHeard() throws {
    let connection = try PostgresConnection(url: TestServices.shared.postgresURL)
    var heard: [String] = []
    connection.onNotice { heard.append($0) }
    try connection.execute("DO $$ BEGIN RAISE NOTICE 'hear hear'; END $$")
    #expect(heard == ["NOTICE:  hear hear"])
  }

  @Test func notificationsTellTheirChannel() throws {
    let url = try TestServices.emptyDatabase()
    let listener = try PostgresConnection(url: url, applicationName: "listener")
    try listener.execute("LISTEN one; LISTEN two")
    #expect(try listener.notifications().isEmpty)
    let speaker = try PostgresConnection(url: url)
    try speaker.execute("NOTIFY one, 'a'; NOTIFY two; NOTIFY three; NOTIFY one, 'b'")
    // The answer to a statement comes after the notifications that preceded it.
    try listener.execute("SELECT 1")
    #expect(try listener.notifications().sorted() == ["one", "one", "two"])
    #expect(try listener.notifications().isEmpty)
    try speaker.execute(
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        + "WHERE application_name = 'listener' AND datname = current_database()")
    let error = #expect(throws: PostgresError.self) {
      // The first look may only find the server's farewell.
      _ = try listener.notifications()
      _ = try listener.notifications()
    }
    #expect(error?.remedy == .retry && listener.isBroken)
  }

  /// A lane hands on what its body throws, and replaces a connection that was lost.
  @Test func aLaneConnectsAgain() async throws {
    let url = TestServices.shared.postgresURL
    let lane = PostgresLane(url: url, applicationName: "lane")
    let pid = "SELECT pg_backend_pid()"
    let first = try await lane.run { (connection) throws(PostgresError) in
      try connection.value(pid)
    }
    let refused = await #expect(throws: PostgresError.self) {
      try await lane.run { (connection) throws(PostgresError) in
        try connection.execute("SELECT 1 / 0")
      }
    }
    #expect(refused?.sqlState == "22012")
    let lost = await #expect(throws: PostgresError.self) {
      try await lane.run { (connection) throws(PostgresError) in
        #expect(try connection.value(pid) == first)
        try connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
      }
    }
    #expect(lost?.remedy == .retry)
    let second = try await lane.run { (connection) throws(PostgresError) in
      try connection.value(pid)
    }
    #expect(second != nil && second != first)
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
