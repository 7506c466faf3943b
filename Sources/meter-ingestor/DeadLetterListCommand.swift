// `dead-letters list`: how many there are of each kind, then the newest.

import ArgumentParser
import EnergyReadings
import PostgresStore

struct DeadLetterListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "Count dead letters by reason and rule, then list the newest.",
    discussion: "Every id, or its beginning, is what `dead-letters show` takes.")

  @OptionGroup var options: ConfigurationOptions
  @OptionGroup var filter: DeadLetterFilterOptions
  @Option(help: "Letters listed at most.")
  var limit = 20
  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if !(0...100_000).contains(limit) { throw ValidationError("--limit \(limit): 0…100000") }
  }

  func run() async throws {
    let filter = try filter.filter()
    let (counts, newest) = try await options.withDeadLetters { [limit] archive in
      (try archive.counts(filter), try archive.list(filter, limit: limit))
    }
    let total = counts.reduce(0) { $0 + $1.letters }
    if json {
      return try printHarmlessJSON(
        DeadLetterListing(
          total: total, counts: counts.map { .init($0) }, letters: newest.map { .init($0) }))
    }
    let state = filter.state == .all ? "" : "\(filter.state.rawValue) "
    if total == 0 {
      return print("no \(state)dead letters\(filter.isUnconditional ? "" : " that match")")
    }
    print("\(total) \(state)dead letter\(total == 1 ? "" : "s")\n")
    for line in table(counts).lines { print(line) }
    if newest.isEmpty { return }
    print("\nthe newest \(newest.count) of \(total):\n")
    for line in table(newest, states: filter.state != .open).lines { print(line) }
  }

  private func table(_ counts: [DeadLetterCount]) -> TextTable {
    var table = TextTable(
      ["LETTERS", "DEVICES", "REASON", "RULE", "FIRST", "LAST", "EXAMPLE"], rightAligned: [0, 1])
    for count in counts {
      table.append([
        "\(count.letters)", "\(count.devices)", count.reason.cell(30), (count.rule ?? "").cell(50),
        count.firstAt.toTheSecond, count.lastAt.toTheSecond, count.example.beginning,
      ])
    }
    return table
  }

  /// - Parameter states: whether closed letters are among them.
  private func table(_ entries: [DeadLetterEntry], states: Bool) -> TextTable {
    var table = TextTable(
      ["RECEIVED", "ID", "REASON", "RULE", "DEVICE"] + (states ? ["STATE"] : []) + ["DETAIL"])
    for entry in entries {
      let verdict = entry.verdict
      let state = entry.resolvedAt == nil ? "open" : entry.resolution ?? "resolved"
      table.append(
        [
          entry.receivedAt.toTheSecond, entry.id.beginning, verdict.reason.cell(30),
          (verdict.rule ?? verdict.constraint ?? "").cell(40), (entry.device ?? "").cell(30),
        ] + (states ? [state] : []) + [(verdict.detail ?? "").cell(80)])
    }
    return table
  }
}

extension ReadingID {
  /// The first 8 digits: among a million letters, two share them once in some 4,000 look-ups.
  fileprivate var beginning: String { String(description.prefix(8)) }
}
