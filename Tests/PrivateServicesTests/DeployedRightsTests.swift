// The rights of the production broker (deploy/mosquitto.acl), tried on a real one.

import Foundation
import PrivateServices
import Testing

@Suite struct DeployedRightsTests {
  private static let acl = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "deploy/mosquitto.acl").path

  @Test func devicesWriteAsThemselvesAndOnlyTheIngestorReads() throws {
    let users = ["meter-ingestor", "m-1", "status"]
    let services = try PrivateServices.start(
      in: scratch,
      broker: .init(
        users: Dictionary(uniqueKeysWithValues: users.map { ($0, "secret") }), aclFile: Self.acl),
      postgres: .init(fsync: false))
    func login(_ user: String) -> [String] {
      ["-h", "127.0.0.1", "-p", "\(services.mqttPort)", "-q", "1", "-u", user, "-P", "secret"]
    }
    // Persistent sessions, so that the order of connecting does not matter: m-1 would eavesdrop.
    let shared = "$share/g/gridtokenx/v1/+/+/+"
    let ingestor = login("meter-ingestor") + ["-i", "ingestor", "-c", "-V", "5", "-x", "600"]
    let eavesdropper = login("m-1") + ["-i", "eavesdropper", "-c", "-V", "5", "-x", "600"]
    _ = try Processes.run("mosquitto_sub", ingestor + ["-t", shared, "-E"])
    _ = try Processes.run("mosquitto_sub", eavesdropper + ["-t", "gridtokenx/#", "-E"])

    let attempts = [
      ("m-1", "gridtokenx/v1/BKK-07/consumption/m-1", "own"),
      ("m-1", "gridtokenx/v1/BKK-07/consumption/m-2", "forged"),
      ("status", "gridtokenx/v1/ingestor/i-0/status", "forged status"),
      ("status", "gridtokenx/v1/BKK-07/storage/status", "own of the device status"),
      ("meter-ingestor", "gridtokenx/v1/ingestor/i-0/status", "online"),
    ]
    for (user, topic, message) in attempts {
      _ = try Processes.run("mosquitto_pub", login(user) + ["-t", topic, "-m", message])
    }
    let heard = try Processes.run("mosquitto_sub", ingestor + ["-t", shared, "-C", "3"]).text
    #expect(
      heard.split(separator: "\n") == ["own", "own of the device status", "online"])
    let overheard = try Processes.run(
      "mosquitto_sub", eavesdropper + ["-t", "gridtokenx/#", "-W", "1"])
    #expect(!overheard.text.contains("own"), "\(overheard.text)")
    try services.stop()
  }
}
