// The plausibility rules, one by one, at their edges.

import CheckRules
import EnergyReadings
import Testing

/// A judge with its memory, and readings in short.
private final class Bench {
  static let now: Int64 = 1_781_049_600_000_000
  static let hour: Int64 = 3_600_000_000

  var settings = PlausibilitySettings()
  var facts: DeviceFacts?
  private var registry = ByteArena()
  private var arena = ByteArena()
  private let judge: ReadingJudge
  /// The reading as it would be stored.
  private(set) var judged: Reading?

  init(states: MeterStates = MeterStates()) { judge = ReadingJudge(states: states) }

  func register(sources: String = "solar", kW: Int64 = 0, capacityKWh: Int64 = 0) {
    var facts = DeviceFacts()
    facts.sources = registry.append(sources.utf8.span)
    facts.ratedPower = kW * 1_000_000
    facts.capacity = capacityKWh * 1_000_000
    self.facts = facts
  }

  func reading(
    _ microKWh: Int64, kind: ReadingKind = .production, at time: Int64 = now,
    device: String = "d", seconds: Int32? = nil, sequence: Int64? = nil, register: String = ""
  ) -> Reading {
    var reading = Reading(
      kind: kind, device: arena.append(device.utf8.span), gridCode: arena.append("G"),
      energy: EnergyAmount(microKWh: microKWh), timestamp: Timestamp(microseconds: time))
    reading.energySource = arena.append("solar")
    reading.consumerType = arena.append("residential")
    reading.intervalSeconds = seconds
    reading.sequence = sequence
    if !register.isEmpty { reading.register = arena.append(register.utf8.span) }
    return reading
  }

  func withBreakdown(_ microKWh: Int64, total: Int64) -> Reading {
    var reading = reading(total, kind: .consumption)
    reading.applianceBreakdown = arena.append("{}")
    reading.applianceTotal = EnergyAmount(microKWh: microKWh)
    return reading
  }

  /// The names of the rules that the reading breaks: `!name` where it is turned away.
  func verdict(_ reading: Reading) -> [String] {
    var reading = reading
    do throws(Rejection) {
      let flags = try judge.judge(
        &reading, by: RuleSet(tables: [], plausibility: settings), facts: facts,
        registry: registry, in: &arena, receivedAt: Timestamp(microseconds: Bench.now))
      judged = reading
      return flags.map { "\($0.rule.name)" }
    } catch {
      #expect(error.reason == .implausible && !error.detail.isEmpty)
      return ["!\(error.rule ?? "")"]
    }
  }

  func heardZero(at time: Int64, sequence: Int64? = nil) {
    judge.heard(
      reading(0, at: time, sequence: sequence), by: RuleSet(tables: [], plausibility: settings),
      in: arena, receivedAt: Timestamp(microseconds: Bench.now))
  }
}

@Suite struct PlausibilityTests {
  private let bench = Bench()
  private let day = 24 * Bench.hour

