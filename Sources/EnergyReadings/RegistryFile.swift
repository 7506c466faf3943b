// The registry file: producers, consumers, batteries and grid areas that `register` upserts.

/// What the database's registries must know before meters publish, as one JSON document.
///
/// Every JSON key is the name of the column it fills; the lists may each be absent. Decimals are
/// strings (`"5.5"`), so that they reach `numeric` columns digit by digit and never through a
/// binary fraction; coordinates are numbers, as in PostgreSQL's `point`. Columns that have a
/// default in the schema may be left out and take that default here.
public struct RegistryFile: Codable, Sendable, Equatable {
  /// Rows of `blockchain.registered_producers`.
  public var producers: [Producer]
  /// Rows of `blockchain.registered_consumers`.
  public var consumers: [Consumer]
  /// Rows of `grid.energy_storage`.
  public var storages: [Storage]
  /// Rows of `grid.locations`.
  public var locations: [Location]
  /// The public keys of devices that sign their readings.
  public var deviceKeys: [DeviceKey]

  public init(
    producers: [Producer] = [], consumers: [Consumer] = [], storages: [Storage] = [],
    locations: [Location] = [], deviceKeys: [DeviceKey] = []
  ) {
    self.producers = producers
    self.consumers = consumers
    self.storages = storages
    self.locations = locations
    self.deviceKeys = deviceKeys
  }

  enum CodingKeys: String, CodingKey {
    case producers, consumers, storages, locations
    case deviceKeys = "device_keys"
  }

  /// Decodes the lists that are present; an absent list is empty.
  ///
  /// - Throws: `DecodingError` when a required column is missing or has another JSON type.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    producers = try container.decode(.producers, default: [])
    consumers = try container.decode(.consumers, default: [])
    storages = try container.decode(.storages, default: [])
    locations = try container.decode(.locations, default: [])
    deviceKeys = try container.decode(.deviceKeys, default: [])
  }
}

extension RegistryFile {
  /// Where a device stands: the `location_json` of the registries.
  public struct DeviceLocation: Codable, Sendable, Equatable {
    /// The grid area, ≤ 20 characters.
    public var gridCode: String
    public var province: String?
    public var district: String?
    /// Degrees north, −90…90.
    public var latitude: Double?
    /// Degrees east, −180…180.
    public var longitude: Double?

    public init(
      gridCode: String, province: String? = nil, district: String? = nil,
      latitude: Double? = nil, longitude: Double? = nil
    ) {
      self.gridCode = gridCode
      self.province = province
      self.district = district
      self.latitude = latitude
      self.longitude = longitude
    }

    enum CodingKeys: String, CodingKey {
      case gridCode = "grid_code"
      case province, district, latitude, longitude
    }
  }

  /// One row of `blockchain.registered_producers`.
  public struct Producer: Codable, Sendable, Equatable {
    /// ≤ 100 characters, unique.
    public var producerID: String
    public var producerName: String
    /// `residential`, `commercial`, `industrial`, `utility` or `community` (a CHECK of the table).
    public var producerType: String
    /// `solar`, `wind`, `hydro`, …; a reading without a source takes it from here if it is one.
    public var energySources: [String]
    public var location: DeviceLocation
    /// kW, > 0, ≤ 6 decimals.
    public var capacityKW: String
    public var certification: String?
    /// Default false.
    public var verified: Bool

    public init(
      producerID: String, producerName: String, producerType: String, energySources: [String],
      location: DeviceLocation, capacityKW: String, certification: String? = nil,
      verified: Bool = false
    ) {
      self.producerID = producerID
      self.producerName = producerName
      self.producerType = producerType
      self.energySources = energySources
      self.location = location
      self.capacityKW = capacityKW
      self.certification = certification
      self.verified = verified
    }

