// `register`: puts producers, consumers, batteries, grid areas and device keys into the registries.

import ArgumentParser
import EnergyReadings
import Foundation
import PayloadDecoding
import PostgresStore

struct RegisterCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "register",
    abstract: "Upsert devices and grid areas from a CSV or JSON file into the registries.",
    discussion: """
      What is new is inserted, what is there is changed where the file says something else: an \
      absent column, an empty field and null leave what is stored. Where one entry is refused, \
      nothing is written, unless --skip-refused is given. Dead letters of devices that become known \
      are tried again by the running ingestor.

      JSON: an object with the lists \(Registry.allCases.map(\.list).joined(separator: ", ")); the \
      keys of their objects are the columns of the database. `simulate --registry FILE` writes such \
      a file for its meters.

      CSV: UTF-8, commas, quotes where a field has commas (RFC 4180). The first line names the \
      columns, in any order; a row's kind says what it is. `devices list` writes such rows for \
      devices that were heard.

      \(RegisterCommand.columns)

      Exit codes: 0 registered, or nothing refused by --dry-run; 1 something is refused, or the \
      database cannot be used; 2 the file cannot be read as a whole, or the call is wrong.
      """)

  /// The columns of the CSV form, one a line.
  private static var columns: String {
    let kinds = Registry.allCases.map(\.rawValue).joined(separator: ", ")
    let lines = RegistryTable.columns.map { column in
      let help = column.help.isEmpty ? "" : " (\(column.help))"
      return "  \(column.name.padded(to: 20)) \(column.kinds.joined(separator: ", "))\(help)"
    }
    return (["  \(RegistryTable.kind.padded(to: 20)) one of \(kinds)"] + lines)
      .joined(separator: "\n")
  }

  @OptionGroup var options: ConfigurationOptions
  @Argument(help: "CSV or JSON file; - is standard input.")
  var file: String
  @Flag(help: "Say what would be done, and write nothing.")
  var dryRun = false
  @Flag(help: "Write the other entries where some are refused.")
  var skipRefused = false
  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let settings = try await options.load()
    let document = try read()
    let keeping: RegistryKeeping =
      dryRun ? .nothing : skipRefused ? .whatIsGood : .allOrNothing
    let report = try await onThread {
      try RegistryWriter(PostgresConnection(url: settings.postgresURL)).register(
        document.entries, refused: document.refused, keeping: keeping)
    }
    if json {
      try printHarmlessJSON(RegistrationJSON(report, isRehearsal: dryRun))
    } else {
      for line in RegistrationText(report: report, isRehearsal: dryRun).lines { print(line) }
    }
    if report.refused > 0 { throw ExitCode(1) }
  }

  private func read() throws -> RegistryDocument {
    let data =
      file == "-"
      ? try FileHandle.standardInput.readToEnd() ?? Data()
      : FileManager.default.contents(atPath: file)
    guard let data else { throw ValidationError("\(file) cannot be read") }
    do {
      return try RegistryDocument(data)
    } catch {
      throw ValidationError("\(file): \(error)".printable)
    }
  }
}

/// The report for people: what changed and what is wrong in full, what is new up to a limit.
private struct RegistrationText {
  var report: RegistryReport
  var isRehearsal: Bool

  /// Lines of one outcome at most.
  private static let limit = 200

  var lines: [String] {
    var lines: [String] = []
    append("new", to: &lines) { $0 == .added ? "" : nil }
    append("changed", to: &lines) { outcome in
      guard case .changed(let changes) = outcome else { return nil }
      return changes.map(\.words).joined(separator: ", ")
    }
    append("refused", to: &lines) { outcome in
      guard case .refused(let reason) = outcome else { return nil }
      return reason
    }
    return lines + [summary]
  }

  private func append(
    _ word: String, to lines: inout [String], _ detail: (RegistryReport.Outcome) -> String?
  ) {
    var count = 0
    for line in report.lines {
      guard let detail = detail(line.outcome) else { continue }
      count += 1
      if count > RegistrationText.limit { continue }
      let what = [line.place, line.registry?.rawValue ?? "", line.key].filter { !$0.isEmpty }
        .joined(separator: " ")
      lines.append(
        "\(word.padded(to: 8)) \(what)\(detail.isEmpty ? "" : ": \(detail)")".printable)
    }
    if count > RegistrationText.limit {
      lines.append("\(word.padded(to: 8)) … and \(count - RegistrationText.limit) more")
    }
  }

  private var summary: String {
    let counts =
      "\(report.added) new, \(report.changed) changed, \(report.unchanged) unchanged, "
      + "\(report.refused) refused"
    if report.isWritten { return "\(counts)" }
    return isRehearsal
      ? "\(counts); nothing was written, as asked"
      : "\(counts); nothing was written: mend what is refused, or leave it out by --skip-refused"
  }
}

extension RegistryReport.Change {
  /// Such as `capacity_kw 5.000000 → 6.000000`.
  fileprivate var words: String { "\(column) \(before ?? "nothing") → \(after ?? "nothing")" }
}

/// The report for programs; of what is unchanged, the number only.
private struct RegistrationJSON: Encodable {
  struct Change: Encodable {
    var column: String
    var before: String?
    var after: String?
  }

  struct Entry: Encodable {
    var outcome: String
    var kind: String?
    var key: String
    var place: String
    var changes: [Change]?
    var reason: String?
  }

  var isWritten: Bool
  var isRehearsal: Bool
  var added: Int
  var changed: Int
  var unchanged: Int
  var refused: Int
  var entries: [Entry]

  enum CodingKeys: String, CodingKey {
    case changed, unchanged, refused, entries
    case isWritten = "written"
    case isRehearsal = "dry_run"
    case added = "new"
  }

  init(_ report: RegistryReport, isRehearsal: Bool) {
    isWritten = report.isWritten
    self.isRehearsal = isRehearsal
    added = report.added
    changed = report.changed
    unchanged = report.unchanged
    refused = report.refused
    entries = report.lines.compactMap { Entry($0) }
  }
}

extension RegistrationJSON.Entry {
  /// nil for what is unchanged.
  fileprivate init?(_ line: RegistryReport.Line) {
    kind = line.registry?.rawValue
    key = line.key
    place = line.place
    switch line.outcome {
    case .added: outcome = "new"
    case .changed(let changes):
      outcome = "changed"
      self.changes = changes.map { .init(column: $0.column, before: $0.before, after: $0.after) }
    case .unchanged: return nil
    case .refused(let reason):
      outcome = "refused"
      self.reason = reason
    }
  }
}
