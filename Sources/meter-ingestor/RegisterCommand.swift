// `register`: puts producers, consumers, batteries and grid areas into the registries.

import ArgumentParser
import EnergyReadings
import Foundation
import PayloadDecoding
import PostgresStore

struct RegisterCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "register",
    abstract: "Upsert devices and grid areas from a JSON file into the registries.",
    discussion: "`simulate --registry FILE` writes such a file for its meters.")

  @OptionGroup var options: ConfigurationOptions
  @Argument(help: "JSON file with producers, consumers, storages, locations, device_keys.")
  var file: String
  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let settings = try await options.load()
    guard let data = FileManager.default.contents(atPath: file) else {
      throw ValidationError("\(file) cannot be read")
    }
    let registry: RegistryFile
    do {
      registry = try RegistryFile(json: data)
    } catch {
      throw ValidationError("\(file): \(error)")
    }
    let rows = try await onThread {
      try RegistryWriter(PostgresConnection(url: settings.postgresURL)).upsert(registry)
    }
    if json { try printJSON(["registered": rows]) } else { print("\(rows) rows registered") }
  }
}
