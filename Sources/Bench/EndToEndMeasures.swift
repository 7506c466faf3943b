// Measures from a publisher through the broker into the tables: the ingestor's, and its rivals'.

import Foundation
import MQTTSession
import PrivateServices

extension BenchRun {
  /// `meter-ingestor run`, from the publisher's start to the last commit.
  func measureEndToEnd(_ load: BenchLoad) throws -> BenchSample {
    try stage.empty()
    let (ingestor, clients) = try startIngestor()
    let name = "end to end, \(load.perMessage) a message"
    let sample = try measure(load, storedBy: ingestor, name)
    try end(ingestor, clients)
    return sample
  }

  /// Starts `run` and waits until it has subscribed.
  func startIngestor() throws -> (Contestant, clients: [String]) {
    let client = "meter-ingestor-bench-\(UUID().uuidString.prefix(8))"
    let arguments = ingestorSettings([
      "http.listen=127.0.0.1:0", "mqtt.client-id=\(client)",
      "mqtt.topics=\(BenchRun.topicFilter)",
    ])
    let workers = plan.settings.last { $0.hasPrefix("ingest.workers=") }
      .flatMap { Int($0.drop { $0 != "=" }.dropFirst()) }
    let clients = (0..<(workers ?? 1)).map { "\(client)-\($0)" }
    let ingestor = try Contestant(
      "run", [plan.program, "run"] + arguments,
      environment: ["POSTGRES_URL": stage.postgresURL, "MQTT_URL": stage.mqttURL],
      scratch: stage.scratch)
    try waitUntilOnline(clients, ingestor)
    return (ingestor, clients)
  }

  func end(_ ingestor: Contestant, _ clients: [String]) throws {
    let status = ingestor.stop()
    guard status == 0 else {
      throw ingestor.failure("ended with status \(status ?? -1) on SIGTERM")
    }
    try stage.forget(clients: clients)
  }

  /// A worker says `online`, retained, right after it has subscribed.
  private func waitUntilOnline(_ clients: [String], _ ingestor: Contestant) throws {
    var settings = try MQTTSettings(
      url: stage.mqttURL, clientID: "meter-ingestor-bench-watch-\(getpid())")
    settings.cleanStart = true
    settings.sessionExpiry = 0
    let session = try MQTTSession(settings)
    var missing = Set(clients.map { "gridtokenx/v1/ingestor/\($0)/status" })
    session.onMessage = { message in
      guard String(decoding: message.payload, as: UTF8.self) == "online" else { return }
      missing.remove(String(decoding: message.topic, as: UTF8.self))
    }
    try session.connect(within: .seconds(10))
    try session.subscribe(Array(missing))
    try session.flush()
    let deadline = ContinuousClock.now + .seconds(30)
    while !missing.isEmpty {
      if let status = ingestor.look() { throw ingestor.failure("ended with status \(status)") }
      if ContinuousClock.now > deadline { throw ingestor.failure("did not subscribe within 30 s") }
      _ = session.wait(milliseconds: 20)
      try session.receive()
      try session.flush()
    }
    session.disconnect()
  }

  /// A rival under the contract of `deploy/bench-baselines/README.md`.
  func measureRival(_ rival: Rival, _ load: BenchLoad) throws -> BenchSample {
    try stage.empty()
    let broker = try MQTTSettings(url: stage.mqttURL, clientID: "")
    let token = UUID().uuidString.prefix(8)
    let (ready, client) = ("\(stage.scratch)/ready-\(token)", "bench-rival-\(token)")
    let contestant = try Contestant(
      rival.name, ["/bin/sh", "-c", rival.command],
      environment: [
        "BENCH_MQTT_HOST": broker.host, "BENCH_MQTT_PORT": "\(broker.port)",
        "BENCH_MQTT_URL": stage.mqttURL, "BENCH_TOPIC_FILTER": BenchRun.topicFilter,
        "BENCH_CLIENT_ID": client, "BENCH_MESSAGES": "\(load.messages)",
        "BENCH_READINGS_PER_MESSAGE": "\(load.perMessage)", "BENCH_READY_FILE": ready,
        "BENCH_SCRATCH": stage.scratch, "POSTGRES_URL": stage.postgresURL,
      ], hasChildren: true, scratch: stage.scratch)
    let deadline = ContinuousClock.now + .seconds(30)
    while !FileManager.default.fileExists(atPath: ready) {
      if let status = contestant.look() {
        throw contestant.failure("ended with status \(status) before it was ready")
      }
      if ContinuousClock.now > deadline {
        throw contestant.failure("did not make $BENCH_READY_FILE within 30 s")
      }
      usleep(5_000)
    }
    let sample = try measure(
      load, storedBy: contestant, "\(rival.name), \(load.perMessage) a message", mayEnd: true)
    contestant.stop()
    try stage.forget(clients: [client])
    return sample
  }

  /// Publishes the load and waits until it is stored, or is not.
  private func measure(
    _ load: BenchLoad, storedBy contestant: Contestant, _ name: String, mayEnd: Bool = false
  ) throws -> BenchSample {
    let meter = CostMeter(stage)
    let before = contestant.seconds
    let publisher = try startPublisher(load)
    // Nobody counts rows meanwhile: that would cost CPU which the contestants need.
    while publisher.look() == nil {
      if let status = contestant.look(), !mayEnd {
        throw contestant.failure("ended with status \(status) while messages came")
      }
      usleep(20_000)
    }
    try publisher.waitForSuccess()
    try waitForRows(load, contestant, mayEnd: mayEnd)
    var sample = meter.sample(readings: load.readings)
    sample.ownSeconds = contestant.seconds - before
    sample.peakBytes = contestant.peakBytes
    sample.publisherSeconds = publisher.seconds
    if let end = try stage.lastCommit() { sample.seconds = end - meter.wallStart }
    try stage.check(load, storedBy: name, lastWords: contestant.lastWords)
    return sample
  }

  /// Returns when as many rows are there as should be, or no more came for ten seconds, or nobody is
  /// left to store them.
  private func waitForRows(_ load: BenchLoad, _ contestant: Contestant, mayEnd: Bool) throws {
    var rows = 0
    var lastNews = ContinuousClock.now
    while true {
      let status = contestant.look()
      let now = try stage.storedRows
      if now >= load.readings { return }
      if let status {
        if mayEnd { return }
        throw contestant.failure("ended with status \(status) before everything was stored")
      }
      if now != rows { (rows, lastNews) = (now, .now) }
      if ContinuousClock.now - lastNews > .seconds(10) { return }
      usleep(20_000)
    }
  }
}
