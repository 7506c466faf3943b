// Which dead letters a command is about, as options that its subcommands share.

import ArgumentParser
import EnergyReadings
import Foundation
import PostgresStore

struct DeadLetterFilterOptions: ParsableArguments {
  @Option(help: "Only this reason, such as check_violation.")
  var reason: String?
  @Option(help: "Only this rule or constraint.")
  var rule: String?
  @Option(help: "Only this device.")
  var device: String?
  @Option(help: "Only this topic; all that begin so if it ends in #.")
  var topic: String?
  @Option(help: "Only what first came at this time or later: RFC 3339, or an age such as 24h.")
  var since: String?
  @Option(help: "Only what first came before this time.")
  var until: String?
  @Option(help: "Only this id, or those that begin with these digits, 8 or more.")
  var id: String?
  @Option(help: "open, resolved or all.")
  var state = DeadLetterFilter.State.open.rawValue

  func validate() throws { _ = try filter() }

  /// The conditions.
  ///
  /// - Throws: `ValidationError` for an option that cannot be understood.
  func filter() throws -> DeadLetterFilter {
    var filter = DeadLetterFilter()
    guard let state = DeadLetterFilter.State(rawValue: state) else {
      throw ValidationError("--state \(state): expected open, resolved or all")
    }
    filter.state = state
    filter.reason = try reason.map(knownReason)
    filter.rule = rule
    filter.device = device
    filter.topic = try topic.map(topics)
    filter.since = try since.map { try time($0, "--since") }
    filter.until = try until.map { try time($0, "--until") }
    filter.id = try id.map { text in
      // Fewer digits fit too many letters by accident.
      guard let id = DeadLetterIDPrefix(text), id.digitCount >= 8 else {
        throw ValidationError("--id \(text): expected an id, or at least its first 8 digits")
      }
      return id
    }
    return filter
  }

  /// The conditions, where a forgotten one would be a mistake.
  ///
  /// - Parameter all: whether the operator said that every letter is meant.
  func filter(requiring all: Bool) throws -> DeadLetterFilter {
    let filter = try filter()
    if filter.isUnconditional, !all {
      throw ValidationError(
        "say which letters are meant, for instance with --reason, --rule, --device or --since, "
          + "or --all")
    }
    return filter
  }

  private func knownReason(_ code: String) throws -> String {
    let known = RejectionReason.allCases.map { "\($0.code)" }
    if known.contains(code) { return code }
    throw ValidationError("--reason \(code): expected one of \(known.joined(separator: ", "))")
  }

  private func topics(_ text: String) throws -> DeadLetterFilter.Topic {
    let start = text.hasSuffix("#") ? String(text.dropLast()) : text
    // No message has a topic with these (MQTT 5.0, 4.7.1).
    if start.contains("#") || start.contains("+") {
      throw ValidationError("--topic \(text): only a # at the end is taken as a wildcard")
    }
    return start == text ? .exactly(text) : .beginning(start)
  }

  private func time(_ text: String, _ option: String) throws -> Timestamp {
    if let time = try? Timestamp(rfc3339: text.utf8.span) { return time }
    // A bare number could be meant in any unit.
    guard let age = Duration(text: text), text.last?.isNumber == false else {
      throw ValidationError(
        "\(option) \(text): expected a time with its offset, such as 2026-06-10T07:00:00+07:00, "
          + "or an age such as 90m, 24h or 7d")
    }
    return Timestamp(microseconds: Timestamp.now.microseconds - age.components.seconds * 1_000_000)
  }
}
