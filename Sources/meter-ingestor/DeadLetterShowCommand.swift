// `dead-letters show`: all that is known of one, with the offending place of its payload marked.

import ArgumentParser
import EnergyReadings
import Foundation
import PayloadDecoding
import PostgresStore

struct DeadLetterShowCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Show one dead letter, its payload and what is wrong with it.",
    discussion: "Characters of the payload that could steer the terminal are escaped as \\u{…}.")

  @OptionGroup var options: ConfigurationOptions
  @Argument(help: "The letter's id, or as much of its beginning as is unambiguous.")
  var id: String
  @Flag(help: "Print all of a long payload.")
  var full = false
  @Flag(help: "Print JSON.")
  var json = false
  @Flag(help: "Write only the payload, byte for byte as it came.")
  var raw = false

  func validate() throws {
    _ = try prefix()
    if raw, json { throw ValidationError("--raw and --json exclude each other") }
  }

  private func prefix() throws -> DeadLetterIDPrefix {
    guard let prefix = DeadLetterIDPrefix(id) else {
      throw ValidationError(
        "\(id) is no id: expected up to 32 hexadecimal digits; `dead-letters list` prints them")
    }
    return prefix
  }

  func run() async throws {
    let prefix = try prefix()
    let file =
      switch try await options.withDeadLetters({ try $0.find(prefix) }) {
      case .one(let file): file
      case .nothing:
        throw DeadLetterError(
          description: "no dead letter has an id that begins with \(prefix); "
            + "`dead-letters list --state all` lists them")
      case .several(let ids):
        throw DeadLetterError(
          description: "several ids begin with \(prefix): "
            + ids.map(\.description).joined(separator: ", "))
      }
    if raw { return FileHandle.standardOutput.write(Data(file.content.payload)) }
    if json { return try printHarmlessJSON(DeadLetterDocument(file)) }
    for line in DeadLetterSheet(file, isFull: full, isColored: isColored).lines { print(line) }
  }

  /// Only on a terminal, and not where the user forbids it (no-color.org).
  private var isColored: Bool {
    isatty(STDOUT_FILENO) == 1
      && ProcessInfo.processInfo.environment["NO_COLOR", default: ""].isEmpty
  }
}

/// A letter as a page of text.
struct DeadLetterSheet {
  private(set) var lines: [String] = []
  private let isColored: Bool

  init(_ file: DeadLetterFile, isFull: Bool, isColored: Bool) {
    self.isColored = isColored
    lines.append("dead letter \(file.entry.id)")
    appendFields(file)
    appendHistory(file.history)
    appendPayload(file, limits: isFull ? .none : PrintLimits())
  }

  private mutating func appendFields(_ file: DeadLetterFile) {
    let (entry, verdict) = (file.entry, file.entry.verdict)
    let state =
      entry.resolvedAt.map { "\(entry.resolution ?? "resolved") at \($0.toTheSecond)" } ?? "open"
    let fields: [(String, String?)] = [
      ("reason", verdict.reason), ("rule", verdict.rule), ("constraint", verdict.constraint),
      ("sqlstate", verdict.sqlstate), ("path", verdict.path), ("detail", verdict.detail),
      ("topic", entry.topic), ("kind", entry.kind), ("device", entry.device),
      ("reading", file.content.index.map { "number \($0) of its message, counted from 0" }),
      ("first came", "\(entry.receivedAt)"), ("last came", "\(entry.lastReceivedAt)"),
      ("attempts", "\(entry.attempts)"), ("state", state),
    ]
    for case (let name, let value?) in fields {
      lines.append(
        "  " + name + String(repeating: " ", count: 12 - name.count) + value.cell(4_000))
    }
  }

  private mutating func appendHistory(_ history: [DeadLetterVerdict]) {
    if history.isEmpty { return }
    lines.append("\nearlier verdicts, oldest first")
    for verdict in history {
      let words = [
        verdict.at, verdict.reason, verdict.rule ?? verdict.constraint, verdict.sqlstate,
        verdict.path, verdict.detail,
      ]
      lines.append("  " + words.compactMap { $0?.cell(500) }.joined(separator: "  "))
    }
  }

  private mutating func appendPayload(_ file: DeadLetterFile, limits: PrintLimits) {
    let content = file.content
    let size =
      content.payloadBytes.map { "the first \(content.payload.count) of \($0) bytes" }
      ?? "\(content.payload.count) bytes"
    lines.append("\npayload, \(size)")
    let verdict = file.entry.verdict
    let rule = [verdict.reason, verdict.rule ?? verdict.constraint].compactMap(\.self)
    let note = [rule.joined(separator: " "), verdict.detail].compactMap(\.self)
    // What is wrong with a part is not where the part ends.
    let page = PayloadPage(
      content.payload, path: content.isWhole ? verdict.path ?? "" : "", index: content.index,
      note: note.joined(separator: ": ").cell(200), limits: limits)
    for line in page.lines { lines.append(colored(line)) }
  }

  private func colored(_ line: PrintedLine) -> String {
    guard isColored else { return line.text }
    return switch line.role {
    case .plain: line.text
    case .marked: "\u{1B}[1m\(line.text)\u{1B}[0m"
    case .note: "\u{1B}[31m\(line.text)\u{1B}[0m"
    }
  }
}
