// What judging costs: the whole default rule set on a reading that passes.

import CheckRules
import EnergyReadings
import Glibc
import IngestPipeline
import PostgresStore
import TestServices
import Testing

@Suite struct JudgeSpeedTests {
  /// The goal is 150 ns on an idle machine; the bound leaves room for one that shares its caches.
  @Test(arguments: [ReadingKind.consumption, .production])
  func theDefaultRulesAreQuick(kind: ReadingKind) throws {
    let connection = try PostgresConnection(url: TestServices.migratedDatabase())
    let rules = try RuleCatalog.load(over: connection).compiled(PlausibilitySettings())
    let judge = ReadingJudge(states: MeterStates())
    var arena = ByteArena()
    var facts = DeviceFacts()
    var registry = ByteArena()
    facts.sources = registry.append("wind\nsolar")
    facts.ratedPower = 5_000_000_000
    let devices = (0..<1_000).map { arena.append("meter-\(100_000 + $0)".utf8.span) }
    var reading = Reading(
      kind: kind, device: devices[0], gridCode: arena.append("BKK-07"),
      energy: EnergyAmount(microKWh: 1))
    reading.consumerType = arena.append("industrial")
    reading.energySource = arena.append("solar")
    reading.applianceBreakdown = arena.append(#"{"hvac":0.1,"lighting":0.03}"#)
    reading.applianceTotal = EnergyAmount(microKWh: 130_000)
    reading.intervalSeconds = 900
    let now = Timestamp.now
    let count = 1_000_000
    /// Makes `count` readings, each after the last of its device, and hands them to `body`.
    func forEach(_ body: (inout Reading) throws -> Void) rethrows -> Int {
      let start = threadNanoseconds()
      for index in 0..<count {
        var next = reading
        next.device = devices[index % devices.count]
        next.sequence = Int64(index / devices.count)
        next.energy = EnergyAmount(microKWh: 200_000 + Int64(index % 977))
        next.timestamp = Timestamp(
          microseconds: now.microseconds - Int64(count - index) * 900_000)
        try body(&next)
      }
      return threadNanoseconds() - start
    }
    var sum: Int64 = 0
    let making = forEach { sum &+= $0.energy.microKWh }
    var flagged = 0
    let judging = try forEach { reading in
      flagged += try judge.judge(
        &reading, by: rules, facts: facts, registry: registry, in: &arena, receivedAt: now
      ).count
    }
    let nanoseconds = (judging - making) / count
    print("judging \(kind): \(nanoseconds) ns a reading, besides \(making / count) to make it")
    #expect(flagged == 0 && sum > 0)
    #expect(nanoseconds < 600)
  }

  /// CPU time of this thread, so that neighbours count as little as they can.
  private func threadNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}
