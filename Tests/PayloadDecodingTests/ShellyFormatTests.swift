// Shelly Gen2+: notifications that hold what changed, and nothing else.

import EnergyReadings
import PayloadDecoding
import Testing

private let topic = "kitchen/events/rpc"

private func notification(_ parameters: String, src: String = "shelly-1") -> String {
  #"{"src":"\#(src)","dst":"x/events","method":"NotifyStatus","params":{\#(parameters)}}"#
}

@Suite struct ShellyFormatTests {
  private let decoder: SourcedDecoder

  init() throws { decoder = try SourcedDecoder("- format: shelly") }

  @Test func threePhases() {
    let payload = notification(
      #""ts":1757060280.21,"emdata:0":{"id":0,"a_total_act_energy":0.06,"a_total_act_ret_energy":0,"#
        + #""total_act":26289.57,"total_act_ret":131881.86}"#, src: "shellypro3em-1234567890ab")
    #expect(
      decoder.lines(payload, on: topic) == [
        "shellypro3em-1234567890ab emdata:0/import register 26289570 consumption "
          + "2025-09-05T08:18:00.210000Z",
        "shellypro3em-1234567890ab emdata:0/export register 131881860 production "
          + "2025-09-05T08:18:00.210000Z",
      ])
  }

  /// What was exported is in `aenergy` as well.
  @Test func importIsWithoutExport() {
    let energy = #""aenergy":{"total":152669.987,"by_minute":[1.0,2.0,3.0]}"#
    let returned = #""ret_aenergy":{"total":669.5}"#
    #expect(
      decoder.lines(notification(#""ts":1788945240,"switch:0":{\#(energy)}"#), on: topic) == [
        "shelly-1 switch:0/import register 152669987 consumption 2026-09-09T09:14:00Z"
      ])
    #expect(
      decoder.lines(
        notification(#""ts":1788945240,"pm1:1":{\#(energy),\#(returned)}"#), on: topic) == [
          "shelly-1 pm1:1/import register 152000487 consumption 2026-09-09T09:14:00Z",
          "shelly-1 pm1:1/export register 669500 production 2026-09-09T09:14:00Z",
        ])
  }

  @Test func channelsMayBeDevices() throws {
    let decoder = try SourcedDecoder(
      "- {format: shelly, export: none, devices: {shelly-1: house, shelly-1/em1data:1: roof}}")
    let payload = notification(
      #""em1data:0":{"total_act_energy":1,"total_act_ret_energy":2},"#
        + #""em1data:1":{"total_act_energy":3,"total_act_ret_energy":4}"#)
    #expect(
      decoder.lines(payload, on: topic) == [
        "house em1data:0/import register 1000 consumption arrival",
        "roof em1data:1/import register 3000 consumption arrival",
      ])
  }

  @Test func whatAMeterMeasuresIsTheInstallations() throws {
    let decoder = try SourcedDecoder("- {format: shelly, import: discharge, export: charge}")
    #expect(
      decoder.lines(notification(#""emdata:0":{"total_act":1,"total_act_ret":2}"#), on: topic) == [
        "shelly-1 emdata:0/import register 1000 discharge arrival",
        "shelly-1 emdata:0/export register 2000 charge arrival",
      ])
  }

  @Test(arguments: [
    notification(#""ts":1788945292.88,"switch:0":{"apower":11.5,"current":0.071}"#),
    notification(#""ts":1788945292.88,"em:0":{"total_act_power":11.5}"#),
    notification(""), notification(#""switch:0":null"#),
    notification(#""switch:0":{"aenergy":{}}"#),
    #"{"src":"s","method":"NotifyEvent","params":{"events":[{"event":"data","values":[[1]]}]}}"#,
    #"{"src":"s","method":"NotifyStatus"}"#, #"{"id":1,"result":{}}"#, "",
  ])
  func whatHoldsNoRegister(payload: String) {
    #expect(decoder.lines(payload, on: topic) == ["skipped 1"])
  }

  /// The status of a component says neither whose it is nor when.
  @Test func statusTopics() throws {
    let decoder = try SourcedDecoder("- {format: shelly, topic: \"{device}/status/+\"}")
    let payload =
      #"{"id":0,"source":"MQTT","output":true,"apower":11.5,"aenergy":{"total":152669.987,"#
      + #""by_minute":[0.000],"minute_ts":1788945240},"ret_aenergy":{"total":0.000}}"#
    #expect(
      decoder.lines(payload, on: "shellies-1/status/switch:0") == [
        "shellies-1 switch:0/import register 152669987 consumption arrival",
        "shellies-1 switch:0/export register 0 production arrival",
      ])
    #expect(decoder.lines(#"{"cfg_rev":1}"#, on: "shellies-1/status/sys") == ["skipped 1"])
  }

  @Test(arguments: [
    (#"{"src":"s""#, ["malformed_payload $"]), ("[1]", ["wrong_type $"]),
    (
      notification(#""emdata:0":{"total_act":"x","total_act_ret":1}"#),
      ["[0] wrong_type $.params.emdata:0"]
    ),
    (
      notification(#""emdata:0":{"total_act":1e30}"#), ["[0] out_of_range $.params.emdata:0"]
    ),
    (
      notification(#""switch:0":{"aenergy":{"total":1},"ret_aenergy":{"total":2}}"#),
      ["[0] out_of_range $.params.switch:0"]
    ),
    (
      // Found by fuzzing: the import would grow by it.
      notification(#""switch:0":{"aenergy":{"total":1},"ret_aenergy":{"total":-2}}"#),
      ["[0] out_of_range $.params.switch:0"]
    ),
    (notification(#""ts":"soon","emdata:0":{"total_act":1}"#), ["wrong_type $.params.ts"]),
    (
      #"{"method":"NotifyStatus","params":{"emdata:0":{"total_act":1}}}"#, ["missing_field $"]
    ),
    (notification(#""emdata:0":{"total_act":1}"#, src: ""), ["missing_field $"]),
    (
      // Found by fuzzing: PostgreSQL holds no NUL.
      notification(#""emdata:0\u0000":{"total_act":1}"#), ["[0] out_of_range $"]
    ),
    (
      // An unsynchronised clock, and one bad register beside a good one.
      notification(#""ts":1.61,"emdata:0":{"total_act":[]},"emdata:1":{"total_act":1}"#),
      [
        "shelly-1 emdata:1/import register 1000 consumption arrival",
        "[0] wrong_type $.params.emdata:0",
      ]
    ),
  ])
  func badInput(payload: String, lines: [String]) {
    #expect(decoder.lines(payload, on: topic) == lines)
  }
}
