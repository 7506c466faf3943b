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
  case ingestUnregistered = "ingest.unregistered"
  case ingestUnregisteredStorage = "ingest.unregistered-storage"
  case ingestTariff = "ingest.tariff"
  case ingestFutureTolerance = "ingest.future-tolerance"
  case httpListen = "http.listen"
  case metricsInterval = "metrics.interval"
  case logLevel = "log.level"

  /// The environment variable.
  var environmentName: String {
    rawValue.uppercased().replacing(".", with: "_").replacing("-", with: "_")
  }

  /// Whether the value may hold a password; then `<key>-file` names a file that holds the value.
  var isSecret: Bool { self == .postgresURL || self == .mqttURL }

  var defaultValue: String {
    switch self {
    case .postgresURL: "postgresql://localhost:5432/gridtokenx"
    case .mqttURL: "mqtt://localhost:1883"
    case .mqttClientID: "meter-ingestor"
    case .mqttTopics: "gridtokenx/v1/#,gridtokenx/ami/telemetry/+"
    case .mqttVersion: "5"
    case .mqttKeepAlive: "300s"
    case .mqttSessionExpiry: "168h"
    case .ingestWorkers: "1"
    case .ingestBatchSize: "10000"
    case .ingestLinger: "20ms"
    case .ingestUnregistered: "accept"
    case .ingestUnregisteredStorage: "reject"
    case .ingestFutureTolerance: "24h"
    case .httpListen: "127.0.0.1:8080"
    case .metricsInterval: "10s"
    case .logLevel: "info"
    case .mqttShareGroup, .mqttCAFile, .mqttCertificateFile, .mqttKeyFile, .ingestTariff: ""
    }
  }

  var help: String {
    switch self {
    case .postgresURL: "libpq URI of the database"
    case .mqttURL: "mqtt://user:password@host:port, or mqtts:// for TLS"
    case .mqttClientID: "stable name of this client; workers append -0, -1, …"
    case .mqttShareGroup: "group of the shared subscription; the client id when workers > 1"
    case .mqttTopics: "topic filters, separated by commas"
    case .mqttVersion: "5, or 3 for brokers without MQTT 5"
    case .mqttKeepAlive: "longer than the longest wait for a commit, 10s…65535s"
    case .mqttSessionExpiry: "how long the broker keeps messages while the ingestor is away"
    case .mqttCAFile: "PEM file of the authority to trust with mqtts; the system's when empty"
    case .mqttCertificateFile: "PEM file of the client certificate"
    case .mqttKeyFile: "PEM file of the client certificate's key"
    case .ingestWorkers: "threads, each with a session and a connection, 1…64"
    case .ingestBatchSize: "readings at which a batch is committed, 1…1000000"
    case .ingestLinger: "how long a message waits for company when no more arrive, 0ms…60s"
    case .ingestUnregistered: "producers and consumers that no registry knows: accept or reject"
    case .ingestUnregisteredStorage: "batteries that no registry knows: accept or reject"
    case .ingestTariff: "price per kWh of a storage operation that names none; empty: reject it"
    case .ingestFutureTolerance: "how far a timestamp may lie ahead of this machine's clock"
    case .httpListen: "host:port of the status page and /metrics; port 0 takes a free one"
    case .metricsInterval: "how often metrics go to monitoring.system_metrics, 1s…1h"
    case .logLevel: "trace, debug, info, notice, warning, error or critical"
    }
  }
}
