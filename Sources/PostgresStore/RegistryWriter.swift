// Registers devices: upserts a registry file into the platform's registries.

import EnergyReadings
import Foundation

/// Writes a ``RegistryFile`` in one transaction.
public struct RegistryWriter {
  private let connection: PostgresConnection

  public init(_ connection: PostgresConnection) { self.connection = connection }

  /// Inserts what is new and updates what is there; a battery's charge is left as it is.
  ///
  /// - Returns: rows written.
  /// - Throws: ``PostgresError``, naming the constraint that an entry breaks; nothing is written then.
  @discardableResult
  public func upsert(_ file: RegistryFile) throws(PostgresError) -> Int {
    let json: String
    do {
      json = String(decoding: try JSONEncoder().encode(file), as: UTF8.self)
    } catch {
      throw PostgresError(
        sqlState: "22023", message: "\(error)", target: connection.target, operation: "register")
    }
    return try connection.transaction { () throws(PostgresError) in
      var rows = 0
      for sql in [Self.locations, Self.producers, Self.consumers, Self.storages, Self.deviceKeys] {
        let result = try connection.query(
          "WITH file AS (SELECT $1::jsonb AS json), written AS (\(sql) RETURNING 1) "
            + "SELECT count(*) FROM written", [json], as: "register")
        rows += Int(result[0][0] ?? "") ?? 0
      }
      return rows
    }
  }

  private static let producers = """
    INSERT INTO blockchain.registered_producers (producer_id, producer_name, producer_type,
      energy_sources, location_json, capacity_kw, certification, verified)
    SELECT producer_id, producer_name, producer_type, energy_sources, location_json, capacity_kw,
      certification, coalesce(verified, false)
    FROM file, jsonb_to_recordset(json->'producers') AS entry (producer_id text,
      producer_name text, producer_type text, energy_sources text[], location_json jsonb,
      capacity_kw numeric, certification text, verified boolean)
    ON CONFLICT (producer_id) DO UPDATE SET producer_name = excluded.producer_name,
      producer_type = excluded.producer_type, energy_sources = excluded.energy_sources,
      location_json = excluded.location_json, capacity_kw = excluded.capacity_kw,
      certification = excluded.certification, verified = excluded.verified, updated_at = now()
    """

  private static let consumers = """
    INSERT INTO blockchain.registered_consumers (consumer_id, consumer_name, consumer_type,
      location_json, avg_consumption_kwh, peak_demand_kw, verified)
    SELECT consumer_id, consumer_name, consumer_type, location_json,
      coalesce(avg_consumption_kwh, 0), coalesce(peak_demand_kw, 0), coalesce(verified, false)
    FROM file, jsonb_to_recordset(json->'consumers') AS entry (consumer_id text,
      consumer_name text, consumer_type text, location_json jsonb, avg_consumption_kwh numeric,
      peak_demand_kw numeric, verified boolean)
    ON CONFLICT (consumer_id) DO UPDATE SET consumer_name = excluded.consumer_name,
      consumer_type = excluded.consumer_type, location_json = excluded.location_json,
      avg_consumption_kwh = excluded.avg_consumption_kwh,
      peak_demand_kw = excluded.peak_demand_kw, verified = excluded.verified, updated_at = now()
    """

  private static let storages = """
    INSERT INTO grid.energy_storage (storage_id, storage_operator, storage_type, capacity_mwh,
      current_charge, efficiency, location_json, status, installed_at)
    SELECT storage_id, storage_operator, storage_type, capacity_mwh, coalesce(current_charge, 0),
      coalesce(efficiency, 0.95), location_json, coalesce(status, 'active'), installed_at
    FROM file, jsonb_to_recordset(json->'storages') AS entry (storage_id text,
      storage_operator text, storage_type text, capacity_mwh numeric, current_charge numeric,
      efficiency numeric, location_json jsonb, status text, installed_at timestamptz)
    ON CONFLICT (storage_id) DO UPDATE SET storage_operator = excluded.storage_operator,
      storage_type = excluded.storage_type, capacity_mwh = excluded.capacity_mwh,
      current_charge = least(energy_storage.current_charge, excluded.capacity_mwh),
      efficiency = excluded.efficiency, location_json = excluded.location_json,
      status = excluded.status, installed_at = excluded.installed_at, updated_at = now()
    """

  private static let locations = """
    INSERT INTO grid.locations (province, district, grid_code, substation, coordinates,
      capacity_mw, current_load_mw, congestion_level)
    SELECT province, district, grid_code, substation,
      point((coordinates->>'longitude')::float8, (coordinates->>'latitude')::float8),
      capacity_mw, coalesce(current_load_mw, 0), coalesce(congestion_level, 'low')
    FROM file, jsonb_to_recordset(json->'locations') AS entry (province text, district text,
      grid_code text, substation text, coordinates jsonb, capacity_mw numeric,
      current_load_mw numeric, congestion_level text)
    ON CONFLICT (grid_code) DO UPDATE SET province = excluded.province,
      district = excluded.district, substation = excluded.substation,
      coordinates = excluded.coordinates, capacity_mw = excluded.capacity_mw, updated_at = now()
    """

  private static let deviceKeys = """
    INSERT INTO ingest.device_keys (device_id, public_key)
    SELECT device_id, public_key
    FROM file, jsonb_to_recordset(json->'device_keys') AS entry (device_id text, public_key text)
    ON CONFLICT (device_id) DO UPDATE SET public_key = excluded.public_key
    """
}
