// Turns what the database says of devices and rules into metrics and log lines.

import CheckRules
import EnergyReadings
import IngestPipeline
import Logging
import Metrics
import Monitoring

struct ReferenceReporter: ReferenceObserver {
  let registry: MetricRegistry
  let logger: Logger
  /// Tries again what waited for a registration.
  let deadLetters: DeadLetterKeeper
  let onFailure: @Sendable (String, any Error) -> Void

  func registryLoaded(_ devices: MeterRegistry) async {
    for kind in ReadingKind.allCases {
      Meter(
        label: IngestMetrics.registryDevices.name, dimensions: [("kind", kind.description)],
        factory: registry
      ).set(devices.count(of: kind))
    }
    deadLetters.registryLoaded()
  }

  func referenceFailed(_ error: any Error) async {
    onFailure("read registry and rules; the last ones stay in force", error)
  }

  func rulesLoaded(_ rules: RuleSet, change: RuleChange?) async {
    for table in rules.tables {
      show(table.enforced.count, of: table, enforcedBy: "ingestor")
      show(table.deferred.count, of: table, enforcedBy: "database")
    }
    guard let change else { return sayAll(rules) }
    Counter(label: IngestMetrics.ruleChanges.name, dimensions: [], factory: registry).increment()
    logger.notice(
      "rules changed",
      metadata: [
        "added": "\(change.added.joined(separator: ", "))",
        "dropped": "\(change.dropped.joined(separator: ", "))",
        "changed": "\(change.changed.joined(separator: ", "))",
      ])
    let touched = Set(change.added + change.changed)
    sayDeferred(rules) { change.isEmpty || touched.contains($0) }
  }

  private func show(_ count: Int, of table: TableChecks, enforcedBy place: String) {
    Meter(
      label: IngestMetrics.rules.name,
      dimensions: [("table", table.table), ("enforced_by", place)], factory: registry
    ).set(count)
  }

  private func sayAll(_ rules: RuleSet) {
    let enforced = rules.tables.reduce(0) { $0 + $1.enforced.count }
    logger.info("CHECK constraints read", metadata: ["enforced": "\(enforced)"])
    sayDeferred(rules) { _ in true }
  }

  /// A constraint that only PostgreSQL can judge costs its violations a repair: worth knowing.
  private func sayDeferred(_ rules: RuleSet, _ isNew: (String) -> Bool) {
    for table in rules.tables {
      for check in table.deferred where isNew("\(table.table).\(check.name)") {
        logger.warning(
          "constraint left to PostgreSQL",
          metadata: ["constraint": "\(table.table).\(check.name)", "reason": "\(check.reason)"])
      }
    }
  }
}
