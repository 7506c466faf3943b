-- Creates the 45 indexes of schema v2.0.
--
-- Some repeat what a unique constraint already indexes (idx_blocks_hash and its like); they are
-- part of the interface, so they stay. Not CONCURRENTLY, which no transaction allows: where a large
-- table lacks one of these, writers to that table wait while it is built.

create index if not exists idx_blocks_hash on blockchain.blocks (hash);
create index if not exists idx_blocks_number on blockchain.blocks (block_number);
create index if not exists idx_blocks_timestamp on blockchain.blocks (timestamp);

create index if not exists idx_transactions_block_hash on blockchain.transactions (block_hash);
create index if not exists idx_transactions_from on blockchain.transactions (from_address);
create index if not exists idx_transactions_hash on blockchain.transactions (hash);
create index if not exists idx_transactions_to on blockchain.transactions (to_address);

create index if not exists idx_smart_contracts_address
  on blockchain.smart_contracts (contract_address);
create index if not exists idx_smart_contracts_deployer on blockchain.smart_contracts (deployer);

create index if not exists idx_contract_executions_caller
  on blockchain.contract_executions (caller);
create index if not exists idx_contract_executions_contract
  on blockchain.contract_executions (contract_address);

create index if not exists idx_account_balances_account on blockchain.account_balances (account_id);

create index if not exists idx_registered_producers_id
  on blockchain.registered_producers (producer_id);

create index if not exists idx_registered_consumers_id
  on blockchain.registered_consumers (consumer_id);

create index if not exists idx_orders_account on trading.orders (account_id);
create index if not exists idx_orders_created on trading.orders (created_at);
create index if not exists idx_orders_status on trading.orders (status);
create index if not exists idx_orders_type on trading.orders (order_type);

create index if not exists idx_trades_buy_order on trading.trades (buy_order_id);
create index if not exists idx_trades_buyer on trading.trades (buyer_id);
create index if not exists idx_trades_executed on trading.trades (executed_at);
create index if not exists idx_trades_sell_order on trading.trades (sell_order_id);
create index if not exists idx_trades_seller on trading.trades (seller_id);

create index if not exists idx_grid_locations_code on grid.locations (grid_code);

create index if not exists idx_grid_status_code on grid.status_history (grid_code);
create index if not exists idx_grid_status_recorded on grid.status_history (recorded_at);

create index if not exists idx_energy_production_producer on grid.energy_production (producer_id);
create index if not exists idx_energy_production_timestamp on grid.energy_production (timestamp);

create index if not exists idx_energy_consumption_consumer on grid.energy_consumption (consumer_id);
create index if not exists idx_energy_consumption_timestamp on grid.energy_consumption (timestamp);

create index if not exists idx_carbon_credits_holder on grid.carbon_credits (holder);
create index if not exists idx_carbon_credits_issuer on grid.carbon_credits (issuer);
create index if not exists idx_carbon_credits_status on grid.carbon_credits (status);

create index if not exists idx_energy_storage_operator on grid.energy_storage (storage_operator);

create index if not exists idx_storage_operations_executed on grid.storage_operations (executed_at);
create index if not exists idx_storage_operations_storage on grid.storage_operations (storage_id);

create index if not exists idx_proposals_proposer on governance.proposals (proposer);
create index if not exists idx_proposals_status on governance.proposals (status);

create index if not exists idx_votes_proposal on governance.votes (proposal_id);
create index if not exists idx_votes_voter on governance.votes (voter);

create index if not exists idx_system_metrics_name on monitoring.system_metrics (metric_name);
create index if not exists idx_system_metrics_recorded on monitoring.system_metrics (recorded_at);

create index if not exists idx_grid_health_code on monitoring.grid_health (grid_code);
create index if not exists idx_grid_health_recorded on monitoring.grid_health (recorded_at);

create index if not exists idx_transaction_metrics_block
  on monitoring.transaction_metrics (block_number);
