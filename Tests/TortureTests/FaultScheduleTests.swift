// The schedule of faults: reproducible, complete, and one after the other for each target.

import Testing

@Suite struct FaultScheduleTests {
  private let short = FaultSchedule(seed: 7, seconds: 75, count: 24, hasDisk: true)

  @Test func followsFromTheSeed() {
    #expect(
      FaultSchedule(seed: 7, seconds: 75, count: 24, hasDisk: true).faults == short.faults)
    #expect(
      FaultSchedule(seed: 8, seconds: 75, count: 24, hasDisk: true).faults != short.faults)
  }

  /// The short run knows every fault there is.
  @Test func everyFaultComes() {
    #expect(Set(short.faults.map(\.fault)) == Set(Fault.all))
    let without = FaultSchedule(seed: 7, seconds: 75, count: 24, hasDisk: false)
    #expect(Set(without.faults.map(\.fault)) == Set(Fault.all).subtracting([.fullDisk]))
  }

  @Test func faultsOverlap() {
    let overlapping = short.faults.filter { fault in
      short.faults.contains {
        $0.target != fault.target && $0.at < fault.at && $0.at + $0.lasting > fault.at
      }
    }
    #expect(overlapping.count >= 5)
    for lane in short.lanes.values {
      #expect(lane.map(\.at) == lane.map(\.at).sorted())
    }
  }

  @Test(arguments: ["0", "x", "-3"]) func aWrongLengthIsNamed(minutes: String) {
    #expect(throws: TortureSettings.Mistake.self) {
      try TortureSettings(environment: ["TORTURE_MINUTES": minutes])
    }
  }
}
