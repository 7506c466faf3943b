-- The original production init.sql: a database that already stands at schema v2.0, with rows in
-- every table, at the edges of their types.

create extension if not exists "uuid-ossp";
create extension if not exists pgcrypto;

create schema blockchain;
create schema trading;
create schema grid;
create schema governance;
create schema monitoring;

create table blockchain.blocks (
  id                serial      primary key,
  hash              varchar(64) not null unique,
  parent_hash       varchar(64),
  block_number      bigint      not null,
  timestamp         timestamptz default now(),
  merkle_root       varchar(64) not null,
  nonce             bigint      not null,
  difficulty        bigint      not null,
  gas_limit         bigint      not null,
  gas_used          bigint      not null,
  miner             varchar(66) not null,
  size              integer     not null,
  transaction_count integer     not null,
  state_root        varchar(64) not null,
  created_at        timestamptz default now()
);
create index idx_blocks_hash on blockchain.blocks (hash);
create index idx_blocks_number on blockchain.blocks (block_number);
create index idx_blocks_timestamp on blockchain.blocks (timestamp);

create table blockchain.transactions (
  id                serial        primary key,
  hash              varchar(64)   not null unique,
  block_hash        varchar(64)   references blockchain.blocks (hash),
  block_number      bigint,
  transaction_index integer,
  from_address      varchar(66)   not null,
  to_address        varchar(66),
  value             numeric(78,0) not null,
  gas_price         numeric(78,0) not null,
  gas_limit         bigint        not null,
  gas_used          bigint,
  nonce             bigint        not null,
  input_data        text,
  status            integer       not null,
  created_at        timestamptz   default now()
);
create index idx_transactions_block_hash on blockchain.transactions (block_hash);
create index idx_transactions_from on blockchain.transactions (from_address);
create index idx_transactions_hash on blockchain.transactions (hash);
create index idx_transactions_to on blockchain.transactions (to_address);

create table blockchain.smart_contracts (
  id               uuid          primary key default uuid_generate_v4(),
  contract_address varchar(66)   not null unique,
  deployer         varchar(66)   not null,
  contract_name    varchar(255)  not null,
  contract_code    text          not null,
  abi              jsonb         not null,
  deployed_at      timestamptz   default now(),
  status           varchar(20)   not null default 'active'
    check (status in ('active', 'paused', 'destroyed')),
  gas_used         bigint        not null default 0,
  storage_rent     numeric(20,8) not null default 0
);
create index idx_smart_contracts_address on blockchain.smart_contracts (contract_address);
create index idx_smart_contracts_deployer on blockchain.smart_contracts (deployer);

create table blockchain.contract_executions (
  id               uuid         primary key default uuid_generate_v4(),
  transaction_hash varchar(64)  not null,
  contract_address varchar(66)  not null references blockchain.smart_contracts (contract_address),
  caller           varchar(66)  not null,
  method_name      varchar(255) not null,
  input_data       jsonb        not null,
  output_data      jsonb,
  gas_used         bigint       not null,
  status           varchar(20)  not null check (status in ('success', 'failed', 'reverted')),
  error_message    text,
  executed_at      timestamptz  default now()
);
create index idx_contract_executions_caller on blockchain.contract_executions (caller);
create index idx_contract_executions_contract on blockchain.contract_executions (contract_address);

create table blockchain.account_balances (
  id                serial        primary key,
  account_id        varchar(100)  not null unique,
  total_balance     numeric(78,0) not null default 0,
  available_balance numeric(78,0) not null default 0,
  locked_balance    numeric(78,0) not null default 0,
  nonce             bigint        not null default 0,
  energy_balances   jsonb         not null default '{}',
  created_at        timestamptz   default now(),
  updated_at        timestamptz   default now()
);
create index idx_account_balances_account on blockchain.account_balances (account_id);

create table blockchain.registered_producers (
  id             uuid          primary key default uuid_generate_v4(),
  producer_id    varchar(100)  not null unique,
  producer_name  varchar(255)  not null,
  producer_type  varchar(50)   not null
    check (producer_type in ('residential', 'commercial', 'industrial', 'utility', 'community')),
  energy_sources text[]        not null,
  location_json  jsonb         not null,
  capacity_kw    numeric(15,6) not null check (capacity_kw > 0),
  certification  varchar(255),
  verified       boolean       not null default false,
  registered_at  timestamptz   default now(),
  updated_at     timestamptz   default now()
);
create index idx_registered_producers_id on blockchain.registered_producers (producer_id);

