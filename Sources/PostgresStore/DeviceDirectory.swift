// Devices as the database knows them: registered or only heard, and when last.

import EnergyReadings

/// Which devices are meant.
public struct DeviceFilter: Sendable {
  public enum Group: Sendable {
    /// Heard, and in no registry: what they publish is a dead letter, or stored without a registration.
    case unregistered
    case registered
    /// Registered, in use, and not heard for so long, or never.
    case silent(Duration)
  }

  public var group = Group.unregistered
  public var kind: ReadingKind?
  public var gridCode: String?
  /// Most devices listed.
  public var limit = 100

  public init() {}
}

/// One device.
public struct ListedDevice: Sendable, Equatable {
  public var kind: ReadingKind
  public var id: String
  /// nil where nothing tells it.
  public var gridCode: String?
  /// The time of its latest reading, or when its latest dead letter came; nil: never heard.
  public var lastHeard: Timestamp?
  /// Readings of the last 24 hours: stored, or dead letters that came.
  public var readings: Int
  /// The topic of its latest dead letter; nil where there is none.
  public var topic: String?
  /// Energy source or consumer type of its latest stored reading.
  public var attribute: String?
}

/// Reads which devices there are. Blocks; use it where its connection is used.
public struct DeviceDirectory {
  private let connection: PostgresConnection

  public init(_ connection: PostgresConnection) { self.connection = connection }

  /// Devices, those that were heard last first; silent ones first those that were never heard.
  public func list(_ filter: DeviceFilter) throws(PostgresError) -> [ListedDevice] {
    var conditions = SQLConditions()
    if let kind = filter.kind {
      conditions.require("device.kind = \(conditions.parameter("\(kind)"))")
    }
    if let code = filter.gridCode {
      conditions.require("\(DeviceDirectory.gridCode) = \(conditions.parameter(code))")
    }
    let order =
      if case .silent = filter.group { "ASC NULLS FIRST" } else { "DESC NULLS LAST" }
    let sql = """
      WITH registered AS (\(DeviceDirectory.registered)), heard AS (\(DeviceDirectory.heard)),
      device AS (\(group(filter.group))), listed AS (
        SELECT * FROM device \(conditions.clause)
        ORDER BY last_at \(order), kind, id LIMIT \(max(0, filter.limit)))
      SELECT listed.kind, listed.id, coalesce(listed.grid_code, stored.grid_code),
        (extract(epoch FROM listed.last_at) * 1000000)::bigint,
        stored.readings + letter.readings, letter.topic, stored.attribute
      FROM listed, \(DeviceDirectory.stored), \(DeviceDirectory.letter)
      ORDER BY listed.last_at \(order), listed.kind, listed.id
      """
    return try connection.query(sql, conditions.parameters, as: "list devices").compactMap {
      ListedDevice($0)
    }
  }

  /// The grid code where the platform has only one.
  public func onlyGridCode() throws(PostgresError) -> String? {
    try connection.query(
      "SELECT min(grid_code) FROM grid.locations HAVING count(*) = 1", as: "read grid.locations"
    ).first?.first.flatMap(\.self)
  }

  /// The grid code of a device, that of any of its readings where nothing else tells.
  private static let gridCode = """
    coalesce(device.grid_code, CASE device.kind
      WHEN 'production' THEN (SELECT location_json ->> 'grid_code' FROM grid.energy_production
        WHERE producer_id = device.id LIMIT 1)
      WHEN 'consumption' THEN (SELECT location_json ->> 'grid_code' FROM grid.energy_consumption
        WHERE consumer_id = device.id LIMIT 1)
    END)
    """

  private func group(_ group: DeviceFilter.Group) -> String {
    let known = """
      SELECT registered.kind, registered.id, registered.grid_code, heard.last_at
      FROM registered LEFT JOIN heard USING (kind, id)
      """
    switch group {
    case .unregistered:
      return """
        SELECT heard.kind, heard.id, heard.grid_code, heard.last_at FROM heard
        WHERE NOT EXISTS (SELECT FROM registered
          WHERE registered.kind = heard.kind AND registered.id = heard.id)
        """
    case .registered: return known
    case .silent(let limit):
      return """
        \(known)
        WHERE registered.is_active
          AND coalesce(heard.last_at < now() - interval '\(limit.components.seconds) s', true)
        """
    }
  }

