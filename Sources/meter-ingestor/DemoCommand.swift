// `demo`: a private broker and database, 200 meters and the ingestor, all in one; `deploy/run`.

import ArgumentParser
import EnergyReadings
import Foundation
import IngestPipeline
import Logging
import MQTTSession
import MeterSimulator
import Monitoring
import PostgresStore
import PrivateServices
import ServiceLifecycle
import StatusServer
import Synchronization

struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Watch it work: private broker and database, simulated meters, the ingestor.",
    discussion: """
      Everything lives under .local and on free loopback ports, beside whatever else runs here. \
      The last 24 hours of the neighbourhood are sent first, then it goes on live. Ctrl-C, or the \
      end of --for, stops everything, prints the ledger, and exits with 1 if a reading was lost.
      """)

  @Option(name: .customLong("for"), help: "Stop after this time, such as 30s or 10m.")
  var duration: String?
  @Option(help: "Number of simulated meters.")
  var meters = 200
  @Option(help: "Seconds between two live readings of a meter.")
  var interval = 5
  @Option(help: "Seed of everything random.")
  var seed: UInt64 = 1
  @Option(help: "How much of the past is sent first.")
  var backfill = "24h"
  @Option(help: "A file of sources to hear as well, as ingest.sources.")
  var sources: String?
  @Option(help: "Folder for the private services.")
  var directory = ".local"
  @Flag(help: "Print the ledger as one JSON object, and nothing else.")
  var json = false

  func run() async throws {
    let limit = try duration.map(parseDuration)
    let past = try parseDuration(backfill)
    let logger = makeLogger(json ? .error : .warning)
    say("starting a private PostgreSQL and MQTT broker under \(directory)")
    let stage = try await onThread { [directory, seed, meters] in
      try DemoStage(directory: directory, seed: seed, meters: meters)
    }
    do {
      let report = try await perform(stage, past, limit, logger)
      try await onThread { try stage.services.stop() }
      try report.print(json: json)
      if report.lost != 0 { throw ExitCode(1) }
    } catch {
      try? await onThread { try stage.services.stop() }
      throw error
    }
  }

  private func perform(
    _ stage: DemoStage, _ past: Duration, _ limit: Duration?, _ logger: Logger
  ) async throws -> LedgerReport {
    let start = ContinuousClock.now
    let stop = StopOnSignal()
    let services = IngestServices(settings: try stage.settings(sources: sources), logger: logger)
    let quiet = json
    let group = ServiceGroup(
      configuration: .ingestor(
        try services.all { address in
          if !quiet { stage.introduce(statusPage: address.url) }
        }, logger: logger, signals: []))
    let published = try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await group.run() }
      let mqtt = services.settings.mqtt
      await waitUntilReady(services.readiness, stop.signal)
      let interval = interval
      async let acknowledged = onThread {
        defer { stop.signal.set() }
        return try stage.publish(past: past, interval: interval, to: mqtt, stop.signal)
      }
      try await watch(services, until: limit.map { start + $0 }, stop.signal)
      let count = try await acknowledged
      await waitUntilReceived(count, by: services.registry)
      await group.triggerGracefulShutdown()
      try await tasks.waitForAll()
      return count
    }
    var report = LedgerReport(
      services.registry, seconds: (ContinuousClock.now - start) / .seconds(1))
    report.published = published
    let accounted = try await onThread { [report] in
      try stage.accountedFor(zeros: report.zero, duplicates: report.duplicate)
    }
    // Whoever tries the broker by hand publishes what the demo did not.
    report.lost = max(0, published - accounted)
    report.others = max(0, accounted - published)
    return report
  }

  /// What is published before the ingestor has subscribed reaches nobody.
  private func waitUntilReady(_ readiness: Readiness, _ stop: StopSignal) async {
    while !readiness.isReady, !stop.isSet { try? await Task.sleep(for: .milliseconds(10)) }
  }

  /// Prints a line of rates every few seconds until the time is over or somebody says stop.
  private func watch(
    _ services: IngestServices, until end: ContinuousClock.Instant?, _ stop: StopSignal
  ) async throws {
    var last = Ledger(balancedIn: services.registry).total
    var lastAt = ContinuousClock.now
    while !stop.isSet, end.map({ ContinuousClock.now < $0 }) ?? true {
      try await onThread { stop.wait(milliseconds: 250) }
      let now = ContinuousClock.now
      guard now - lastAt >= .seconds(3) else { continue }
      let total = Ledger(balancedIn: services.registry).total
      let seconds = (now - lastAt) / .seconds(1)
      say(
        "received \(total.received), stored \(total.stored) "
          + "(\(Int(Double(total.stored - last.stored) / seconds))/s), duplicate "
          + "\(total.duplicate), zero \(total.zero), rejected \(total.rejected)")
      (last, lastAt) = (total, now)
    }
    stop.set()
  }

  /// The broker may still hold messages: gives the workers up to 30 s to receive them.
  private func waitUntilReceived(_ count: Int, by registry: MetricRegistry) async {
    let deadline = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < deadline {
      let total = Ledger(balancedIn: registry).total
      if total.received >= count, total.inFlight == 0 { return }
      try? await Task.sleep(for: .milliseconds(20))
    }
  }

  private func say(_ line: String) {
    if !json { standardOutput(line) }
  }
}

