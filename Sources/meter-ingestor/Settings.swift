// Settings as values: read from defaults, file, environment and flags, and checked once.

import ArgumentParser
import CheckRules
import Configuration
import EnergyReadings
import Foundation
import IngestPipeline
import Logging
import MQTTSession
import Monitoring
import PayloadDecoding
import Spool
import SystemPackage

/// A setting that cannot be used. Exit code 2.
struct SettingError: Error, CustomStringConvertible {
  var key: SettingKey
  var problem: String

  var description: String { "\(key.rawValue) (\(key.environmentName)): \(problem)" }
}

/// Options that every command takes.
struct ConfigurationOptions: ParsableArguments {
  @Option(name: .long, help: "YAML file with settings.")
  var config: String?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("One setting, over file and environment.", valueName: "key=value"))
  var overrides: [String] = []

  /// Reads the settings.
  ///
  /// - Throws: ``SettingError``, or `ValidationError` for a file or key that does not exist.
  func load() async throws -> Settings {
    var flags: [AbsoluteConfigKey: ConfigValue] = [:]
    for override in overrides {
      let parts = override.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, SettingKey(rawValue: String(parts[0])) != nil else {
        throw ValidationError(
          "--set \(parts[0]): no such setting; `meter-ingestor config` lists them")
      }
      flags[AbsoluteConfigKey(stringLiteral: String(parts[0]))] = ConfigValue(
        stringLiteral: String(parts[1]))
    }
    var providers: [any ConfigProvider] = [
      InMemoryProvider(values: flags), EnvironmentVariablesProvider(),
    ]
    if let config {
      do {
        providers.append(try await FileProvider<YAMLSnapshot>(filePath: .init(config)))
      } catch {
        throw ValidationError("--config \(config): \(error)")
      }
    }
    return try Settings(ConfigReader(providers: providers))
  }
}

/// All settings, checked.
struct Settings {
  /// The texts as they were found, for `config`.
  private(set) var texts: [SettingKey: String] = [:]

  var worker: WorkerSettings
  var workers: Int
  var http: (host: String, port: Int)
  var metricsInterval: Duration
  var logLevel: Logger.Level
  var plausibility: PlausibilitySettings
  /// Meters whose past the rules remember.
  var rememberedMeters: Int
  var retention = DeadLetterRetention()
  var monitoring: MonitoringSettings
  /// Sources besides those that are always there.
  var sources: SourceTable

  var postgresURL: String { worker.postgresURL }
  var mqtt: MQTTSettings { worker.mqtt }

  init(_ reader: ConfigReader) throws {
    var texts: [SettingKey: String] = [:]
    for key in SettingKey.allCases { texts[key] = try Settings.text(key, reader) }
    try self.init(texts: texts)
  }

