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
    let balcony = try SourcedDecoder("- {format: zigbee2mqtt, import: production, export: none}")
    #expect(
      balcony.lines(#"{"energy":1,"produced_energy":2}"#, on: "zigbee2mqtt/balcony")
        == ["balcony energy register 1000000 production arrival"])
    let meter = try SourcedDecoder("- {format: dsmr-reader, device: house-7}")
    #expect(
      meter.lines(
        #"{"timestamp":"2026-06-10T06:59:50Z","electricity_delivered_1":1,"#
          + #""electricity_delivered_2":2}"#, on: "dsmr/json"
      ).first == "house-7 1.8.1+1.8.2 register 3000000 consumption 2026-06-10T06:59:50Z")
  }

  /// One of many plugs measures an inverter.
  @Test(arguments: [
    ("zigbee2mqtt", "zigbee2mqtt/roof", #"{"energy":1}"#, "p-1 energy register 1000000"),
    ("shelly-gen1", "shellies/roof/relay/0/energy", "60000", "p-1 relay/0/energy register 1000000"),
    (
      "shelly", "x/events/rpc",
      #"{"src":"roof","method":"NotifyStatus","params":{"switch:0":{"aenergy":{"total":1000}}}}"#,
      "p-1 switch:0/import register 1000000"
    ),
    (
      "{topic: a/{device}, value: /e, mode: net_register, unit: Wh, kind: consumption, "
        + "kind_negative: production}", "a/roof", #"{"e":1000}"#, "p-1 e netRegister 1000000"
    ),
  ])
  func aDeviceThatMeasuresWhatIsGenerated(
    format: String, topic: String, payload: String, sample: String
  ) throws {
    let keys = format.hasPrefix("{") ? format.dropFirst().dropLast() : "format: \(format)"
    let decoder = try SourcedDecoder(
      "- {\(keys), devices: {roof: p-1}, producers: [p-1]}".replacing(
        "a/{device}", with: "'a/{device}'"))
    let isNet = sample.contains("net")
    #expect(
      decoder.lines(payload, on: topic)
        .contains("\(sample) production\(isNet ? "/consumption" : "") arrival"))
    let other = decoder.lines(
      payload.replacing("roof", with: "desk"), on: topic.replacing("roof", with: "desk"))
    #expect(other.contains { $0.hasPrefix("desk") && $0.contains("consumption") })
    #expect(!other.contains { $0.contains(" production") })
  }
}
