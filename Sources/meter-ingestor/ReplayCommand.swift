// `replay`: sends captures again, through the broker as meters would, or straight into the pipeline.

import ArgumentParser
import EnergyReadings
import Foundation
import IngestPipeline
import MQTTSession
import MeterSimulator
import Monitoring
import PostgresStore

struct ReplayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Publish captures to the broker, or store them directly.",
    discussion: """
      Replaying a capture twice stores every reading once. A line that cannot be read is reported \
      with file and line number and skipped; --strict stops there. --direct needs no broker: it \
      stores the readings itself, over as many connections as there are workers, and prints what \
      became of them. Messages count as received when the capture heard them, if it says when it \
      began; the broker can only be told of them now.
      """)

  @OptionGroup var options: ConfigurationOptions
  @Argument(help: "Capture files, .ndjson or .ndjson.gz; - is standard input.")
  var files: [String]
  @Flag(help: "Store the readings without a broker.")
  var direct = false
  @Option(help: "1 is the recorded pace, 10 is ten times as fast, max does not wait.")
  var speed = "1"
  @Flag(help: "Stop at the first line that cannot be read.")
  var strict = false
  @Flag(help: "Print the result as JSON.")
  var json = false

  func run() async throws {
    let settings = try await options.load()
    let logger = makeLogger(settings.logLevel)
    let factor = Double(speed)
    guard speed == "max" || (factor ?? 0) > 0 else {
      throw ValidationError("--speed \(speed): expected a number above 0 or max")
    }
    let capture = CaptureFiles(files: files, isStrict: strict)
    let stop = StopOnSignal()
    let (pace, json) = (speed == "max" ? nil : factor, json)
    let broken =
      if direct {
        try await onThread {
          let services = IngestServices(settings: settings, logger: logger)
          return try DirectReplay(services).run(capture, stop.signal, json: json)
        }
      } else {
        try await onThread {
          try BrokerReplay(settings.mqtt, speed: pace).run(capture, stop.signal, json: json)
        }
      }
    if broken > 0 { throw ExitCode(1) }
  }
}

/// The messages of several captures, one after the other.
struct CaptureFiles: Sendable {
  var files: [String]
  var isStrict: Bool

  /// Calls `body` for each message until it returns false.
  ///
  /// - Returns: lines that could not be read.
  func readAll(_ body: (CaptureReader) throws -> Bool) throws -> Int {
    try forEachFile { reader, broken in
      while try advance(reader, &broken) { if try !body(reader) { return false } }
      return true
    }
  }

  /// Calls `body` for each file until it returns false, or a line was broken where that ends it all.
  ///
  /// - Parameter body: steps through the file by ``advance(_:_:)``, which counts in its second argument.
  /// - Returns: lines that could not be read.
  func forEachFile(_ body: (CaptureReader, inout Int) throws -> Bool) throws -> Int {
    var broken = 0
    for file in files {
      let goesOn = try body(CaptureReader(file: file), &broken)
      if !goesOn || (isStrict && broken > 0) { break }
    }
    return broken
  }

  /// Steps to the next message of a file.
  ///
  /// - Parameter broken: counts the lines that could not be read; each is told.
  /// - Returns: false at the end of the file or, where that is asked for, at a line that cannot be read.
  func advance(_ reader: CaptureReader, _ broken: inout Int) throws -> Bool {
    while true {
      switch try reader.next() {
      case .message: return true
      case .broken(let problem):
        standardError(problem)
        broken += 1
        if isStrict { return false }
      case .end: return false
      }
    }
  }
}

/// Publishes at the recorded pace, or faster.
private struct BrokerReplay {
  private let mqtt: MQTTSettings
  private let speed: Double?

  /// - Parameter speed: nil does not wait at all.
  init(_ mqtt: MQTTSettings, speed: Double?) {
    var own = mqtt
    own.clientID += "-replay-\(getpid())"
    own.cleanStart = true
    own.sessionExpiry = 0
    self.mqtt = own
    self.speed = speed
  }

