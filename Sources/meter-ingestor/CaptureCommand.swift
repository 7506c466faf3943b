// `capture`: writes down what is heard on the broker.

import ArgumentParser
import EnergyReadings
import Foundation
import IngestPipeline
import MQTTSession
import MeterSimulator

struct CaptureCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "capture",
    abstract: "Write messages from the broker to a capture file that `replay` takes.")

  @OptionGroup var options: ConfigurationOptions
  @Option(help: "Topic filter; may be given several times.")
  var topic: [String] = ["gridtokenx/v1/#"]
  @Option(help: "File to write, .ndjson or .ndjson.gz; - is standard output.")
  var out: String
  @Option(name: .customLong("for"), help: "Stop after this time, such as 30s or 5m.")
  var duration: String?
  @Option(help: "Stop after this many messages.")
  var count: Int?
  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let settings = try await options.load()
    let limit = try duration.map(parseDuration)
    let stop = StopOnSignal()
    let written = try await onThread { [topic, out, count] in
      try Recording(settings.mqtt, filters: topic, file: out, limit: limit, count: count)
        .run(stop.signal)
    }
    // Standard output may be the capture itself.
    if json, out != "-" { return try printJSON(["written": written]) }
    standardError("\(written) messages written to \(out)")
  }
}

/// Listens with a clean session of its own and writes until it is told to stop.
private struct Recording {
  private let mqtt: MQTTSettings
  private let filters: [String]
  private let file: String
  private let limit: Duration?
  private let count: Int

  init(_ mqtt: MQTTSettings, filters: [String], file: String, limit: Duration?, count: Int?) {
    var own = mqtt
    own.clientID += "-capture-\(getpid())"
    own.cleanStart = true
    own.sessionExpiry = 0
    self.mqtt = own
    self.filters = filters
    self.file = file
    self.limit = limit
    self.count = count ?? .max
  }

  func run(_ stop: StopSignal) throws -> Int {
    let writer = try CaptureWriter(file: file)
    let session = try MQTTSession(mqtt)
    let (start, began) = (ContinuousClock.now, Timestamp.now)
    var written = 0
    var problem: (any Error)?
    session.onMessage = { message in
      guard written < count, problem == nil else { return }
      do {
        try writer.write(
          CaptureRecord(
            timeMilliseconds: Int64((ContinuousClock.now - start) / .milliseconds(1)),
            topic: String(decoding: message.topic, as: UTF8.self), payload: Array(message.payload),
            retain: message.isRetained, began: written == 0 ? began : nil))
        written += 1
      } catch { problem = error }
    }
    try session.connect()
    while !stop.isSet, written < count, problem == nil {
      if let limit, ContinuousClock.now - start >= limit { break }
      _ = session.wait(milliseconds: 100)
      try session.receive()
      for event in session.takeEvents() { try handle(event, session) }
      try session.keepAlive()
      try session.flush()
    }
    session.disconnect()
    try writer.close()
    if let problem { throw problem }
    return written
  }

  private func handle(_ event: MQTTEvent, _ session: MQTTSession) throws {
    switch event {
    case .connected: try session.subscribe(filters)
    case .disconnected(let reason):
      throw MQTTError(target: mqtt.target, operation: "capture", message: reason)
    case .subscribed(let granted):
      if granted.contains(where: { $0 >= 128 }) {
        throw MQTTError(
          target: mqtt.target, operation: "subscribe to \(filters.joined(separator: ", "))",
          message: "not allowed; check the broker's ACL")
      }
    }
  }
}

/// Reads `30s`, `5m`, ….
func parseDuration(_ text: String) throws -> Duration {
  guard let duration = Duration(text: text) else {
    throw ValidationError("\(text) is not a duration such as 250ms, 30s, 5m or 24h")
  }
  return duration
}