create table blockchain.registered_consumers (
  id                  uuid          primary key default uuid_generate_v4(),
  consumer_id         varchar(100)  not null unique,
  consumer_name       varchar(255)  not null,
  consumer_type       varchar(50)   not null
    check (consumer_type in (
      'residential', 'commercial', 'industrial', 'agricultural', 'municipal'
    )),
  location_json       jsonb         not null,
  avg_consumption_kwh numeric(15,6) not null default 0,
  peak_demand_kw      numeric(15,6) not null default 0,
  verified            boolean       not null default false,
  registered_at       timestamptz   default now(),
  updated_at          timestamptz   default now()
);
create index idx_registered_consumers_id on blockchain.registered_consumers (consumer_id);

create table trading.orders (
  id             uuid          primary key default uuid_generate_v4(),
  account_id     varchar(100)  not null,
  order_type     varchar(10)   not null check (order_type in ('buy', 'sell')),
  energy_amount  numeric(15,6) not null check (energy_amount > 0),
  price_per_unit numeric(15,6) not null check (price_per_unit > 0),
  total_value    numeric(15,6) not null check (total_value > 0),
  location_json  jsonb         not null,
  energy_source  varchar(20),
  status         varchar(20)   not null default 'pending'
    check (status in ('pending', 'partially_filled', 'filled', 'cancelled', 'expired')),
  created_at     timestamptz   default now(),
  updated_at     timestamptz   default now(),
  expires_at     timestamptz
);
create index idx_orders_account on trading.orders (account_id);
create index idx_orders_created on trading.orders (created_at);
create index idx_orders_status on trading.orders (status);
create index idx_orders_type on trading.orders (order_type);

create table trading.trades (
  id                uuid          primary key default uuid_generate_v4(),
  buy_order_id      uuid          not null references trading.orders (id),
  sell_order_id     uuid          not null references trading.orders (id),
  buyer_id          varchar(100)  not null,
  seller_id         varchar(100)  not null,
  energy_amount     numeric(15,6) not null check (energy_amount > 0),
  price_per_unit    numeric(15,6) not null check (price_per_unit > 0),
  total_value       numeric(15,6) not null check (total_value > 0),
  grid_fee          numeric(15,6) not null default 0.0,
  carbon_offset     numeric(15,6) not null default 0.0,
  executed_at       timestamptz   default now(),
  settlement_status varchar(20)   not null default 'pending'
    check (settlement_status in ('pending', 'settled', 'failed'))
);
create index idx_trades_buy_order on trading.trades (buy_order_id);
create index idx_trades_buyer on trading.trades (buyer_id);
create index idx_trades_executed on trading.trades (executed_at);
create index idx_trades_sell_order on trading.trades (sell_order_id);
create index idx_trades_seller on trading.trades (seller_id);

create table grid.locations (
  id               serial        primary key,
  province         varchar(100)  not null,
  district         varchar(100)  not null,
  grid_code        varchar(20)   not null unique,
  substation       varchar(100)  not null,
  coordinates      point         not null,
  capacity_mw      numeric(10,2) not null,
  current_load_mw  numeric(10,2) not null,
  congestion_level varchar(20)   not null default 'low',
  updated_at       timestamptz   default now()
);
create index idx_grid_locations_code on grid.locations (grid_code);

create table grid.status_history (
  id               serial        primary key,
  grid_code        varchar(20)   not null,
  capacity         numeric(10,2) not null,
  current_load     numeric(10,2) not null,
  congestion_level varchar(20)   not null,
  stability_score  numeric(5,4)  not null,
  outage_risk      numeric(5,4)  not null,
  recorded_at      timestamptz   default now()
);
create index idx_grid_status_code on grid.status_history (grid_code);
create index idx_grid_status_recorded on grid.status_history (recorded_at);

create table grid.energy_production (
  id                     uuid          primary key default uuid_generate_v4(),
  producer_id            varchar(100)  not null,
  energy_amount          numeric(15,6) not null check (energy_amount > 0),
  energy_source          varchar(20)   not null,
  location_json          jsonb         not null,
  efficiency             numeric(5,4)  not null default 1.0,
  quality_score          numeric(5,4)  not null default 1.0,
  equipment_id           varchar(100),
  verified               boolean       not null default false,
  verification_authority varchar(100),
  timestamp              timestamptz   default now(),
  created_at             timestamptz   default now()
);
create index idx_energy_production_producer on grid.energy_production (producer_id);
create index idx_energy_production_timestamp on grid.energy_production (timestamp);

