// `dead-letters discard`: closes letters that nobody needs.

import ArgumentParser
import PostgresStore

struct DeadLetterDiscardCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "discard",
    abstract: "Close dead letters that are of no use.",
    discussion: """
      They stay in the table, with resolution discarded, until they are old. One that comes again \
      is open again.
      """)

  @OptionGroup var options: ConfigurationOptions
  @OptionGroup var filter: DeadLetterFilterOptions
  @Flag(help: "Discard all open letters.")
  var all = false
  @Flag(help: "Only say how many it would be.")
  var dryRun = false
  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if try filter.filter(requiring: all).state == .resolved {
      throw ValidationError("--state resolved: those are closed already")
    }
  }

  func run() async throws {
    var filter = try filter.filter(requiring: all)
    filter.state = .open
    let count = try await options.withDeadLetters { [filter, dryRun] archive in
      dryRun ? try archive.count(filter) : try archive.discard(filter)
    }
    if json { return try printJSON([dryRun ? "would_discard" : "discarded": count]) }
    print(
      dryRun
        ? "dry run: \(letters(count)) would be discarded; nothing was changed"
        : "\(letters(count)) discarded")
  }
}
