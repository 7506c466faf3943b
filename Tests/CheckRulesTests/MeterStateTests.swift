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

  /// Makes the meter be heard.
  private func hear(_ states: MeterStates, _ device: String, at time: Int64) {
    var arena = ByteArena()
    let reading = Reading(
      kind: .consumption, device: arena.append(device.utf8.span), gridCode: .absent,
      timestamp: Timestamp(microseconds: 1_780_000_000_000_000 + time))
    ReadingJudge(states: states).heard(
      reading, by: .withoutChecks, in: arena,
      receivedAt: Timestamp(microseconds: 1_781_000_000_000_000))
  }

  @Test func whatChangedIsTakenOnce() {
    let states = MeterStates()
    // What was read from the table need not be written there.
    for device in ["a", "b", "c"] { restore(states, device) }
    #expect(changed(states) == [])
    hear(states, "b", at: 1)
    hear(states, "d", at: 1)
    #expect(changed(states) == ["b", "d"])
    #expect(changed(states) == [])
    // Not newer.
    hear(states, "b", at: 1)
    #expect(changed(states) == [])
  }

  @Test func theMemoryIsBounded() {
    let states = MeterStates(limit: 6_400)
    for number in 0..<100_000 { restore(states, "meter-\(number)") }
    #expect((3_200...6_400).contains(states.count))
    // Those heard last are still there.
    let before = states.count
    restore(states, "meter-99999", at: 9)
    #expect(states.count == before)
    restore(states, "meter-0", at: 9)
    #expect(states.count != before)
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