  func run(_ capture: CaptureFiles, _ stop: StopSignal, json: Bool) throws -> Int {
    let publisher = try MQTTPublisher(mqtt)
    var progress = ProgressLine()
    let start = ContinuousClock.now
    let broken = try capture.readAll { reader in
      try wait(until: reader.timeMilliseconds, since: start, publisher, stop)
      guard !stop.isSet else { return false }
      try reader.withMessage { topic, payload in
        try publisher.publish(
          topic: topic.text, payload: payload.withUnsafeBufferPointer { Array($0) },
          qos: reader.qos, retain: reader.isRetained)
      }
      progress.show(publisher.published, "messages published")
      return true
    }
    try publisher.finish()
    progress.end()
    let result = ["published": publisher.acknowledged, "broken_lines": broken]
    if json {
      try printJSON(result)
    } else {
      print("\(publisher.acknowledged) messages published and acknowledged by the broker")
    }
    return broken
  }

  private func wait(
    until milliseconds: Int64, since start: ContinuousClock.Instant, _ publisher: MQTTPublisher,
    _ stop: StopSignal
  ) throws {
    guard let speed else { return }
    let due = start + .milliseconds(Int64(Double(milliseconds) / speed))
    while !stop.isSet {
      let rest = due - .now
      if rest <= .zero { return }
      try publisher.exchange(milliseconds: Int32(min(rest / .milliseconds(1) + 1, 500)))
    }
  }
}

/// Stores captures over as many connections as there are workers, batch by batch.
private struct DirectReplay {
  private let services: IngestServices
  private let settings: WorkerSettings
  /// Three times a worker's: nobody waits for an acknowledgement, and a commit costs a flush of the disk.
  private let batchSize: Int

  init(_ services: IngestServices) {
    self.services = services
    settings = services.settings.worker
    batchSize = 3 * settings.batchSize
  }

  func run(_ capture: CaptureFiles, _ stop: StopSignal, json: Bool) throws -> Int {
    let connections = try (0..<services.settings.workers).map { _ in
      try PostgresConnection(
        url: settings.postgresURL, applicationName: "meter-ingestor replay")
    }
    try SchemaCheck.check(connections[0])
    let reference = try ReferenceData.load(
      services.settings.plausibility, sources: services.settings.sources, over: connections[0])
    let commits = CommitQueue(connections, observer: services.reporter, makeBatch: makeBatch)
    var batch = makeBatch()
    var progress = ProgressLine()
    var readings = 0
    let (start, cpu) = (ContinuousClock.now, processCPUSeconds())
    let broken = try capture.forEachFile { reader, broken in
      while try fill(batch, from: reader, of: capture, &broken, by: reference, stop) {
        readings += batch.count
        batch = try commits.exchange(batch)
        progress.show(readings, "readings")
      }
      return !stop.isSet
    }
    readings += batch.count
    if !batch.isEmpty { _ = try commits.exchange(batch) }
    try commits.finish()
    progress.end()
    var report = LedgerReport(
      services.registry, seconds: (ContinuousClock.now - start) / .seconds(1))
    if readings > 0 {
      let used = (processCPUSeconds() - cpu) * 1e6 / Double(readings)
      report.cpuMicrosecondsPerReading = (used * 100).rounded() / 100
    }
    try report.print(json: json)
    return broken
  }

  /// Adds messages to the batch. Apart, since a batch that may be exchanged meanwhile would be counted a
  /// reference to for every message.
  ///
  /// - Returns: whether it is full; false at the end of the file, and when the program is to stop.
  private func fill(
    _ batch: Batch, from reader: CaptureReader, of capture: CaptureFiles, _ broken: inout Int,
    by reference: ReferenceData, _ stop: StopSignal
  ) throws -> Bool {
    while batch.count < batchSize, batch.byteCount < Batch.maximumBytes {
      if stop.isSet { return false }
      guard try capture.advance(reader, &broken) else { return false }
      reader.withMessage { topic, payload in
        batch.add(
          topic: topic, payload: payload, receivedAt: reader.heardAt ?? .lastTick, by: reference)
      }
    }
    return true
  }

  private func makeBatch() -> Batch {
    Batch(enrichment: settings.enrichment, states: services.states)
  }
}
