-- Creates what is remembered of meters that publish running totals or power, so that any worker on
-- any machine may take any message.

-- Texts are compared byte by byte: nobody sorts registers for people, and it takes a fraction of
-- the time. Half of each page is left free, and nothing but the key is indexed, so that a new
-- version of a row stays in its page without an entry in the index (manual, 73.7, HOT updates).
create table if not exists ingest.register_state (
  device_id       text        collate "C" not null,
  register        text        collate "C" not null,
  measure         text        collate "C"
    check (measure in ('register', 'net_register', 'power')),
  last_at         timestamptz,
  last_value      bigint,
  first_at        timestamptz,
  first_value     bigint,
  floor_at        timestamptz,
  fallen_at       timestamptz,
  fallen_value    bigint,
  candidate_at    timestamptz,
  candidate_value bigint,
  carry           bigint      not null default 0,
  primary key (device_id, register)
) with (fillfactor = 50);
comment on table ingest.register_state is
  'What each register of a meter stood at, so that the next total makes an interval. To delete a row
lets the register begin anew: its next total is only remembered.';
comment on column ingest.register_state.measure is
  'register: a total that rises, net_register: one that may fall, power. Null: nothing came yet.';
comment on column ingest.register_state.last_at is 'The time of the newest sample that counts.';
comment on column ingest.register_state.last_value is
  'What it said: millionths of a kWh; of power, thousandths of a watt. So are the other values.';
comment on column ingest.register_state.first_at is
  'The oldest sample: as far back as the stored intervals reach.';
comment on column ingest.register_state.floor_at is
  'Samples up to then are of before the last reset or exchange, and left out.';
comment on column ingest.register_state.fallen_at is
  'Since when the total is lower than it was, and has not counted.';
comment on column ingest.register_state.fallen_value is
  'Where it stood before: should it come back there, it counts on from it.';
comment on column ingest.register_state.candidate_at is
  'When a total came that cannot be; a second one that agrees makes it an exchanged meter.';
comment on column ingest.register_state.carry is
  'Of integrated power, what was less than a millionth of a kWh: 1/7,200,000,000 of it.';

create table if not exists ingest.register_events (
  at           timestamptz not null,
  device_id    text        not null,
  register     text        not null,
  event        text        not null check (event in
    ('rollover', 'reset', 'restored', 'exchange', 'implausible_step', 'redefined')),
  before_value bigint      not null,
  after_value  bigint      not null,
  created_at   timestamptz not null default now()
);
comment on table ingest.register_events is
  'What happened to registers besides counting: what a meter operator may want to look at.';
comment on column ingest.register_events.at is 'The time of the sample.';
comment on column ingest.register_events.event is
  'rollover: over its last digit, counted on; reset: fell, counts from there; restored: back where
it was before it fell, counts on from there; exchange: two totals agree that this is another meter,
counts from the first of them; implausible_step: more than can have flowed, nothing booked;
redefined: it counts something else now.';
comment on column ingest.register_events.before_value is 'Millionths of a kWh; power: mW.';

create index if not exists idx_register_events_device on ingest.register_events (device_id, at);
-- For retention.
create index if not exists idx_register_events_created on ingest.register_events (created_at);

-- In the order of their key, by every transaction, so that none waits for one that waits for it.
-- Where some are new they are inserted, which waits for others that insert the same, and all are
-- asked for again: a statement of its own, that sees what those committed.
--
-- Each row is looked up by its key, whatever statistics say of a table that has just been filled: a
-- plan for a thousand keys that reads the whole table instead would do so for ever.
create or replace function ingest.lock_registers(device_ids text[], register_names text[])
returns table (
  place bigint, version tid, measure text, last_at timestamptz, last_value bigint,
  first_at timestamptz, first_value bigint, floor_at timestamptz, fallen_at timestamptz,
  fallen_value bigint, candidate_at timestamptz, candidate_value bigint, carry bigint
)
language plpgsql volatile security invoker
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  found_rows bigint;
begin
  for attempt in 1..2 loop
    return query
    select asked.place, stored.ctid, stored.measure, stored.last_at, stored.last_value,
      stored.first_at, stored.first_value, stored.floor_at, stored.fallen_at, stored.fallen_value,
      stored.candidate_at, stored.candidate_value, stored.carry
    from unnest(device_ids, register_names) with ordinality as asked (device_id, register, place)
    join ingest.register_state as stored
      on stored.device_id = asked.device_id collate "C"
      and stored.register = asked.register collate "C"
    order by stored.device_id, stored.register
    for no key update of stored;

    get diagnostics found_rows = row_count;
    exit when found_rows = cardinality(device_ids);

    insert into ingest.register_state (device_id, register)
    select asked.device_id, asked.register
    from unnest(device_ids, register_names) as asked (device_id, register)
    order by asked.device_id collate "C", asked.register collate "C"
    on conflict do nothing;
  end loop;
end
$$;
comment on function ingest.lock_registers(text[], text[]) is
  'Locks registers for the rest of the transaction, those that are new included, and says what is
remembered of them, and in which version of the row; place counts from 1. Where some are new, the
others are answered twice. No register may be asked for twice.';

-- As in 0007, with what this migration made. DELETE is for retention, and for an operator who wants
-- a register to begin anew.
create or replace function ingest.grant_rights(grantee name) returns void
language plpgsql volatile security invoker
as $$
declare
  -- A legacy grid.locations has no sequence, but nothing inserts there either.
  serial_table text;
  command text;
begin
  foreach command in array array[
    'usage on schema blockchain, grid, monitoring, ingest',
    -- What it stores. SELECT is for "on conflict" and for comparing a duplicate's content.
    'select, insert on grid.energy_production, grid.energy_consumption, grid.storage_operations',
    -- What it looks up.
    'select on blockchain.registered_producers, blockchain.registered_consumers, '
      'grid.energy_storage, grid.locations, ingest.inactive_devices',
    'update (current_charge, updated_at) on grid.energy_storage',
    -- What it reports. Only the metrics, its own, are also cleared away.
    'select, insert, delete on monitoring.system_metrics',
    'select, insert on monitoring.grid_health, grid.status_history',
    -- What it keeps for itself; device keys and migrations are written by their owners.
    'select, insert, update, delete on ingest.dead_letters, ingest.reading_flags, '
      'ingest.meter_states, ingest.register_state, ingest.register_events',
    'select, insert, update on ingest.storage_remainders',
    'select on ingest.device_keys, ingest.schema_migrations',
    'execute on function ingest.reading_id(text, text, timestamptz, text), '
      'ingest.apply_storage_operations(text[], numeric[]), '
      'ingest.battery_flags(uuid[], uuid[], text[], timestamptz[], numeric[], numeric), '
      'ingest.lock_registers(text[], text[])'
  ] loop
    execute format('grant %s to %I', command, grantee);
  end loop;

  foreach serial_table in array array[
    'monitoring.system_metrics', 'monitoring.grid_health', 'grid.status_history'
  ] loop
    execute format('grant usage on sequence %s to %I',
      pg_get_serial_sequence(serial_table, 'id'), grantee);
  end loop;

  -- Duplicates are merged through a temporary table. Mostly PUBLIC may make them already; only
  -- where it may not is it worth asking for, since it takes the owner of the database.
  if not has_database_privilege(grantee, current_database(), 'TEMPORARY') then
    execute format('grant temporary on database %I to %I', current_database(), grantee);
  end if;
end
$$;

do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'meter_ingestor') then
    perform ingest.grant_rights('meter_ingestor');
  end if;
end
$$;
