// The platform's registries as `register` fills them: their columns, and one entry of one of them.

/// A registry, in the order in which entries are written: what batteries stand in comes first.
public enum Registry: String, Sendable, CaseIterable {
  case location, producer, consumer, storage
  case deviceKey = "device_key"

  /// A column that a file may fill.
  public struct Column: Sendable {
    public enum Kind: Sendable {
      case text, texts, number, flag, time
      /// A JSON object.
      case object
      /// A JSON object of `longitude` and `latitude`, degrees.
      case point
    }

    public var name: String
    public var kind: Kind
    public var isRequired = false
    /// What a new entry has where the file says nothing; nil: NULL.
    public var fallback: String?
    /// Whether it changes with the readings, so that a file says only where it begins.
    public var isLive = false
  }

  /// The list of a JSON file that holds its entries.
  public var list: String {
    switch self {
    case .location: "locations"
    case .producer: "producers"
    case .consumer: "consumers"
    case .storage: "storages"
    case .deviceKey: "device_keys"
    }
  }

  public var table: String {
    switch self {
    case .location: "grid.locations"
    case .producer: "blockchain.registered_producers"
    case .consumer: "blockchain.registered_consumers"
    case .storage: "grid.energy_storage"
    case .deviceKey: "ingest.device_keys"
    }
  }

  /// The column that tells entries apart.
  public var key: String {
    switch self {
    case .location: "grid_code"
    case .producer: "producer_id"
    case .consumer: "consumer_id"
    case .storage: "storage_id"
    case .deviceKey: "device_id"
    }
  }

  public var columns: [Column] { Registry.columnsByRegistry[self] ?? [] }

  private static let columnsByRegistry: [Registry: [Column]] = [
    .location: [
      .init("grid_code"), .init("province"), .init("district"), .init("substation"),
      .init("coordinates", .point), .init("capacity_mw", .number),
      .live("current_load_mw", .number, "0"), .live("congestion_level", .text, "low"),
    ],
    .producer: [
      .init("producer_id"), .init("producer_name"), .init("producer_type"),
      .init("energy_sources", .texts), .init("location_json", .object),
      .init("capacity_kw", .number), .optional("certification", .text),
      .optional("verified", .flag, "false"),
    ],
    .consumer: [
      .init("consumer_id"), .init("consumer_name"), .init("consumer_type"),
      .init("location_json", .object), .optional("avg_consumption_kwh", .number, "0"),
      .optional("peak_demand_kw", .number, "0"), .optional("verified", .flag, "false"),
    ],
    .storage: [
      .init("storage_id"), .init("storage_operator"), .init("storage_type"),
      .init("capacity_mwh", .number), .live("current_charge", .number, "0"),
      .optional("efficiency", .number, "0.95"), .init("location_json", .object),
      .optional("status", .text, "active"), .init("installed_at", .time),
    ],
    .deviceKey: [.init("device_id"), .init("public_key")],
  ]
}

extension Registry.Column {
  fileprivate init(_ name: String, _ kind: Kind = .text) {
    self.name = name
    self.kind = kind
    isRequired = true
  }

  fileprivate static func optional(
    _ name: String, _ kind: Kind, _ fallback: String? = nil
  ) -> Registry.Column {
    var column = Registry.Column(name, kind)
    column.isRequired = false
    column.fallback = fallback
    return column
  }

  fileprivate static func live(
    _ name: String, _ kind: Kind, _ fallback: String
  ) -> Registry.Column {
    var column = optional(name, kind, fallback)
    column.isLive = true
    return column
  }
}

/// One entry of a registry file.
public struct RegistryEntry: Sendable, Equatable {
  public var registry: Registry
  /// Its device id, or its grid code.
  public var key: String
  /// Where the file has it: `line 3`, `$.producers[0]`.
  public var place: String
  /// A JSON object whose keys are columns; what is absent or null says nothing.
  public var json: String

  public init(registry: Registry, key: String, place: String, json: String) {
    self.registry = registry
    self.key = key
    self.place = place
    self.json = json
  }
}

/// An entry that cannot be registered, and why.
public struct RegistryRefusal: Error, Sendable, Equatable {
  public var registry: Registry?
  /// Empty where it is not known.
  public var key: String
  public var place: String
  /// One sentence for people.
  public var reason: String

  public init(registry: Registry?, key: String, place: String, reason: String) {
    self.registry = registry
    self.key = key
    self.place = place
    self.reason = reason
  }
}
