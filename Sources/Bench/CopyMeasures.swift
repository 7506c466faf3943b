// Measures without a broker: the raw COPY, psql's, and the direct replay of the same readings.

import Foundation
import PrivateServices

extension BenchRun {
  /// Binary COPY by plain libpq over so many connections at once, from connect to commit.
  ///
  /// - Parameter load: whose rows, in its order; nil: the direct load's.
  func measureRawCopy(_ connections: Int, of load: BenchLoad? = nil) throws -> BenchSample {
    let load = load ?? direct
    try stage.empty()
    let files = (0..<connections).map { copyFile(load, $0, of: connections) }
    let url = stage.postgresURL
    let meter = CostMeter(stage)
    let own = try inParallel(connections) { try RawCopy.store(files[$0], url: url) }
    var sample = meter.sample(readings: load.readings)
    sample.ownSeconds = own.reduce(0, +)
    try stage.check(load, storedBy: "raw COPY")
    return sample
  }

  /// `psql -c '\copy … (format binary)'`, from the start of the program to its end.
  func measurePsqlCopy() throws -> BenchSample {
    guard let psql = BenchRun.psql else { throw BenchError(.failed, "psql is not installed") }
    try stage.empty()
    let file = copyFile(direct, 0, of: 1)
    let meter = CostMeter(stage)
    let child = try Contestant(
      "psql",
      [
        psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", stage.postgresURL, "-c",
        "\\copy grid.energy_consumption (\(RawCopy.columns)) from '\(file)' (format binary)",
      ], scratch: stage.scratch)
    try child.waitForSuccess()
    var sample = meter.sample(readings: direct.readings)
    sample.ownSeconds = child.seconds
    sample.peakBytes = child.peakBytes
    try stage.check(direct, storedBy: "psql \\copy")
    return sample
  }

  /// `replay --direct`, from the start of the program to its end.
  ///
  /// - Parameters:
  ///   - load: which; nil: the direct load.
  ///   - keepRows: whether older rows stay, and those of this run go afterwards.
  func measureDirect(
    workers: Int, of load: BenchLoad? = nil, keepRows: Bool = false
  ) throws -> BenchSample {
    let load = load ?? direct
    if !keepRows { try stage.empty() }
    let meter = CostMeter(stage)
    let child = try Contestant(
      "replay",
      [plan.program, "replay", "--direct", "--json", "--speed", "max", capture(of: load)]
        + ingestorSettings(["ingest.workers=\(workers)"]),
      environment: ["POSTGRES_URL": stage.postgresURL], scratch: stage.scratch)
    try child.waitForSuccess()
    var sample = meter.sample(readings: load.readings)
    sample.ownSeconds = child.seconds
    sample.peakBytes = child.peakBytes
    try stage.check(load, storedBy: "direct replay", lastWords: child.lastWords)
    if keepRows { try stage.deleteReadings(since: load.begin) }
    return sample
  }

  /// The bench's own settings, and over them those that the plan asks for.
  func ingestorSettings(_ own: [String]) -> [String] {
    let asked = Set(plan.settings.compactMap { $0.split(separator: "=").first })
    let rest = own.filter { $0.split(separator: "=").first.map { !asked.contains($0) } ?? true }
    return (["log.level=warning"] + rest + plan.settings).flatMap { ["--set", $0] }
  }
}

/// Takes time and the services' CPU from its making on.
struct CostMeter {
  private let stage: BenchStage
  private let start = ContinuousClock.now
  /// Seconds of the Unix epoch.
  let wallStart = Date().timeIntervalSince1970
  private let costs: (postgres: Double?, broker: Double?)

  init(_ stage: BenchStage) {
    self.stage = stage
    costs = stage.costs
  }

  /// What was used until now.
  func sample(readings: Int) -> BenchSample {
    var sample = BenchSample(
      readings: readings, seconds: (ContinuousClock.now - start) / .seconds(1))
    let now = stage.costs
    if let before = costs.postgres { sample.postgresSeconds = now.postgres.map { $0 - before } }
    if let before = costs.broker { sample.brokerSeconds = now.broker.map { $0 - before } }
    return sample
  }
}
