// `migrate`: brings the database to the schema that the ingestor and its neighbours rely on.

import ArgumentParser
import Foundation
import PostgresStore

struct MigrateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "migrate",
    abstract: "Create or upgrade the database schema.",
    discussion: """
      Works on an empty database, on each state that the platform's earlier scripts left, and on \
      one that is up to date; keeps every row. Needs the rights of the database's owner; `run` \
      does not: give it the role meter_ingestor.
      """)

  @OptionGroup var options: ConfigurationOptions
  @Flag(help: "Show what is applied and what is pending; change nothing.")
  var status = false
  @Flag(help: "Apply everything, then roll back: shows whether it would work.")
  var dryRun = false
  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let settings = try await options.load()
    let (applied, states) = try await onThread { [dryRun, status] in
      let connection = try PostgresConnection(url: settings.postgresURL)
      connection.onNotice { notice in
        // What exists already is the normal case, not news.
        if !notice.hasSuffix("skipping") { standardError(notice) }
      }
      let migrator = Migrator(connection)
      let applied =
        status
        ? [] : try migrator.migrate(dryRun: dryRun) { standardError("\($0.version) \($0.name)") }
      return (applied, try migrator.status())
    }
    try report(applied, states)
  }

  private func report(_ applied: [Int], _ states: [MigrationState]) throws {
    if json { return try printJSON(states) }
    for state in states {
      let details = state.appliedAt.map { " \($0), \(state.durationMilliseconds ?? 0) ms" } ?? ""
      print("\(state.version) \(state.name): \(state.status.rawValue)\(details)")
    }
    if dryRun {
      print("dry run: \(applied.count) migrations would be applied; nothing was changed")
    }
    if states.contains(where: { $0.status == .changed }) { throw ExitCode(1) }
  }
}

/// Runs blocking work on a thread of its own, away from the cooperative ones.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value
{
  try await withCheckedThrowingContinuation { continuation in
    let thread = Thread { continuation.resume(with: Result(catching: body)) }
    thread.stackSize = 8 << 20
    thread.start()
  }
}

/// Unbuffered, so that a pipe sees each line when it is said.
func standardOutput(_ line: String) {
  FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

func standardError(_ line: String) {
  FileHandle.standardError.write(Data((line + "\n").utf8))
}

func printJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  print(String(decoding: try encoder.encode(value), as: UTF8.self))
}
