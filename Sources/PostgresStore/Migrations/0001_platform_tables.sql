-- Creates the 21 tables of the platform's schema v2.0, with their types, defaults and constraints.
--
-- Other services read and write these tables: names, types and constraints are an interface and
-- stay as they are. A table that exists already is left alone here; what an older one lacks is
-- added by 0002, and indexes follow in 0003 because some are on those columns.

create extension if not exists "uuid-ossp";
create extension if not exists pgcrypto;

-- Query statistics are welcome but not worth a failed migration: the extension may not be
-- installed, may want a superuser, or may be off a provider's list, and each server says so with
-- another SQLSTATE, hence "others".
do $$
begin
  create extension if not exists pg_stat_statements;
exception when others then
  raise notice 'continuing without pg_stat_statements: % (SQLSTATE %)', sqlerrm, sqlstate;
end
$$;

create schema if not exists blockchain;
create schema if not exists trading;
create schema if not exists grid;
create schema if not exists governance;
create schema if not exists monitoring;

-- The chain and who takes part in it. numeric(78,0) holds the 256 bits of an Ethereum amount.
create table if not exists blockchain.blocks (
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

create table if not exists blockchain.transactions (
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

create table if not exists blockchain.smart_contracts (
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

create table if not exists blockchain.contract_executions (
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

create table if not exists blockchain.account_balances (
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

create table if not exists blockchain.registered_producers (
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

create table if not exists blockchain.registered_consumers (
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

-- The market. Energy (kWh) and prices are numeric(15,6), exact.
create table if not exists trading.orders (
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

create table if not exists trading.trades (
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

-- The physical grid. The ingestor writes energy_production, energy_consumption and
-- storage_operations. Their CHECKs are left unnamed, so that they get the names PostgreSQL gives by
-- itself (energy_production_energy_amount_check, …), which dead letters report.
create table if not exists grid.locations (
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

create table if not exists grid.status_history (
  id               serial        primary key,
  grid_code        varchar(20)   not null,
  capacity         numeric(10,2) not null,
  current_load     numeric(10,2) not null,
  congestion_level varchar(20)   not null,
  stability_score  numeric(5,4)  not null,
  outage_risk      numeric(5,4)  not null,
  recorded_at      timestamptz   default now()
);

create table if not exists grid.energy_production (
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

create table if not exists grid.energy_consumption (
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

create table if not exists grid.carbon_credits (
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

create table if not exists grid.energy_storage (
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

create table if not exists grid.storage_operations (
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

-- Votes on how the platform is run.
create table if not exists governance.proposals (
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

create table if not exists governance.votes (
  id           uuid          primary key default uuid_generate_v4(),
  proposal_id  uuid          references governance.proposals (id),
  voter        varchar(66)   not null,
  choice       varchar(10)   not null check (choice in ('for', 'against', 'abstain')),
  voting_power numeric(20,8) not null,
  signature    text          not null,
  created_at   timestamptz   default now(),
  unique (proposal_id, voter)
);

-- What the services observe of themselves and of the grid.
create table if not exists monitoring.system_metrics (
  id           serial        primary key,
  metric_name  varchar(100)  not null,
  metric_value numeric(20,8) not null,
  metric_type  varchar(50)   not null,
  labels       jsonb         not null default '{}',
  recorded_at  timestamptz   default now()
);

create table if not exists monitoring.grid_health (
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

create table if not exists monitoring.transaction_metrics (
  id                    serial        primary key,
  block_number          bigint        not null,
  transaction_count     integer       not null default 0,
  total_gas_used        bigint        not null default 0,
  total_fees            numeric(20,8) not null default 0,
  energy_traded         numeric(15,6) not null default 0,
  avg_confirmation_time numeric(10,3) not null default 0,
  recorded_at           timestamptz   default now()
);
