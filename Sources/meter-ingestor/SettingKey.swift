// Every setting in one place: its key, default and meaning. Help, `config` and the README's table
// are made from this list.

enum SettingKey: String, CaseIterable {
  case postgresURL = "postgres.url"
  case mqttURL = "mqtt.url"
  case mqttClientID = "mqtt.client-id"
  case mqttShareGroup = "mqtt.share-group"
  case mqttTopics = "mqtt.topics"
  case mqttVersion = "mqtt.version"
  case mqttKeepAlive = "mqtt.keep-alive"
  case mqttSessionExpiry = "mqtt.session-expiry"
  case mqttCAFile = "mqtt.ca-file"
  case mqttCertificateFile = "mqtt.certificate-file"
  case mqttKeyFile = "mqtt.key-file"
  case ingestWorkers = "ingest.workers"
  case ingestBatchSize = "ingest.batch-size"
  case ingestLinger = "ingest.linger"
  case ingestSources = "ingest.sources"
  case ingestUnregistered = "ingest.unregistered"
  case ingestUnregisteredStorage = "ingest.unregistered-storage"
  case ingestTariff = "ingest.tariff"
  case ingestTariffTable = "ingest.tariff-table"
  case ingestTariffZone = "ingest.tariff-zone"
  case rulesReject = "rules.reject"
  case rulesFlag = "rules.flag"
  case rulesOff = "rules.off"
  case rulesFutureTolerance = "rules.future-tolerance"
  case rulesTooOldAfter = "rules.too-old-after"
  case rulesCapacityFactor = "rules.capacity-factor"
  case rulesSpikeFactor = "rules.spike-factor"
  case rulesStuckAfter = "rules.stuck-after"
  case rulesBreakdownFactor = "rules.breakdown-factor"
  case rulesBatteryTolerance = "rules.battery-tolerance"
  case rulesMeters = "rules.meters"
  case rulesFlagsKeep = "rules.flags-keep"
  case deadLettersKeep = "dead-letters.keep"
  case deadLettersLimit = "dead-letters.limit"
  case spoolDirectory = "spool.directory"
  case spoolAfter = "spool.after"
  case spoolBytes = "spool.bytes"
  case spoolAge = "spool.age"
  case httpListen = "http.listen"
  case httpToken = "http.token"
  case metricsInterval = "metrics.interval"
  case monitoringWindow = "monitoring.window"
  case monitoringMeterInterval = "monitoring.meter-interval"
  case monitoringSilentAfter = "monitoring.silent-after"
  case monitoringRetention = "monitoring.retention"
  case monitoringHealthRetention = "monitoring.health-retention"
  case logLevel = "log.level"

  /// The environment variable.
  var environmentName: String {
    rawValue.uppercased().replacing(".", with: "_").replacing("-", with: "_")
  }

  /// Whether the value may hold a password; then `<key>-file` names a file that holds the value.
  var isSecret: Bool { self == .postgresURL || self == .mqttURL || self == .httpToken }

  var defaultValue: String { SettingKey.entries[self]?.defaultValue ?? "" }
  var help: String { SettingKey.entries[self]?.help ?? "" }

