// `bench-publish`: the publisher of `bench`, a process of its own so that its cost can be told apart.

import ArgumentParser
import Bench
import Foundation

struct BenchPublishCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench-publish",
    abstract: "Publish a file of MQTT packets to $MQTT_URL; bench uses it.", shouldDisplay: false)

  @Argument(help: "PUBLISH packets of MQTT 3.1.1 at QoS 1, one after the other.")
  var file: String

  func run() async throws {
    guard let url = ProcessInfo.processInfo.environment["MQTT_URL"] else {
      throw ValidationError("set MQTT_URL to the broker's address")
    }
    let file = file
    try await onThread { try PacketPublisher.publish(file, to: url) }
  }
}
