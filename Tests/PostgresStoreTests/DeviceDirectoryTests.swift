// Which devices are listed, and what is said of them.

import EnergyReadings
import PostgresStore
import TestServices
import Testing

@Suite struct DeviceDirectoryTests {
  private let connection: PostgresConnection

  init() throws {
    connection = try PostgresConnection(url: TestServices.migratedDatabase())
    let place = RegistryFile.DeviceLocation(gridCode: "G-1")
    try RegistryWriter(connection).upsert(
      RegistryFile(
        consumers: ["c-heard", "c-silent", "c-never", "c-out"].map {
          .init(
            consumerID: $0, consumerName: $0, consumerType: "residential", location: place)
        },
        storages: [
          .init(
            storageID: "b-out", storageOperator: "us", storageType: "lithium", capacityMWh: "0.01",
            location: place, status: "offline", installedAt: "2026-01-01T00:00:00Z")
        ]))
    try connection.execute(
      """
      INSERT INTO ingest.inactive_devices (kind, device_id, since)
      VALUES ('consumption', 'c-out', '-infinity');
      INSERT INTO ingest.meter_states (kind, device_id, last_at) VALUES
        ('consumption', 'c-heard', now() - interval '1 hour'),
        ('consumption', 'c-silent', now() - interval '2 days'),
        ('consumption', 'c-stored', now() - interval '1 hour'),
        ('production', 'c-heard', now() - interval '3 hours');
      INSERT INTO grid.energy_consumption
        (id, consumer_id, energy_amount, consumer_type, location_json, timestamp)
      SELECT uuid_generate_v4(), 'c-stored', 1, 'commercial', '{"grid_code": "G-2"}',
        now() - hours * interval '1 hour'
      FROM generate_series(1, 30) AS hours;
      INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload, kind,
        device_id, reason, attempts, resolved_at)
      SELECT uuid_generate_v4(), now() - age, now() - age, topic, '', kind, device, reason, attempts,
        closed
      FROM (VALUES
        (interval '5 minutes', 'N/1/battery/2', 'storage', 'b-new', 'unregistered_device', 3, NULL),
        ('2 days', 'gridtokenx/v1/G-3/storage/b-new', 'storage', 'b-new', 'unregistered_device', 1,
          NULL),
        ('1 minute', 'x', 'storage', 'b-closed', 'unregistered_device', 1, now()),
        ('1 minute', 'x', 'consumption', 'c-other', 'missing_field', 1, NULL)
      ) AS letter (age, topic, kind, device, reason, attempts, closed)
      """)
  }

  private func list(_ change: (inout DeviceFilter) -> Void = { _ in }) throws -> [ListedDevice] {
    var filter = DeviceFilter()
    change(&filter)
    return try DeviceDirectory(connection).list(filter)
  }

  @Test func whatIsHeardAndNotRegistered() throws {
    let devices = try list()
    #expect(
      devices.map { "\($0.kind) \($0.id) \($0.gridCode ?? "-") \($0.readings)" } == [
        "storage b-new G-3 3", "consumption c-stored G-2 23", "production c-heard - 0",
      ])
    #expect(devices.map(\.topic) == ["N/1/battery/2", nil, nil])
    #expect(devices.map(\.attribute) == [nil, "commercial", nil])
    #expect(try list { $0.kind = .storage }.map(\.id) == ["b-new"])
    #expect(try list { $0.gridCode = "G-2" }.map(\.id) == ["c-stored"])
    #expect(try list { $0.gridCode = "G-3" }.map(\.id) == ["b-new"])
    #expect(try list { $0.limit = 1 }.map(\.id) == ["b-new"])
  }

  @Test func whatIsRegisteredAndWhatIsSilent() throws {
    #expect(
      try list { $0.group = .registered }.map { "\($0.kind) \($0.id)" } == [
        "consumption c-heard", "consumption c-silent", "consumption c-never", "consumption c-out",
        "storage b-out",
      ])
    let silent = try list { $0.group = .silent(.seconds(86_400)) }
    #expect(silent.map(\.id) == ["c-never", "c-silent"])
    #expect(silent.map { $0.lastHeard == nil } == [true, false])
    #expect(
      try list { $0.group = .silent(.seconds(1_800)) }.map(\.id)
        == ["c-never", "c-silent", "c-heard"])
  }

  @Test func theOnlyGridCodeIsKnown() throws {
    let directory = DeviceDirectory(connection)
    #expect(try directory.onlyGridCode() == nil)
    let place = RegistryFile.Coordinates(longitude: 100.5, latitude: 13.7)
    for (code, only) in [("G-1", "G-1"), ("G-2", nil)] as [(String, String?)] {
      try RegistryWriter(connection).upsert(
        RegistryFile(locations: [
          .init(
            province: "Bangkok", district: "Bang Rak", gridCode: code, substation: "S",
            coordinates: place, capacityMW: "1")
        ]))
      #expect(try directory.onlyGridCode() == only)
    }
  }
}
