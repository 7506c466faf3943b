// What the rules remember: bounded, saved once, and shared by threads.

import CheckRules
import EnergyReadings
import Testing

@Suite struct MeterStateTests {
  private func restore(_ states: MeterStates, _ device: String, at time: Int64 = 1) {
    states.restore(
      kind: .consumption, device: device, MeterState(lastAt: Timestamp(microseconds: time)))
  }

  private func changed(_ states: MeterStates) -> [String] {
    states.takeChanged().map(\.device).sorted()
  }

  @Test func whatChangedIsTakenOnce() {
    let states = MeterStates()
    for device in ["a", "b", "c"] { restore(states, device) }
    #expect(changed(states) == ["a", "b", "c"])
    #expect(changed(states) == [])
    // Known already, and therefore newer.
    restore(states, "a", at: 2)
    #expect(changed(states) == [])
  }

  @Test func theMemoryIsBounded() {
    let states = MeterStates(limit: 6_400)
    for number in 0..<100_000 { restore(states, "meter-\(number)") }
    #expect((3_200...6_400).contains(states.count))
    // Those heard last are still there.
    _ = changed(states)
    restore(states, "meter-99999", at: 9)
    #expect(changed(states) == [])
    restore(states, "meter-0", at: 9)
    #expect(changed(states) == ["meter-0"])
  }

  @Test func kindsAreToldApart() {
    let states = MeterStates()
    for kind in ReadingKind.allCases {
      states.restore(kind: kind, device: "x", MeterState(lastAt: Timestamp(microseconds: 1)))
    }
    #expect(states.count == 3)
  }

  @Test func manyThreadsRememberEverything() async {
    let states = MeterStates()
    await withTaskGroup(of: Void.self) { group in
      for task in 0..<8 {
        group.addTask {
          for number in 0..<5_000 { restore(states, "\(task % 4)-\(number)") }
        }
      }
    }
    #expect(states.count == 20_000)
  }
}
