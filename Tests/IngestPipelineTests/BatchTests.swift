// From a message's bytes to rows and dead letters, with the registries of a real database.

import CheckRules
import EnergyReadings
import IngestPipeline
import PostgresStore
import TestServices
import Testing

@Suite struct BatchTests {
  private let connection: PostgresConnection

  init() throws {
    connection = try PostgresConnection(url: TestServices.migratedDatabase())
    let place = RegistryFile.DeviceLocation(gridCode: "G-9", province: "Bangkok")
    try RegistryWriter(connection).upsert(
      RegistryFile(
        producers: [
          producer("p-solar", ["solar"], place), producer("p-both", ["solar", "wind"], place),
        ],
        consumers: [
          .init(
            consumerID: "c-known", consumerName: "Shop", consumerType: "commercial",
            location: place)
        ],
        storages: [
          .init(
            storageID: "b-known", storageOperator: "us", storageType: "lithium", capacityMWh: "1",
            location: place, installedAt: "2026-01-01T00:00:00Z")
        ]))
  }

  private func producer(
    _ id: String, _ sources: [String], _ place: RegistryFile.DeviceLocation
  ) -> RegistryFile.Producer {
    .init(
      producerID: id, producerName: id, producerType: "community", energySources: sources,
      location: place, capacityKW: "10")
  }

  /// Stores one message.
  ///
  /// - Returns: the ledger, and reasons with their paths of what was turned away.
  @discardableResult
  private func store(
    _ topic: String, _ fields: String, _ settings: EnrichmentSettings = .init()
  ) throws -> (ledger: BatchLedger, reasons: [String]) {
    let batch = Batch(enrichment: settings)
    let payload = #"{"timestamp":"2026-06-10T07:00:00Z","energy_amount":1.5\#(fields)}"#
    batch.add(
      topic: "gridtokenx/v1/\(topic)".utf8.span, payload: payload.utf8.span, receivedAt: .now,
      by: try ReferenceData.load(.init(), over: connection))
    let ledger = try batch.commit(to: BatchStore(connection))
    let rows = try connection.query(
      "SELECT concat_ws(' ', reason, json_path) FROM ingest.dead_letters ORDER BY received_at")
    return (ledger, rows.compactMap { $0[0] })
  }

  private func row(_ sql: String) throws -> [String?] {
    try #require(try connection.query(sql).first)
  }

