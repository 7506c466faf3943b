// Whose a dead letter is: the topic says it even where the payload says nothing.

import PayloadDecoding
import Testing

@Suite struct RejectedDeviceTests {
  private let decoder: SourcedDecoder

  init() throws {
    decoder = try SourcedDecoder(
      """
      - {format: tasmota, devices: {plug: c-1}}
      - {format: obis, topic: "obis/{device}/json"}
      - {format: obis, topic: p1, device: house}
      - {format: senml, topic: "senml/{device}"}
      - {format: senml, topic: "pack/{name}"}
      - {format: gridtokenx-obis, topic: "dlms/{device}"}
      - {topic: "m/{a}/{b}", device: "{a}-{b}", value: /e, register: r, unit: kWh, kind: consumption}
      - {topic: "in/+", device: /id, value: /e, register: r, unit: kWh, kind: consumption}
      - format: sparkplug
        devices: {g/n/m: s-1}
      """)
  }

  @Test(arguments: [
    ("tele/plug/SENSOR", "{", "c-1"), ("obis/o-1/json", "{", "o-1"), ("p1", "/cut", "house"),
    ("senml/s-2", "[{", "s-2"), ("senml/s-2", "[7]", "s-2"), ("dlms/d-1", "", ""),
    ("dlms/d-1", "{\"a\":", "d-1"), ("m/x/y", "{\"e\":1", "x-y"), ("m/x/y", "\u{1F}\u{8B}", "x-y"),
    ("spBv1.0/g/DDATA/n/m", "x", "s-1"), ("spBv1.0/g/NDATA/n", "x", "g/n"),
    // Only the payload could say it, or nothing can.
    ("pack/p", "[{", ""), ("in/x", "{", ""), ("m//", "{", "-"), ("senml/", "[", ""),
    ("elsewhere", "{", ""),
  ])
  func theTopicNamesTheDevice(topic: String, payload: String, device: String) {
    let outcome = decoder.decode(payload, on: topic)
    #expect(outcome.rejectedDevices == (payload.isEmpty ? [] : [device]))
  }

  @Test func soItDoesForEachOfSeveralValues() {
    let names =
      "[{\"n\":\"x:1.8.0\",\"v\":1,\"u\":\"apples\"},{\"n\":\"x:2.8.0\",\"v\":1,\"u\":\"pears\"}]"
    #expect(decoder.decode(names, on: "senml/s-2").rejectedDevices == ["s-2", "s-2"])
    let unexplained = Spb.payload([TestMetric(nil, 1, .double(1)), TestMetric()], seq: 1)
    #expect(
      decoder.decode(unexplained, on: "spBv1.0/g/DDATA/n/m").rejectedDevices == ["s-1", "s-1"])
  }

  /// What a column cannot hold is no name.
  @Test func aNameThatIsNoneIsLeftOut() {
    let long = String(repeating: "x", count: 101)
    #expect(decoder.decode("{", on: "obis/\(long)/json").rejectedDevices == [""])
    #expect(decoder.decode("{", on: "obis/a\u{1}/json").rejectedDevices == [""])
  }
}