  private static let entries: [SettingKey: (defaultValue: String, help: String)] = [
    .postgresURL: ("postgresql://localhost:5432/gridtokenx", "libpq URI of the database"),
    .mqttURL: ("mqtt://localhost:1883", "mqtt://user:password@host:port, or mqtts:// for TLS"),
    .mqttClientID: ("meter-ingestor", "stable name of this client; workers append -0, -1, …"),
    .mqttShareGroup: ("", "group of the shared subscription; the client id when workers > 1"),
    .mqttTopics: (
      "gridtokenx/v1/#,gridtokenx/ami/telemetry/+",
      "topic filters, separated by commas; unless set, those of ingest.sources as well"
    ),
    .mqttVersion: ("5", "5, or 3 for brokers without MQTT 5"),
    .mqttKeepAlive: ("300s", "longer than the longest wait for a commit, 10s…65535s"),
    .mqttSessionExpiry: ("168h", "how long the broker keeps messages while the ingestor is away"),
    .mqttCAFile: ("", "PEM file of the authority to trust with mqtts; the system's when empty"),
    .mqttCertificateFile: ("", "PEM file of the client certificate"),
    .mqttKeyFile: ("", "PEM file of the client certificate's key"),
    .ingestWorkers: ("1", "threads, each with a session and a connection, 1…64"),
    .ingestBatchSize: ("10000", "readings at which a batch is committed, 1…1000000"),
    .ingestLinger: ("20ms", "how long a message waits for company when no more arrive, 0ms…60s"),
    .ingestSources: ("", "YAML file of further sources: their formats, topics and devices"),
    .ingestUnregistered: (
      "accept",
      "producers and consumers that no registry knows: accept or reject"
    ),
    .ingestUnregisteredStorage: ("reject", "batteries that no registry knows: accept or reject"),
    .ingestTariff: ("", "price per kWh of a storage operation that names none; empty: reject it"),
    .ingestTariffTable: (
      "",
      "the same by the time of the day, such as 22:00-06:00=0.12,06:00-22:00=0.30"
    ),
    .ingestTariffZone: ("UTC", "time zone of that table, such as Asia/Bangkok"),
    .rulesReject: (
      "",
      "plausibility rules that turn a reading away, separated by commas, besides the defaults"
    ),
    .rulesFlag: ("", "plausibility rules that mark a reading and store it"),
    .rulesOff: ("", "plausibility rules that are not looked at"),
    .rulesFutureTolerance: ("24h", "how far a timestamp may lie ahead of this machine's clock"),
    .rulesTooOldAfter: ("425d", "age from which a reading is too old when it arrives"),
    .rulesCapacityFactor: ("1.2", "what rated capacity times interval is multiplied with, 1…10"),
    .rulesSpikeFactor: ("5", "a spike is so many times the meter's recent peak, 2…1000"),
    .rulesStuckAfter: ("24", "equal amounts in a row that are a stuck value, 2…1000000"),
    .rulesBreakdownFactor: ("1.01", "what appliances may add up to, times the total, 1…10"),
    .rulesBatteryTolerance: (
      "0.1",
      "how far an operation may go beyond a battery's book, times its capacity, 0…1"
    ),
    .rulesMeters: ("1000000", "meters whose past is remembered, some 100 bytes each"),
    .rulesFlagsKeep: ("400d", "how long ingest.reading_flags are kept"),
    .deadLettersKeep: ("90d", "how long dead letters are kept, open or not"),
    .deadLettersLimit: ("1000000", "dead letters kept at most; settled ones go first"),
    .spoolDirectory: (
      "",
      "where batches go while the database is away; empty: they stay with the broker"
    ),
    .spoolAfter: ("2s", "how long a commit may take or fail before the spool is used, 100ms…10m"),
    .spoolBytes: ("1GiB", "what a worker's spool holds at most, 1MiB…1TiB; then it reads no more"),
    .spoolAge: (
      "7d",
      "how long a spooled message may wait, 1m…10y, before no more are taken; none is dropped"
    ),
    .httpListen: (
      "127.0.0.1:8080",
      "host:port of the status page and /metrics; port 0 takes a free one"
    ),
    .httpToken: (
      "",
      "who brings it may see the page; needed where http.listen is not loopback, 16 characters or more"
    ),
    .metricsInterval: ("10s", "how often metrics go to monitoring.system_metrics, 1s…1h"),
    .monitoringWindow: ("60s", "length of the windows of monitoring.grid_health, 10s…1h"),
    .monitoringMeterInterval: (
      "15m",
      "longest interval at which meters report, from the window's length to 24h; then they are late"
    ),
    .monitoringSilentAfter: ("24h", "when a late meter is silent, above the interval, to 400d"),
    .monitoringRetention: ("7d", "how long monitoring.system_metrics are kept, 1h…10y"),
    .monitoringHealthRetention: (
      "400d",
      "how long windows of monitoring.grid_health and grid.status_history are kept, 1d…10y"
    ),
    .logLevel: ("info", "trace, debug, info, notice, warning, error or critical"),
  ]
}