/// The private services with everything on them that the demo needs.
private struct DemoStage: Sendable {
  let services: PrivateServices
  let neighbourhood: Neighbourhood
  private let databaseURL: String
  private let ownerURL: String

  init(directory: String, seed: UInt64, meters: Int) throws {
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    services = try PrivateServices.start(in: directory)
    neighbourhood = Neighbourhood(seed: seed, meterCount: meters)
    do {
      ownerURL = try services.createDatabase("gridtokenx")
      let connection = try PostgresConnection(url: ownerURL)
      try Migrator(connection).migrate()
      try connection.execute("CREATE ROLE demo LOGIN IN ROLE meter_ingestor")
      try RegistryWriter(connection).upsert(neighbourhood.registry)
      // The ingestor runs with the rights of its role, as it should anywhere.
      databaseURL = services.url(database: "gridtokenx", user: "demo")
    } catch {
      try? services.stop()
      throw error
    }
  }

  /// - Parameter sources: a file of theirs; their batteries rarely name a price.
  func settings(sources: String?) throws -> Settings {
    try Settings(texts: [
      .postgresURL: databaseURL, .mqttURL: services.mqttURL, .httpListen: "127.0.0.1:0",
      .mqttClientID: "demo", .ingestSources: sources ?? "", .ingestTariff: "0.20",
    ])
  }

  func introduce(statusPage: String) {
    standardOutput(
      """

        status page  \(statusPage)
        metrics      \(statusPage)/metrics
        database     psql \(ownerURL)
        broker       mosquitto_sub -p \(services.mqttPort) -t 'gridtokenx/#' -v

      Ctrl-C stops everything.

      """)
  }

  /// Publishes the past in quarters of an hour, as meters that come back after a day, then goes on
  /// live.
  ///
  /// - Returns: readings that the broker acknowledged.
  func publish(
    past: Duration, interval: Int, to mqtt: MQTTSettings, _ stop: StopSignal
  ) throws -> Int {
    let now = Timestamp.now
    let history = Simulation(
      neighbourhood: neighbourhood, interval: 900, begin: now, past: past, duration: .zero)
    let live = Simulation(
      neighbourhood: neighbourhood, interval: interval, begin: now, past: .zero, duration: nil)
    return try history.publish(mqtt, waits: false, stop: stop) { _ in }
      + live.publish(mqtt, waits: true, stop: stop) { _ in }
  }

  /// Readings that are in a table or a dead letter, or were zero or a repetition.
  func accountedFor(zeros: Int, duplicates: Int) throws -> Int {
    let rows = try PostgresConnection(url: ownerURL).query(
      """
      SELECT (SELECT count(*) FROM grid.energy_production)
        + (SELECT count(*) FROM grid.energy_consumption)
        + (SELECT count(*) FROM grid.storage_operations)
        + (SELECT coalesce(sum(attempts), 0) FROM ingest.dead_letters)
      """)
    return (Int(rows[0][0] ?? "") ?? 0) + zeros + duplicates
  }
}