create table grid.energy_consumption (
  id                  uuid          primary key default uuid_generate_v4(),
  consumer_id         varchar(100)  not null,
  energy_amount       numeric(15,6) not null check (energy_amount > 0),
  consumer_type       varchar(20)   not null
    check (consumer_type in (
      'residential', 'commercial', 'industrial', 'agricultural', 'municipal'
    )),
  location_json       jsonb         not null,
  appliance_breakdown jsonb         not null default '{}',
  timestamp           timestamptz   default now(),
  created_at          timestamptz   default now()
);
create index idx_energy_consumption_consumer on grid.energy_consumption (consumer_id);
create index idx_energy_consumption_timestamp on grid.energy_consumption (timestamp);

create table grid.carbon_credits (
  id                 uuid          primary key default uuid_generate_v4(),
  credit_id          varchar(100)  not null unique,
  issuer             varchar(100)  not null,
  holder             varchar(100)  not null,
  energy_source      varchar(20)   not null,
  energy_amount      numeric(15,6) not null check (energy_amount > 0),
  offset_amount      numeric(15,6) not null check (offset_amount > 0),
  certification_body varchar(100)  not null,
  verified           boolean       not null default false,
  issued_at          timestamptz   not null,
  expires_at         timestamptz,
  status             varchar(20)   not null default 'active'
    check (status in ('active', 'retired', 'cancelled', 'expired')),
  created_at         timestamptz   default now()
);
create index idx_carbon_credits_holder on grid.carbon_credits (holder);
create index idx_carbon_credits_issuer on grid.carbon_credits (issuer);
create index idx_carbon_credits_status on grid.carbon_credits (status);

create table grid.energy_storage (
  id               uuid          primary key default uuid_generate_v4(),
  storage_id       varchar(100)  not null unique,
  storage_operator varchar(100)  not null,
  storage_type     varchar(50)   not null,
  capacity_mwh     numeric(15,6) not null check (capacity_mwh > 0),
  current_charge   numeric(15,6) not null default 0,
  efficiency       numeric(5,4)  not null default 0.95,
  location_json    jsonb         not null,
  status           varchar(20)   not null default 'active'
    check (status in ('active', 'maintenance', 'offline')),
  installed_at     timestamptz   not null,
  updated_at       timestamptz   default now()
);
create index idx_energy_storage_operator on grid.energy_storage (storage_operator);

create table grid.storage_operations (
  id                uuid          primary key default uuid_generate_v4(),
  storage_id        varchar(100)  not null references grid.energy_storage (storage_id),
  operation_type    varchar(20)   not null check (operation_type in ('charge', 'discharge')),
  energy_amount     numeric(15,6) not null check (energy_amount > 0),
  price_per_unit    numeric(15,6) not null check (price_per_unit > 0),
  grid_location     varchar(100)  not null,
  executed_at       timestamptz   default now(),
  settlement_status varchar(20)   not null default 'pending'
    check (settlement_status in ('pending', 'settled', 'failed'))
);
create index idx_storage_operations_executed on grid.storage_operations (executed_at);
create index idx_storage_operations_storage on grid.storage_operations (storage_id);

create table governance.proposals (
  id                 uuid         primary key default uuid_generate_v4(),
  proposer           varchar(66)  not null,
  title              varchar(255) not null,
  description        text         not null,
  proposal_type      varchar(50)  not null,
  voting_deadline    timestamptz  not null,
  execution_deadline timestamptz,
  status             varchar(20)  not null default 'active',
  voting_results     jsonb,
  created_at         timestamptz  default now(),
  updated_at         timestamptz  default now()
);
create index idx_proposals_proposer on governance.proposals (proposer);
create index idx_proposals_status on governance.proposals (status);

create table governance.votes (
  id           uuid          primary key default uuid_generate_v4(),
  proposal_id  uuid          references governance.proposals (id),
  voter        varchar(66)   not null,
  choice       varchar(10)   not null check (choice in ('for', 'against', 'abstain')),
  voting_power numeric(20,8) not null,
  signature    text          not null,
  created_at   timestamptz   default now(),
  unique (proposal_id, voter)
);
create index idx_votes_proposal on governance.votes (proposal_id);
create index idx_votes_voter on governance.votes (voter);

create table monitoring.system_metrics (
  id           serial        primary key,
  metric_name  varchar(100)  not null,
  metric_value numeric(20,8) not null,
  metric_type  varchar(50)   not null,
  labels       jsonb         not null default '{}',
  recorded_at  timestamptz   default now()
);
create index idx_system_metrics_name on monitoring.system_metrics (metric_name);
create index idx_system_metrics_recorded on monitoring.system_metrics (recorded_at);