  /// The text of a setting: its own, or that of the file that `<key>-file` names.
  private static func text(_ key: SettingKey, _ reader: ConfigReader) throws -> String {
    let configKey = ConfigKey(stringLiteral: key.rawValue)
    // YAML types its values; a number is as good as its text.
    let own =
      reader.string(forKey: configKey, isSecret: key.isSecret)
      ?? reader.int(forKey: configKey).map(String.init)
      ?? reader.stringArray(forKey: configKey)?.joined(separator: ",")
      ?? reader.double(forKey: configKey).map { "\($0)" }
    if let own { return own }
    if key.isSecret, let file = reader.string(forKey: .init(stringLiteral: key.rawValue + "-file"))
    {
      guard let data = FileManager.default.contents(atPath: file) else {
        throw SettingError(key: key, problem: "\(file) cannot be read")
      }
      return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
    return key.defaultValue
  }

  init(texts: [SettingKey: String]) throws {
    let values = SettingTexts(texts)
    self.texts = texts
    workers = try values.integer(.ingestWorkers, in: 1...64)
    http = try values.address(.httpListen)
    metricsInterval = try values.duration(.metricsInterval, in: .seconds(1)...(.seconds(3_600)))
    logLevel = try values.choice(.logLevel, Logger.Level.init(rawValue:))
    sources = try Settings.sources(in: values[.ingestSources])
    let isSet = values[.mqttTopics] != SettingKey.mqttTopics.defaultValue
    worker = WorkerSettings(
      mqtt: try Settings.mqtt(values),
      filters: isSet ? try values.topicFilters(.mqttTopics) : sources.subscriptions,
      postgresURL: values[.postgresURL])
    worker.followsSources = !isSet
    worker.batchSize = try values.integer(.ingestBatchSize, in: 1...1_000_000)
    worker.linger = try values.duration(.ingestLinger, in: .zero...(.seconds(60)))
    let group = values[.mqttShareGroup]
    worker.shareGroup = !group.isEmpty ? group : workers > 1 ? values[.mqttClientID] : nil
    try worker.keepOrder(of: sources)
    worker.enrichment = try Settings.enrichment(values)
    worker.spool = try Settings.spool(values)
    plausibility = try values.plausibility(hearsEverything: worker.shareGroup == nil)
    rememberedMeters = try values.integer(.rulesMeters, in: 64...100_000_000)
    let ever = Duration.zero...(.seconds(3_155_760_000))
    retention.age = try values.duration(.deadLettersKeep, in: ever)
    retention.count = try values.integer(.deadLettersLimit, in: 0...1_000_000_000)
    retention.flagAge = try values.duration(.rulesFlagsKeep, in: ever)
    monitoring = try values.monitoring()
  }

  /// Reads a file of sources; none where no file is named.
  static func sources(in file: String) throws -> SourceTable {
    if file.isEmpty { return .none }
    guard let data = FileManager.default.contents(atPath: file) else {
      throw SettingError(key: .ingestSources, problem: "\(file) cannot be read")
    }
    guard let yaml = String(data: data, encoding: .utf8) else {
      throw SettingError(key: .ingestSources, problem: "\(file) is not UTF-8")
    }
    do {
      return try SourceFile.table(yaml: yaml, name: file)
    } catch {
      throw SettingError(key: .ingestSources, problem: "\(error)")
    }
  }

  private static func mqtt(_ values: SettingTexts) throws -> MQTTSettings {
    var mqtt: MQTTSettings
    do {
      mqtt = try MQTTSettings(url: values[.mqttURL], clientID: values[.mqttClientID])
    } catch {
      throw SettingError(key: .mqttURL, problem: error.message)
    }
    mqtt.isVersion5 = try values.integer(.mqttVersion, in: 3...5) == 5
    mqtt.keepAlive = Int(
      try values.duration(.mqttKeepAlive, in: .seconds(10)...(.seconds(65_535))).components.seconds)
    mqtt.sessionExpiry = UInt32(
      try values.duration(.mqttSessionExpiry, in: .zero...(.seconds(4_294_967_294)))
        .components.seconds)
    func file(_ key: SettingKey) -> String? { values[key].isEmpty ? nil : values[key] }
    if mqtt.tls != nil {
      mqtt.tls = .init(
        authorityFile: file(.mqttCAFile), certificateFile: file(.mqttCertificateFile),
        keyFile: file(.mqttKeyFile))
    }
    return mqtt
  }

  /// nil where no directory is named.
  private static func spool(_ values: SettingTexts) throws -> SpoolSettings? {
    let limits = SpoolLimits(
      bytes: try values.bytes(.spoolBytes, in: 1 << 20...(1 << 40)),
      age: try values.duration(.spoolAge, in: .seconds(60)...(.seconds(315_576_000))))
    let after = try values.duration(.spoolAfter, in: .milliseconds(100)...(.seconds(600)))
    let directory = values[.spoolDirectory]
    return directory.isEmpty
      ? nil : SpoolSettings(directory: directory, after: after, limits: limits)
  }

  private static func enrichment(_ values: SettingTexts) throws -> EnrichmentSettings {
    var enrichment = EnrichmentSettings()
    enrichment.unregistered = try values.choice(.ingestUnregistered, UnregisteredPolicy.init)
    enrichment.unregisteredStorage = try values.choice(
      .ingestUnregisteredStorage, UnregisteredPolicy.init)
    let tariff = values[.ingestTariff]
    if !tariff.isEmpty {
      let price = try? ExactDecimal.parse(tariff.utf8.span, integerDigits: 9, scale: 6)
      guard let price, price > 0 else {
        throw SettingError(key: .ingestTariff, problem: "\(tariff) is not a price above 0")
      }
      enrichment.tariff = price
    }
    enrichment.tariffTable = try tariffTable(values)
    return enrichment
  }

  /// nil where none is given.
  private static func tariffTable(_ values: SettingTexts) throws -> TariffTable? {
    let table = values[.ingestTariffTable]
    if table.isEmpty { return nil }
    do {
      return try TariffTable(table, zone: values[.ingestTariffZone])
    } catch {
      throw SettingError(key: .ingestTariffTable, problem: "\(error)")
    }
  }

  /// The settings of one worker: its own client id and status topic.
  func worker(number: Int) -> WorkerSettings {
    var settings = worker(clientID: "\(mqtt.clientID)-\(number)")
    if number > 0 { settings.orderedFilters = [] }
    return settings
  }

  /// The settings of the worker with this client id.
  func worker(clientID: String) -> WorkerSettings {
    var settings = worker
    settings.mqtt.statusTopic = "gridtokenx/v1/ingestor/\(clientID)/status"
    settings.mqtt.clientID = clientID
    return settings
  }
}

extension WorkerSettings {
  /// Takes what is to be heard in order out of the filters that a group may share.
  ///
  /// - Throws: ``SettingError`` where a filter holds both: then the order of messages would depend on
  ///   who hears them.
  fileprivate mutating func keepOrder(of sources: SourceTable) throws {
    let ordered = try sources.orderedSubscriptions.map { try TopicFilter($0) }
    if ordered.isEmpty { return }
    let others = try sources.subscriptions.filter { !sources.orderedSubscriptions.contains($0) }
      .map { try TopicFilter($0) }
    func overlapping(_ text: String, _ list: [TopicFilter]) throws -> TopicFilter? {
      let filter = try TopicFilter(text)
      return list.first { $0.overlaps(filter) }
    }
    orderedFilters = try filters.filter { try overlapping($0, ordered) != nil }
    filters.removeAll { orderedFilters.contains($0) }
    guard shareGroup != nil else { return }
    for filter in orderedFilters {
      guard let other = try overlapping(filter, others) else { continue }
      throw SettingError(
        key: .mqttTopics,
        problem:
          "\"\(filter)\" matches topics of \"\(other)\", which are shared, and of sources whose "
          + "messages one subscriber hears in order; list them apart")
    }
    if filters.isEmpty {
      throw SettingError(
        key: .mqttTopics,
        problem:
          "one subscriber hears all of these in order, so that nothing is left to share; set "
          + "ingest.workers to 1 and no mqtt.share-group")
    }
  }
}

/// Typed access to the texts, with errors that name the setting.
struct SettingTexts {
  private let texts: [SettingKey: String]

