// Registry files that are none: an error for people, and never a crash.

import EnergyReadings
import Foundation
import PayloadDecoding
import Testing

@Suite struct RegistryDocumentTests {
  @Test func aSmallOneIsRead() throws {
    let text = #"{"device_keys":[{"device_id":"m-1","public_key":"66zTkJBB2kYYwLcS"}]}"#
    let registry = try RegistryFile(json: Data(text.utf8))
    #expect(registry.deviceKeys.map(\.deviceID) == ["m-1"])
    #expect(registry.producers.isEmpty)
  }

  /// Foundation's parser ends the program at such depths; found by fuzzing.
  @Test(arguments: [33, 512, 600, 100_000])
  func deepNestingIsRefused(depth: Int) {
    let opening = #"{"storages":"# + String(repeating: "[", count: depth)
    for text in [opening, opening + String(repeating: "]", count: depth) + "}", opening + "}]}"] {
      #expect {
        try RegistryFile(json: Data(text.utf8))
      } throws: {
        "\($0)".contains("nested deeper than 32 levels")
      }
    }
  }

  @Test(arguments: ["", "{", "[]", "{}{}", "{\"producers\":5}", "\u{FEFF}{}x"])
  func whatIsNoRegistryIsRefused(text: String) {
    #expect(throws: DecodingError.self) { try RegistryFile(json: Data(text.utf8)) }
  }
}
