// What is left out of a message has a reason with a name.

import EnergyReadings
import PayloadDecoding
import Testing

@Suite struct SkipReasonTests {
  private static let yaml = """
    - topic: m/{device}/number
      payload: number
      unit: kWh
      kind: consumption
    - topic: m/{device}/json
      where: {/media: electricity}
      unit: kWh
      mode: interval
      time: [/t, unix_s]
      kind: consumption
      values: [{value: /a}, {value: /b}]
    - {format: shelly, topic: s/events/rpc}
    - {format: tasmota}
    - {format: obis, topic: "obis/{device}/+"}
    - {format: senml, topic: "senml/{device}"}
    """

  @Test(arguments: [
    ("m/d/number", "", "empty_payload 1"), ("m/d/number", "unavailable", "no_value 1"),
    ("m/d/json", #"{"media":"gas","a":1}"#, "other_message 1"),
    ("m/d/json", #"{"media":"electricity","t":1781085600}"#, "no_value 2"),
    (
      "m/d/json", #"{"media":"electricity","t":1781085600,"a":-1,"b":null}"#,
      "no_value 1, negative 1"
    ),
    ("s/events/rpc", #"{"src":"s","method":"NotifyEvent","params":{}}"#, "other_message 1"),
    (
      "s/events/rpc", #"{"src":"s","method":"NotifyStatus","params":{"ts":1781085600}}"#,
      "no_value 1"
    ),
    ("tele/d/SENSOR", #"{"AM2301":{"Temperature":21.5}}"#, "no_value 1"),
    ("obis/d/0100200700ff", "230.1", "other_register 1"),
    ("senml/d", #"[{"n":"temperature","u":"Cel","v":20}]"#, "other_register 1"),
    ("senml/d", #"[{"n":"1.8.0","u":"Wh"}]"#, "no_value 1"),
  ])
  func everyReasonHasItsName(topic: String, payload: String, expected: String) throws {
    let table = try SourceFile.table(yaml: Self.yaml, name: "sources.yaml")
    var arena = ByteArena()
    var decoded = DecodedReadings()
    let message = Message(
      topic: arena.append(topic.utf8.span), payload: arena.append(payload.utf8.span),
      receivedAt: Timestamp(microseconds: 1_781_085_600_000_000))
    PayloadDecoder().decode(message, from: table, in: &arena, into: &decoded)
    let found = SkipReason.allCases.compactMap { reason in
      let count = decoded.skips[Int(reason.rawValue)]
      return count == 0 ? nil : "\(reason.name) \(count)"
    }
    #expect(found.joined(separator: ", ") == expected)
    #expect(decoded.rejected.isEmpty && decoded.accepted.isEmpty && decoded.samples.isEmpty)
  }
}
