// Sparkplug B: births, aliases, numbers of messages, and metrics that are energy or not.

import EnergyReadings
import PayloadDecoding
import Testing

/// A node and its host.
private final class Conversation {
  private(set) var host: SourcedDecoder

  init(_ yaml: String = "- format: sparkplug") throws { host = try SourcedDecoder(yaml) }

  func configure(_ yaml: String) throws { host = try SourcedDecoder(yaml, after: host) }

  /// A message of node `n` in group `g`.
  @discardableResult
  func hear(
    _ type: String, _ seq: UInt64?, _ metrics: [TestMetric] = [], device: String? = "m",
    time: UInt64? = Spb.time, at: Timestamp = SourcedDecoder.arrival, isLive: Bool = true
  ) -> Outcome {
    let device = type.hasPrefix("N") ? "" : "/\(device ?? "")"
    return host.decode(
      Spb.payload(metrics, seq: seq, time: time), on: "spBv1.0/g/\(type)/n\(device)",
      receivedAt: at, isLive: isLive)
  }

  /// The usual birth: number 0 for the node, and 1 for a meter with the aliases 1 and 2, kWh.
  func beBorn(time: UInt64 = Spb.time, swapped: Bool = false) {
    hear("NBIRTH", 0, [TestMetric("bdSeq", nil, .long(7), type: 4)], time: time)
    hear(
      "DBIRTH", 1,
      [
        TestMetric(
          "Energy/Import", swapped ? 2 : 1, .double(100), type: 10, unit: "kWh", time: time),
        TestMetric(
          "Energy/Export", swapped ? 1 : 2, .double(10), type: 10, unit: "kWh", time: time),
        TestMetric("Voltage", 3, .double(230), type: 10, unit: "V", time: time),
      ], time: time)
  }
}

private func alias(_ alias: UInt64, _ value: Double, time: UInt64? = Spb.time) -> TestMetric {
  TestMetric(nil, alias, .double(value), time: time)
}

private let seconds: UInt64 = 1_000
private let at = "2026-06-10T06:59:00Z"
private let missingAlias = "missing_birth $[0].alias"

@Suite struct SparkplugFormatTests {
  // MARK: Births and aliases

