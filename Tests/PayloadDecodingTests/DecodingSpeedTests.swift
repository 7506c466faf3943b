// What decoding costs: CPU time a reading, of the release build only, printed for the record.

import EnergyReadings
import Foundation
import Glibc
import PayloadDecoding
import Testing

@Suite struct DecodingSpeedTests {
  #if DEBUG
    private static let isMeasured = false
  #else
    private static let isMeasured = true
  #endif

  /// A typical payload of each decoder, and the readings in it.
  private static let traffic: [(name: String, topic: String, payload: String, readings: Int)] = [
    (
      "mapping, JSON", "zigbee2mqtt/plug",
      #"{"current":0.07,"energy":1.54,"linkquality":63,"power":0,"state":"ON","voltage":239}"#, 1
    ),
    ("mapping, number", "solar/116180400144/0/yieldtotal", "1204.557", 1),
    ("mapping, Victron", "N/e0ff50a097c0/grid/30/Ac/Energy/Forward", #"{"value": 936.25}"#, 1),
    (
      "shelly", "house/events/rpc",
      #"{"src":"shellypro3em-1234567890ab","dst":"x/events","method":"NotifyStatus","params":"#
        + #"{"ts":1788944400.21,"emdata:0":{"id":0,"a_total_act_energy":0.06,"#
        + #""total_act":26289.57,"total_act_ret":131881.86}}}"#, 2
    ),
    (
      "tasmota", "tele/plug001/SENSOR",
      #"{"Time":"2026-02-15T17:37:10","ENERGY":{"TotalStartTime":"2018-11-14T18:39:40","#
        + #""Total":6.294,"Yesterday":5.340,"Today":0.954,"Period":217,"Power":2635,"#
        + #""Factor":0.99,"Voltage":227,"Current":11.661}}"#, 1
    ),
    (
      "obis, keyed", "obis/LGZ1030655933512/json",
      #"{"meter": {"ts": "2026-07-06T14:58:18+00:00", "1.7.0": 28.0, "2.7.0": 0.0, "#
        + #""1.8.0": 886977.0, "2.8.0": 0.5}}"#, 2
    ),
    (
      "obis, one code", "obis/LGZ1030655933512/json",
      #"{"obis":"1.8.0","value":886978.5,"timestamp":1781078460}"#, 1
    ),
    (
      "senml", "senml",
      #"[{"n": "1.8.0", "v": 1345.5, "t": 300, "bn": "meter:H14:", "bv": 4321000, "bu": "Wh", "#
        + #""bt": 1781085600}, {"n": "2.8.0", "v": 19377.599999999627, "t": 300}]"#, 2
    ),
    (
      "gridtokenx-obis", "dlms/GTX-MTR-H17",
      #"{"1.1.1.8.0.255": 465.865, "1.1.2.8.0.255": 0.687, "kwh": -0.465178, "timestamp": "#
        + #""2026-06-10T04:00:00+00:00", "1.1.1.8.2.255": 465.865}"#, 2
    ),
  ]

  @Test(.enabled(if: isMeasured)) func everyJSONDecoderIsBelowAMicrosecondAReading() throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "fixtures/formats")
    let sources = try SourceFile.table(
      yaml: String(contentsOf: folder.appending(path: "sources.yaml"), encoding: .utf8), name: "s")
    for (name, topic, payload, readings) in Self.traffic {
      let nanoseconds = measure(topic, payload, sources, readings: readings)
      print("decode \(name): \(nanoseconds) ns a reading")
      #expect(nanoseconds < 1_000, "\(name)")
    }
  }

  /// The best of several rounds: neighbours on the machine only ever make it slower.
  private func measure(
    _ topic: String, _ payload: String, _ sources: SourceTable, readings: Int
  ) -> Int {
    let decoder = PayloadDecoder()
    var (arena, decoded, best) = (ByteArena(capacity: 1 << 20), DecodedReadings(), Int.max)
    for _ in 0..<10 {
      let start = threadNanoseconds()
      for round in 0..<10_000 {
        if round % 1_000 == 0 { arena.removeAll() }
        let message = Message(
          topic: arena.append(topic.utf8.span), payload: arena.append(payload.utf8.span),
          receivedAt: SourcedDecoder.arrival)
        decoder.decode(message, from: sources, in: &arena, into: &decoded)
      }
      best = min(best, (threadNanoseconds() - start) / 10_000 / readings)
      #expect(decoded.samples.count + decoded.accepted.count == readings)
    }
    return best
  }

  private func threadNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}