  private static let registered = """
    SELECT 'production' AS kind, producer_id::text AS id, location_json ->> 'grid_code' AS grid_code,
      NOT EXISTS (SELECT FROM ingest.inactive_devices AS inactive WHERE inactive.kind = 'production'
        AND inactive.device_id = device.producer_id AND inactive.since <= now()) AS is_active
    FROM blockchain.registered_producers AS device
    UNION ALL
    SELECT 'consumption', consumer_id, location_json ->> 'grid_code',
      NOT EXISTS (SELECT FROM ingest.inactive_devices AS inactive WHERE inactive.kind = 'consumption'
        AND inactive.device_id = device.consumer_id AND inactive.since <= now())
    FROM blockchain.registered_consumers AS device
    UNION ALL
    SELECT 'storage', storage_id, location_json ->> 'grid_code',
      device.status = 'active' AND NOT EXISTS (SELECT FROM ingest.inactive_devices AS inactive
        WHERE inactive.kind = 'storage' AND inactive.device_id = device.storage_id
          AND inactive.since <= now())
    FROM grid.energy_storage AS device
    """

  /// What the rules remember, saved twice a minute, and what was turned away for want of a
  /// registration. The own format's topics say where the device is.
  private static let heard = """
    SELECT kind, id, max(at) AS last_at, max(grid_code) AS grid_code FROM (
      SELECT kind, device_id AS id, last_at AS at, NULL AS grid_code FROM ingest.meter_states
      UNION ALL
      SELECT kind, device_id, last_received_at,
        CASE WHEN topic LIKE 'gridtokenx/v1/%' THEN split_part(topic, '/', 3) END
      FROM ingest.dead_letters
      WHERE reason = 'unregistered_device' AND resolved_at IS NULL
        AND kind IS NOT NULL AND device_id IS NOT NULL) AS every
    GROUP BY kind, id
    """

  /// What is stored of a listed device. By its own index and never by that of time, which would be
  /// read from its end until the device is found.
  private static let stored = """
    LATERAL (
      SELECT count(*) FILTER (WHERE at > now() - interval '24 hours') AS readings,
        (array_agg(grid_code ORDER BY at DESC))[1] AS grid_code,
        (array_agg(attribute ORDER BY at DESC))[1] AS attribute
      FROM (
        SELECT timestamp AS at, location_json ->> 'grid_code' AS grid_code,
          energy_source AS attribute
        FROM grid.energy_production
        WHERE listed.kind = 'production' AND producer_id = listed.id
        UNION ALL
        SELECT timestamp, location_json ->> 'grid_code', consumer_type
        FROM grid.energy_consumption
        WHERE listed.kind = 'consumption' AND consumer_id = listed.id
        UNION ALL
        SELECT executed_at, grid_location, NULL FROM grid.storage_operations
        WHERE listed.kind = 'storage' AND storage_id = listed.id) AS reading
    ) AS stored
    """

  private static let letter = """
    LATERAL (
      SELECT coalesce(sum(attempts) FILTER (WHERE last_received_at > now() - interval '24 hours'), 0)
          AS readings, (array_agg(topic ORDER BY last_received_at DESC))[1] AS topic
      FROM ingest.dead_letters
      WHERE reason = 'unregistered_device' AND resolved_at IS NULL
        AND device_id = listed.id AND kind = listed.kind
    ) AS letter
    """
}

extension ListedDevice {
  fileprivate init?(_ row: [String?]) {
    guard let kind = row[0].flatMap({ ReadingKind(topicLevel: $0.utf8.span) }), let id = row[1]
    else { return nil }
    self.kind = kind
    self.id = id
    gridCode = row[2]
    lastHeard = row[3].flatMap { Int64($0) }.map { Timestamp(microseconds: $0) }
    readings = row[4].flatMap { Int($0) } ?? 0
    topic = row[5]
    attribute = row[6]
  }
}