  @Test func aBirthIsASampleAndGivesAliasesTheirMeaning() throws {
    let talk = try Conversation()
    #expect(talk.hear("NBIRTH", 0, [TestMetric("bdSeq", nil, .long(7))]).lines == ["skipped 1"])
    let born = talk.hear(
      "DBIRTH", 1,
      [
        TestMetric("Energy/Import", 1, .double(100.5), type: 10, unit: "kWh"),
        TestMetric("Energy/Export", 300, .int(2_500), type: 7, unit: "Wh"),
        TestMetric("Voltage", 3, .float(230), type: 9, unit: "V"),
      ])
    #expect(
      born.lines == [
        "g/n/m Energy/Import register 100500000 consumption \(at)",
        "g/n/m Energy/Export register 2500000 production \(at)", "skipped 1",
      ])
    #expect(born.sampleIndices == [0, 1])
    let data = talk.hear(
      "DDATA", 2, [alias(3, 231), TestMetric(nil, 300, .int(2_600)), alias(1, 100.75)])
    #expect(
      data.lines == [
        "g/n/m Energy/Export register 2600000 production \(at)",
        "g/n/m Energy/Import register 100750000 consumption \(at)", "skipped 1",
      ])
    #expect(data.requests.isEmpty)
  }

  @Test func theNodeItselfMayHaveMetrics() throws {
    let talk = try Conversation()
    let metric = TestMetric("Energy/Import", 0, .double(1), type: 10, unit: "MWh")
    #expect(
      talk.hear("NBIRTH", 0, [metric]).lines
        == ["g/n Energy/Import register 1000000000 consumption \(at)"])
    #expect(
      talk.hear("NDATA", 1, [alias(0, 2)]).lines
        == ["g/n Energy/Import register 2000000000 consumption \(at)"])
    // An alias of the node's is none of its device's.
    #expect(talk.hear("DDATA", 2, [alias(0, 2)]).lines == [missingAlias])
  }

  @Test func withoutABirthOneIsAskedFor() throws {
    let talk = try Conversation()
    let data = talk.hear("DDATA", 9, [alias(1, 5), alias(2, 6)])
    #expect(data.lines == [missingAlias])
    #expect(data.rejectionIndices == [nil])
    let request = try #require(data.requests.first)
    #expect(request.topic == "spBv1.0/g/NCMD/n")
    var metric = TestMetric(
      "Node Control/Rebirth", nil, .bool(true), type: 11, time: 1_781_074_800_000)
    metric.unit = nil
    #expect(request.payload == Spb.payload([metric], time: 1_781_074_800_000))
  }

  /// Once in ten seconds for each node.
  @Test func aNodeIsNotAskedAllTheTime() throws {
    let talk = try Conversation()
    func asked(after seconds: Int64) -> Int {
      let time = SourcedDecoder.arrival.microseconds + seconds * 1_000_000
      return talk.hear("DDATA", 9, [alias(1, 5)], at: Timestamp(microseconds: time)).requests.count
    }
    #expect([0, 1, 9, 10, 19, 20].map(asked) == [1, 0, 0, 1, 0, 1])
  }

  @Test func aHostIsNotMadeAFlood() throws {
    let talk = try Conversation()
    let payload = Spb.payload([alias(1, 5)], seq: 0)
    let asked = (0..<1_500).count {
      !talk.host.decode(payload, on: "spBv1.0/g/DDATA/n\($0)/m").requests.isEmpty
    }
    #expect(asked == 1_000)
  }

  @Test func anAliasMeansWhatTheLastBirthSays() throws {
    let talk = try Conversation()
    talk.beBorn()
    #expect(
      talk.hear("DDATA", 2, [alias(1, 101)]).lines
        == ["g/n/m Energy/Import register 101000000 consumption \(at)"])
    talk.beBorn(swapped: true)
    #expect(
      talk.hear("DDATA", 2, [alias(1, 11)]).lines
        == ["g/n/m Energy/Export register 11000000 production \(at)"])
  }

  /// A node's birth is the end of what its devices said; theirs will follow.
  @Test func aNodeThatIsBornAgainHasNoDevicesYet() throws {
    let talk = try Conversation()
    talk.beBorn()
    talk.hear("NBIRTH", 0)
    let data = talk.hear("DDATA", 1, [alias(1, 5)])
    #expect(data.lines == [missingAlias])
    #expect(data.requests.count == 1)
  }

  @Test func anAliasOfSeveralMetricsIsUsedForNone() throws {
    let talk = try Conversation()
    let born = talk.hear(
      "DBIRTH", 0,
      [
        TestMetric("Energy/Import", 1, .double(1), type: 10, unit: "kWh"),
        TestMetric("Energy/Export", 1, .double(2), type: 10, unit: "kWh"),
        TestMetric("Voltage", 2),
      ])
    #expect(
      born.lines == [
        "g/n/m Energy/Import register 1000000 consumption \(at)",
        "g/n/m Energy/Export register 2000000 production \(at)", "malformed_payload $",
        "skipped 1",
      ])
    #expect(
      talk.hear("DDATA", 1, [alias(1, 5), alias(2, 5)]).lines
        == ["[0] malformed_payload $[0].alias", "skipped 1"])
  }

  @Test func unknownAliasesAreTheMessagesAffairAndNamesTheirOwn() throws {
    let talk = try Conversation()
    talk.beBorn()
    let data = talk.hear(
      "DDATA", 2,
      [
        alias(77, 1), TestMetric("Energy/Import", nil, .double(101)), alias(2, 12),
        alias(78, 1), TestMetric("Whatever", nil, .double(1)), TestMetric(),
      ])
    #expect(
      data.lines == [
        "g/n/m Energy/Import register 101000000 consumption \(at)",
        "g/n/m Energy/Export register 12000000 production \(at)",
        "[5] missing_field $[5].name", missingAlias, "skipped 1",
      ])
  }

  // MARK: Numbers of messages

  @Test func numbersGoOnAfter255() throws {
    let talk = try Conversation()
    talk.beBorn()
    for seq in 2...600 {
      let lines = talk.hear("DDATA", UInt64(seq % 256), [alias(1, 200)]).lines
      #expect(lines == ["g/n/m Energy/Import register 200000000 consumption \(at)"])
    }
  }

  /// What was missed may have been a birth.
  @Test func afterAGapAliasesMeanNothing() throws {
    let talk = try Conversation()
    talk.beBorn()
    #expect(talk.hear("DDATA", 3, [alias(1, 101)]).lines == [missingAlias])
    #expect(talk.hear("DDATA", 4, [alias(3, 101)]).lines == [missingAlias])
    // A name means what it says.
    #expect(
      talk.hear("DDATA", 5, [TestMetric("Energy/Import (kWh)", nil, .double(101))]).lines
        == ["g/n/m Energy/Import (kWh) register 101000000 consumption \(at)"])
    talk.beBorn()
    #expect(talk.hear("DDATA", 2, [alias(1, 102)]).samples.count == 1)
  }

  @Test(arguments: ["NDATA", "DDEATH", "DBIRTH"]) func everyMessageHasANumber(type: String) throws {
    let talk = try Conversation()
    talk.beBorn()
    talk.hear(type, 2, device: "other")
    #expect(talk.hear("DDATA", 3, [alias(1, 101)]).samples.count == 1)
    talk.hear(type, 5, device: "other")
    #expect(talk.hear("DDATA", 6, [alias(1, 101)]).lines == [missingAlias])
  }

  @Test func messagesWithoutNumbersCannotBeMissed() throws {
    let talk = try Conversation()
    talk.hear("NBIRTH", nil)
    talk.hear("DBIRTH", nil, [TestMetric("Energy/Import", 1, .double(1), unit: "kWh")])
    for _ in 0..<3 { #expect(talk.hear("DDATA", nil, [alias(1, 1)]).samples.count == 1) }
  }

  // MARK: Deaths

  @Test func aDeviceThatDiedHasToBeBornAgain() throws {
    let talk = try Conversation()
    talk.beBorn()
    #expect(talk.hear("DDEATH", 2).lines == [])
    #expect(talk.hear("DDATA", 3, [alias(1, 5)]).lines == [missingAlias])
  }

  /// The will of an earlier connection, which the broker has noticed to be gone only now.
  @Test func aDeathOfAnEarlierConnectionIsNone() throws {
    let talk = try Conversation()
    talk.beBorn()
    #expect(talk.hear("NDEATH", nil, [TestMetric("bdSeq", nil, .long(6))], time: nil).lines == [])
    #expect(talk.hear("DDATA", 2, [alias(1, 101)]).samples.count == 1)
    talk.hear("NDEATH", nil, [TestMetric("bdSeq", nil, .long(7))], time: nil)
    #expect(talk.hear("DDATA", 3, [alias(1, 101)]).lines == [missingAlias])
    talk.beBorn()
    #expect(talk.hear("DDATA", 2, [alias(1, 102)]).samples.count == 1)
  }

  // MARK: After a break of the connection, a reload, a redrive

  /// What the broker delivers once more means what it meant; then another birth is asked for, in case
  /// that one was missed.
  @Test func afterABreakNodesAreDoubted() throws {
    let talk = try Conversation()
    talk.beBorn()
    talk.hear("DDATA", 2, [alias(1, 101)], time: Spb.time + seconds)
    talk.host.sources.connectionRenewed()
    let again = talk.hear("DDATA", 2, [alias(1, 101)], time: Spb.time + seconds)
    #expect(again.samples.count == 1)
    #expect(again.requests.isEmpty)
    let next = talk.hear("DDATA", 3, [alias(1, 102)], time: Spb.time + 2 * seconds)
    #expect(next.samples.count == 1)
    #expect(next.requests.count == 1)
    #expect(talk.hear("DDATA", 4, [alias(1, 102)]).requests.isEmpty)
  }

  @Test func afterABreakAGapIsAGap() throws {
    let talk = try Conversation()
    talk.beBorn()
    talk.host.sources.connectionRenewed()
    #expect(
      talk.hear("DDATA", 9, [alias(1, 102)], time: Spb.time + seconds).lines == [missingAlias])
  }

  @Test func aChangedConfigurationHoldsForBirthsBeforeIt() throws {
    let talk = try Conversation()
    talk.beBorn()
    try talk.configure("- {format: sparkplug, import: charge, export: none}")
    let data = talk.hear("DDATA", 2, [alias(1, 101), alias(2, 12)])
    #expect(
      data.lines == ["g/n/m Energy/Import register 101000000 charge \(at)", "skipped 1"])
    // A metric that was of no interest may be now, and its unit is not known.
    #expect(data.requests.count == 1)
  }

  /// Of a message that was put aside, an alias means what it meant then, or nothing.
  @Test func aLetterIsReadByTheBirthOfItsTime() throws {
    let talk = try Conversation()
    func redrive(_ time: UInt64) -> [String] {
      let outcome = talk.hear("DDATA", 2, [alias(1, 101, time: time)], time: time, isLive: false)
      #expect(outcome.requests.isEmpty)
      return outcome.samples.map { "\(outcome.arena.string($0.register))" } + outcome.reasons
    }
    #expect(redrive(Spb.time + 1) == [missingAlias])
    talk.beBorn()
    talk.hear("DDATA", 2, [alias(1, 101)], time: Spb.time + 10 * seconds)
    #expect(redrive(Spb.time - 1) == [missingAlias])
    #expect(redrive(Spb.time + 5 * seconds) == ["Energy/Import"])
    #expect(redrive(Spb.time + 11 * seconds) == [missingAlias])
    // It has left no trace: the next message is in order.
    #expect(
      talk.hear("DDATA", 3, [alias(1, 101)], time: Spb.time + 12 * seconds).samples.count == 1)
    talk.beBorn(time: Spb.time + 20 * seconds)
    #expect(redrive(Spb.time + 5 * seconds) == ["Energy/Import"])
    talk.beBorn(time: Spb.time + 30 * seconds, swapped: true)
    #expect(redrive(Spb.time + 5 * seconds) == [missingAlias])
    talk.hear("NBIRTH", 0, [], isLive: false)
    #expect(
      talk.hear("DDATA", 2, [alias(1, 11)], time: Spb.time + 40 * seconds).samples.count == 1)
  }

  // MARK: Names

  @Test(arguments: [
    ("Energy/Import", "consumption"), ("energy_import", "consumption"),
    ("Active Energy Import (kWh)", "consumption"), ("EnergyExport", "production"),
    ("Meter/Energy Exported/Total", "production"), ("ENERGY.CONSUMED", "consumption"),
    ("TotalEnergyProduction", "production"), ("Battery/Energy/Charged", "charge"),
    ("BatteryEnergyDischarged", "discharge"), ("Meter/1.8.0", "consumption"),
    ("1-0:2.8.0*255", "production"), ("DATA/Energy/Import", "consumption"),
    ("Energy/Import/Today", nil), ("Reactive Energy Import", nil), ("Energy/Delivered", nil),
    ("Battery/Energy/Import", nil), ("Energy", nil), ("Import", nil), ("Energy/Import/Export", nil),
    ("Energy Import L1", nil), ("1.8.1", nil), ("16.8.0", nil), ("Voltage", nil), ("", nil),
  ])
  func names(name: String, flow: String?) throws {
    let talk = try Conversation()
    let metric = TestMetric(name, nil, .double(1), type: 10, unit: "kWh")
    let register = name.hasPrefix("DATA/") ? String(name.dropFirst(5)) : name
    let expected = flow.map { "g/n/m \(register) register 1000000 \($0) \(at)" } ?? "skipped 1"
    #expect(talk.hear("DDATA", 0, [metric]).lines == [expected])
  }

  /// Two names for one total would count it twice.
  @Test func ofTwoMetricsThatMeanTheSameOneIsTaken() throws {
    let talk = try Conversation()
    let first = TestMetric("Energy/Import", 1, .double(1), type: 10, unit: "kWh")
    let second = TestMetric("Total Energy Import", 2, .double(1), type: 10, unit: "kWh")
    #expect(talk.hear("DBIRTH", 0, [first, second]).samples.count == 1)
    #expect(
      talk.hear("DDATA", 1, [alias(2, 1), second, alias(1, 1)]).lines
        == ["g/n/m Energy/Import register 1000000 consumption \(at)", "skipped 2"])
    try talk.configure("- {format: sparkplug, tariffs: true}")
    #expect(talk.hear("DDATA", 2, [first, second]).samples.count == 1)
  }

  @Test func namesOfTheUsersOwn() throws {
    let talk = try Conversation(
      """
      - format: sparkplug
        device: "{device_id}"
        devices: {m: c-1}
        unit: Wh
        registers: {A+: consumption}
        metrics:
          - {name: Net, kind: consumption, kind_negative: production, mode: net_register, unit: kWh}
          - {name: P, kind: charge, kind_negative: discharge, mode: power, unit: kW, scale: -1}
          - {name: Quarter, kind: production, mode: interval, interval_seconds: 900}
      """)
    let metrics = [
      TestMetric("A+", 1, .double(1_500)), TestMetric("Net", 2, .double(-1)),
      TestMetric("P", 3, .double(2.5)), TestMetric("Quarter", 4, .double(250)),
    ]
    // A birth repeats the last interval.
    #expect(talk.hear("DBIRTH", 0, metrics).lines.last == "skipped 1")
    let data = talk.hear("DDATA", 1, metrics)
    #expect(
      data.lines == [
        "c-1 A+ register 1500000 consumption \(at)",
        "c-1 Net netRegister -1000000 consumption/production \(at)",
        "c-1 P power -2500000 charge/discharge \(at)", "c-1 interval 250000 production \(at)",
      ])
    #expect(data.readings.first?.intervalSeconds == 900)
    #expect(
      talk.hear("NDATA", 2, [TestMetric("A+", nil, .double(1))]).lines
        == ["g/n A+ register 1000 consumption \(at)"])
  }

  // MARK: Values, units, times

  @Test(
    arguments: [
      (.int(4_294_966_858), 3, "out_of_range"), (.long(.max - 437), 3, "out_of_range"),
      (.int(200), 1, "out_of_range"), (.int(200), 5, "200000"), (.int(300), 5, "out_of_range"),
      (.int(65_535), 6, "65535000"), (.int(65_536), 6, "out_of_range"), (.int(7), 2, "7000"),
      (.int(4_294_967_295), 7, "4294967295000"), (.long(1 << 33), 8, "8589934592000"),
      (.long(1 << 40), 8, "out_of_range"),
      (.long(.max), 8, "out_of_range"), (.long(5), 4, "5000"),
      (.int(2_147_483_647), nil, "2147483647000"),
      (.int(2_147_483_648), nil, "wrong_type"), (.long(1 << 33), nil, "8589934592000"),
      (.float(512.1), 9, "512100"), (.float(0.1), 9, "100"), (.double(0.1), 10, "100"),
      (.double(19377.599999999627), 10, "19377600"), (.double(1e-7), 10, "0"),
      (.double(.nan), 10, "skipped"), (.float(.infinity), 9, "skipped"),
      (.double(-1), 10, "out_of_range"), (.double(1e30), 10, "out_of_range"),
      (.text("12.5"), 12, "12500"), (.text("nan"), 12, "skipped"),
      (.text("much"), 12, "wrong_type"),
      (.bool(true), 11, "wrong_type"), (.bytes([1]), 17, "wrong_type"),
      (.dataSet([]), 16, "wrong_type"), (nil, 10, "skipped"), (nil, nil, "skipped"),
    ] as [(TestMetric.Value?, UInt64?, String)])
  func values(value: TestMetric.Value?, type: UInt64?, outcome: String) throws {
    let talk = try Conversation()
    let metric = TestMetric("Energy/Import", nil, value, type: type, unit: "Wh")
    let expected =
      Int(outcome) != nil
      ? "g/n/m Energy/Import register \(outcome) consumption \(at)"
      : outcome == "skipped" ? "skipped 1" : "[0] \(outcome) $[0]"
    let lines = talk.hear("DDATA", 0, [metric]).lines
    #expect(lines.count == 1 && lines[0].hasPrefix(expected), "\(lines)")
  }

  /// Whole numbers below 0 in all the ways that encoders write them.
  @Test(
    arguments: [
      (.int(0xFFFF_FFFE), 3), (.int(0xFFFE), 2), (.int(0xFE), 1), (.int(0xFFFF_FFFE), 1),
      (.long(.max - 1), 1), (.long(.max - 1), 4), (.long(.max - 1), 3), (.int(.max - 1), 3),
    ] as [(TestMetric.Value, UInt64)])
  func negativeIntegers(value: TestMetric.Value, type: UInt64) throws {
    let talk = try Conversation(
      "- {format: sparkplug, metrics: [{name: P, kind: charge, mode: power, unit: W}]}")
    #expect(
      talk.hear("DDATA", 0, [TestMetric("P", nil, value, type: type)]).lines
        == ["g/n/m P power -2000 charge \(at)"])
  }

  @Test(arguments: [
    ("Energy/Import", "kWh", "1000000"), ("Energy/Import", "J", "0"),
    ("Energy/Import", "kvarh", "wrong_type"), ("Energy/Import", "W", "wrong_type"),
    ("Energy/Import", nil, "missing_birth"), ("Energy/Import_kWh", nil, "1000000"),
    ("Energy/Import [Wh]", nil, "1000"), ("Energy/Import (kWh)", "Wh", "1000"),
  ])
  func units(name: String, unit: String?, outcome: String) throws {
    let talk = try Conversation()
    let lines = talk.hear("DDATA", 0, [TestMetric(name, nil, .double(1), unit: unit)]).lines
    let expected =
      switch outcome {
      case "wrong_type": "[0] wrong_type $[0].properties.engUnit"
      case "missing_birth": "missing_birth $[0].name"
      default: "g/n/m \(name) register \(outcome) consumption \(at)"
      }
    #expect(lines == [expected])
  }

  @Test func aUnitThatNobodyKnows() throws {
    let talk = try Conversation()
    let metric = TestMetric("Energy/Import", 1, .double(1), type: 10)
    let lines = ["[0] missing_field $[0].properties.engUnit"]
    #expect(talk.hear("DBIRTH", 0, [metric]).lines == lines)
    #expect(talk.hear("DDATA", 1, [metric]).lines == lines)
    #expect(talk.hear("DDATA", 2, [alias(1, 1)]).lines == lines)
    try talk.configure("- {format: sparkplug, unit: MWh}")
    #expect(
      talk.hear("DDATA", 3, [alias(1, 1)]).lines
        == ["g/n/m Energy/Import register 1000000000 consumption \(at)"])
  }

  @Test(
    arguments: [
      (nil, Spb.time, false, at), (Spb.time - 1, Spb.time, false, "2026-06-10T06:58:59.999000Z"),
      (nil, nil, false, "arrival"), (nil, Spb.time, true, "missing_field"),
      (Spb.time - 86_400_000, Spb.time, true, "2026-06-09T06:59:00Z"),
      (5, Spb.time, false, "arrival"),
      (.max, Spb.time, false, "out_of_range"),
    ] as [(UInt64?, UInt64?, Bool, String)])
  func times(metric: UInt64?, payload: UInt64?, isHistorical: Bool, outcome: String) throws {
    let talk = try Conversation()
    let energy = TestMetric(
      "Energy/Import", nil, .double(1), unit: "kWh", time: metric, isHistorical: isHistorical)
    let isTime = outcome == "arrival" || outcome.hasPrefix("2026")
    #expect(
      talk.hear("DDATA", 0, [energy], time: payload).lines == [
        isTime
          ? "g/n/m Energy/Import register 1000000 consumption \(outcome)"
          : "[0] \(outcome) $[0].timestamp"
      ])
  }

  @Test func aClockThatIsNotTrustedIsAnError() throws {
    let talk = try Conversation("- {format: sparkplug, unset_clock: reject}")
    for time in [nil, UInt64(5)] {
      let metric = TestMetric("Energy/Import", nil, .double(1), unit: "kWh", time: time)
      let lines = talk.hear("DDATA", nil, [metric], time: nil).lines
      #expect(
        lines == ["[0] \(time == nil ? "missing_field" : "out_of_range") $[0].timestamp"])
    }
  }

  @Test func whatIsNullOrOfBadQualityIsNotTaken() throws {
    let talk = try Conversation()
    let (name, unit) = ("Energy/Import", "kWh")
    let data = talk.hear(
      "DDATA", 0,
      [
        TestMetric(name, nil, nil, unit: unit, isNull: true),
        TestMetric(name, nil, .double(1), unit: unit, quality: 0),
        TestMetric(name, nil, .double(2), unit: unit, quality: 500),
        TestMetric(name, nil, .double(3), unit: unit, quality: 192),
      ])
    #expect(data.lines == ["g/n/m \(name) register 3000000 consumption \(at)", "skipped 3"])
  }

  /// As mqtt-spb-wrapper tells what it has gathered; of two values that are none each is said.
  @Test func aListOfValues() throws {
    func row(_ time: UInt64?, _ value: Double) -> [UInt8] {
      let time = time.map { Spb.field(2, $0) } ?? []
      let elements = Spb.field(1, time) + Spb.field(1, Spb.fixed(4, value.bitPattern, bytes: 8))
      return Spb.field(4, elements)
    }
    func table(_ columns: [String]) -> [UInt8] {
      columns.flatMap { Spb.field(2, Array($0.utf8)) } + Spb.field(3, 4) + Spb.field(3, 10)
        + row(Spb.time - 60_000, 1) + row(nil, 1.5) + row(Spb.time, 2) + row(Spb.time, -1)
    }
    let talk = try Conversation()
    let columns = ["timestamps", "values"]
    let list = TestMetric("Energy/Import", nil, .dataSet(table(columns)), type: 16, unit: "kWh")
    #expect(
      talk.hear("DDATA", 0, [list]).lines == [
        "g/n/m Energy/Import register 1000000 consumption 2026-06-10T06:58:00Z",
        "g/n/m Energy/Import register 2000000 consumption \(at)",
        "[0] missing_field $[0].timestamp", "[0] out_of_range $[0]",
      ])
    let other = TestMetric(
      "Energy/Import", nil, .dataSet(table(["a", "values"])), type: 16, unit: "kWh")
    #expect(talk.hear("DDATA", 1, [other]).lines == ["[0] wrong_type $[0].value"])
  }

  // MARK: Bad input

  @Test(arguments: [
    ("spBv1.0/g/NCMD/n", ["skipped 1"]), ("spBv1.0/g/DCMD/n/m", ["skipped 1"]),
    ("spBv1.0/STATE/host", ["skipped 1"]), ("spBv1.0/g/STATE/host", ["skipped 1"]),
    ("spBv1.0/g/NDATA/n/m", ["unknown_topic "]), ("spBv1.0/g/DDATA/n", ["unknown_topic "]),
    ("spBv1.0/g/DNEWS/n/m", ["unknown_topic "]), ("spBv1.0/g/DDATA/n/", ["unknown_topic "]),
    ("spBv1.0/g/DDATA/n/m/x", ["unknown_topic "]), ("spBv1.0", ["unknown_topic "]),
  ])
  func topics(topic: String, lines: [String]) throws {
    let host = try SourcedDecoder("- {format: sparkplug, topic: \"spBv1.0/#\"}")
    let metric = TestMetric("Energy/Import", nil, .double(1), unit: "kWh")
    #expect(host.decode(Spb.payload([metric]), on: topic).lines == lines)
  }

  @Test func aTruncatedPayloadIsRefusedWhole() throws {
    let talk = try Conversation()
    talk.beBorn()
    let metrics = [alias(1, 101), TestMetric("Energy/Export", nil, .double(12))]
    let whole = Spb.payload(metrics, seq: 2)
    // Cut between two fields it is a payload still.
    let ends = [7, 7 + 20, whole.count - 2]
    for count in 1..<whole.count where !ends.contains(count) {
      let outcome = talk.host.decode(Array(whole[..<count]), on: "spBv1.0/g/DDATA/n/m")
      #expect(outcome.lines == ["malformed_payload $"], "\(count)")
    }
    #expect(talk.hear("DDATA", 2, metrics).samples.count == 2)
  }

  @Test(
    arguments: [
      // A name that goes beyond its metric, an unfinished number, a wire type that there is not, text that
      // is no UTF-8, a number of eleven bytes, and a metric within a group that does not end.
      [0x0A, 0x05, 0x41], [0x10, 0xFF], [0x17], [0x0A, 0x02, 0xC3, 0x28],
      [0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], [0x1B, 0x08, 0x01],
    ] as [[UInt8]])
  func aGarbledPayloadIsRefusedWhole(bytes: [UInt8]) throws {
    let talk = try Conversation()
    let good = Spb.field(2, TestMetric("Energy/Import", nil, .double(1), unit: "kWh").bytes)
    let payload = good + Spb.field(2, bytes)
    #expect(
      talk.host.decode(payload, on: "spBv1.0/g/DDATA/n/m").lines == ["malformed_payload $"])
    #expect(talk.host.decode(good, on: "spBv1.0/g/DDATA/n/m").samples.count == 1)
  }

  @Test func unknownFieldsAreNone() throws {
    let talk = try Conversation()
    let extra =
      Spb.field(99, 1) + Spb.field(98, [1, 2, 3]) + Spb.fixed(97, 1, bytes: 8)
      + Spb.fixed(96, 1, bytes: 4)
    let metric = TestMetric("Energy/Import", nil, .double(1), unit: "kWh")
    #expect(
      talk.host.decode(
        extra + Spb.field(2, extra + metric.bytes) + extra, on: "spBv1.0/g/DDATA/n/m"
      ).samples.count == 1)
  }

  @Test func whatIsCompressedIsSaid() throws {
    let talk = try Conversation()
    let payload = Spb.field(4, Array("SPBV1.0_COMPRESSED".utf8)) + Spb.field(5, [0x1F, 0x8B])
    #expect(
      talk.host.decode(payload, on: "spBv1.0/g/DDATA/n/m").lines == ["unsupported_format $.uuid"])
  }

  /// Empty metrics cost two bytes each.
  @Test func noPayloadHasMoreThanTenThousandMetrics() throws {
    let talk = try Conversation()
    let payload = [UInt8](repeating: 0, count: 1 << 20).indices.map {
      $0 % 2 == 0 ? UInt8(0x12) : 0
    }
    let outcome = talk.host.decode(payload, on: "spBv1.0/g/DDATA/n/m")
    #expect(outcome.rejections.count == 10_001)
    #expect(outcome.reasons.last == "out_of_range $[10000]")
  }

  /// Whoever makes up nodes and devices finds others forgotten, and no memory without end.
  @Test func whatIsRememberedIsBounded() throws {
    let talk = try Conversation()
    talk.beBorn()
    let metrics = (0..<200).map { TestMetric("Voltage \($0)", UInt64($0), type: 10) }
    let birth = Spb.payload(metrics)
    for number in 0..<12_000 {
      _ = talk.host.decode(birth, on: "spBv1.0/g/DBIRTH/hostile-\(number)/m")
    }
    #expect((1_000..<12_000).contains(talk.host.sources.rememberedNodes))
    #expect(talk.hear("DDATA", 2, [alias(1, 5)]).lines == [missingAlias])
    var refused = 0
    for number in 0..<2_000 {
      let outcome = talk.host.decode(birth, on: "spBv1.0/g/DBIRTH/one/m-\(number)")
      if outcome.reasons == ["out_of_range $"] { refused += 1 }
    }
    #expect((100..<1_900).contains(refused))
  }
}