create table monitoring.grid_health (
  id                 serial        primary key,
  grid_code          varchar(20)   not null,
  health_score       numeric(5,4)  not null,
  stability_index    numeric(5,4)  not null,
  congestion_level   varchar(20)   not null,
  active_connections integer       not null default 0,
  energy_flow_in     numeric(15,6) not null default 0,
  energy_flow_out    numeric(15,6) not null default 0,
  recorded_at        timestamptz   default now()
);
create index idx_grid_health_code on monitoring.grid_health (grid_code);
create index idx_grid_health_recorded on monitoring.grid_health (recorded_at);

create table monitoring.transaction_metrics (
  id                    serial        primary key,
  block_number          bigint        not null,
  transaction_count     integer       not null default 0,
  total_gas_used        bigint        not null default 0,
  total_fees            numeric(20,8) not null default 0,
  energy_traded         numeric(15,6) not null default 0,
  avg_confirmation_time numeric(10,3) not null default 0,
  recorded_at           timestamptz   default now()
);
create index idx_transaction_metrics_block on monitoring.transaction_metrics (block_number);

-- Rows of what the ingestor reads and writes.
insert into blockchain.registered_producers
  (id, producer_id, producer_name, producer_type, energy_sources, location_json, capacity_kw,
    certification, verified, registered_at, updated_at)
values
  ('d0000000-0000-4000-8000-000000000001', 'solar-1', 'Rooftop "A"', 'residential', '{solar}',
    '{"grid_code": "BKK-01"}', 0.000001, null, true, '2024-01-01 00:00:00+07', null),
  ('d0000000-0000-4000-8000-000000000002', 'โรงไฟฟ้า', 'Two sources', 'utility',
    '{gas,"natural_gas"}',
    '{}', 999999999.999999, 'ISO', false, null, null);

insert into blockchain.registered_consumers
  (id, consumer_id, consumer_name, consumer_type, location_json, registered_at, updated_at)
values
  ('d0000000-0000-4000-8000-000000000003', 'home-1', '', 'municipal', '{}', null, 'infinity');

insert into grid.energy_production
  (id, producer_id, energy_amount, energy_source, location_json, efficiency, quality_score,
    equipment_id, verified, verification_authority, timestamp, created_at)
values
  ('d0000000-0000-4000-8000-000000000004', 'solar-1', 0.000001, 'solar', '{}', 9.9999, -9.9999,
    '', true, 'MEA', '2024-03-31 02:30:00+01', null),
  ('d0000000-0000-4000-8000-000000000005', 'gone', 999999999.999999, '', 'null', 0, 0,
    null, false, null, null, '2024-03-31 02:30:00.000001+01');

insert into grid.energy_consumption
  (id, consumer_id, energy_amount, consumer_type, location_json, timestamp, created_at)
values
  ('d0000000-0000-4000-8000-000000000006', 'home-1', 1.5, 'residential', '{}', null, null);

insert into grid.energy_storage
  (id, storage_id, storage_operator, storage_type, capacity_mwh, current_charge, location_json,
    status, installed_at, updated_at)
values
  ('d0000000-0000-4000-8000-000000000007', 'battery-1', 'operator', 'lithium_ion', 0.000001,
    -5.000000, '{}', 'offline', '2020-01-01 00:00:00+00', null),
  ('d0000000-0000-4000-8000-000000000008', 'battery-2', 'operator', 'flow', 2.5, 3.75, '[]',
    'active', '-infinity', 'infinity');

insert into grid.storage_operations
  (id, storage_id, operation_type, energy_amount, price_per_unit, grid_location, executed_at,
    settlement_status)
values
  ('d0000000-0000-4000-8000-000000000009', 'battery-2', 'discharge', 0.000001, 0.000001, '', null,
    'failed');

insert into grid.carbon_credits
  (id, credit_id, issuer, holder, energy_source, energy_amount, offset_amount, certification_body,
    issued_at, expires_at, status, created_at)
values
  ('d0000000-0000-4000-8000-000000000010', 'credit-1', 'issuer', 'holder', 'wind', 1, 0.000001,
    'Verra', '2024-01-01 00:00:00+00', null, 'retired', null);

insert into blockchain.account_balances
  (account_id, total_balance, available_balance, locked_balance, nonce, energy_balances, created_at)
