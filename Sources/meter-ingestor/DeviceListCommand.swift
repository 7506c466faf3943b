// `devices list`: devices that were heard and are not registered, with lines that register them.

import ArgumentParser
import EnergyReadings
import Monitoring
import PayloadDecoding
import PostgresStore

struct DeviceListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "List devices that were heard and are not registered, with lines to register them.",
    discussion: """
      Heard is what was turned away as unregistered_device, and what is stored without a \
      registration (ingest.unregistered); the latter shows within half a minute. The lines are CSV \
      as `register` takes it:

        meter-ingestor devices list --csv > new.csv
        meter-ingestor register new.csv

      Look over new.csv between the two: no meter says its type, its rated power or capacity, so \
      these are placeholders.
      """)

  @OptionGroup var options: ConfigurationOptions
  @Flag(help: "List registered devices instead.")
  var registered = false
  @Flag(
    help:
      "List registered devices in use that were not heard for monitoring.silent-after, or never.")
  var silent = false
  @Option(help: "Only production, consumption or storage.")
  var kind: String?
  @Option(name: .customLong("grid-code"), help: "Only devices of this grid code.")
  var gridCode: String?
  @Option(help: "Devices listed at most, 0…1000000.")
  var limit = 100
  @Flag(help: "Print CSV that `register` takes, and nothing else.")
  var csv = false
  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if registered && silent { throw ValidationError("--registered or --silent, not both") }
    if csv && (json || registered || silent) {
      throw ValidationError("--csv is for devices that are not registered, and not with --json")
    }
    if let kind, ReadingKind(topicLevel: kind.utf8.span) == nil {
      throw ValidationError("--kind \(kind): production, consumption or storage")
    }
    if !(0...1_000_000).contains(limit) { throw ValidationError("--limit \(limit): 0…1000000") }
  }

  func run() async throws {
    let settings = try await options.load()
    var filter = DeviceFilter()
    filter.group =
      registered ? .registered : silent ? .silent(settings.monitoring.silentAfter) : .unregistered
    filter.kind = kind.flatMap { ReadingKind(topicLevel: $0.utf8.span) }
    filter.gridCode = gridCode
    filter.limit = limit
    let (devices, onlyGridCode) = try await onThread { [filter] in
      let directory = DeviceDirectory(
        try PostgresConnection(
          url: settings.postgresURL, applicationName: "meter-ingestor devices"))
      return (try directory.list(filter), try directory.onlyGridCode())
    }
    let lines = registered || silent ? nil : RegistrationLines(gridCode: onlyGridCode)
    if json {
      return try printHarmlessJSON(devices.map { DeviceJSON($0, lines) })
    }
    if csv { return print(devices, as: RegistrationLines(gridCode: onlyGridCode)) }
    show(devices, lines)
  }

  private func print(_ devices: [ListedDevice], as lines: RegistrationLines) {
    Swift.print(RegistrationLines.header)
    for device in devices { Swift.print(lines.line(for: device).printable) }
  }

  private func show(_ devices: [ListedDevice], _ lines: RegistrationLines?) {
    if devices.isEmpty {
      let what = registered ? "registered" : silent ? "silent" : "unregistered"
      return Swift.print("no \(what) devices\(kind == nil && gridCode == nil ? "" : " that match")")
    }
    var table = TextTable(
      ["KIND", "DEVICE", "GRID CODE", "LAST HEARD", "IN 24 H", "TOPIC"], rightAligned: [4])
    for device in devices {
      table.append([
        "\(device.kind)", device.id.cell(100), (device.gridCode ?? "").cell(20),
        device.lastHeard?.toTheSecond ?? "never", "\(device.readings)",
        (device.topic ?? "").cell(120),
      ])
    }
    for line in table.lines { Swift.print(line) }
    if devices.count == limit { Swift.print("\nthere may be more: --limit") }
    guard let lines else { return }
    Swift.print("\nTo register them, look over these lines and give them to `register`:\n")
    print(devices, as: lines)
  }
}

/// Rows of the CSV that `register` takes. What a meter does not say is a placeholder that turns no
/// reading away.
private struct RegistrationLines {
  /// The grid code of devices that do not say theirs; nil: unknown.
  var gridCode: String?

  static let header = RegistryTable.line([
    RegistryTable.kind, "id", "name", "type", "grid_code", "energy_sources", "capacity_kw",
    "capacity_mwh", "installed_at",
  ])

  func line(for device: ListedDevice) -> String {
    let place = device.gridCode ?? gridCode ?? "unknown"
    let fields: [String] =
      switch device.kind {
      // Above ten times the rated power, readings are rejected.
      case .production:
        ["producer", "residential", place, device.attribute ?? "solar", "1000", "", ""]
      case .consumption:
        ["consumer", device.attribute ?? "residential", place, "", "", "", ""]
      case .storage:
        ["storage", "lithium_ion", place, "", "", "0.01", Timestamp.now.toTheSecond]
      }
    return RegistryTable.line([fields[0], device.id, device.id] + fields.dropFirst())
  }
}

private struct DeviceJSON: Encodable {
  var kind: String
  var deviceID: String
  var gridCode: String?
  var lastHeard: String?
  var readings: Int
  var topic: String?
  /// Header and row of a file for `register`; absent for what is registered.
  var registration: String?

  enum CodingKeys: String, CodingKey {
    case kind, topic, registration
    case deviceID = "device_id"
    case gridCode = "grid_code"
    case lastHeard = "last_heard"
    case readings = "readings_24h"
  }

  init(_ device: ListedDevice, _ lines: RegistrationLines?) {
    kind = "\(device.kind)"
    deviceID = device.id
    gridCode = device.gridCode
    lastHeard = device.lastHeard?.description
    readings = device.readings
    topic = device.topic
    registration = lines.map { "\(RegistrationLines.header)\n\($0.line(for: device))\n" }
  }
}