  @Test func timesThatCannotBeTrue() {
    func verdict(at time: Int64) -> [String] { bench.verdict(bench.reading(1, at: time)) }
    #expect(verdict(at: Bench.now + day) == [])
    #expect(verdict(at: Bench.now + day + 1) == ["!future_timestamp"])
    bench.settings.futureTolerance = 0
    #expect(verdict(at: Bench.now) == [])
    #expect(verdict(at: Bench.now + 1) == ["!future_timestamp"])
    // 2000-01-01 is a clock that was never set; the day after is an old reading.
    #expect(verdict(at: 946_684_800_000_000) == ["!sentinel_date"])
    #expect(verdict(at: 946_771_200_000_000) == ["too_old"])
    for time in [0, -1, 7_000_000] as [Int64] { #expect(verdict(at: time) == ["!sentinel_date"]) }
    bench.settings.futureTolerance = 100 * 366 * day
    #expect(verdict(at: 3_155_760_000_000_000) == ["!sentinel_date"])
    #expect(verdict(at: 3_155_760_000_000_000 + 3 * day) == [])
  }

  @Test func whatIsTooOldIsMarked() {
    #expect(bench.verdict(bench.reading(1, at: Bench.now - 425 * day)) == [])
    #expect(bench.verdict(bench.reading(1, at: Bench.now - 425 * day - 1)) == ["too_old"])
  }

  @Test func eachRuleCanRejectFlagOrBeOff() {
    let future = bench.reading(1, at: Bench.now + 2 * day)
    #expect(bench.verdict(future) == ["!future_timestamp"])
    bench.settings[.futureTimestamp] = .flag
    #expect(bench.verdict(future) == ["future_timestamp"])
    bench.settings[.futureTimestamp] = .off
    #expect(bench.verdict(future) == [])
  }

  @Test func eachFlagHalvesTheQuality() {
    bench.settings[.negativeEnergy] = .flag
    #expect(bench.verdict(bench.reading(-1, at: Bench.now - 500 * day)).count == 2)
    #expect(bench.judged?.qualityScore == 2_500)
    // Consumption has no such column.
    #expect(bench.verdict(bench.reading(-1, kind: .consumption)) == ["negative_energy"])
    #expect(bench.judged?.qualityScore == 10_000)
  }

  @Test func negativeEnergyIsNoEnergy() {
    for kind in ReadingKind.allCases {
      #expect(bench.verdict(bench.reading(-1, kind: kind)) == ["!negative_energy"])
    }
  }

  @Test func sourcesAreThoseOfTheProducer() {
    let solar = bench.reading(1)
    for (sources, isKnown) in [
      ("solar", true), ("wind\nsolar", true), ("solar\nwind", true), ("wind", false),
      ("solarium\nsola", false), ("", true),
    ] {
      bench.register(sources: sources)
      #expect(bench.verdict(solar) == (isKnown ? [] : ["!unknown_source"]))
    }
    bench.facts = nil
    #expect(bench.verdict(solar) == [])
  }

  /// 1 kW for 15 minutes is 0.25 kWh; 1.2 times that is flagged, ten times is no energy of it.
  @Test func capacityTimesInterval() {
    bench.register(kW: 1)
    func verdict(_ microKWh: Int64, _ kind: ReadingKind = .production, _ seconds: Int32? = 900)
      -> [String]
    {
      bench.verdict(bench.reading(microKWh, kind: kind, device: "d\(microKWh)", seconds: seconds))
    }
    #expect(verdict(300_000) == [])
    #expect(verdict(300_001) == ["above_capacity"])
    #expect(verdict(2_499_999) == ["above_capacity"])
    #expect(verdict(2_500_000) == ["!far_above_capacity"])
    bench.settings[.farAboveCapacity] = .off
    #expect(verdict(2_500_000) == ["above_capacity"])
    bench.settings[.farAboveCapacity] = .reject
    // Without an interval there is nothing to multiply with.
    #expect(verdict(2_500_000, .production, nil) == [])
    #expect(verdict(2_500_000, .production, 0) == [])
    // An agreed demand is a contract.
    #expect(verdict(2_500_001, .consumption) == ["above_capacity"])
    #expect(verdict(999_999_999_999_999, .production, .max) == ["!far_above_capacity"])
  }

  /// A display of whole kWh: 1 kW, and the step comes 10 s after the total before it.
  @Test func aStepOfADisplayIsNoPower() {
    bench.register(kW: 1)
    for seconds in [nil, 10, 900] as [Int32?] {
      func verdict(_ microKWh: Int64) -> [String] {
        bench.verdict(
          bench.reading(microKWh, device: "r\(microKWh)", seconds: seconds, register: "1.8.0"))
      }
      #expect(verdict(300_000) == [])
      #expect(verdict(1_000_000) == ["above_capacity"])
      #expect(verdict(2_500_000) == ["!far_above_capacity"])
    }
    #expect(bench.verdict(bench.reading(500_000, seconds: 1_800, register: "1.8.0")) == [])
  }

  @Test func aBatteryHoldsWhatItHolds() {
    bench.register(capacityKWh: 10)
    #expect(bench.verdict(bench.reading(99_999_999, kind: .storage)) == [])
    #expect(
      bench.verdict(bench.reading(100_000_000, kind: .storage)) == ["!far_above_capacity"])
  }

  @Test func devicesOutOfUse() {
    bench.register()
    bench.facts?.inactiveSince = Timestamp(microseconds: Bench.now)
    #expect(bench.verdict(bench.reading(1, at: Bench.now - 1)) == [])
    #expect(bench.verdict(bench.reading(1, at: Bench.now)) == ["inactive_device"])
  }