  @Test func theRegistryFillsWhatMetersDoNotPublish() throws {
    try store("G-1/consumption/c-known", "")
    #expect(
      try row("SELECT consumer_type, location_json FROM grid.energy_consumption")
        == ["commercial", #"{"province": "Bangkok", "grid_code": "G-9"}"#])
    try store("G-1/production/p-solar", "")
    #expect(try row("SELECT energy_source FROM grid.energy_production") == ["solar"])
  }

  @Test func thePayloadComesBeforeTheRegistry() throws {
    try store("G-1/consumption/c-known", #","consumer_type":"municipal","location":{"a":1}"#)
    #expect(
      try row("SELECT consumer_type, location_json FROM grid.energy_consumption")
        == ["municipal", #"{"a": 1, "grid_code": "G-1"}"#])
  }

  @Test func twoSourcesAreNotOne() throws {
    #expect(try store("G-1/production/p-both", "").reasons == ["missing_field $.energy_source"])
    #expect(
      try store("G-1/production/p-both", #","energy_source":"wind""#).ledger.stored[0] == 1)
  }

  @Test func unknownDevicesByPolicy() throws {
    let complete = #","consumer_type":"residential""#
    #expect(try store("G-1/consumption/c-new", complete).ledger.stored[1] == 1)
    #expect(try store("G-1/consumption/c-new", "").reasons == ["unregistered_device"])
    var strict = EnrichmentSettings()
    strict.unregistered = .reject
    #expect(try store("G-1/consumption/c-other", complete, strict).ledger.stored[1] == 0)
    #expect(try store("G-1/consumption/c-known", complete, strict).ledger.stored[1] == 1)
  }

  @Test func batteriesMustBeRegistered() throws {
    let fields = #","operation_type":"charge","price_per_unit":2"#
    #expect(try store("G-1/storage/b-new", fields).reasons == ["unregistered_device"])
    #expect(try store("G-1/storage/b-known", fields).ledger.stored[2] == 1)
    // Accepted by policy, it is still the database's foreign key that decides.
    var open = EnrichmentSettings()
    open.unregisteredStorage = .accept
    let refused = try store("G-1/storage/b-new", fields, open)
    #expect(refused.ledger.rejected.map(\.reason) == [.rejectedByDatabase])
  }

  @Test func theTariffIsThePriceOfThoseWhoNameNone() throws {
    let fields = #","operation_type":"discharge""#
    #expect(try store("G-1/storage/b-known", fields).reasons == ["missing_field $.price_per_unit"])
    var settings = EnrichmentSettings()
    settings.tariff = 4_250_000
    #expect(try store("G-1/storage/b-known", fields, settings).ledger.stored[2] == 1)
    #expect(
      try row("SELECT price_per_unit, grid_location FROM grid.storage_operations")
        == ["4.250000", "G-1"])
    try connection.execute("TRUNCATE grid.storage_operations")
    settings.tariffTable = try TariffTable("22:00-06:00=0.12,06:00-22:00=0.3", zone: "Asia/Bangkok")
    try store("G-1/storage/b-known", fields, settings)
    #expect(try row("SELECT price_per_unit FROM grid.storage_operations") == ["0.300000"])
  }

  @Test func aProsumersMessageIsTwoReadings() throws {
    let batch = Batch(enrichment: EnrichmentSettings())
    let connection = connection
    try RegistryWriter(connection).upsert(
      RegistryFile(
        producers: [producer("prosumer", ["solar"], .init(gridCode: "G-9"))],
        consumers: [
          .init(
            consumerID: "prosumer", consumerName: "House", consumerType: "residential",
            location: .init(gridCode: "G-9"))
        ]))
    let payload =
      #"{"timestamp":"2026-06-10T07:00:00","energy_generated":0.64868,"energy_consumed":0.11962}"#
    batch.add(
      topic: "gridtokenx/ami/telemetry/prosumer".utf8.span, payload: payload.utf8.span,
      receivedAt: .now, by: try ReferenceData.load(.init(), over: connection))
    let ledger = try batch.commit(to: BatchStore(connection))
    #expect(ledger.stored[0] == 1 && ledger.stored[1] == 1)
    #expect(
      try row(
        """
        SELECT p.energy_amount, c.energy_amount, c.location_json->>'grid_code'
        FROM grid.energy_production p, grid.energy_consumption c
        WHERE p.timestamp = c.timestamp
        """) == ["0.648680", "0.119620", "G-9"])
  }

  /// Of a payload that is too long the beginning is kept, and its true length.
  @Test func anOversizedPayloadIsCut() throws {
    let batch = Batch(enrichment: EnrichmentSettings())
    let payload = [UInt8](repeating: UInt8(ascii: "x"), count: 3 << 20)
    batch.add(
      topic: "gridtokenx/v1/G/consumption/c".utf8.span, payload: payload.span, receivedAt: .now,
      by: .empty)
    #expect(batch.byteCount < 2 << 20)
    _ = try batch.commit(to: BatchStore(connection))
    #expect(
      try row("SELECT reason, json_path, length(payload), payload_bytes FROM ingest.dead_letters")
        == ["malformed_payload", "$", "1048576", "3145728"])
  }

  @Test func aBatchIsReusable() throws {
    let batch = Batch(enrichment: EnrichmentSettings())
    for second in 0..<3 {
      let payload =
        #"{"timestamp":\#(1_781_049_600 + second),"energy_amount":0.1,"consumer_type":"municipal"}"#
      batch.add(
        topic: "gridtokenx/v1/G/consumption/c".utf8.span, payload: payload.utf8.span,
        receivedAt: .now, by: .empty)
      #expect(batch.count == 1 && !batch.isEmpty)
      #expect(try batch.commit(to: BatchStore(connection)).stored[1] == 1)
      batch.removeAll()
      #expect(batch.count == 0 && batch.isEmpty && batch.byteCount == 0)
    }
    #expect(
      try row("SELECT count(*), sum(energy_amount) FROM grid.energy_consumption") == [
        "3", "0.300000",
      ])
  }
}