values
  ('account-buyer', repeat('9', 78)::numeric, 0, repeat('9', 78)::numeric, 9223372036854775807,
    '{"solar": "12.500000", "wind": 0.000001}', null),
  ('', -1, -1, 0, -9223372036854775808, '[]', '-infinity');

insert into blockchain.smart_contracts
  (id, contract_address, deployer, contract_name, contract_code, abi, deployed_at)
values
  ('d0000000-0000-4000-8000-000000000011', '0xc0ffee', '0x1', '', '', '[]', null);

insert into blockchain.contract_executions
  (id, transaction_hash, contract_address, caller, method_name, input_data, output_data, gas_used,
    status, error_message, executed_at)
values
  ('d0000000-0000-4000-8000-000000000012', repeat('f', 64), '0xc0ffee', '0x1', 'settle', '{}', null,
    0, 'reverted', E'line one\nline two', null);

insert into monitoring.system_metrics
  (metric_name, metric_value, metric_type, labels, recorded_at)
values
  ('blocks', 999999999999.99999999, 'counter', '{"node": "a"}', null),
  ('', -0.00000001, 'nonsense', 'null', 'infinity');

insert into monitoring.grid_health
  (grid_code, health_score, stability_index, congestion_level, recorded_at)
values
  ('BKK-01', 0.9876, 1.0, 'low', '2024-03-01 00:00:00+07'),
  ('BKK-01', -9.9999, 9.9999, '', null);

insert into monitoring.transaction_metrics
  (block_number, total_fees, recorded_at)
values
  (9223372036854775807, -999999999999.99999999, null);

-- Rows of the tables that 002 does not have, or has in another shape.
insert into blockchain.blocks
  (hash, parent_hash, block_number, timestamp, merkle_root, nonce, difficulty, gas_limit, gas_used,
    miner, size, transaction_count, state_root, created_at)
values
  (repeat('a', 64), null, 0, null, '', -9223372036854775808, 9223372036854775807, 0, 0, '', 0, 0,
    '', null);

insert into blockchain.transactions
  (hash, block_hash, block_number, transaction_index, from_address, to_address, value, gas_price,
    gas_limit, gas_used, nonce, input_data, status, created_at)
values
  (repeat('b', 64), repeat('a', 64), 0, 0, '0x1', null, repeat('9', 78)::numeric, 0, 0, null, 0, '',
    -1, null),
  (repeat('c', 64), null, null, null, '', '', 0, 0, 0, 0, 0, null, 0, 'infinity');

insert into grid.locations
  (province, district, grid_code, substation, coordinates, capacity_mw, current_load_mw,
    congestion_level, updated_at)
values
  ('Bangkok', 'Pathum Wan', 'BKK-01', 'Siam', '(100.534,13.745)', 5.00, 6.25, 'critical',
    '2024-01-02 03:04:05.678901+07'),
  ('', '', '12345678901234567890', '', '(Infinity,NaN)', -99999999.99, 99999999.99, '', null);

insert into grid.status_history
  (grid_code, capacity, current_load, congestion_level, stability_score, outage_risk, recorded_at)
values
  ('BKK-01', 5.00, 6.25, 'critical', 0.1234, 0.9999, null);

insert into trading.orders
  (id, account_id, order_type, energy_amount, price_per_unit, total_value, location_json)
values
  ('b0000000-0000-4000-8000-000000000001', 'account-buyer', 'buy', 10.5, 3.25, 34.125, '{}'),
  ('b0000000-0000-4000-8000-000000000002', 'account-seller', 'sell', 10.5, 3.25, 34.125, '{}');

insert into trading.trades
  (id, buy_order_id, sell_order_id, buyer_id, seller_id, energy_amount, price_per_unit, total_value,
    executed_at, settlement_status)
values
  ('c0000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000001',
    'b0000000-0000-4000-8000-000000000002', 'account-buyer', 'account-seller', 10.5, 3.25, 34.125,
    null, 'settled');

insert into governance.proposals
  (id, proposer, title, description, proposal_type, voting_deadline, execution_deadline,
    voting_results, created_at)
values
  ('e0000000-0000-4000-8000-000000000001', '0x1', '', '', '', 'infinity', null, null, null);

insert into governance.votes
  (proposal_id, voter, choice, voting_power, signature, created_at)
values
  ('e0000000-0000-4000-8000-000000000001', '0x1', 'abstain', 999999999999.99999999, '', null),
  (null, '0x1', 'for', -1, '', null),
  (null, '0x1', 'for', -1, '', null);
