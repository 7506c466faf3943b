// How `monitoring.transaction_metrics` follows from the chain's and the market's tables.

/// The statement behind `monitoring.transaction_metrics`, one row a block.
///
/// | column | formula |
/// | --- | --- |
/// | `transaction_count`, `total_gas_used` | as the block itself says |
/// | `total_fees` | sum of gas used × gas price of its transactions, ÷ 10^18 |
/// | `energy_traded` | kWh of trades after the block before it, up to its time |
/// | `avg_confirmation_time` | mean of block time − transaction time, seconds |
///
/// Prices are in the chain's smallest unit, 10^-18 as Ethereum's (Yellow Paper, 2.1), whose 256 bits
/// the columns are made for. A first block has no time before it, and so no trades.
enum TransactionMetricsSQL {
  /// Blocks that are looked at again, since their transactions and trades may be written after them:
  /// Ethereum's usual depth of confirmation.
  static let depth = 12

  /// Blocks of one run: bounded, however many were written while nobody looked.
  static let blocksPerRun = 500

  /// Takes in new blocks and those of the last ``depth``; returns how many were looked at.
  static let follow = """
    WITH block AS MATERIALIZED (
      SELECT DISTINCT ON (block_number) block_number, hash, "timestamp", transaction_count, gas_used
      FROM blockchain.blocks
      WHERE block_number > coalesce((SELECT number - \(depth) FROM ingest.monitoring_progress
        WHERE job = 'transaction_metrics'), -1)
      ORDER BY block_number, id DESC LIMIT \(blocksPerRun)
    ), measured AS MATERIALIZED (
      SELECT block.block_number, block.transaction_count, block.gas_used,
        least(coalesce(fee.total, 0), 999999999999)::numeric(20,8) AS fees,
        least(coalesce(trade.kwh, 0), 999999999.999999) AS kwh,
        greatest(-9999999, least(9999999, coalesce(fee.seconds, 0)))::numeric(10,3) AS seconds
      FROM block
      LEFT JOIN LATERAL (
        SELECT sum(gas_used::numeric * gas_price) / 1000000000000000000 AS total,
          avg(extract(epoch FROM block."timestamp" - created_at))::numeric AS seconds
        FROM blockchain.transactions WHERE block_hash = block.hash
      ) AS fee ON true
      LEFT JOIN LATERAL (
        SELECT "timestamp" FROM blockchain.blocks AS earlier
        WHERE earlier.block_number < block.block_number
        ORDER BY earlier.block_number DESC, earlier.id DESC LIMIT 1
      ) AS before ON true
      LEFT JOIN LATERAL (
        SELECT sum(energy_amount) AS kwh FROM trading.trades
        WHERE executed_at > before."timestamp" AND executed_at <= block."timestamp"
      ) AS trade ON true
    ), mended AS (
      UPDATE monitoring.transaction_metrics AS old
      SET transaction_count = new.transaction_count, total_gas_used = new.gas_used,
        total_fees = new.fees, energy_traded = new.kwh, avg_confirmation_time = new.seconds,
        recorded_at = now()
      FROM measured AS new
      WHERE new.block_number = old.block_number AND (new.transaction_count, new.gas_used, new.fees,
        new.kwh, new.seconds) IS DISTINCT FROM (old.transaction_count, old.total_gas_used,
        old.total_fees, old.energy_traded, old.avg_confirmation_time)
    ), added AS (
      INSERT INTO monitoring.transaction_metrics (block_number, transaction_count, total_gas_used,
        total_fees, energy_traded, avg_confirmation_time)
      SELECT * FROM measured AS new
      WHERE NOT EXISTS (SELECT FROM monitoring.transaction_metrics AS old
        WHERE old.block_number = new.block_number)
    ), noted AS (
      INSERT INTO ingest.monitoring_progress AS progress (job, through, number)
      SELECT 'transaction_metrics', now(), max(block_number) FROM block HAVING count(*) > 0
      ON CONFLICT (job) DO UPDATE SET through = excluded.through,
        number = greatest(progress.number, excluded.number)
    )
    SELECT count(*) FROM block
    """
}
