// `rules`: every rule that readings are judged by, where it comes from, and how often it fired.

import ArgumentParser
import CheckRules
import IngestPipeline
import PostgresStore

struct RulesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rules",
    abstract: "List the rules, who enforces them, and how often they fired.",
    discussion: """
      CHECK constraints are read from the database: add one with ALTER TABLE … ADD CONSTRAINT, and \
      every running ingestor follows within seconds. Those that the ingestor cannot judge itself \
      are left to PostgreSQL; a reading that breaks one becomes a dead letter all the same. \
      Counts are of the dead letters and flags that are kept.
      """)

  @OptionGroup var options: ConfigurationOptions
  @Flag(help: "Print JSON.")
  var json = false
  @Flag(help: "Print the plausibility rules as the table of the README.")
  var markdown = false

  func run() async throws {
    if markdown { return printMarkdown() }
    let settings = try await options.load()
    let entries = try await onThread {
      let connection = try PostgresConnection(url: settings.postgresURL)
      try SchemaCheck.check(connection)
      let rules = try RuleCatalog.load(over: connection).compiled(settings.plausibility)
      return RuleEntry.all(rules, try RuleCounts(connection))
    }
    if json { return try printJSON(entries) }
    var section = ""
    for entry in entries {
      if entry.table != section {
        print(section.isEmpty ? entry.table : "\n" + entry.table)
        section = entry.table
      }
      print("  \(entry.line)")
      for note in entry.notes { print("      \(note)") }
    }
  }
}

extension RulesCommand {
  private func printMarkdown() {
    print("| rule | default | a reading… | source |\n| --- | --- | --- | --- |")
    for rule in PlausibilityRule.allCases {
      print("| `\(rule.name)` | \(rule.defaultSeverity) | \(rule.meaning) | \(rule.source) |")
    }
  }
}

/// One rule as `rules` shows it.
struct RuleEntry: Encodable, Sendable {
  var name: String
  /// The table whose constraint it is, or `plausibility`.
  var table: String
  /// `ingestor` before COPY, `database` by the repair, `off`.
  var enforcedBy: String
  /// `reject` or `flag`.
  var severity: String
  var definition: String
  var source: String
  /// Why it is left to PostgreSQL.
  var reason: String?
  var rejected = 0
  var flagged = 0

  enum CodingKeys: String, CodingKey {
    case name, table, severity, definition, source, reason, rejected, flagged
    case enforcedBy = "enforced_by"
  }

  static func all(_ rules: RuleSet, _ counts: RuleCounts) -> [RuleEntry] {
    var entries: [RuleEntry] = []
    for table in rules.tables {
      func add(_ name: String, _ expression: String, _ reason: String?) {
        entries.append(
          RuleEntry(
            name: name, table: table.table,
            enforcedBy: reason == nil ? "ingestor" : "database", severity: "reject",
            definition: "CHECK \(expression)", source: "constraint of the database",
            reason: reason, rejected: counts.rejected["\(table.kind) \(name)"] ?? 0))
      }
      for check in table.enforced { add(check.name, check.expression, nil) }
      for check in table.deferred { add(check.name, check.expression, check.reason) }
    }
    for rule in PlausibilityRule.allCases {
      let severity = rules.plausibility[rule]
      entries.append(
        RuleEntry(
          name: "\(rule.name)", table: "plausibility",
          enforcedBy: severity == .off ? "off" : rule.isJudgedByBook ? "database" : "ingestor",
          severity: severity.rawValue, definition: rule.meaning, source: rule.source,
          rejected: counts.rejectedByRule["\(rule.name)"] ?? 0,
          flagged: counts.flagged["\(rule.name)"] ?? 0))
    }
    return entries
  }

  var line: String {
    let fired = [(rejected, "rejected"), (flagged, "flagged")].filter { $0.0 > 0 }
    let counts =
      fired.isEmpty
      ? "never fired"
      : fired.map { "\($0.0) \($0.1)" }.joined(
        separator: ", ")
    let verdict = table == "plausibility" ? severity : "by \(enforcedBy)"
    return [name.padded(to: 44), verdict.padded(to: 12), counts].joined(separator: " ")
  }

  var notes: [String] {
    [definition, reason.map { "left to PostgreSQL: \($0)" }].compactMap(\.self)
      + (table == "plausibility" ? ["source: \(source)"] : [])
  }
}

extension String {
  /// Followed by blanks up to `width`.
  func padded(to width: Int) -> String {
    self + String(repeating: " ", count: Swift.max(0, width - count))
  }
}

/// How often rules fired, by the dead letters and flags that are kept.
struct RuleCounts {
  /// Dead letters by kind and constraint.
  var rejected: [String: Int] = [:]
  var rejectedByRule: [String: Int] = [:]
  var flagged: [String: Int] = [:]

  init(_ connection: PostgresConnection) throws(PostgresError) {
    let letters = try connection.query(
      """
      SELECT kind, constraint_name, rule, count(*) FROM ingest.dead_letters
      WHERE constraint_name IS NOT NULL OR rule IS NOT NULL GROUP BY 1, 2, 3
      """)
    for row in letters {
      let count = row[3].flatMap { Int($0) } ?? 0
      if let constraint = row[1] { rejected["\(row[0] ?? "") \(constraint)", default: 0] += count }
      if let rule = row[2] { rejectedByRule[rule, default: 0] += count }
    }
    for row in try connection.query("SELECT rule, count(*) FROM ingest.reading_flags GROUP BY 1") {
      flagged[row[0] ?? ""] = row[1].flatMap { Int($0) }
    }
  }
}
