// GridTokenX's signed OBIS body: intervals under the codes of registers.

import EnergyReadings
import PayloadDecoding
import Testing

@Suite struct GridTokenXFormatTests {
  private let decoder: SourcedDecoder

  init() throws {
    decoder = try SourcedDecoder(
      "- {format: gridtokenx-obis, topic: dlms}\n- {format: gridtokenx-obis, topic: \"dlms/{device}\"}"
    )
  }

  private let body =
    #"{"1.1.1.8.0.255": 465.865, "1.1.2.8.0.255": 0.687, "kwh": -0.465178, "#
    + #""energy_generated": 0.000687, "timestamp": "2026-06-10T04:00:00", "signature": "yxy8raH5", "#
    + #""1.1.1.8.2.255": 465.865, "0.0.96.14.0.255": 2, "1.1.16.7.0.255": -1.86}"#

  @Test func importAndExportOfOneInterval() {
    let lines = [
      "GTX-1 interval 465865 consumption 2026-06-10T04:00:00Z",
      "GTX-1 interval 687 production 2026-06-10T04:00:00Z",
    ]
    #expect(decoder.lines(body, on: "dlms/GTX-1") == lines)
    let wrapped = decoder.decode(
      #"{"protocol":"dlms","device_id":"GTX-1","payload":\#(body)}"#, on: "dlms")
    #expect(wrapped.lines == lines)
    #expect(wrapped.readingIndices == [1, 0])
    for reading in wrapped.readings {
      #expect(wrapped.text(reading.signature) == "yxy8raH5")
      #expect(wrapped.text(reading.energyText) == "-0.465178")
    }
  }

  /// The digits that Rust prints, whichever way the number was written.
  @Test(arguments: [
    ("1.0", "1", 1_000), ("0.0", "0", 0), ("5e-05", "0.00005", 0.05),
    ("-5E-5", "-0.00005", -0.05), ("1.50", "1.5", 1_500), ("1e3", "1000", 1_000_000),
    ("12.5e1", "125", 125_000), ("1.25e1", "12.5", 12_500), ("100", "100", 100_000),
    ("0.10", "0.1", 100), ("-0.0", "-0", 0),
  ])
  func whatWasSigned(number: String, text: String, wattHours: Double) {
    let code = wattHours < 0 ? "1.1.1.8.0.255" : "1.1.2.8.0.255"
    let outcome = decoder.decode(
      #"{"\#(code)":\#(abs(wattHours)),"kwh":\#(number),"timestamp":1781064000,"signature":"x"}"#,
      on: "dlms/d")
    #expect(outcome.readings.map { outcome.text($0.energyText) } == [text])
  }

  /// What is told must be what was signed: export less import, in kWh.
  @Test(arguments: [
    (#""kwh":-0.465178"#, 465.865, 0.687, true), (#""kwh":-0.465178"#, 465.866, 0.687, true),
    (#""kwh":-0.465178"#, 465.87, 0.687, false), (#""kwh":-0.465178"#, 4658.65, 0.687, false),
    (#""kwh":-0.465178"#, 465.865, 6.87, false), (#""kwh":0.465178"#, 465.865, 0.687, false),
    (#""energy_consumed":0.5"#, 500, 0, true), (#""energy_consumed":0.5"#, 500, 9, false),
    (#""energy_consumed":0.5"#, 501, 0, false), (#""energy_generated":0.5"#, 0, 500, true),
    (#""energy_generated":0.5"#, 9, 500, false),
    (#""kwh":null,"energy_generated":0.5"#, 0, 500, true),
  ])
  func theEnergiesAreTheSignedOnes(
    signed: String, wattHoursIn: Double, wattHoursOut: Double, agrees: Bool
  ) {
    func body(_ signature: String) -> String {
      #"{"1.1.1.8.0.255":\#(wattHoursIn),"1.1.2.8.0.255":\#(wattHoursOut),"#
        + #"\#(signed),"timestamp":1781064000\#(signature)}"#
    }
    let outcome = decoder.decode(body(#","signature":"x""#), on: "dlms/d")
    let key = signed.split(separator: "\"")[0]
    #expect(outcome.readings.count == (agrees ? 2 : 0))
    #expect(outcome.reasons == (agrees ? [] : ["bad_signature $.\(key)"]))
    // Without a signature nothing was promised.
    #expect(decoder.decode(body(""), on: "dlms/d").readings.count == 2)
  }

  @Test(arguments: [
    ("{", "malformed_payload $"), ("[]", "wrong_type $"),
    (#"{"1.1.1.8.0.255":1}"#, "missing_field $.timestamp"),
    (#"{"1.1.1.8.0.255":1,"timestamp":7}"#, "out_of_range $.timestamp"),
    (#"{"timestamp":1781064000}"#, "missing_field $.1.1.1.8.0.255"),
    (#"{"1.1.1.8.0.255":true,"timestamp":1781064000}"#, "[1] wrong_type $.1.1.1.8.0.255"),
    (#"{"1.1.1.8.0.255":1e30,"timestamp":1781064000}"#, "[1] out_of_range $.1.1.1.8.0.255"),
    (#"{"1.1.1.8.0.255":1,"timestamp":"x"}"#, "wrong_type $.timestamp"),
    (#"{"1.1.1.8.0.255":1,"timestamp":1781064000,"signature":5}"#, "bad_signature $.signature"),
    (#"{"1.1.1.8.0.255":1,"timestamp":1781064000,"signature":"x"}"#, "missing_field $.kwh"),
    (
      #"{"1.1.1.8.0.255":1,"timestamp":1781064000,"signature":"x","kwh":1e99}"#,
      "out_of_range $.kwh"
    ),
    (
      #"{"1.1.1.8.0.255":1,"timestamp":1781064000,"signature":"x","kwh":"lots"}"#,
      "wrong_type $.kwh"
    ),
    (#"{"protocol":"dlms-enc","payload":"AAAA"}"#, "unsupported_format $.protocol"),
  ])
  func badInput(payload: String, verdict: String) {
    #expect(decoder.lines(payload, on: "dlms/d") == [verdict])
  }

  @Test func oneBadAmountHarmsNotTheOther() {
    #expect(
      decoder.lines(
        #"{"1.1.1.8.0.255":"x","1.1.2.8.0.255":2,"timestamp":1781064000}"#, on: "dlms/d") == [
          "d interval 2000 production 2026-06-10T04:00:00Z", "[1] wrong_type $.1.1.1.8.0.255",
        ])
    #expect(
      decoder.lines(#"{"1.1.1.8.0.255":1,"timestamp":1781064000}"#, on: "dlms")
        == ["missing_field $"])
  }
}
