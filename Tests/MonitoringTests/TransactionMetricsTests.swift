// The metrics of the chain, on a real PostgreSQL.

import PostgresStore
import TestServices
import Testing

@testable import Monitoring

@Suite struct TransactionMetricsTests {
  private static let columns = """
    block_number, transaction_count, total_gas_used, total_fees, energy_traded,
    avg_confirmation_time
    """

  private func metrics(_ database: HealthDatabase) throws -> [String] {
    try database.lines(
      "SELECT \(Self.columns) FROM monitoring.transaction_metrics ORDER BY block_number")
  }

  /// A block of two transactions' gas.
  private func addBlock(_ number: Int, at second: Int, to database: HealthDatabase) throws {
    try database.connection.execute(
      """
      INSERT INTO blockchain.blocks (hash, block_number, "timestamp", merkle_root, nonce, difficulty,
        gas_limit, gas_used, miner, size, transaction_count, state_root)
      VALUES ('block-\(number)', \(number), \(HealthDatabase.at(second)), '', 0, 0, 0, 42000, '', 1,
        2, '')
      """)
  }

  private func addTransaction(
    _ hash: String, of block: Int, at second: String, gasPrice: String, to database: HealthDatabase
  ) throws {
    try database.connection.execute(
      """
      INSERT INTO blockchain.transactions (hash, block_hash, block_number, from_address, value,
        gas_price, gas_limit, gas_used, nonce, status, created_at)
      VALUES ('\(hash)', 'block-\(block)', \(block), '', 0, \(gasPrice), 21000, 21000, 0, 1,
        \(HealthDatabase.noon) + interval '\(second) seconds')
      """)
  }

  private func addTrade(at second: Int, _ kWh: String, to database: HealthDatabase) throws {
    try database.connection.execute(
      """
      INSERT INTO trading.orders (id, account_id, order_type, energy_amount, price_per_unit,
        total_value, location_json)
      VALUES ('00000000-0000-4000-8000-000000000001', 'a', 'buy', 1, 1, 1, '{}')
      ON CONFLICT DO NOTHING;
      INSERT INTO trading.trades (buy_order_id, sell_order_id, buyer_id, seller_id, energy_amount,
        price_per_unit, total_value, executed_at)
      VALUES ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000001', 'a',
        'b', \(kWh), 1, 1, \(HealthDatabase.at(second)))
      """)
  }

  @Test func blocksTransactionsAndTrades() throws {
    let database = try HealthDatabase()
    #expect(try database.run(at: 62).blocks == 0)
    #expect(
      try database.lines(
        "SELECT job FROM ingest.monitoring_progress WHERE job = 'transaction_metrics'"
      ).isEmpty)
    try addBlock(7, at: 0, to: database)
    try addBlock(9, at: 12, to: database)
    try addTransaction("t-1", of: 9, at: "10.5", gasPrice: "20000000000", to: database)
    try addTransaction("t-2", of: 9, at: "9", gasPrice: "30000000000", to: database)
    for (second, kWh) in [(0, "4"), (1, "0.000001"), (12, "2.5"), (13, "8")] {
      try addTrade(at: second, kWh, to: database)
    }
    #expect(try database.run(at: 62).blocks == 2)
    // 21,000 gas at 20 and at 30 gwei: 0.00042 and 0.00063. Confirmed after 1.5 s and 3 s.
    let expected = [
      "7 2 42000 0.00000000 0.000000 0.000", "9 2 42000 0.00105000 2.500001 2.250",
    ]
    #expect(try metrics(database) == expected)
    let ids = try database.lines("SELECT id, recorded_at FROM monitoring.transaction_metrics")
    try database.run(at: 62)
    #expect(
      try database.lines("SELECT id, recorded_at FROM monitoring.transaction_metrics") == ids)
    // A transaction that is written after its block still counts.
    try addTransaction("t-3", of: 7, at: "-1", gasPrice: "1", to: database)
    try database.run(at: 62)
    #expect(try metrics(database).first == "7 2 42000 0.00000000 0.000000 1.000")
    #expect(try metrics(database).count == 2)
  }

  /// More blocks than one run takes in, and numbers that no column of the metrics can hold.
  @Test func manyBlocksAndLargeNumbers() throws {
    let database = try HealthDatabase()
    try database.connection.execute(
      """
      INSERT INTO blockchain.blocks (hash, block_number, "timestamp", merkle_root, nonce, difficulty,
        gas_limit, gas_used, miner, size, transaction_count, state_root)
      SELECT n, n, \(HealthDatabase.noon) + n * interval '1 second', '', 0, 0, 0, 1, '', 1, 0, ''
      FROM generate_series(1, 1001) AS n
      """)
    let huge = String(repeating: "9", count: 70)
    try database.connection.execute(
      """
      INSERT INTO blockchain.transactions (hash, block_hash, from_address, value, gas_price,
        gas_limit, gas_used, nonce, status, created_at)
      VALUES ('t', '5', '', 0, \(huge), 1, 1, 0, 1, '1970-01-01')
      """)
    var runs = 0
    while try metrics(database).count < 1001, runs < 5 {
      try database.run(at: 62)
      runs += 1
    }
    #expect(runs == 3)
    #expect(try metrics(database)[4] == "5 0 1 999999999999.00000000 0.000000 9999999.000")
  }
}