  init(_ texts: [SettingKey: String]) { self.texts = texts }

  subscript(key: SettingKey) -> String { texts[key] ?? key.defaultValue }

  func integer(_ key: SettingKey, in range: ClosedRange<Int>) throws -> Int {
    guard let value = Int(self[key]), range.contains(value) else {
      throw SettingError(
        key: key, problem: "\(self[key]) is not \(range.lowerBound)…\(range.upperBound)")
    }
    return value
  }

  func duration(_ key: SettingKey, in range: ClosedRange<Duration>) throws -> Duration {
    guard let value = Duration(text: self[key]), range.contains(value) else {
      throw SettingError(key: key, problem: "\(self[key]): expected \(key.help)")
    }
    return value
  }

  /// Reads `512MiB`, `1GiB`, `64KiB`; a bare number is bytes.
  func bytes(_ key: SettingKey, in range: ClosedRange<Int>) throws -> Int {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)]
    let unit = units.first { self[key].hasSuffix($0.0) }
    let (value, overflows) = (Int(self[key].dropLast(unit == nil ? 0 : 3)) ?? -1)
      .multipliedReportingOverflow(by: unit?.1 ?? 1)
    guard !overflows, range.contains(value) else {
      throw SettingError(key: key, problem: "\(self[key]): expected \(key.help)")
    }
    return value
  }

  func choice<Value>(_ key: SettingKey, _ make: (String) -> Value?) throws -> Value {
    guard let value = make(self[key]) else {
      throw SettingError(key: key, problem: "\(self[key]): expected \(key.help)")
    }
    return value
  }

  /// Topic filters (MQTT 5.0, section 4.7): `+` is a whole level, `#` the last one.
  func topicFilters(_ key: SettingKey) throws -> [String] {
    let filters = self[key].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    for filter in filters {
      let levels = filter.split(separator: "/", omittingEmptySubsequences: false)
      let isValid = levels.enumerated().allSatisfy { index, level in
        level == "#" && index == levels.count - 1 || level == "+"
          || !level.contains("#") && !level.contains("+")
      }
      if filter.isEmpty || !isValid {
        throw SettingError(key: key, problem: "\"\(filter)\" is no topic filter")
      }
    }
    if filters.isEmpty { throw SettingError(key: key, problem: "no topic filter is given") }
    return filters
  }

  /// `host:port`; an IPv6 host stands in brackets.
  func address(_ key: SettingKey) throws -> (host: String, port: Int) {
    let text = self[key]
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
      (0...65_535).contains(port)
    else { throw SettingError(key: key, problem: "\(text): expected host:port") }
    let host = text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
    return (host, port)
  }
}

extension Duration {
  /// Reads `250ms`, `30s`, `5m`, `24h` or `7d`; a bare number is seconds.
  init?(text: String) {
    let units: [(suffix: String, milliseconds: Double)] = [
      ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]
    let unit = units.first { text.hasSuffix($0.suffix) }
    guard let number = Double(text.dropLast(unit?.suffix.count ?? 0)), number.isFinite, number >= 0,
      number < 1e12
    else { return nil }
    self = .milliseconds(Int64(number * (unit?.milliseconds ?? 1_000)))
  }
}
