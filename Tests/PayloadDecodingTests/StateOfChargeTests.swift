// What batteries say that they hold, by `state_of_charge` of a mapping.

import EnergyReadings
import PayloadDecoding
import Testing

@Suite struct StateOfChargeTests {
  /// Charges as `device value measure second`, then rejections as `reason path`, then what was skipped.
  private func lines(_ yaml: String, _ topic: String, _ payload: String) throws -> [String] {
    let table = try SourceFile.table(yaml: yaml, name: "sources.yaml")
    var arena = ByteArena()
    var decoded = DecodedReadings()
    let message = Message(
      topic: arena.append(topic.utf8.span), payload: arena.append(payload.utf8.span),
      receivedAt: Timestamp(microseconds: 1_781_085_600_000_000))
    PayloadDecoder().decode(message, from: table, in: &arena, into: &decoded)
    return decoded.charges.map {
      let charge = $0.charge
      return "\(arena.string(charge.device)) \(charge.value) \(charge.measure) "
        + "\(charge.timestamp.microseconds / 1_000_000)"
    }
      + decoded.rejected.map { "\($0.rejection.reason.code) \($0.rejection.path)" }
      + (decoded.samples.isEmpty ? [] : ["samples \(decoded.samples.count)"])
      + (decoded.skipped == 0 ? [] : ["skipped \(decoded.skipped)"])
  }

  @Test(arguments: [
    ("percent", "64.25", "642500 share"), ("percent", "100", "1000000 share"),
    ("percent", "0", "0 share"), ("fraction", "0.6425", "642500 share"),
    ("kWh", "6.4250004", "6425000 energy"), ("Wh", "6425", "6425000 energy"),
    ("MWh", "0.006425", "6425000 energy"), ("percent", "33.33335", "333334 share"),
  ])
  func eachUnitIsExact(unit: String, text: String, expected: String) throws {
    let number = "- {topic: \"b/{device}/soc\", payload: number, state_of_charge: \(unit)}"
    #expect(try lines(number, "b/b-1/soc", text) == ["b-1 \(expected) 1781085600"])
    let json = """
      - {topic: "b/{device}", time: [/t, unix_s], state_of_charge: [/battery/soc, \(unit)]}
      """
    #expect(
      try lines(json, "b/b-1", #"{"t":1781085000,"battery":{"soc":\#(text)}}"#)
        == ["b-1 \(expected) 1781085000"])
    let csv = "- {topic: \"b/{device}\", payload: csv, state_of_charge: [1, \(unit)]}"
    #expect(try lines(csv, "b/b-1", "230,\(text)") == ["b-1 \(expected) 1781085600"])
  }

  private static let beside = """
    - topic: "b/{device}"
      unit: kWh
      values: [{value: /in, kind: charge}, {value: /out, kind: discharge}]
      state_of_charge: [/soc, percent]
    """

  @Test(arguments: [
    (#"{"in":5,"out":4,"soc":50}"#, ["d 500000 share 1781085600", "samples 2"]),
    (#"{"soc":50}"#, ["d 500000 share 1781085600", "skipped 2"]),
    (#"{"in":5,"out":4}"#, ["samples 2", "skipped 1"]),
    (#"{"in":5,"out":4,"soc":null}"#, ["samples 2", "skipped 1"]),
    (#"{"in":5,"out":4,"soc":100.0001}"#, ["out_of_range $.soc", "samples 2"]),
    (#"{"in":5,"out":4,"soc":-1}"#, ["out_of_range $.soc", "samples 2"]),
    (#"{"in":5,"out":4,"soc":"full"}"#, ["wrong_type $.soc", "samples 2"]),
    ("{}", ["skipped 3"]), ("", ["skipped 1"]),
  ])
  func besideTotalsTheNeighboursAreUnharmed(payload: String, expected: [String]) throws {
    #expect(try lines(Self.beside, "b/d", payload) == expected)
  }

  @Test func readyMappingsHaveIt() throws {
    #expect(
      try lines("- format: victron", "N/c0619ab1/battery/256/Soc", #"{"value":64.2}"#)
        == ["c0619ab1/battery/256 642000 share 1781085600"])
    #expect(
      try lines("- format: evcc", "evcc/site/battery/1/soc", "64")
        == ["evcc/battery/1 640000 share 1781085600"])
  }

  @Test(arguments: [
    ("payload: number, state_of_charge: [/soc, percent]", "expected a place and a unit"),
    ("state_of_charge: percent", "expected a place and a unit"),
    ("state_of_charge: [/soc, W]", "\"W\" is none of percent, fraction, Wh, kWh, MWh"),
    ("payload: csv, state_of_charge: [/soc, percent]", "is no column's position"),
  ])
  func aMistakeIsNamed(keys: String, words: String) throws {
    let error = #expect(throws: SourceFileError.self) {
      try SourceFile.table(yaml: "- {topic: \"b/{device}\", \(keys)}", name: "sources.yaml")
    }
    #expect(error?.problem.key == "state_of_charge")
    #expect(error?.problem.problem.contains(words) ?? false, "\(String(describing: error))")
  }
}
