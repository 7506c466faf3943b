// The lines that `top` shows.

import Foundation
import PayloadDecoding
import StatusServer

/// One snapshot in words and tables.
struct TopScreen {
  /// The answer of `/api/v1/grids`, as far as it is shown.
  struct Grids: Decodable { var grids: [Grid] }

  struct Grid: Decodable {
    struct Health: Decodable {
      var healthScore: Double
      var congestionLevel: String
      var energyInKwh: Double
      var energyOutKwh: Double
    }

    struct Meters: Decodable {
      var registered: Int
      var heard: Int
      var late: Int
      var silent: Int
    }

    var gridCode: String
    var district: String?
    var capacityMw: Double?
    var currentLoadMw: Double?
    var health: Health?
    var meters: Meters?
    var healthHistory: [Double]
  }

  let status: StatusReport
  /// nil while the database does not answer.
  let grids: [Grid]?

  var lines: [String] {
    let words: [StatusReport.State: String] = [
      .well: "WELL", .attention: "ATTENTION", .notReady: "NOT READY",
    ]
    let state = words[status.state] ?? ""
    let all: [String] =
      ["\(state)  \(status.summary)", ""] + pathLines + [""] + ledgerTable.lines + rejectionLines
      + [""] + gridLines
    // Names come from outside, and a terminal obeys some characters.
    return all.map(\.printable)
  }

  private var pathLines: [String] {
    let rates = status.ratesPerSecond["total"]
    func rate(_ value: Double?) -> String { "\(rounded(value ?? 0, 1))/s" }
    let commits = status.commits.p50Seconds.map { "\(rounded($0 * 1_000, 1)) ms" } ?? "–"
    let late = status.commits.p99Seconds.map { "\(rounded($0 * 1_000, 1)) ms" } ?? "–"
    let program = status.program
    return [
      "meters ──▶ \(rate(rates?.received)) received ──▶ \(rate(rates?.stored)) stored, "
        + "\(rate(rates?.rejected)) rejected, \(rate(rates?.duplicate)) duplicate, "
        + "\(rate(rates?.zero)) zero",
      "commits p50 \(commits), p99 \(late)   spool \(program.spoolMessages.map { "\($0)" } ?? "none")   "
        + "dropped by the broker \(program.brokerDroppedMessages.map { "\($0)" } ?? "unknown")   "
        + "CPU \(rounded(program.cpuCores * 100, 1)) %   "
        + "memory \(program.residentBytes / 1_048_576) MiB",
    ]
  }

  private var ledgerTable: TextTable {
    var table = TextTable(
      [
        "kind", "received", "stored", "duplicate", "zero", "rejected", "in flight", "unaccounted",
        "stored/s",
      ], rightAligned: Set(1...8))
    for kind in ["production", "consumption", "storage", "unknown", "total"] {
      guard let line = status.ledger[kind] else { continue }
      let counts = [
        line.received, line.stored, line.duplicate, line.zero, line.rejected, line.inFlight,
        line.imbalance,
      ]
      table.append(
        [kind] + counts.map { "\($0)" } + [rounded(status.ratesPerSecond[kind]?.stored ?? 0, 1)])
    }
    return table
  }

  private var rejectionLines: [String] {
    let reasons = status.rejectedByReason.filter { $0.value > 0 }
      .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    guard !reasons.isEmpty else { return [] }
    return ["", "rejected: " + reasons.map { "\($0.key) \($0.value)" }.joined(separator: ", ")]
  }

  private var gridLines: [String] {
    guard let grids else { return ["grid codes: the ingestor's database does not answer"] }
    guard !grids.isEmpty else { return ["grid codes: none is registered in grid.locations"] }
    var table = TextTable(
      [
        "grid", "place", "health", "last hour", "heard", "of", "late", "silent", "in kWh",
        "out kWh",
        "load MW", "of MW", "congestion",
      ], rightAligned: [2, 4, 5, 6, 7, 8, 9, 10, 11])
    for grid in grids {
      let health = grid.health
      table.append([
        grid.gridCode, grid.district ?? "", health.map { rounded($0.healthScore, 2) } ?? "–",
        Self.spark(grid.healthHistory), grid.meters.map { "\($0.heard)" } ?? "–",
        grid.meters.map { "\($0.registered)" } ?? "–", grid.meters.map { "\($0.late)" } ?? "–",
        grid.meters.map { "\($0.silent)" } ?? "–",
        health.map { rounded($0.energyInKwh, 2) } ?? "–",
        health.map { rounded($0.energyOutKwh, 2) } ?? "–",
        grid.currentLoadMw.map { rounded($0, 2) } ?? "–",
        grid.capacityMw.map { rounded($0, 2) } ?? "–",
        health?.congestionLevel ?? "no window yet",
      ])
    }
    return table.lines
  }

  /// The newest twenty scores as blocks from empty to full.
  private static func spark(_ scores: [Double]) -> String {
    let blocks = Array("▁▂▃▄▅▆▇█")
    return String(
      scores.suffix(20).map { blocks[min(7, max(0, Int($0 * 8)))] })
  }

  private func rounded(_ value: Double, _ digits: Int) -> String {
    String(format: "%.\(digits)f", value)
  }
}
