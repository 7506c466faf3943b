// `meter-ingestor capture` in the background.

import Foundation
import MQTTSession
import MeterSimulator
import PrivateServices
import TestServices
import Testing

final class RunningCapture {
  private var child: ChildProcess
  private let client = TestServices.freshName()

  init(broker: String, topic: String, count: Int, file: String) throws {
    child = try ChildProcess(
      [
        TestServices.program, "capture", "--topic", topic, "--count", "\(count)", "--out", file,
        "--set", "mqtt.client-id=\(client)",
      ], environment: ["MQTT_URL": broker], output: "/dev/null")
  }

  deinit {
    kill(child.pid, SIGKILL)
    _ = child.waitForExit(atMost: .seconds(5))
  }

  /// The broker logs each subscription; only what is published after it is heard.
  func waitUntilListening(_ services: PrivateServices, _ grid: String) async throws {
    try await eventually("the capture listens\n\(services.brokerLog(last: 50))") {
      services.brokerLog(last: 5_000).contains("\(client)-capture-\(child.pid)")
    }
  }

  func waitForExit() -> Int32? { child.waitForExit(atMost: .seconds(30)) }
}
