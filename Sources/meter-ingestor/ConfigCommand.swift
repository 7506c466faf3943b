// `config`: prints every setting, its value and where it can be set.

import ArgumentParser
import Foundation
import Monitoring

struct ConfigCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config",
    abstract: "Print all settings as they are in force; with --defaults, a sample file.",
    discussion: "The output is a YAML file that --config takes. Passwords are not printed.")

  @OptionGroup var options: ConfigurationOptions
  @Flag(help: "Print the defaults instead of the values in force.")
  var defaults = false
  @Flag(help: "Print JSON.")
  var json = false
  @Flag(help: "Print the table of the README.")
  var markdown = false
  @Flag(help: "Print what /metrics tells, as the table of the README.")
  var metrics = false

  func run() async throws {
    if metrics { return printMetrics() }
    if markdown { return printMarkdown() }
    let settings = try await options.load()
    func value(_ key: SettingKey) -> String {
      let text = defaults ? key.defaultValue : settings.texts[key] ?? key.defaultValue
      if key == .httpToken, !text.isEmpty { return "…" }
      return key.isSecret ? withoutPassword(text) : text
    }
    if json {
      let values = SettingKey.allCases.map { ($0.rawValue, value($0)) }
      return try printJSON(Dictionary(uniqueKeysWithValues: values))
    }
    var section = ""
    for key in SettingKey.allCases {
      let parts = key.rawValue.split(separator: ".", maxSplits: 1)
      if parts[0] != section {
        section = String(parts[0])
        print("\(section):")
      }
      print("  # \(key.help) (\(key.environmentName))")
      print("  \(parts[1]): \"\(value(key))\"")
    }
  }

  private func printMarkdown() {
    print("| key | environment | default | meaning |\n| --- | --- | --- | --- |")
    for key in SettingKey.allCases {
      let value = key.defaultValue.isEmpty ? "" : "`\(key.defaultValue)`"
      print("| `\(key.rawValue)` | `\(key.environmentName)` | \(value) | \(key.help) |")
    }
  }

  private func printMetrics() {
    print("| metric | type | meaning |\n| --- | --- | --- |")
    for metric in IngestMetrics.catalogue.sorted(by: { $0.name < $1.name }) {
      print("| `\(metric.name)` | \(metric.kind.rawValue) | \(metric.help) |")
    }
  }

  private func withoutPassword(_ url: String) -> String {
    guard var parts = URLComponents(string: url), parts.password != nil else { return url }
    parts.password = "…"
    return parts.string?.removingPercentEncoding ?? "…"
  }
}
