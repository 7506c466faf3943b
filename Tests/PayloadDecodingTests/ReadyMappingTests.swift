// Ready-made mappings, moved and changed for an installation; what each makes of what its publisher
// publishes is in FixtureTests.

import EnergyReadings
import PayloadDecoding
import Testing

@Suite struct ReadyMappingTests {
  @Test func rootMovesTheTopics() throws {
    let decoder = try SourcedDecoder("- {format: victron, root: site/7/N}")
    #expect(
      decoder.lines(#"{"value":1}"#, on: "site/7/N/p/grid/30/Ac/Energy/Forward")
        == ["p/grid/30 Ac/Energy/Forward register 1000000 consumption arrival"])
    #expect(decoder.lines("1", on: "N/p/grid/30/Ac/Energy/Forward") == ["unknown_topic "])
  }

  @Test func whatTheInstallationKnowsBetter() throws {
    let plug = try SourcedDecoder(
      "- {format: zigbee2mqtt, values: [{value: /energy, kind: production}], devices: {roof: p-1}}")
    #expect(
      plug.lines(#"{"energy":1}"#, on: "zigbee2mqtt/roof")
        == ["p-1 energy register 1000000 production arrival"])
    let meter = try SourcedDecoder("- {format: dsmr-reader, device: house-7}")
    #expect(
      meter.lines(
        #"{"timestamp":"2026-06-10T06:59:50Z","electricity_delivered_1":1,"#
          + #""electricity_delivered_2":2}"#, on: "dsmr/json"
      ).first == "house-7 1.8.1+1.8.2 register 3000000 consumption 2026-06-10T06:59:50Z")
  }
}
