// Private services answer on free ports, keep their data over faults, and stand side by side.

import Foundation
import PrivateServices
import Testing

@Suite struct PrivateServicesTests {
  @Test func twoInstancesStandSideBySide() throws {
    let one = try PrivateServices.start(in: scratch, postgres: .init(fsync: false))
    let two = try PrivateServices.start(in: scratch, postgres: .init(fsync: false))
    let ports = [one.postgresPort, one.mqttPort, two.postgresPort, two.mqttPort]
    #expect(Set(ports).count == 4)
    #expect(try Processes.sql(one.createDatabase("only_here"), "SELECT 1").status == 0)
    #expect(try Processes.sql(two.url(database: "only_here"), "SELECT 1").status != 0)
    try one.stop()
    #expect(try Processes.sql(two.postgresURL, "SELECT 1").text == "1")
    try two.stop()
  }

  @Test func databasesAreCreatedCopiedAndDropped() throws {
    let services = try PrivateServices.start(in: scratch, postgres: .init(fsync: false))
    let first = try services.createDatabase("a name with \"quotes\" & ünïcode")
    _ = try Processes.sql(first, "CREATE TABLE meter AS SELECT 7 AS n")
    let copy = try services.createDatabase("copy", template: "a name with \"quotes\" & ünïcode")
    #expect(try Processes.sql(copy, "SELECT n FROM meter").text == "7")
    try services.dropDatabase("copy")
    try services.dropDatabase("copy")
    #expect(try Processes.sql(copy, "SELECT 1").status != 0)
    #expect(throws: PrivateServicesError.self) {
      try services.createDatabase("x", template: "no such template")
    }
    try services.stop()
  }

  @Test func postgresComesBackWithItsDataFromEveryStop() throws {
    let services = try PrivateServices.start(in: scratch, postgres: .init(fsync: false))
    let url = services.postgresURL
    _ = try Processes.sql(url, "CREATE TABLE meter AS SELECT 7 AS n")
    for mode in [PrivateServices.PostgresStop.fast, .immediate, .kill] {
      let before = services.postgresPID
      try services.stopPostgres(mode)
      #expect(services.postgresPID == nil)
      #expect(try Processes.sql(url, "SELECT 1").text.contains("refused"))
      try services.startPostgres()
      #expect(services.postgresPID != before)
      #expect(services.postgresURL == url)
      #expect(try Processes.sql(url, "SELECT n FROM meter").text == "7")
    }
    try services.stop()
  }

  @Test func aFrozenPostgresDoesNotAnswerAndWakes() throws {
    let services = try PrivateServices.start(in: scratch, postgres: .init(fsync: false))
    services.pausePostgres()
    let limited = services.postgresURL + "?connect_timeout=2"
    #expect(try Processes.sql(limited, "SELECT 1").text.contains("timeout expired"))
    services.resumePostgres()
    #expect(try Processes.sql(services.postgresURL, "SELECT 1").text == "1")
    services.pausePostgres()
    try services.stopPostgres(.fast)
    try services.stop()
  }

  @Test func theBrokerKeepsQueuedMessagesOverARestart() throws {
    let services = try PrivateServices.start(in: scratch, postgres: .init(fsync: false))
    let port = ["-h", "127.0.0.1", "-p", "\(services.mqttPort)"]
    let subscribe =
      port + ["-i", "reader", "-c", "-q", "1", "-t", "a/#", "-W", "5"]
    #expect(try Processes.run("mosquitto_sub", subscribe + ["-E"]).status == 0)
    for number in 1...25 {
      let publish = port + ["-q", "1", "-t", "a/b", "-m", "\(number)"]
      #expect(try Processes.run("mosquitto_pub", publish).status == 0)
    }
    try services.stopBroker()
    #expect(services.brokerPID == nil)
    #expect(try Processes.run("mosquitto_pub", port + ["-t", "a/b", "-m", "x"]).status != 0)
    try services.startBroker()
    let heard = try Processes.run("mosquitto_sub", subscribe + ["-C", "25"]).text
    #expect(heard.split(separator: "\n") == (1...25).map { "\($0)" })
    try services.stop()
  }

  @Test func aBrokerWithUsersAndTLSRefusesStrangers() throws {
    let place = scratch + "/certificates-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: place) }
    let ours = try ThrowawayCertificates(in: place + "/ours", clientName: "m-1")
    let theirs = try ThrowawayCertificates(in: place + "/theirs")
    let services = try PrivateServices.start(
      in: scratch,
      broker: .init(users: ["meter": "p w"], tls: .init(ours, requireClientCertificate: true)),
      postgres: .init(fsync: false))
    #expect(services.mqttURL == "mqtts://127.0.0.1:\(services.mqttPort)")
    #expect(services.mqttURL(user: "meter", password: "p w").contains("meter:p%20w@"))
    func publish(_ client: ThrowawayCertificates, password: String) throws -> Int32 {
      try Processes.run(
        "mosquitto_pub",
        [
          "-h", "127.0.0.1", "-p", "\(services.mqttPort)", "--cafile", ours.authority,
          "--cert", client.clientCertificate, "--key", client.clientKey, "-q", "1",
          "-u", "meter", "-P", password, "-t", "a", "-m", "b",
        ]
      ).status
    }
    #expect(try publish(ours, password: "p w") == 0)
    #expect(try publish(ours, password: "wrong") != 0)
    #expect(try publish(theirs, password: "p w") != 0)
    try services.stop()
  }

  @Test func rolesNeedTheirPasswordsWhenAsked() throws {
    let services = try PrivateServices.start(
      in: scratch, postgres: .init(fsync: false, requirePasswords: true))
    _ = try Processes.sql(services.postgresURL, "CREATE ROLE meter LOGIN PASSWORD 'right'")
    func login(_ password: String) throws -> String {
      let url = services.url(database: "postgres", user: "meter", password: password)
      return try Processes.sql(url, "SELECT 1").text
    }
    #expect(try login("right") == "1")
    #expect(try login("wrong").contains("password authentication failed"))
    try services.stop()
  }

  @Test func aFailedStartShowsTheLogAndLeavesNothing() throws {
    let place = scratch + "/failed-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: place) }
    let error = try #require(
      #expect(throws: PrivateServicesError.self) {
        try PrivateServices.start(
          in: place, broker: .init(settings: ["no_such_option true"]),
          postgres: .init(fsync: false))
      })
    #expect(error.code == .notReady)
    #expect(error.description.contains("no_such_option"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: place).isEmpty)
    #expect(Processes.mentioning(place).isEmpty)
  }

  @Test(.enabled(if: geteuid() == 0, "only root needs another user for PostgreSQL"))
  func aDirectoryThatPostgresCannotEnterIsReplaced() throws {
    let closed = scratch + "/closed-" + UUID().uuidString
    try FileManager.default.createDirectory(
      atPath: closed, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    defer { try? FileManager.default.removeItem(atPath: closed) }
    let services = try PrivateServices.start(in: closed, postgres: .init(fsync: false))
    #expect(services.directory.hasPrefix("/var/tmp/meter-ingestor-services-"))
    #expect(try Processes.sql(services.postgresURL, "SELECT 1").text == "1")
    try services.stop()
  }
}
