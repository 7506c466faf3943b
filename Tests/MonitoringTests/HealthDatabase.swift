// A database with meters and readings whose times and arrivals a test chooses.

import PostgresStore
import TestServices

@testable import Monitoring

/// Times are seconds after noon of a day; noon is the end of a window of any length that divides it.
struct HealthDatabase {
  let url: String
  let connection: PostgresConnection
  var settings = MonitoringSettings()

  static let noon = "timestamptz '2026-06-10 12:00Z'"
  static func at(_ second: Int) -> String { "(\(noon) + interval '\(second) seconds')" }

  /// G-1 has 8 MW, two producers, two consumers and a battery; G-2 is a place without meters.
  init() throws {
    url = try TestServices.migratedDatabase()
    connection = try PostgresConnection(url: url)
    try connection.execute(
      """
      INSERT INTO grid.locations (province, district, grid_code, substation, coordinates,
        capacity_mw, current_load_mw)
      SELECT 'P', 'D', code, 'S', '(0,0)', 8, 0 FROM unnest('{G-1,G-2}'::text[]) AS code;
      INSERT INTO blockchain.registered_producers (producer_id, producer_name, producer_type,
        energy_sources, location_json, capacity_kw)
      SELECT 'p-' || n, 'P', 'residential', '{solar}', '{"grid_code":"G-1"}', 5
      FROM generate_series(1, 2) AS n;
      INSERT INTO blockchain.registered_consumers (consumer_id, consumer_name, consumer_type,
        location_json)
      SELECT 'c-' || n, 'C', 'residential', '{"grid_code":"G-1"}' FROM generate_series(1, 2) AS n;
      INSERT INTO grid.energy_storage (storage_id, storage_operator, storage_type, capacity_mwh,
        location_json, installed_at)
      VALUES ('b-1', 'us', 'lithium', 1, '{"grid_code":"G-1"}', now());
      """)
    try startJob(at: 0)
  }

  /// As if the job had last run then.
  func startJob(at second: Int) throws {
    try connection.execute(
      "UPDATE ingest.monitoring_progress SET through = \(Self.at(second))")
  }

  /// Stores one reading.
  ///
  /// - Parameters:
  ///   - device: its first letter is its kind: producer, consumer, battery.
  ///   - kWh: as SQL writes it; a battery's below 0 is a discharge.
  ///   - arrived: the begin of the transaction that stored it; by default a second after its time.
  func store(
    _ device: String, at second: Int, _ kWh: String, code: String = "G-1", arrived: Int? = nil,
    over other: PostgresConnection? = nil
  ) throws {
    let (time, arrival) = (Self.at(second), Self.at(arrived ?? second + 1))
    let connection = other ?? connection
    let place = #"'{"grid_code":"\#(code)"}'"#
    switch device.first {
    case "p":
      try connection.execute(
        """
        INSERT INTO grid.energy_production (producer_id, energy_amount, energy_source,
          location_json, "timestamp", created_at)
        VALUES ('\(device)', \(kWh), 'solar', \(place), \(time), \(arrival))
        """)
    case "c":
      try connection.execute(
        """
        INSERT INTO grid.energy_consumption (consumer_id, energy_amount, consumer_type,
          location_json, "timestamp", created_at)
        VALUES ('\(device)', \(kWh), 'residential', \(place), \(time), \(arrival))
        """)
    default:
      try connection.execute(
        """
        INSERT INTO grid.storage_operations (storage_id, operation_type, energy_amount,
          price_per_unit, grid_location, executed_at, created_at)
        VALUES ('\(device)', CASE WHEN \(kWh) < 0 THEN 'discharge' ELSE 'charge' END, abs(\(kWh)), 1,
          'Substation 7, beside the temple', \(time), \(arrival))
        """)
    }
  }

  /// Lets the rules remember a reading of a meter, as the ingestor saves it.
  func hear(_ kind: String, _ device: String, at second: Int) throws {
    try connection.execute(
      """
      INSERT INTO ingest.meter_states (kind, device_id, last_at)
      VALUES ('\(kind)', '\(device)', \(Self.at(second)))
      ON CONFLICT (kind, device_id) DO UPDATE SET last_at = excluded.last_at
      """)
  }

  @discardableResult
  func run(at second: Int, over other: PostgresConnection? = nil) throws -> MonitoringReport {
    let connection = other ?? connection
    let now = try connection.query("SELECT \(Self.at(second))")[0][0]
    return try MonitoringJob(settings: settings).run(over: connection, now: now)
  }

  /// Rows as text, columns parted by blanks.
  func lines(_ sql: String) throws -> [String] {
    try connection.query(sql).map { $0.map { $0 ?? "null" }.joined(separator: " ") }
  }

  /// The windows of a grid code, by their ends in seconds after noon.
  func health(_ columns: String, of code: String = "G-1") throws -> [String] {
    try lines(
      """
      SELECT extract(epoch FROM recorded_at - \(Self.noon))::integer, \(columns)
      FROM monitoring.grid_health WHERE grid_code = '\(code)' ORDER BY recorded_at
      """)
  }
}
