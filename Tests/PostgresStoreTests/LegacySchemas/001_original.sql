-- The original migration 001: three tables, grid.locations in its old shape, with awkward rows.

create extension if not exists "uuid-ossp";

create schema grid;
create schema trading;

create table grid.locations (
  id          uuid primary key default uuid_generate_v4(),
  province    varchar(100),
  district    varchar(100),
  grid_code   varchar(50) unique,
  coordinates point,
  capacity_kw numeric(10,2) default 0,
  status      varchar(20) default 'active',
  created_at  timestamptz default now(),
  updated_at  timestamptz default now()
);

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
  energy_amount     numeric(15,6) not null check (energy_amount > 0),
  price_per_unit    numeric(15,6) not null check (price_per_unit > 0),
  total_value       numeric(15,6) not null check (total_value > 0),
  executed_at       timestamptz   default now(),
  settlement_status varchar(20)   not null default 'pending'
    check (settlement_status in ('pending', 'settled', 'failed'))
);
create index idx_trades_buy_order on trading.trades (buy_order_id);
create index idx_trades_executed on trading.trades (executed_at);
create index idx_trades_sell_order on trading.trades (sell_order_id);

-- Places: complete; nothing known but the id; a code wider than today's 20; the ends of the
-- capacity's range and one that rounds; two without a code whose ids begin alike.
insert into grid.locations
  (id, province, district, grid_code, coordinates, capacity_kw, status, created_at, updated_at)
values
  ('a0000000-0000-4000-8000-000000000001', 'Bangkok', 'Pathum Wan', 'BKK-01',
    '(100.534,13.745)', 5000.00, 'active',
    '2024-01-01 00:00:00+07', '2024-01-02 03:04:05.678901+07'),
  ('a0000000-0000-4000-8000-000000000002', null, null, null, null, null, null, null, null),
  ('a0000000-0000-4000-8000-000000000003', null, null, null, null, 0, 'retired', null, null),
  ('a0000000-0000-4000-8000-000000000004', 'เชียงใหม่', 'O''Brien \ "Ward"',
    'CNX-a-grid-code-of-fifty-characters-from-2023-0001', '(-0,90)', 99999999.99, 'maintenance',
    '-infinity', 'infinity'),
  ('a0000000-0000-4000-8000-000000000005', '', '', '', '(0,0)', -1234.56, 'active',
    '1970-01-01 00:00:00+00', '2038-01-19 03:14:08+00'),
  ('a0000000-0000-4000-8000-000000000006', 'Phuket', null, 'HKT-01', null, 1235.00, 'active',
    '2024-02-29 23:59:59.999999+00', '2024-02-29 23:59:59.999999+00');

insert into trading.orders
  (id, account_id, order_type, energy_amount, price_per_unit, total_value, location_json,
    energy_source, status, created_at, updated_at, expires_at)
values
  ('b0000000-0000-4000-8000-000000000001', 'account-buyer', 'buy', 10.5, 3.25, 34.125,
    '{"grid_code": "BKK-01"}', 'solar', 'filled',
    '2024-03-01 10:00:00+07', '2024-03-01 10:05:00+07', '2024-03-02 10:00:00+07'),
  ('b0000000-0000-4000-8000-000000000002', 'account-seller', 'sell', 999999999.999999, 0.000001,
    999.999999, '[]', null, 'partially_filled', null, null, null),
  ('b0000000-0000-4000-8000-000000000003', '', 'sell', 0.000001, 999999999.999999, 999.999999,
    'null', '', 'expired', '-infinity', 'infinity', '1970-01-01 00:00:00+00');

insert into trading.trades
  (id, buy_order_id, sell_order_id, energy_amount, price_per_unit, total_value, executed_at,
    settlement_status)
values
  ('c0000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000001',
    'b0000000-0000-4000-8000-000000000002', 10.5, 3.25, 34.125,
    '2024-03-01 10:05:00.123456+07', 'settled'),
  ('c0000000-0000-4000-8000-000000000002', 'b0000000-0000-4000-8000-000000000001',
    'b0000000-0000-4000-8000-000000000003', 0.000001, 999999999.999999, 999.999999, null, 'failed');
