// Bodies that devices sign: who has a key must, and what was signed is what is stored.

import CheckRules
import Crypto
import EnergyReadings
import Foundation
import IngestPipeline
import PayloadDecoding
import PostgresStore
import TestServices
import Testing

@Suite struct SignedBodyTests {
  private let connection: PostgresConnection
  private let key = Curve25519.Signing.PrivateKey()

  init() throws {
    connection = try PostgresConnection(url: TestServices.migratedDatabase())
    let house = ["keyed", "keyless"].map {
      RegistryFile.Consumer(
        consumerID: $0, consumerName: $0, consumerType: "residential",
        location: .init(gridCode: "G-9"))
    }
    let publicKey = Base58.encode(Array(key.publicKey.rawRepresentation))
    try RegistryWriter(connection).upsert(
      RegistryFile(
        producers: [], consumers: house, storages: [],
        deviceKeys: [.init(deviceID: "keyed", publicKey: publicKey)]))
  }

  /// What becomes of one body, imports of 500 Wh being signed for the device `keyed`.
  private func verdict(_ device: String, wattHours: Int = 500, isSigned: Bool) throws -> [String] {
    let now = Timestamp.now.microseconds / 1_000_000
    let signature = try key.signature(for: Data("keyed:-0.5:\(now * 1_000)".utf8))
    let signed = isSigned ? #","signature":"\#(Base58.encode(Array(signature)))""# : ""
    return try store(
      "dlms/\(device)",
      #"{"1.1.1.8.0.255":\#(wattHours),"kwh":-0.5,"timestamp":\#(now)\#(signed)}"#)
  }

  private func store(_ topic: String, _ payload: String) throws -> [String] {
    let sources = try SourceFile.table(
      yaml: "- {format: gridtokenx-obis, topic: \"dlms/{device}\"}", name: "sources")
    let batch = Batch(enrichment: EnrichmentSettings())
    batch.add(
      topic: topic.utf8.span, payload: payload.utf8.span, receivedAt: .now,
      by: try ReferenceData.load(.init(), sources: sources, over: connection))
    let ledger = try batch.commit(to: BatchStore(connection))
    return (0..<ledger.stored[1]).map { _ in "stored" } + ledger.rejected.map { "\($0.reason)" }
  }

  @Test func whoHasAKeySignsAndWhatWasSignedIsStored() throws {
    #expect(try verdict("keyed", isSigned: false) == ["badSignature"])
    #expect(try verdict("keyed", wattHours: 5, isSigned: true) == ["badSignature"])
    #expect(try verdict("keyed", isSigned: true) == ["stored"])
    #expect(try verdict("keyless", isSigned: false) == ["stored"])
  }

  /// In this program's own format a signature is optional.
  @Test func theOwnFormatIsAsItWas() throws {
    let now = Timestamp.now.microseconds / 1_000_000
    #expect(
      try store(
        "gridtokenx/v1/G-9/consumption/keyed", "{\"timestamp\":\(now),\"energy_amount\":0.5}")
        == ["stored"])
  }
}
