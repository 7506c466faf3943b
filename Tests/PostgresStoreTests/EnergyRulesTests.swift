// The energy rules of migration 0006: new rows are held to them, and every old row stays.

import Foundation
import PostgresStore
import TestServices
import Testing

@Suite struct EnergyRulesTests {
  /// A rule, with values at both sides of its edges.
  struct Rule: CustomTestStringConvertible {
    var table: String
    var column: String
    /// SQL literals that hold.
    var good: [String]
    /// SQL literals that break it.
    var bad: [String]

    /// What PostgreSQL calls the constraint.
    var constraint: String {
      "\(table.drop { $0 != "." }.dropFirst())_\(column)_check"
    }
    var testDescription: String { constraint }

    init(_ table: String, _ column: String, good: [String], bad: [String]) {
      (self.table, self.column, self.good, self.bad) = (table, column, good, bad)
    }

    static func share(_ table: String, _ column: String) -> Rule {
      Rule(
        table, column, good: ["0", "0.0001", "0.9999", "1"],
        bad: ["-0.0001", "1.0001", "9.9999", "-9.9999", "'NaN'"])
    }

    static func source(_ table: String, isOptional: Bool = false) -> Rule {
      Rule(
        table, "energy_source", good: energySources + (isOptional ? ["NULL"] : []),
        bad: ["''", "'Solar'", "'solar '", "'sunshine'"])
    }

    static func congestion(_ table: String) -> Rule {
      Rule(
        table, "congestion_level", good: ["'low'", "'medium'", "'high'", "'critical'"],
        bad: ["''", "'LOW'", "'severe'"])
    }

    /// An amount or price that may be 0; `step` is the least that its column holds.
    static func amount(_ table: String, _ column: String, step: String = "0.000001") -> Rule {
      Rule(table, column, good: ["0", step], bad: ["-\(step)"])
    }

    static let energySources = [
      "'solar'", "'wind'", "'hydro'", "'biomass'", "'natural_gas'", "'nuclear'", "'coal'", "'gas'",
      "'mixed'",
    ]

    static let all = [
      share("grid.energy_production", "efficiency"),
      share("grid.energy_production", "quality_score"),
      source("grid.energy_production"),
      share("grid.energy_storage", "efficiency"),
      Rule(
        "grid.energy_storage", "current_charge", good: ["0", "1", "2.5"],
        bad: ["-0.000001", "2.500001", "'NaN'"]),
      source("grid.carbon_credits"),
      congestion("grid.locations"), congestion("grid.status_history"),
      share("grid.status_history", "stability_score"), share("grid.status_history", "outage_risk"),
      Rule(
        "blockchain.registered_producers", "energy_sources",
        good: ["'{}'", "'{solar}'", "ARRAY[\(energySources.joined(separator: ","))]"],
        bad: ["'{\"\"}'", "'{solar,sunshine}'", "'{solar,NULL}'", "'{NULL}'"]),
      amount("blockchain.registered_consumers", "avg_consumption_kwh"),
      amount("blockchain.registered_consumers", "peak_demand_kw"),
      amount("blockchain.transactions", "value", step: "1"),
      amount("blockchain.transactions", "gas_price", step: "1"),
      amount("blockchain.smart_contracts", "storage_rent", step: "0.00000001"),
      source("trading.orders", isOptional: true),
      amount("trading.trades", "grid_fee"), amount("trading.trades", "carbon_offset"),
      share("monitoring.grid_health", "health_score"),
      share("monitoring.grid_health", "stability_index"),
      congestion("monitoring.grid_health"),
      amount("monitoring.grid_health", "energy_flow_in"),
      amount("monitoring.grid_health", "energy_flow_out"),
      Rule(
        "monitoring.system_metrics", "metric_type", good: ["'counter'", "'gauge'", "'histogram'"],
        bad: ["''", "'Counter'", "'summary'"]),
      amount("monitoring.transaction_metrics", "total_fees", step: "0.00000001"),
      amount("monitoring.transaction_metrics", "energy_traded"),
    ]

    /// Inserts a row that is good but for this rule's column.
    func insert(_ value: String) -> String {
      var row = Self.goodRows[table] ?? [:]
      row[column] = value
      let columns = row.sorted { $0.key < $1.key }
      return """
        INSERT INTO \(table) (\(columns.map(\.key).joined(separator: ", ")))
        VALUES (\(columns.map(\.value).joined(separator: ", ")))
        """
    }

