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
    var flagged = 0
    let start = threadNanoseconds()
    for index in 0..<count {
      var judged = reading
      judged.device = devices[index % devices.count]
      judged.sequence = Int64(index / devices.count)
      judged.energy = EnergyAmount(microKWh: 200_000 + Int64(index % 977))
      judged.timestamp = Timestamp(
        microseconds: now.microseconds - Int64(count - index) * 900_000)
      flagged += try judge.judge(
        &judged, by: rules, facts: facts, registry: registry, in: &arena, receivedAt: now
      ).count
    }
    let nanoseconds = Double(threadNanoseconds() - start) / Double(count)
    print("judging \(kind): \(Int(nanoseconds)) ns a reading")
    #expect(flagged == 0)
    #expect(nanoseconds < 600)
  }

  /// CPU time of this thread, so that neighbours count as little as they can.
  private func threadNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}
