// Who may connect, how it is refused, and what the messages say.

import Foundation
import MQTTSession
import PrivateServices
import TestServices
import Testing

@Suite struct ConnectionTests {
  @Test func addresses() throws {
    let plain = try MQTTSettings(url: "mqtt://u:p%40ss@broker", clientID: "c")
    #expect(plain.host == "broker" && plain.port == 1883 && plain.tls == nil)
    #expect(plain.userName == "u" && plain.password == "p@ss")
    let secure = try MQTTSettings(url: "mqtts://broker:8884", clientID: "c")
    #expect(secure.port == 8884 && secure.tls != nil)
    #expect(try MQTTSettings(url: "mqtts://broker", clientID: "c").port == 8883)
    for url in ["", "broker", "http://broker", "mqtt://", "mqtt://broker/topic"] {
      #expect(throws: MQTTError.self) { try MQTTSettings(url: url, clientID: "c") }
    }
  }

  @Test func nobodyListens() throws {
    let session = try MQTTSession(MQTTSettings(url: "mqtt://127.0.0.1:1", clientID: "c"))
    let error = #expect(throws: MQTTError.self) { try session.connect() }
    #expect("\(try #require(error))".contains("127.0.0.1:1"))
  }

  @Test func aWrongPasswordIsRefusedInWords() throws {
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path,
      broker: .init(users: ["meter": "right"]), postgres: .init(fsync: false))
    let session = try MQTTSession(
      MQTTSettings(
        url: services.mqttURL(user: "meter", password: "wr0ng"),
        clientID: TestServices.freshName()))
    let error = try #require(throws: MQTTError.self) { try events(of: session) }
    #expect(error.isRefusal)
    #expect(error.message.lowercased().contains("authori"))
    #expect(!"\(error)\(session.settings)".contains("wr0ng"))
    let right = try MQTTSession(
      MQTTSettings(
        url: services.mqttURL(user: "meter", password: "right"),
        clientID: TestServices.freshName()))
    #expect(try self.events(of: right).first == .connected(sessionPresent: false))
    try services.stop()
  }

  @Test func tlsWithClientCertificate() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
      .path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let certificates = try ThrowawayCertificates(in: folder)
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path,
      broker: .init(tls: .init(certificates, requireClientCertificate: true)),
      postgres: .init(fsync: false))
    var settings = try MQTTSettings(url: services.mqttURL, clientID: TestServices.freshName())
    settings.tls = .init(
      authorityFile: certificates.authority, certificateFile: certificates.clientCertificate,
      keyFile: certificates.clientKey)
    #expect(try events(of: MQTTSession(settings)).first == .connected(sessionPresent: false))
    // Without a certificate of its own the client is not let in.
    settings.tls = .init(authorityFile: certificates.authority)
    #expect(throws: MQTTError.self) { _ = try events(of: MQTTSession(settings)) }
    // The system's authorities do not vouch for this broker.
    settings.tls = .init()
    #expect(throws: MQTTError.self) { _ = try events(of: MQTTSession(settings)) }
    try services.stop()
  }

  /// The first events after connecting, 10 s at most.
  private func events(of session: MQTTSession) throws -> [MQTTEvent] {
    try session.connect()
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
      let events = session.takeEvents()
      if !events.isEmpty { return events }
      _ = session.wait(milliseconds: 100)
      try session.receive()
      try session.flush()
    }
    return []
  }
}
