// The ledger as people and scripts read it: what came in, and what became of every reading.

import Foundation
import Glibc
import Monitoring

/// What became of readings. `received = stored + duplicate + zero + rejected + in_flight`.
struct LedgerReport: Encodable {
  /// Readings that a publisher's broker acknowledged; nil where nobody knows.
  var published: Int?
  var received: Int
  /// By table.
  var stored: [String: Int]
  var duplicate: Int
  var zero: Int
  var rejected: Int
  var rejectedByReason: [String: Int]
  var inFlight: Int
  /// What no reading was made of, and is no error; not part of the balance.
  var skippedByReason: [String: Int]
  /// Readings that were acknowledged and are nowhere; nil where nobody knows.
  var lost: Int?
  /// Readings that others published meanwhile, at least; nil where nobody knows.
  var others: Int?
  var seconds: Double
  /// µs of this process's CPU for each reading; nil where the process did other work too.
  var cpuMicrosecondsPerReading: Double?

  enum CodingKeys: String, CodingKey {
    case published, received, stored, duplicate, zero, rejected, lost, seconds
    case others = "published_by_others"
    case rejectedByReason = "rejected_by_reason"
    case skippedByReason = "skipped_by_reason"
    case inFlight = "in_flight"
    case cpuMicrosecondsPerReading = "cpu_us_per_reading"
  }

  init(_ registry: MetricRegistry, seconds: Double) {
    let ledger = Ledger(balancedIn: registry)
    let total = ledger.total
    received = total.received
    stored = [:]
    let tables = ["energy_production", "energy_consumption", "storage_operations"]
    for (table, line) in zip(tables, ledger.lines) { stored["grid.\(table)"] = line.stored }
    duplicate = total.duplicate
    zero = total.zero
    rejected = total.rejected
    rejectedByReason = ledger.rejectedByReason.filter { $0.value > 0 }
    inFlight = total.inFlight
    skippedByReason = [:]
    for (labels, value) in registry.values(of: IngestMetrics.valuesSkipped.name) where value > 0 {
      skippedByReason[labels.first?.value ?? "unknown", default: 0] += Int(value)
    }
    self.seconds = (seconds * 1_000).rounded() / 1_000
  }

  /// Prints JSON, or a table.
  func print(json: Bool) throws {
    if json { return try printJSON(self) }
    var rows: [(String, Int)] = []
    if let published { rows.append(("published", published)) }
    if let others, others > 0 { rows.append(("published by others", others)) }
    rows.append(("received", received))
    for table in stored.keys.sorted() { rows.append(("  stored in \(table)", stored[table] ?? 0)) }
    rows += [("  duplicate", duplicate), ("  zero", zero), ("  rejected", rejected)]
    for (reason, count) in rejectedByReason.sorted(by: { $0.value > $1.value }) {
      rows.append(("    \(reason)", count))
    }
    if inFlight != 0 { rows.append(("  in flight", inFlight)) }
    for (reason, count) in skippedByReason.sorted(by: { $0.key < $1.key }) {
      rows.append(("skipped, \(reason)", count))
    }
    if let lost { rows.append(("lost", lost)) }
    let width = rows.map(\.0.count).max() ?? 0
    for (name, count) in rows {
      let digits = count.formatted(.number.grouping(.automatic).locale(Locale(identifier: "en_US")))
      Swift.print(
        name + String(repeating: " ", count: width - name.count + 2)
          + String(repeating: " ", count: max(0, 12 - digits.count)) + digits)
    }
    let rate = Int(Double(received) / max(seconds, 0.001))
    let cpu = cpuMicrosecondsPerReading.map { ", \($0) µs of own CPU each" } ?? ""
    Swift.print("\(received) readings in \(seconds) s: \(rate)/s\(cpu)")
  }
}

/// CPU seconds that this process has used, user and system.
func processCPUSeconds() -> Double {
  // POSIX fixes CLOCKS_PER_SEC at a million, and clock_t has 64 bits here.
  Double(clock()) / 1e6
}
