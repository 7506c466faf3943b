// The catalogue's constraints as the ingestor sees them, on a real database.

import CheckRules
import EnergyReadings
import IngestPipeline
import PostgresStore
import TestServices
import Testing

@Suite struct RuleCatalogTests {
  private let connection: PostgresConnection
  private let url: String

  init() throws {
    url = try TestServices.migratedDatabase()
    connection = try PostgresConnection(url: url)
  }

  private func rules(over connection: PostgresConnection? = nil) throws -> RuleSet {
    try RuleCatalog.load(over: connection ?? self.connection).compiled(PlausibilitySettings())
  }

  private func names(_ kind: ReadingKind) throws -> [String] {
    try rules().tables[Int(kind.rawValue)].enforced.map(\.name)
  }

  private func deferred(_ kind: ReadingKind) throws -> [DeferredCheck] {
    try rules().tables[Int(kind.rawValue)].deferred
  }

  /// Of the schema as it is delivered nothing is left to PostgreSQL.
  @Test func allOfTheSchemasConstraintsAreEnforcedHere() throws {
    for kind in ReadingKind.allCases { #expect(try deferred(kind) == []) }
    #expect(
      try names(.consumption) == [
        "energy_consumption_consumer_type_check", "energy_consumption_energy_amount_check",
      ])
    #expect(
      try names(.production) == [
        "energy_production_efficiency_check", "energy_production_energy_amount_check",
        "energy_production_energy_source_check", "energy_production_quality_score_check",
      ])
    #expect(
      try names(.storage) == [
        "storage_operations_energy_amount_check", "storage_operations_operation_type_check",
        "storage_operations_price_per_unit_check", "storage_operations_settlement_status_check",
      ])
  }

  private func violation(
    _ kind: ReadingKind = .consumption, _ rules: RuleSet, at time: Timestamp = .now,
    _ change: (inout Reading, inout ByteArena) -> Void = { _, _ in }
  ) -> Rejection? {
    var arena = ByteArena()
    var reading = Reading(
      kind: kind, device: arena.append("d-1"), gridCode: arena.append("G-7"),
      energy: EnergyAmount(microKWh: 1), timestamp: time)
    reading.consumerType = arena.append("residential")
    reading.energySource = arena.append("solar")
    reading.price = 1
    change(&reading, &arena)
    do throws(Rejection) {
      _ = try ReadingJudge(states: MeterStates()).judge(
        &reading, by: rules, facts: nil, registry: ByteArena(), in: &arena, receivedAt: .now)
      return nil
    } catch {
      return error
    }
  }

  @Test(arguments: ReadingKind.allCases)
  func amountsAreAboveZero(kind: ReadingKind) throws {
    let rules = try rules()
    #expect(violation(kind, rules) == nil)
    for amount in [0, -1, -999_999_999_999_999] as [Int64] {
      let rejection = violation(kind, rules) { reading, _ in
        reading.energy = EnergyAmount(microKWh: amount)
      }
      #expect(rejection?.reason == .checkViolation)
      #expect(rejection?.constraint?.hasSuffix("_energy_amount_check") == true)
      #expect(rejection?.path == "$.energy_amount")
      #expect(
        rejection?.detail.hasPrefix("energy_amount = \(EnergyAmount(microKWh: amount))") == true)
    }
  }

  @Test func vocabulariesAreThoseOfTheTables() throws {
    let rules = try rules()
    for type in ["", "Residential", "residential ", "martian"] {
      let rejection = violation(rules: rules, consumerType: type)
      #expect(rejection?.constraint == "energy_consumption_consumer_type_check")
      #expect(rejection?.path == "$.consumer_type")
    }
    for type in ["residential", "commercial", "industrial", "agricultural", "municipal"] {
      #expect(violation(rules: rules, consumerType: type) == nil)
    }
  }

  private func violation(rules: RuleSet, consumerType: String) -> Rejection? {
    violation(.consumption, rules) { reading, arena in
      reading.consumerType = arena.append(consumerType.utf8.span)
    }
  }

  /// The row that the constraint sees is the row that will be stored.
  @Test func theGridCodeOfTheTopicIsInTheLocation() throws {
    try connection.execute(
      """
      ALTER TABLE grid.energy_consumption
        ADD CONSTRAINT here CHECK (location_json ->> 'grid_code' = 'G-7') NOT VALID,
        ADD CONSTRAINT unverified CHECK (appliance_breakdown = '{}' OR created_at IS NOT NULL)
      """)
    let rules = try rules()
    #expect(violation(.consumption, rules) == nil)
    let elsewhere = violation(.consumption, rules) { reading, arena in
      reading.location = arena.append(#"{"grid_code": "G-8"}"#)
      reading.locationHasGridCode = true
    }
    #expect(elsewhere?.constraint == "here" && elsewhere?.path == "$.location")
    let beside = violation(.consumption, rules) { reading, arena in
      reading.location = arena.append(#"{"a": {"b": [1]}}"#)
      reading.gridCode = arena.append(#"G-"\7"#)
    }
    #expect(beside?.constraint == "here")
  }

  @Test func columnsThatAreNotWrittenHaveTheirDefault() throws {
    try connection.execute(
      """
      ALTER TABLE grid.energy_consumption ADD COLUMN tier integer DEFAULT 3, ADD COLUMN note text,
        ADD CONSTRAINT tiers CHECK (tier > 2), ADD CONSTRAINT notes CHECK (note <> 'x'),
        ADD CONSTRAINT created CHECK (created_at <= now())
      """)
    var rules = try rules()
    #expect(rules.tables[1].deferred == [])
    #expect(violation(.consumption, rules) == nil)
    try connection.execute("ALTER TABLE grid.energy_consumption ALTER tier SET DEFAULT 1")
    rules = try self.rules()
    #expect(violation(.consumption, rules)?.constraint == "tiers")
    // What is made anew for each row cannot be known.
    try connection.execute(
      "ALTER TABLE grid.energy_consumption ALTER tier SET DEFAULT length(random()::text)")
    #expect(try deferred(.consumption).map(\.name) == ["tiers"])
  }

  @Test func aDomainsConstraintsHoldForItsColumns() throws {
    try connection.execute(
      """
      CREATE DOMAIN public.kwh AS numeric(15,6) CONSTRAINT kwh_is_small CHECK (VALUE < 100);
      CREATE DOMAIN public.household_kwh AS public.kwh
        CONSTRAINT kwh_is_tiny CHECK (VALUE < 10);
      ALTER TABLE grid.energy_consumption ALTER energy_amount TYPE public.household_kwh
      """)
    let rules = try rules()
    #expect(rules.tables[1].deferred == [])
    func constraint(_ kWh: Int64) -> String? {
      violation(.consumption, rules) { reading, _ in
        reading.energy = EnergyAmount(microKWh: kWh * 1_000_000)
      }?.constraint
    }
    #expect(constraint(9) == nil)
    #expect(constraint(10) == "kwh_is_tiny")
    #expect(constraint(100) == "kwh_is_small")
  }

  /// A trigger may mend the row before it is checked: only PostgreSQL knows.
  @Test func aTriggerBeforeTheRowLeavesAllToPostgreSQL() throws {
    try connection.execute(
      """
      CREATE FUNCTION public.mend() RETURNS trigger LANGUAGE plpgsql AS 'begin return new; end';
      CREATE TRIGGER mending BEFORE INSERT ON grid.energy_consumption
        FOR EACH ROW EXECUTE FUNCTION public.mend()
      """)
    let left = try deferred(.consumption)
    #expect(left.count == 2 && left.allSatisfy { $0.reason.contains("trigger mending") })
    try connection.execute("ALTER TABLE grid.energy_consumption DISABLE TRIGGER mending")
    #expect(try deferred(.consumption) == [])
  }

  /// What fills a column besides its own default, and what rounds its value.
  @Test func whatTheRowWillHoldMustBeKnown() throws {
    try connection.execute(
      """
      CREATE DOMAIN public.share AS numeric DEFAULT 1;
      ALTER TABLE grid.energy_consumption ADD COLUMN part public.share,
        ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY,
        ADD CONSTRAINT parts CHECK (part IS NOT NULL AND part < 2) NOT VALID,
        ADD CONSTRAINT numbers CHECK (coalesce(number, 0) > 0) NOT VALID
      """)
    #expect(try deferred(.consumption).map(\.name) == ["numbers", "parts"])
    #expect(violation(.consumption, try rules()) == nil)
    try connection.execute(
      "ALTER TABLE grid.energy_consumption ALTER energy_amount TYPE numeric(12,3)")
    #expect(
      try deferred(.consumption).map(\.name).contains("energy_consumption_energy_amount_check"))
  }

  /// Operators write -infinity for always, and NaN passes a CHECK that asks for more than 0.
  @Test func whatNoNumberHoldsIsReadNevertheless() throws {
    try connection.execute(
      """
      INSERT INTO blockchain.registered_producers (producer_id, producer_name, producer_type,
        energy_sources, location_json, capacity_kw)
      VALUES ('p-1', 'x', 'residential', '{solar}', '{}', 'NaN');
      INSERT INTO ingest.inactive_devices (kind, device_id, since)
      VALUES ('production', 'p-1', '-infinity'), ('consumption', 'stranger', 'infinity')
      """)
    #expect(try MeterRegistry.load(over: connection).count(of: .production) == 1)
  }

  /// A cast that somebody made is printed like PostgreSQL's own.
  @Test func castsOfTheDatabaseLeaveAllToPostgreSQL() throws {
    try connection.execute(
      """
      CREATE FUNCTION public.always_true(text) RETURNS boolean LANGUAGE sql IMMUTABLE
        AS 'SELECT true';
      CREATE CAST (text AS boolean) WITH FUNCTION public.always_true(text)
      """)
    #expect(try names(.consumption) == [])
    #expect(try deferred(.consumption).allSatisfy { $0.reason.contains("casts of its own") })
  }

  @Test func aPartitionsOwnConstraintsAreLeftToPostgreSQL() throws {
    try connection.execute(
      """
      ALTER TABLE grid.energy_consumption RENAME TO energy_consumption_old;
      CREATE TABLE grid.energy_consumption (LIKE grid.energy_consumption_old INCLUDING DEFAULTS
        INCLUDING CONSTRAINTS) PARTITION BY RANGE (timestamp);
      CREATE TABLE grid.energy_consumption_2026 PARTITION OF grid.energy_consumption
        FOR VALUES FROM ('2026-01-01Z') TO ('2027-01-01Z');
      ALTER TABLE grid.energy_consumption_2026
        ADD CONSTRAINT in_2026 CHECK (energy_amount < 5) NOT VALID
      """)
    #expect(try names(.consumption).count == 2)
    #expect(try deferred(.consumption).map(\.name) == ["in_2026"])
    try connection.execute(
      """
      CREATE FUNCTION public.mend() RETURNS trigger LANGUAGE plpgsql AS 'begin return new; end';
      CREATE TRIGGER mending BEFORE INSERT ON grid.energy_consumption_2026
        FOR EACH ROW EXECUTE FUNCTION public.mend()
      """)
    #expect(try names(.consumption) == [])
  }

  /// The clocks differ a little, and the batch takes its time: at the edge PostgreSQL decides.
  @Test func theMomentIsPostgreSQLs() throws {
    try connection.execute(
      """
      ALTER TABLE grid.energy_consumption
        ADD CONSTRAINT no_future CHECK (timestamp <= now() + interval '1 day') NOT VALID
      """)
    let rules = try rules()
    #expect(rules.tables[1].deferred == [])
    func violation(inSeconds seconds: Int64) -> String? {
      let time = Timestamp(microseconds: Timestamp.now.microseconds + seconds * 1_000_000)
      return self.violation(.consumption, withLateClock(rules), at: time)?.constraint
    }
    #expect(violation(inSeconds: 86_400 - 60) == nil)
    #expect(violation(inSeconds: 86_400 + 5) == nil)
    #expect(violation(inSeconds: 86_400 + 60) == "no_future")
  }

  /// The same without the plausibility rule that would speak first.
  private func withLateClock(_ rules: RuleSet) -> RuleSet {
    var settings = PlausibilitySettings()
    settings[.futureTimestamp] = .off
    return RuleSet(tables: rules.tables, plausibility: settings)
  }

  @Test func theSessionsTimeZoneCounts() throws {
    let constraint = """
      ALTER TABLE grid.energy_consumption ADD CONSTRAINT recent
        CHECK (timestamp > now() - interval '2 months 1 day') NOT VALID
      """
    try connection.execute(constraint)
    // Bangkok has the same offset all year, Berlin has not.
    for (zone, count) in [("UTC", 0), ("Asia/Bangkok", 0), ("Europe/Berlin", 1)] {
      let other = try PostgresConnection(url: url)
      try other.execute("SET TimeZone = '\(zone)'")
      #expect(try rules(over: other).tables[1].deferred.count == count, "\(zone)")
    }
  }

  @Test func changesAreFound() throws {
    let before = try RuleCatalog.load(over: connection)
    #expect(try RuleCatalog.load(over: connection) == before)
    try connection.execute(
      """
      ALTER TABLE grid.energy_consumption DROP CONSTRAINT energy_consumption_energy_amount_check,
        DROP CONSTRAINT energy_consumption_consumer_type_check,
        ADD CONSTRAINT energy_consumption_energy_amount_check CHECK (energy_amount > 1) NOT VALID,
        ADD CONSTRAINT fresh CHECK (true)
      """)
    let after = try RuleCatalog.load(over: connection)
    let change = RuleChange(from: before, to: after)
    #expect(after != before)
    #expect(change.added == ["grid.energy_consumption.fresh"])
    #expect(change.dropped == ["grid.energy_consumption.energy_consumption_consumer_type_check"])
    #expect(change.changed == ["grid.energy_consumption.energy_consumption_energy_amount_check"])
  }
}