    private static let fresh = "left(md5(random()::text), 20)"
    private static let order = "'f0000000-0000-4000-8000-000000000001'"
    /// The columns without a default, by table.
    private static let goodRows = [
      "grid.energy_production": [
        "producer_id": "'p'", "energy_amount": "1", "energy_source": "'solar'",
        "location_json": "'{}'",
      ],
      "grid.energy_storage": [
        "storage_id": fresh, "storage_operator": "''", "storage_type": "''",
        "capacity_mwh": "2.5", "location_json": "'{}'", "installed_at": "now()",
      ],
      "grid.carbon_credits": [
        "credit_id": fresh, "issuer": "''", "holder": "''", "energy_source": "'wind'",
        "energy_amount": "1", "offset_amount": "1", "certification_body": "''",
        "issued_at": "now()",
      ],
      "grid.locations": [
        "province": "''", "district": "''", "grid_code": fresh, "substation": "''",
        "coordinates": "'(0,0)'", "capacity_mw": "1", "current_load_mw": "0",
      ],
      "grid.status_history": [
        "grid_code": "'G'", "capacity": "1", "current_load": "0", "congestion_level": "'low'",
        "stability_score": "1", "outage_risk": "0",
      ],
      "blockchain.registered_producers": [
        "producer_id": fresh, "producer_name": "''", "producer_type": "'community'",
        "energy_sources": "'{}'", "location_json": "'{}'", "capacity_kw": "1",
      ],
      "blockchain.registered_consumers": [
        "consumer_id": fresh, "consumer_name": "''", "consumer_type": "'municipal'",
        "location_json": "'{}'",
      ],
      "blockchain.transactions": [
        "hash": fresh, "from_address": "''", "value": "0", "gas_price": "0", "gas_limit": "0",
        "nonce": "0", "status": "0",
      ],
      "blockchain.smart_contracts": [
        "contract_address": fresh, "deployer": "''", "contract_name": "''",
        "contract_code": "''", "abi": "'[]'",
      ],
      "trading.orders": [
        "account_id": "''", "order_type": "'buy'", "energy_amount": "1", "price_per_unit": "1",
        "total_value": "1", "location_json": "'{}'",
      ],
      "trading.trades": [
        "buy_order_id": order, "sell_order_id": order, "buyer_id": "''", "seller_id": "''",
        "energy_amount": "1", "price_per_unit": "1", "total_value": "1",
      ],
      "monitoring.grid_health": [
        "grid_code": "'G'", "health_score": "1", "stability_index": "1",
        "congestion_level": "'low'",
      ],
      "monitoring.system_metrics": [
        "metric_name": "''", "metric_value": "0", "metric_type": "'gauge'",
      ],
      "monitoring.transaction_metrics": ["block_number": "0"],
    ]

    /// The order that trades refer to.
    static let orderOfTrades = """
      INSERT INTO trading.orders (id, account_id, order_type, energy_amount, price_per_unit,
        total_value, location_json) VALUES (\(order), '', 'buy', 1, 1, 1, '{}')
      """
  }

  /// The tests below speak of every constraint that the catalogue gains, and of no other.
  @Test func everyAdditionIsTested() {
    let added = Schemas.text("v2_additions.expected.txt").split(separator: "\n")
      .filter { $0.hasPrefix("constraint ") }
      .map { $0.split(separator: " ")[1...2].joined(separator: " ") }
    #expect(added == Rule.all.map { "\($0.table) \($0.constraint)" }.sorted())
  }

  /// Whatever breaks a rule before the rule is there stays, in every state of a database.
  @Test(arguments: MigratorTests.Legacy.all)
  func oldRowsStay(legacy: MigratorTests.Legacy) throws {
    let connection = try legacy.database()
    // The platform's tables without the rules.
    for migration in Migration.all.prefix(3) { try connection.execute(migration.sql) }
    try connection.execute(Rule.orderOfTrades)
    for rule in Rule.all {
      for value in rule.bad { try connection.execute(rule.insert(value)) }
    }
    let columns = try Schemas.columns(connection)
    let before = try Schemas.rows(connection, of: columns)
    try Migrator(connection).migrate()
    #expect(try Schemas.rows(connection, of: columns) == before)
    let unvalidated = try connection.query(
      """
      SELECT conrelid::regclass || ' ' || conname FROM pg_constraint WHERE NOT convalidated
      """)
    #expect(
      unvalidated.compactMap { $0[0] }.sorted()
        == Rule.all.map { "\($0.table) \($0.constraint)" }.sorted())
  }

  @Test func newRowsAreHeldToTheRules() throws {
    let connection = try PostgresConnection(url: TestServices.migratedDatabase())
    try connection.execute(Rule.orderOfTrades)
    for rule in Rule.all {
      for value in rule.good {
        #expect(throws: Never.self, "\(rule.constraint) and \(value)") {
          try connection.execute(rule.insert(value))
        }
      }
      for value in rule.bad {
        let error = #expect(throws: PostgresError.self, "\(rule.constraint) and \(value)") {
          try connection.execute(rule.insert(value))
        }
        #expect(error?.sqlState == "23514" && error?.constraint == rule.constraint)
      }
    }
  }

  /// What NOT VALID means for an old row: it is refused as soon as it changes, until it is mended.
  @Test func anOldRowIsHeldToTheRuleWhenItChanges() throws {
    let connection = try PostgresConnection(url: TestServices.emptyDatabase())
    for migration in Migration.all.prefix(3) { try connection.execute(migration.sql) }
    let rule = Rule.source("grid.energy_production")
    try connection.execute(rule.insert("'sunshine'"))
    try Migrator(connection).migrate()
    let verify = "UPDATE grid.energy_production SET verified = true"
    let validate =
      "ALTER TABLE grid.energy_production VALIDATE CONSTRAINT energy_production_energy_source_check"
    for change in [verify, validate] {
      let error = #expect(throws: PostgresError.self) { try connection.execute(change) }
      #expect(error?.sqlState == "23514" && error?.constraint == rule.constraint)
    }
    try connection.execute("UPDATE grid.energy_production SET energy_source = 'solar'")
    try connection.execute(verify)
    try connection.execute(validate)
  }

  /// A rule of the same name that somebody made before is theirs.
  @Test func aConstraintThatIsThereStays() throws {
    let connection = try PostgresConnection(url: TestServices.emptyDatabase())
    for migration in Migration.all.prefix(3) { try connection.execute(migration.sql) }
    try connection.execute(
      """
      ALTER TABLE grid.energy_production ADD CONSTRAINT energy_production_energy_source_check
        CHECK (energy_source <> 'coal')
      """)
    try Migrator(connection).migrate()
    let kept = try connection.query(
      """
      SELECT pg_get_constraintdef(oid) FROM pg_constraint
      WHERE conname = 'energy_production_energy_source_check'
      """)
    #expect(kept == [["CHECK (((energy_source)::text <> 'coal'::text))"]])
  }
}
