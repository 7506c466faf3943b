// `deploy/micro-bench`: what each step of the path of a reading costs, without broker or network.

import ArgumentParser
import CheckRules
import EnergyReadings
import Foundation
import Glibc
import IngestPipeline
import PostgresStore
import PrivateServices

@main struct MicroBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "micro-bench",
    abstract: "Measure the steps of the path of a reading: CPU time, instructions, allocations.",
    discussion: """
      Figures are per reading. Rules and registry are those of a freshly migrated private database, \
      which is gone before anything is measured. Instructions are - where the machine does not \
      count them (perf_event_open). Allocations are those of the worst round once warm: growth of \
      memory that is kept may show as some 0.0001.
      """)

  @Flag(help: "Print one JSON array, and nothing else.")
  var json = false
  @Option(help: "Rounds of 10,000 readings whose median is taken; 1 or more.")
  var rounds = 7

  @Option(help: "Measure what decoding costs for each format of a folder of captures instead.")
  var formats: String?

  func validate() throws {
    guard (1...1_000).contains(rounds) else {
      throw ValidationError("--rounds must be 1 to 1000, not \(rounds)")
    }
  }

  /// Exit codes: 0 done, 1 failed, 2 called wrongly.
  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      let code = exitCode(for: error)
      if code == .success { return print(fullMessage(for: error)) }
      let isUsage = code == .validationFailure
      let text = isUsage ? fullMessage(for: error) : "error: \(error)"
      FileHandle.standardError.write(Data((text + "\n").utf8))
      Glibc.exit(isUsage ? 2 : 1)
    }
  }

  func run() throws {
    let meter = CostMeter()
    guard meter.seesAllocations() else {
      throw MicroBenchError(
        "allocations are not counted: another allocator (LD_PRELOAD, a sanitizer) comes first; "
          + "run without it")
    }
    if let formats {
      let costs = try FormatBench(folder: formats).measure(rounds: rounds, meter)
      print(try json ? costs.json() : costs.table.joined(separator: "\n"))
      return
    }
    let reference = try referenceData()
    let measured = try Traffic.allCases.flatMap { try measure($0, by: reference, meter) }
    print(json ? try measured.json() : measured.table.joined(separator: "\n"))
  }

  private func measure(
    _ traffic: Traffic, by reference: ReferenceData, _ meter: CostMeter
  ) throws -> [Measurement] {
    let bench = Workbench(traffic, by: reference)
    var costs: [[Costs]] = Step.allCases.map { _ in [] }
    // All memory that is kept has its size after one round, and the meters are known.
    let warmUp = 2
    for round in 0..<(warmUp + rounds) {
      bench.prepare(round)
      for (index, step) in Step.allCases.enumerated() {
        let cost = meter.costs { bench.perform(step) }
        if round >= warmUp { costs[index].append(cost) }
      }
      try bench.check()
    }
    return zip(Step.allCases, costs).map { Measurement($0, traffic, $1) }
  }

  /// Registry and rules as a worker loads them.
  private func referenceData() throws -> ReferenceData {
    let services = try PrivateServices.start(
      in: FileManager.default.temporaryDirectory.path, postgres: .init(fsync: false))
    defer { try? services.stop() }
    let connection = try PostgresConnection(url: services.createDatabase("micro_bench"))
    try Migrator(connection).migrate()
    try RegistryWriter(connection).upsert(devices())
    return try ReferenceData.load(.init(), over: connection)
  }

  private func devices() -> RegistryFile {
    let place = RegistryFile.DeviceLocation(gridCode: "BKK-07", province: "Bangkok")
    let ids = (0..<1_000).map(Traffic.device)
    return RegistryFile(
      producers: ids.map {
        .init(
          producerID: $0, producerName: $0, producerType: "community", energySources: ["solar"],
          location: place, capacityKW: "10")
      },
      consumers: ids.map {
        .init(
          consumerID: $0, consumerName: $0, consumerType: "residential", location: place,
          peakDemandKW: "10")
      },
      storages: ids.map {
        .init(
          storageID: $0, storageOperator: "us", storageType: "lithium", capacityMWh: "1",
          location: place, installedAt: "2026-01-01T00:00:00Z")
      })
  }
}