    enum CodingKeys: String, CodingKey {
      case producerID = "producer_id"
      case producerName = "producer_name"
      case producerType = "producer_type"
      case energySources = "energy_sources"
      case location = "location_json"
      case capacityKW = "capacity_kw"
      case certification, verified
    }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      producerID = try container.decode(String.self, forKey: .producerID)
      producerName = try container.decode(String.self, forKey: .producerName)
      producerType = try container.decode(String.self, forKey: .producerType)
      energySources = try container.decode([String].self, forKey: .energySources)
      location = try container.decode(DeviceLocation.self, forKey: .location)
      capacityKW = try container.decode(String.self, forKey: .capacityKW)
      certification = try container.decodeIfPresent(String.self, forKey: .certification)
      verified = try container.decode(.verified, default: false)
    }
  }

  /// One row of `blockchain.registered_consumers`.
  public struct Consumer: Codable, Sendable, Equatable {
    /// ≤ 100 characters, unique.
    public var consumerID: String
    public var consumerName: String
    /// `residential`, `commercial`, `industrial`, `agricultural` or `municipal` (a CHECK).
    public var consumerType: String
    public var location: DeviceLocation
    /// kWh a day, ≤ 6 decimals, default 0 (unknown).
    public var avgConsumptionKWh: String
    /// kW, ≤ 6 decimals, default 0 (unknown).
    public var peakDemandKW: String
    /// Default false.
    public var verified: Bool

    public init(
      consumerID: String, consumerName: String, consumerType: String, location: DeviceLocation,
      avgConsumptionKWh: String = "0", peakDemandKW: String = "0", verified: Bool = false
    ) {
      self.consumerID = consumerID
      self.consumerName = consumerName
      self.consumerType = consumerType
      self.location = location
      self.avgConsumptionKWh = avgConsumptionKWh
      self.peakDemandKW = peakDemandKW
      self.verified = verified
    }

    enum CodingKeys: String, CodingKey {
      case consumerID = "consumer_id"
      case consumerName = "consumer_name"
      case consumerType = "consumer_type"
      case location = "location_json"
      case avgConsumptionKWh = "avg_consumption_kwh"
      case peakDemandKW = "peak_demand_kw"
      case verified
    }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      consumerID = try container.decode(String.self, forKey: .consumerID)
      consumerName = try container.decode(String.self, forKey: .consumerName)
      consumerType = try container.decode(String.self, forKey: .consumerType)
      location = try container.decode(DeviceLocation.self, forKey: .location)
      avgConsumptionKWh = try container.decode(.avgConsumptionKWh, default: "0")
      peakDemandKW = try container.decode(.peakDemandKW, default: "0")
      verified = try container.decode(.verified, default: false)
    }
  }

  /// One row of `grid.energy_storage`.
  public struct Storage: Codable, Sendable, Equatable {
    /// ≤ 100 characters, unique.
    public var storageID: String
    public var storageOperator: String
    public var storageType: String
    /// MWh, > 0, ≤ 6 decimals.
    public var capacityMWh: String
    /// MWh at registration, ≤ 6 decimals, default 0.
    public var currentCharge: String
    /// Round trip, 0…1, ≤ 4 decimals, default 0.95.
    public var efficiency: String
    public var location: DeviceLocation
    /// `active`, `maintenance` or `offline` (a CHECK), default `active`.
    public var status: String
    /// RFC 3339 with offset.
    public var installedAt: String

    public init(
      storageID: String, storageOperator: String, storageType: String, capacityMWh: String,
      currentCharge: String = "0", efficiency: String = "0.95", location: DeviceLocation,
      status: String = "active", installedAt: String
    ) {
      self.storageID = storageID
      self.storageOperator = storageOperator
      self.storageType = storageType
      self.capacityMWh = capacityMWh
      self.currentCharge = currentCharge
      self.efficiency = efficiency
      self.location = location
      self.status = status
      self.installedAt = installedAt
    }

    enum CodingKeys: String, CodingKey {
      case storageID = "storage_id"
      case storageOperator = "storage_operator"
      case storageType = "storage_type"
      case capacityMWh = "capacity_mwh"
      case currentCharge = "current_charge"
      case efficiency
      case location = "location_json"
      case status
      case installedAt = "installed_at"
    }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      storageID = try container.decode(String.self, forKey: .storageID)
      storageOperator = try container.decode(String.self, forKey: .storageOperator)
      storageType = try container.decode(String.self, forKey: .storageType)
      capacityMWh = try container.decode(String.self, forKey: .capacityMWh)
      currentCharge = try container.decode(.currentCharge, default: "0")
      efficiency = try container.decode(.efficiency, default: "0.95")
      location = try container.decode(DeviceLocation.self, forKey: .location)
      status = try container.decode(.status, default: "active")
      installedAt = try container.decode(String.self, forKey: .installedAt)
    }
  }

  /// One row of `grid.locations`.
  public struct Location: Codable, Sendable, Equatable {
    public var province: String
    public var district: String
    /// ≤ 20 characters, unique.
    public var gridCode: String
    public var substation: String
    public var coordinates: Coordinates
    /// MW, ≤ 2 decimals.
    public var capacityMW: String
    /// MW at registration, ≤ 2 decimals, default 0.
    public var currentLoadMW: String
    /// `low`, `medium`, `high` or `critical`, default `low`.
    public var congestionLevel: String

    public init(
      province: String, district: String, gridCode: String, substation: String,
      coordinates: Coordinates, capacityMW: String, currentLoadMW: String = "0",
      congestionLevel: String = "low"
    ) {
      self.province = province
      self.district = district
      self.gridCode = gridCode
      self.substation = substation
      self.coordinates = coordinates
      self.capacityMW = capacityMW
      self.currentLoadMW = currentLoadMW
      self.congestionLevel = congestionLevel
    }

    enum CodingKeys: String, CodingKey {
      case province, district
      case gridCode = "grid_code"
      case substation, coordinates
      case capacityMW = "capacity_mw"
      case currentLoadMW = "current_load_mw"
      case congestionLevel = "congestion_level"
    }

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      province = try container.decode(String.self, forKey: .province)
      district = try container.decode(String.self, forKey: .district)
      gridCode = try container.decode(String.self, forKey: .gridCode)
      substation = try container.decode(String.self, forKey: .substation)
      coordinates = try container.decode(Coordinates.self, forKey: .coordinates)
      capacityMW = try container.decode(String.self, forKey: .capacityMW)
      currentLoadMW = try container.decode(.currentLoadMW, default: "0")
      congestionLevel = try container.decode(.congestionLevel, default: "low")
    }
  }

  /// A place on the map: the `coordinates` of `grid.locations`.
  public struct Coordinates: Codable, Sendable, Equatable {
    /// Degrees east, −180…180.
    public var longitude: Double
    /// Degrees north, −90…90.
    public var latitude: Double

    public init(longitude: Double, latitude: Double) {
      self.longitude = longitude
      self.latitude = latitude
    }

    /// The text that PostgreSQL's `point` reads: `(x,y)`, x being the longitude.
    public var postgresPoint: String { "(\(longitude),\(latitude))" }
  }

  /// The key that verifies one device's `signature` field.
  public struct DeviceKey: Codable, Sendable, Equatable {
    /// The device id of the topic.
    public var deviceID: String
    /// 32 bytes of Ed25519, base58.
    public var publicKey: String

    public init(deviceID: String, publicKey: String) {
      self.deviceID = deviceID
      self.publicKey = publicKey
    }

    enum CodingKeys: String, CodingKey {
      case deviceID = "device_id"
      case publicKey = "public_key"
    }
  }
}

extension KeyedDecodingContainer {
  /// The value of a column that has a default in the schema.
  fileprivate func decode<Value: Decodable>(_ key: Key, default value: Value) throws -> Value {
    try decodeIfPresent(Value.self, forKey: key) ?? value
  }
}
