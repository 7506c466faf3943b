// Registers by example: what each rule does with the sample that it is for.

import EnergyReadings
import Testing

@Suite struct RegisterHistoryTests {
  @Test func theFirstTotalIsOnlyRemembered() {
    var register = RegisterBench()
    #expect(register.take(5_000, at: 0).verdict == .heard)
    #expect(register.take(5_250, at: 60).interval == 250)
    #expect(register.take(5_250, at: 120).verdict == .heard)
    #expect(register.take(5_251, at: 180).interval == 1)
    #expect(register.booked == 251)
  }

  @Test func anIntervalEndsWithItsSample() {
    var register = RegisterBench()
    register.take(5_000, at: 0)
    guard case .interval(let interval) = register.take(6_000, at: 90).verdict else {
      Issue.record("no interval")
      return
    }
    #expect(interval.end == RegisterBench.time(90) && interval.seconds == 90)
    #expect(interval.flow == .init(.consumption))
  }

  @Test func lateAndRepeatedTotalsAreInAnIntervalAlready() {
    var register = RegisterBench()
    register.take(5_000, at: 0)
    register.take(6_000, at: 100)
    for (value, second) in [(5_500, 50), (6_000, 100), (5_000, 0)] as [(Int64, Int64)] {
      #expect(register.take(value, at: second).verdict == .known)
    }
    #expect(register.booked == 1_000)
  }

  /// What is older than all before moves the beginning.
  @Test func anOlderTotalBeginsEarlier() {
    var register = RegisterBench()
    register.take(5_000, at: 100)
    let outcome = register.take(4_200, at: 0)
    #expect(outcome.interval == 800)
    guard case .interval(let interval) = outcome.verdict else { return }
    #expect(interval.end == RegisterBench.time(100))
    #expect(register.take(4_100, at: -50).interval == 100)
    // It belongs to what was before a reset that nobody saw.
    #expect(register.take(9_999, at: -100).verdict == .heard)
    #expect(register.booked == 900)
  }

  @Test func aNetRegisterFeedsBothDirections() {
    var register = RegisterBench(measure: .netRegister)
    register.opposite = .init(.production)
    register.take(-200, at: 0)
    #expect(register.take(300, at: 60).interval == 500)
    guard case .interval(let back) = register.take(-100, at: 120).verdict else {
      Issue.record("no interval")
      return
    }
    #expect(back.microKWh == 400 && back.flow == .init(.production))
    register.opposite = nil
    #expect(register.take(-500, at: 180).verdict == .heard)
    #expect(register.take(-400, at: 240).interval == 100)
  }

  @Test func aDisplayRollsOver() {
    var known = RegisterBench(maximumWatts: 10_000)
    known.digits = 3
    known.take(999_900_000, at: 0)
    let outcome = known.take(100_000, at: 600)
    #expect(outcome.interval == 200_000 && outcome.event?.kind == .rollover)
    // Without knowledge of the power only from the top tenth into the lowest.
    var unknown = RegisterBench()
    unknown.digits = 3
    unknown.take(950_000_000, at: 0)
    #expect(unknown.take(50_000_000, at: 600).interval == 100_000_000)
    unknown.take(800_000_000, at: 1_000_000)
    #expect(unknown.take(50_000_000, at: 1_000_600).event?.kind == .reset)
    // Far more than can have flowed: another meter.
    known.take(900_000_000, at: 100_000_000)
    #expect(known.take(100_000_000, at: 100_000_600).event?.kind == .reset)
  }