  @Test func appliancesAddUp() {
    #expect(bench.verdict(bench.withBreakdown(1_010_000, total: 1_000_000)) == [])
    #expect(
      bench.verdict(bench.withBreakdown(1_010_001, total: 1_000_000))
        == ["breakdown_exceeds_total"])
    #expect(bench.verdict(bench.withBreakdown(0, total: 1)) == [])
  }

  @Test func aSpikeStandsOutOfThePast() {
    for hour in 0..<7 { #expect(bench.verdict(bench.reading(1_000, at: at(hour))) == []) }
    // Seven readings are no past yet.
    #expect(bench.verdict(bench.reading(1_001, at: at(7))) == [])
    #expect(bench.verdict(bench.reading(5_001, at: at(8))) == [])
    for hour in 9..<20 { #expect(bench.verdict(bench.reading(1_000, at: at(hour))).isEmpty) }
    #expect(bench.verdict(bench.reading(90_000, at: at(20))) == ["spike"])
    // It raises what is usual by the factor at most.
    #expect(bench.verdict(bench.reading(200_000, at: at(21))) == ["spike"])
    #expect(bench.verdict(bench.reading(90_000, kind: .storage, at: at(22))) == [])
  }

  /// Totals come when they come: an interval is as long as the pause before it.
  @Test func aLongIntervalOfARegisterIsNoSpike() {
    func verdict(_ hour: Int, _ microKWh: Int64, _ seconds: Int32?) -> [String] {
      bench.verdict(
        bench.reading(microKWh, at: at(hour), seconds: seconds, register: "1.8.0"))
    }
    for hour in 0..<9 { #expect(verdict(hour, 1_000, 3_600) == []) }
    #expect(verdict(32, 24_000, 86_400) == [])
    #expect(verdict(33, 1_000, 3_600) == [])
    #expect(verdict(34, 60_000, nil) == [])
    #expect(verdict(35, 1_000, 3_600) == [])
    #expect(verdict(36, 6_000, 3_600) == ["spike"])
    #expect(verdict(46, 1_000_000, 36_000) == ["spike"])
  }

  private func at(_ hour: Int) -> Int64 { Bench.now - 100 * Bench.hour + Int64(hour) * Bench.hour }

  @Test func aStuckValueIsNoMeasurement() {
    for hour in 0..<23 { #expect(bench.verdict(bench.reading(7, at: at(hour))) == []) }
    #expect(bench.verdict(bench.reading(7, at: at(23))) == ["stuck_value"])
    #expect(bench.verdict(bench.reading(8, at: at(24))) == [])
    // Zeros at night are no value, and end the row.
    for hour in 25..<60 { bench.heardZero(at: at(hour)) }
    for hour in 60..<83 { #expect(bench.verdict(bench.reading(8, at: at(hour))) == []) }
  }

  /// Of a register that counts in steps of 0.01 kWh, and is published when it has counted one.
  @Test func theSameRiseAgainIsNotStuck() {
    for hour in 0..<50 {
      #expect(bench.verdict(bench.reading(10_000, at: at(hour), register: "energy")) == [])
    }
  }

  @Test func aRepeatedOrLateReadingIsNotCompared() {
    for _ in 0..<50 { #expect(bench.verdict(bench.reading(7, at: at(5))) == []) }
    #expect(bench.verdict(bench.reading(999_999, at: at(4))) == [])
  }

  /// A date far ahead would be the newest for ever, and nothing after it compared.
  @Test func aWildDateIsNotRemembered() {
    bench.heardZero(at: 253_402_300_799_000_000)
    bench.settings[.futureTimestamp] = .flag
    #expect(
      bench.verdict(bench.reading(1, at: Bench.now + 300 * day)) == ["future_timestamp"])
    for hour in 0..<23 { #expect(bench.verdict(bench.reading(7, at: at(hour))) == []) }
    #expect(bench.verdict(bench.reading(7, at: at(23))) == ["stuck_value"])
  }

  @Test func gapsBySequence() {
    func verdict(_ hour: Int, _ sequence: Int64?) -> [String] {
      bench.verdict(bench.reading(Int64(hour) + 1, at: at(hour), seconds: 60, sequence: sequence))
    }
    #expect(verdict(0, 10) == [])
    #expect(verdict(1, 11) == [])
    #expect(verdict(2, 13) == ["gap"])
    #expect(verdict(3, 14) == [])
    // The counter began anew, or is gone: nothing can be said by it.
    #expect(verdict(4, 1) == [])
    #expect(verdict(5, 2) == [])
    // A zero reading cannot be marked; the next one is.
    bench.heardZero(at: at(6), sequence: 5)
    #expect(verdict(7, 6) == ["gap"])
    #expect(verdict(8, 7) == [])
    // The wildest counter.
    for round in 0..<3 {
      bench.heardZero(at: at(9 + 2 * round), sequence: 0)
      bench.heardZero(at: at(10 + 2 * round), sequence: .max)
    }
    #expect(verdict(20, .max) == ["gap"])
  }

  @Test func gapsByTheLengthOfTheInterval() {
    func verdict(_ minutes: Int64) -> [String] {
      bench.verdict(
        bench.reading(minutes + 1, at: at(0) + minutes * 60_000_000, seconds: 900))
    }
    #expect(verdict(0) == [])
    #expect(verdict(15) == [])
    // A few minutes late is late.
    #expect(verdict(35) == [])
    #expect(verdict(65) == ["gap"])
    #expect(verdict(80) == [])
    // Set to another interval: nothing can be said of the time between.
    let other = bench.reading(1_000, at: at(0) + 200 * 60_000_000, seconds: 60)
    #expect(bench.verdict(other) == [])
  }
}
