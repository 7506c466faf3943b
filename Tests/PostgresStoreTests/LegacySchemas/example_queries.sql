-- The four questions people ask of the database; each runs on schema v2.0, empty or full.

-- One account's balance.
select account_id, total_balance, energy_balances
from blockchain.account_balances
where account_id = 'account-buyer';

-- The last 24 hours' production.
select producer_id, energy_amount, energy_source, verified
from grid.energy_production
where timestamp >= now() - interval '24 hours'
order by timestamp;

-- Yesterday's settled trades, by the session's time zone.
select count(*) as trades, coalesce(sum(energy_amount), 0) as energy_kwh
from trading.trades
where executed_at >= current_date - 1
  and executed_at < current_date
  and settlement_status = 'settled';

-- Current grid health.
select grid_code, health_score, congestion_level
from monitoring.grid_health
where recorded_at = (select max(recorded_at) from monitoring.grid_health)
order by grid_code;