  @Test func aResetCountsFromWhereItFellTo() {
    var register = RegisterBench()
    register.take(5_000_000_000, at: 0)
    let outcome = register.take(2_000_000, at: 60)
    #expect(
      outcome
        == RegisterOutcome(
          .heard, .init(kind: .reset, before: 5_000_000_000, after: 2_000_000)))
    #expect(register.take(2_500_000, at: 120).interval == 500_000)
    // Of before the reset, and late: left out rather than counted twice.
    #expect(register.take(5_000_100_000, at: -60).verdict == .known)
    #expect(register.take(1_000_000, at: -60).verdict == .known)
    #expect(register.booked == 500_000)
  }

  /// Tasmota's script publishes zeros after its start.
  @Test func zerosAfterBootAreNoReset() {
    var register = RegisterBench(maximumWatts: 20_000)
    register.take(5_000_000_000, at: 0)
    #expect(register.take(0, at: 60).event?.kind == .reset)
    #expect(register.take(0, at: 70).verdict == .heard)
    let outcome = register.take(5_000_100_000, at: 120)
    #expect(outcome.interval == 100_000 && outcome.event?.kind == .restored)
    #expect(register.take(4_999_000_000, at: -60).verdict == .known)
    #expect(register.booked == 100_000)
  }

  /// A first sight of such a zero must not make the meter's whole life an interval.
  @Test(arguments: [0, 20_000] as [Int64]) func aWholeMeterReadingIsNeverBooked(watts: Int64) {
    var register = RegisterBench(maximumWatts: watts)
    register.take(0, at: 0)
    #expect(register.take(5_000_000_000, at: 3_600).event?.kind == .implausibleStep)
    let outcome = register.take(5_000_100_000, at: 3_660)
    #expect(outcome.interval == 100_000 && outcome.event?.kind == .exchange)
    #expect(register.booked == 100_000)
  }

  @Test func aSmallFallIsNoReset() {
    var register = RegisterBench()
    register.take(5_000_000, at: 0)
    #expect(register.take(4_990_000, at: 60) == RegisterOutcome(.heard))
    #expect(register.take(4_995_000, at: 120) == RegisterOutcome(.heard))
    #expect(register.take(5_000_100, at: 180).interval == 100)
  }

  /// A broker that delivers again what has no time of its own gives it a new one.
  @Test func whatComesAgainWithANewTimeIsNotCountedAgain() {
    var register = RegisterBench(isTimeOfArrival: true)
    for (second, value) in [500, 600, 700, 500, 600, 700, 800].enumerated() {
      register.take(Int64(value) * 1_000, at: Int64(second))
    }
    #expect(register.booked == 300_000)
  }

  /// A new meter's whole life looks like a reset when it comes again.
  @Test func theLifeOfANewMeterThatComesAgainIsNotCountedAgain() {
    var register = RegisterBench(isTimeOfArrival: true)
    for (second, value) in [0, 100, 200, 300, 0, 100, 200, 300, 400].enumerated() {
      #expect(register.take(Int64(value) * 1_000, at: Int64(second)).event == nil)
    }
    #expect(register.booked == 400_000)
  }

  @Test(arguments: [2_000_000, 3_000_000_000] as [Int64])
  func aResetWithoutATimeIsHeldForTenMinutes(low: Int64) {
    var register = RegisterBench(isTimeOfArrival: true)
    register.take(5_000_000_000, at: 0)
    for second in [60, 300, 659] as [Int64] {
      #expect(register.take(low + second, at: second) == RegisterOutcome(.heard))
    }
    let outcome = register.take(low + 700, at: 660)
    #expect(outcome.interval == 640)
    #expect(outcome.event == .init(kind: .reset, before: 5_000_000_000, after: low + 60))
    #expect(register.take(low + 800, at: 661).interval == 100)
  }

  /// Above where it stood before it fell is not back there.
  @Test func aJumpWhileAFallIsHeldIsDoubted() {
    var register = RegisterBench(isTimeOfArrival: true)
    register.take(5_500_000, at: 0)
    register.take(5_200_000, at: 60)
    let jump = register.take(4_000_005_600_000, at: 120)
    #expect(jump.event?.kind == .implausibleStep)
    guard case .implausible = jump.verdict else { return #expect(Bool(false), "\(jump)") }
    // And the fall is still held.
    #expect(register.take(5_300_000, at: 180).verdict == .heard)
    #expect(register.take(5_600_000, at: 240).interval == 100_000)
  }

  /// Messages that waited at the broker arrive faster than the clock ticks.
  @Test func whatArrivesInOneTickArrivesInOrder() {
    var register = RegisterBench(isTimeOfArrival: true)
    for value in [5_000, 5_100, 5_100, 5_300, 5_600] as [Int64] { register.take(value, at: 7) }
    #expect(register.booked == 600)
    #expect(register.take(5_700, at: 8).interval == 100)
    var other = RegisterBench()
    other.take(5_000, at: 7)
    #expect(other.take(5_100, at: 7).verdict == .known)
  }

  /// emonTx counts both ways, and from 0 when it starts.
  @Test func aNetRegisterThatBeginsAnewHasNotRunBack() {
    var register = RegisterBench(measure: .netRegister)
    register.opposite = .init(.production)
    register.take(76_000_000, at: 0)
    #expect(register.take(0, at: 900).event?.kind == .implausibleStep)
    #expect(register.take(50_000, at: 960).event?.kind == .exchange)
    #expect(register.booked == 50_000)
    // What can have flowed has.
    #expect(register.take(0, at: 1_860).interval == 50_000)
  }

  @Test func aStepBeyondThePowerIsDoubted() {
    var register = RegisterBench(maximumWatts: 10_000)
    register.take(5_000_000, at: 0)
    let wild = register.take(3_505_000_000, at: 900)
    guard case .implausible(let detail) = wild.verdict else {
      Issue.record("booked")
      return
    }
    #expect(detail.contains("3505.000000 kWh") && detail.contains("at most 2.500000 kWh"))
    // The same message once more confirms nothing.
    #expect(register.take(3_505_000_000, at: 900).event == nil)
    // It was a slip: all is counted from where it stood.
    #expect(register.take(5_200_000, at: 1_800).interval == 200_000)
    #expect(register.booked == 200_000)
  }

  @Test(arguments: [false, true]) func twoTotalsThatAgreeAreAnotherMeter(isShuffled: Bool) {
    var register = RegisterBench(maximumWatts: 10_000)
    register.take(5_000_000, at: 0)
    var samples: [(Int64, Int64)] = [(90_000_000_000, 900), (90_000_300_000, 1_800)]
    if isShuffled { samples.reverse() }
    #expect(register.take(samples[0].0, at: samples[0].1).event?.kind == .implausibleStep)
    let outcome = register.take(samples[1].0, at: samples[1].1)
    #expect(outcome.interval == 300_000)
    #expect(outcome.event == .init(kind: .exchange, before: 5_000_000, after: 90_000_000_000))
    #expect(register.take(90_000_400_000, at: 2_700).interval == 100_000)
    #expect(register.take(5_100_000, at: -5).verdict == .known)
  }

  @Test func noMeterShowsThat() {
    var register = RegisterBench()
    for value in [-1, .max, .min] as [Int64] {
      guard case .outOfRange = register.take(value, at: 0).verdict else {
        Issue.record("\(value) was taken")
        return
      }
    }
    #expect(register.history == nil)
  }

  @Test func anotherMeasureBeginsAnew() {
    var register = RegisterBench()
    register.take(5_000_000, at: 0)
    register.measure = .power
    #expect(register.take(800_000, at: 60).event?.kind == .redefined)
    #expect(register.take(800_000, at: 120).interval == 13_333)
  }
}

