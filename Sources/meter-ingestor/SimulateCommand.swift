// `simulate`: a neighbourhood of meters that are not there, published or written to a capture.

import ArgumentParser
import EnergyReadings
import Foundation
import IngestPipeline
import MQTTSession
import MeterSimulator
import PostgresStore

struct SimulateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Publish the readings of a believable neighbourhood.",
    discussion: """
      Solar with clouds, wind and hydro, households with their peaks, batteries that charge at noon \
      and discharge in the evening. The same seed gives the same readings. Batteries must be \
      registered before their readings are stored: --register does it.
      """)

  @OptionGroup var options: ConfigurationOptions
  @Option(help: "Number of meters, 3…1000000.")
  var meters = 200
  @Option(help: "Seconds between two readings of a meter, 1…86400.")
  var interval = 60
  @Option(name: .customLong("for"), help: "How long, such as 30s or 24h; until Ctrl-C if absent.")
  var duration: String?
  @Option(help: "Seed of everything random.")
  var seed: UInt64 = 1
  @Option(help: "First interval's begin, RFC 3339; now if absent.")
  var start: String?
  @Option(help: "Before it, publish this much of the past without waiting, such as 24h.")
  var backfill = "0s"
  @Option(help: "live waits for each reading's time; max does not wait.")
  var speed = "live"
  @Option(help: "Write a capture (.ndjson, .ndjson.gz) instead of publishing.")
  var out: String?
  @Option(help: "Write the meters' registry entries to this JSON file.")
  var registry: String?
  @Flag(help: "Register the meters in the database first.")
  var register = false
  @Flag(help: "Take the hostile day instead: every way in which a reading can be turned away.")
  var hostile = false
  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (3...1_000_000).contains(meters) else { throw ValidationError("--meters: 3…1000000") }
    guard (1...86_400).contains(interval) else { throw ValidationError("--interval: 1…86400") }
    guard speed == "live" || speed == "max" else { throw ValidationError("--speed: live or max") }
    if out != nil || speed == "max", duration == nil, !hostile {
      throw ValidationError("--for is needed with --out and with --speed max")
    }
  }

  func run() async throws {
    let settings = try await options.load()
    let command = self
    let stop = StopOnSignal()
    try await onThread { try command.simulate(settings, stop.signal) }
  }

  private func simulate(_ settings: Settings, _ stop: StopSignal) throws {
    let begin = try start.map(parseTimestamp) ?? .now
    let neighbourhood = Neighbourhood(seed: seed, meterCount: meters)
    let hostileDay = hostile ? try HostileDay() : nil
    let entries = hostileDay?.registry ?? neighbourhood.registry
    if let registry { try write(entries, to: registry) }
    if register {
      try RegistryWriter(PostgresConnection(url: settings.postgresURL)).upsert(entries)
    }
    if let hostileDay {
      guard let out else { throw ValidationError("--hostile writes a capture: give --out") }
      return try write(hostileDay.records, to: out)
    }
    let past = try parseDuration(backfill)
    let simulation = Simulation(
      neighbourhood: neighbourhood, interval: interval, begin: begin, past: past,
      duration: try duration.map(parseDuration))
    if let out {
      try simulation.write(to: out)
    } else {
      let published = try simulation.publish(
        settings.mqtt, waits: speed == "live", stop: stop, progress: { _ in })
      if json { return try printJSON(["published": published]) }
      print("\(published) readings published and acknowledged by the broker")
    }
  }

  private func write(_ registry: RegistryFile, to file: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    try encoder.encode(registry).write(to: URL(fileURLWithPath: file))
  }

  private func write(_ records: [CaptureRecord], to file: String) throws {
    let writer = try CaptureWriter(file: file)
    for record in records { try writer.write(record) }
    try writer.close()
  }

  private func parseTimestamp(_ text: String) throws -> Timestamp {
    do {
      return try Timestamp(rfc3339: text.utf8.span)
    } catch {
      throw ValidationError("--start \(text): expected RFC 3339 such as 2026-06-21T00:00:00+07:00")
    }
  }
}

/// A neighbourhood over a stretch of time.
struct Simulation: Sendable {
  var neighbourhood: Neighbourhood
  /// Seconds.
  var interval: Int
  /// Where live time begins.
  var begin: Timestamp
  /// How much before it is published at once.
  var past: Duration
  /// nil: without end.
  var duration: Duration?

  private var from: Int64 { begin.microseconds - Int64(past / .microseconds(1)) }

  private var to: Int64 {
    // Without end is a year: the sequence is lazy.
    begin.microseconds + Int64((duration ?? .seconds(31_536_000)) / .microseconds(1))
  }

  /// Writes everything to a capture.
  func write(to file: String) throws {
    let writer = try CaptureWriter(file: file)
    var progress = ProgressLine()
    for reading in neighbourhood.readings(from: from, to: to, interval: interval) {
      try writer.write(reading.captureRecord(since: from))
      progress.show(writer.recordCount, "readings written")
    }
    try writer.close()
    progress.end()
  }

  /// Publishes everything that lies in the past at once, and the rest at its time.
  ///
  /// - Parameter progress: told now and then how many readings the broker has acknowledged.
  /// - Returns: readings that the broker acknowledged.
  func publish(
    _ settings: MQTTSettings, waits: Bool, stop: StopSignal, progress: (Int) -> Void
  ) throws -> Int {
    var mqtt = settings
    mqtt.clientID += "-simulator-\(getpid())"
    mqtt.cleanStart = true
    mqtt.sessionExpiry = 0
    let publisher = try MQTTPublisher(mqtt)
    var line = ProgressLine()
    for reading in neighbourhood.readings(from: from, to: to, interval: interval) {
      while waits, !stop.isSet {
        let rest = reading.time - Timestamp.now.microseconds
        if rest <= 0 { break }
        try publisher.exchange(milliseconds: Int32(min(rest / 1_000 + 1, 200)))
        progress(publisher.acknowledged)
      }
      if stop.isSet { break }
      try publisher.publish(topic: reading.topic, payload: reading.payload)
      line.show(publisher.published, "readings published")
    }
    try publisher.finish()
    line.end()
    progress(publisher.acknowledged)
    return publisher.acknowledged
  }
}
