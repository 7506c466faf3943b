// The hostile day: complete, the same every time, and as bad as it says.

import Crypto
import EnergyReadings
import Foundation
import MeterSimulator
import Testing

@Suite struct HostileDayTests {
  private let day: HostileDay

  init() throws { day = try HostileDay() }

  @Test func everyReasonOccurs() {
    let known = Set(HostileDay.reasons + ["ok", "zero", "duplicate"])
    #expect(Set(day.tally.keys) == known)
    for reason in HostileDay.reasons { #expect((day.tally[reason] ?? 0) >= 2, "\(reason)") }
    #expect(day.records.allSatisfy { !$0.expectedOutcomes.isEmpty })
  }

  @Test func theSameStartGivesTheSameRegistry() throws {
    #expect(try HostileDay().registry == day.registry)
    #expect(try HostileDay(start: 1_700_000_000_000_000).tally == day.tally)
  }

  #if os(Linux)
    @Test func theSameStartGivesTheSameRecords() throws {
      #expect(try HostileDay().records == day.records)
    }
  #endif

  @Test func theListedHorrorsAreThere() {
    let payloads = day.records.map(\.payload)
    #expect(payloads.contains([]))
    #expect(payloads.contains { $0.count == 1 << 20 })
    #expect(payloads.contains { $0.count == (1 << 20) + 1 })
    #expect(payloads.contains { $0.starts(with: [0x1F, 0x8B]) })
    #expect(payloads.contains { String(validating: $0, as: UTF8.self) == nil })
    #expect(day.records.contains { $0.retain && $0.comment == "ok" })
  }

  @Test func goodReadingsAreJSONThatFoundationReads() throws {
    for record in day.records where record.comment == "ok" {
      #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(record.payload)) }
    }
  }

  @Test func gzippedPayloadsAreRealGzip() throws {
    let record = try #require(day.records.first { $0.comment == "unsupported_format" })
    try withScratchFile("payload.gz") { file in
      try write(record.payload, to: file)
      let reader = try LineReader(file: file)
      #expect(try reader.next()?.first == UInt8(ascii: "{"))
      #expect(try reader.next() == nil)
    }
  }

  @Test func onlyTheGoodSignatureVerifies() throws {
    struct Signed: Decodable {
      let timestamp: String
      let signature: String
    }
    let device = try #require(day.registry.deviceKeys.first)
    let key = try Curve25519.Signing.PublicKey(
      rawRepresentation: Data(try #require(Base58.decode(device.publicKey))))
    var verdicts: [String: [Bool]] = [:]
    for record in day.records where record.topic.hasSuffix("/\(device.deviceID)") {
      let text = String(decoding: record.payload, as: UTF8.self)
      let amount = try #require(text.firstMatch(of: /"energy_amount":([0-9.]+)/)).output.1
      let signed = try JSONDecoder().decode(Signed.self, from: Data(record.payload))
      let time = try Date(signed.timestamp, strategy: .iso8601).timeIntervalSince1970
      let message = Data("\(device.deviceID):\(amount):\(Int64(time) * 1_000)".utf8)
      let isValid =
        Base58.decode(signed.signature).map { key.isValidSignature(Data($0), for: message) }
        ?? false
      verdicts[record.comment ?? "", default: []].append(isValid)
    }
    #expect(verdicts["ok"] == [true])
    #expect(verdicts["bad_signature"]?.allSatisfy { !$0 } == true)
  }
}