@Suite struct PowerIntegrationTests {
  /// 1 kW for an hour, in steps that are no whole micro-kWh.
  @Test func whatIsLeftOverIsCarried() {
    var register = RegisterBench(measure: .power)
    for step in 0...5_142 { register.take(1_000_000, microseconds: Int64(step) * 700_000) }
    // 3,599.4 s of it.
    #expect(register.booked == 999_833)
    register.take(1_000_000, microseconds: 3_600_000_000)
    #expect(register.booked == 1_000_000 && register.history?.carry == 0)
  }

  @Test func itIsATrapezoidInTheDirectionThatOutweighs() {
    var register = RegisterBench(measure: .power)
    register.opposite = .init(.production)
    register.take(0, at: 0)
    #expect(register.take(3_600_000, at: 100).interval == 50_000)
    #expect(register.take(-1_200_000, at: 200).interval == 33_333)
    guard case .interval(let back) = register.take(-1_200_000, at: 300).verdict else {
      Issue.record("no interval")
      return
    }
    #expect(back.flow.kind == .production && back.microKWh == 33_333)
  }

  @Test func overAGapNobodyKnows() {
    var register = RegisterBench(measure: .power)
    register.take(1_000_000, at: 0)
    #expect(register.take(1_000_000, at: 901).verdict == .heard)
    #expect(register.take(1_000_000, at: 900).verdict == .known)
    #expect(register.take(1_000_000, at: 1_801).interval == 250_000)
  }

  @Test func impossiblePowerIsNotTaken() {
    var register = RegisterBench(measure: .power, maximumWatts: 10_000)
    register.take(1_000_000, at: 0)
    guard case .implausible(let detail) = register.take(-10_001_000, at: 60).verdict else {
      Issue.record("taken")
      return
    }
    #expect(detail == "-10001.000 W, where at most 10000 W can flow")
    #expect(register.take(1_000_000, at: 120).interval == 33_333)
  }
}

/// One register on the bench.
struct RegisterBench {
  var measure: RegisterSample.Measure
  var maximumWatts: Int64
  var isTimeOfArrival: Bool
  var digits: UInt8 = 0
  var opposite: RegisterSample.Flow?
  var history: RegisterHistory?
  /// What its flow came to, less what its opposite did, micro-kWh.
  var booked: Int64 = 0

  init(
    measure: RegisterSample.Measure = .register, maximumWatts: Int64 = 0,
    isTimeOfArrival: Bool = false
  ) {
    self.measure = measure
    self.maximumWatts = maximumWatts
    self.isTimeOfArrival = isTimeOfArrival
  }

  /// 2026-06-10T00:00:00Z and so many seconds.
  static func time(_ second: Int64) -> Timestamp {
    Timestamp(microseconds: 1_781_049_600_000_000 + second * 1_000_000)
  }

  @discardableResult
  mutating func take(_ value: Int64, at second: Int64) -> RegisterOutcome {
    take(value, microseconds: second * 1_000_000)
  }

  @discardableResult
  mutating func take(_ value: Int64, microseconds: Int64) -> RegisterOutcome {
    var sample = RegisterSample(
      device: .absent, register: .absent, measure: measure, value: value,
      timestamp: Timestamp(microseconds: RegisterBench.time(0).microseconds + microseconds),
      flow: .init(.consumption), opposite: opposite)
    sample.maximumWatts = maximumWatts
    sample.digits = digits
    sample.isTimeOfArrival = isTimeOfArrival
    let outcome = RegisterHistory.take(sample, into: &history)
    if case .interval(let interval) = outcome.verdict {
      booked += interval.flow == sample.flow ? interval.microKWh : -interval.microKWh
    }
    return outcome
  }
}

extension RegisterOutcome {
  /// Micro-kWh; nil where it is no interval.
  var interval: Int64? {
    guard case .interval(let interval) = verdict else { return nil }
    return interval.microKWh
  }
}
