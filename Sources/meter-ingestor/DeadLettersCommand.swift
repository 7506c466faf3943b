// `dead-letters`: what was turned away, why, and what is to become of it.

import ArgumentParser
import EnergyReadings
import Foundation
import PayloadDecoding
import PostgresStore

struct DeadLettersCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dead-letters",
    abstract: "List, show, redrive, discard and export what was turned away.",
    discussion: """
      Every message or reading that was not stored is a dead letter: whole, and with the rule that \
      turned it away. Look at them with `list` and `show`, mend the cause, and `redrive` them; what \
      is of no use is closed by `discard`.
      """,
    subcommands: [
      DeadLetterListCommand.self, DeadLetterShowCommand.self, RedriveCommand.self,
      DeadLetterDiscardCommand.self, DeadLetterExportCommand.self,
    ],
    defaultSubcommand: DeadLetterListCommand.self)
}

/// A wish that the dead letters there are cannot fulfil. Exit code 1.
struct DeadLetterError: Error, CustomStringConvertible {
  var description: String
}

extension ConfigurationOptions {
  /// Runs `body` with the dead letters of the configured database, on a thread of its own.
  func withDeadLetters<Value: Sendable>(
    _ body: @escaping @Sendable (DeadLetterArchive) throws -> Value
  ) async throws -> Value {
    let settings = try await load()
    return try await onThread {
      let connection = try PostgresConnection(
        url: settings.postgresURL, applicationName: "meter-ingestor dead-letters")
      return try body(DeadLetterArchive(connection))
    }
  }
}

extension Timestamp {
  /// RFC 3339 to the second.
  var toTheSecond: String { description.prefix(while: { $0 != "." }) + "Z" }
}

extension String {
  /// Harmless on a terminal, and no longer than `limit` characters.
  func cell(_ limit: Int) -> String {
    let text = printable
    return text.count > limit ? text.prefix(limit - 1) + "…" : text
  }
}

/// How many there are, for people: `1 letter`, `12 letters`.
func letters(_ count: Int) -> String { count == 1 ? "1 letter" : "\(count) letters" }

/// Prints JSON in which texts of meters cannot steer a terminal: what ``Unicode/Scalar/isPrintable``
/// denies is written as `\u` escapes, which is the same JSON.
func printHarmlessJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  var text = ""
  for scalar in String(decoding: try encoder.encode(value), as: UTF8.self).unicodeScalars {
    if scalar.isPrintable {
      text.unicodeScalars.append(scalar)
    } else {
      for unit in String(scalar).utf16 {
        text += "\\u" + String(0x1_0000 + Int(unit), radix: 16).dropFirst()
      }
    }
  }
  print(text)
}
