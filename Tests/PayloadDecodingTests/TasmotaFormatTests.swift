// Tasmota: plugs and reading heads, in local time, with scalars or arrays.

import EnergyReadings
import PayloadDecoding
import Testing

private let topic = "tele/plug/SENSOR"

@Suite struct TasmotaFormatTests {
  private let decoder: SourcedDecoder

  init() throws { decoder = try SourcedDecoder("- {format: tasmota, zone: Europe/Berlin}") }

  private func sensor(_ fields: String, time: String = "\"2026-02-15T17:37:10\"") -> String {
    #"{"Time":\#(time),\#(fields)}"#
  }

  @Test(arguments: [
    (
      #""ENERGY":{"TotalStartTime":"2018-11-14T18:39:40","Total":6.294,"Yesterday":5.340,"#
        + #""Today":0.954,"Period":217,"Power":2635,"ApparentPower":2650,"Factor":0.99}"#,
      ["plug ENERGY.Total register 6294000 consumption 2026-02-15T16:37:10Z"]
    ),
    (
      #""ENERGY":{"Total":[0.077,1.5],"Power":[8.15,0],"Current":[0.000,0.000]}"#,
      ["plug ENERGY.Total register 1577000 consumption 2026-02-15T16:37:10Z"]
    ),
    (
      #""ENERGY":{"Total":0.017,"TotalTariff":[0.000,0.017],"ExportActive":0.000,"#
        + #""ExportTariff":[0.000,0.000]}"#,
      [
        "plug ENERGY.Total register 17000 consumption 2026-02-15T16:37:10Z",
        "plug ENERGY.ExportActive register 0 production 2026-02-15T16:37:10Z",
      ]
    ),
    (
      #""SML":{"Total_in":34507.4761,"Total_out":14737.1422,"Power_curr":-894,"#
        + #""Meter_number":"0901454d48000000000"}"#,
      [
        "plug SML.Total_in register 34507476100 consumption 2026-02-15T16:37:10Z",
        "plug SML.Total_out register 14737142200 production 2026-02-15T16:37:10Z",
      ]
    ),
    (
      #""LK13BE":{"1_8_0":1.5,"2_8_0":2.5,"16_7_0":100},"MT681":{"E_in":3,"E_OUT":4}"#,
      [
        "plug LK13BE.1_8_0 register 1500000 consumption 2026-02-15T16:37:10Z",
        "plug LK13BE.2_8_0 register 2500000 production 2026-02-15T16:37:10Z",
        "plug MT681.E_in register 3000000 consumption 2026-02-15T16:37:10Z",
        "plug MT681.E_OUT register 4000000 production 2026-02-15T16:37:10Z",
      ]
    ),
    (#""SML":{"Total_in":0,"Total_out":0.0}"#, ["skipped 2"]),
    (#""ENERGY":{"Total":[1,null]}"#, ["skipped 1"]),
    (#""AM2301":{"Temperature":21.5},"TempUnit":"C""#, ["skipped 1"]),
  ])
  func sensors(fields: String, lines: [String]) {
    #expect(decoder.lines(sensor(fields), on: topic) == lines)
  }

  @Test func answersToStatus() {
    let payload = #"{"StatusSNS":{"Time":"2026-02-15T17:37:10","ENERGY":{"Total":1}}}"#
    for topic in ["stat/plug/STATUS8", "stat/plug/STATUS10"] {
      #expect(
        decoder.lines(payload, on: topic) == [
          "plug ENERGY.Total register 1000000 consumption 2026-02-15T16:37:10Z"
        ])
    }
  }

  @Test(arguments: [
    ("\"2026-02-15T17:37:10+02:00\"", "2026-02-15T15:37:10Z"),
    ("1771173430", "2026-02-15T16:37:10Z"), ("\"1970-01-01T00:00:07\"", "arrival"),
    ("null", "arrival"),
  ])
  func times(time: String, moment: String) {
    #expect(
      decoder.lines(sensor(#""ENERGY":{"Total":1}"#, time: time), on: topic)
        == ["plug ENERGY.Total register 1000000 consumption \(moment)"])
  }

  @Test func withoutAZoneALocalTimeIsRefused() throws {
    let decoder = try SourcedDecoder("- format: tasmota")
    let outcome = decoder.decode(sensor(#""ENERGY":{"Total":1}"#), on: topic)
    #expect(outcome.lines == ["wrong_type $.Time"])
    #expect(outcome.rejections[0].detail.contains("zone"))
    // The topic has told whose it is.
    #expect(
      decoder.lines(sensor(#""ENERGY":{"Total":1}"#, time: "\"2026-02-15T17:37:10Z\""), on: topic)
        == ["plug ENERGY.Total register 1000000 consumption 2026-02-15T17:37:10Z"])
  }

  @Test func namesAndTopicsOfTheUsersOwn() throws {
    let decoder = try SourcedDecoder(
      "- {format: tasmota, topic: \"a/{device}/tele/SENSOR\", unit: Wh, "
        + "registers: {Bezug: consumption, Solar: production}, devices: {denky: m-7}}")
    #expect(
      decoder.lines(#"{"TIC":{"Bezug":5,"Solar":6,"bezug":7}}"#, on: "a/denky/tele/SENSOR") == [
        "m-7 TIC.Bezug register 5000 consumption arrival",
        "m-7 TIC.Solar register 6000 production arrival",
      ])
  }

  @Test(arguments: [
    (#"{"Time":"2026"#, ["malformed_payload $"]), ("1", ["wrong_type $"]),
    (#"{"Time":"soon","ENERGY":{"Total":1}}"#, ["wrong_type $.Time"]),
    (
      #"{"ENERGY":{"Total":true,"ExportActive":1}}"#,
      [
        "plug ENERGY.ExportActive register 1000000 production arrival",
        "[0] wrong_type $.ENERGY.Total",
      ]
    ),
    (#"{"ENERGY":{"Total":-1}}"#, ["[0] out_of_range $.ENERGY.Total"]),
    (#"{"ENERGY":{"Total":[999999999,999999999]}}"#, ["[0] out_of_range $.ENERGY.Total"]),
    (#"{"ENERGY":{"Total":1e20}}"#, ["[0] out_of_range $.ENERGY.Total"]),
    (
      #"{"StatusSNS":{"SML":{"total_in":"x"}}}"#, ["[0] wrong_type $.StatusSNS.SML.total_in"]
    ),
  ])
  func badInput(payload: String, lines: [String]) {
    #expect(decoder.lines(payload, on: topic) == lines)
  }
}
