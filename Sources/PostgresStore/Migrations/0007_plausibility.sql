-- Creates what plausibility rules and dead letters keep: flags, meter states, devices out of use,
-- how a dead letter ended; and judges battery operations by the book.

-- Readings that were stored although a plausibility rule doubts them. No foreign key to the
-- readings: they stand in three tables, and one that is deleted leaves a flag of nobody.
create table if not exists ingest.reading_flags (
  reading_id uuid        not null,
  kind       text        not null check (kind in ('production', 'consumption', 'storage')),
  device_id  text        not null,
  at         timestamptz not null,
  rule       text        not null,
  detail     text,
  created_at timestamptz not null default now(),
  primary key (reading_id, rule)
);
comment on table ingest.reading_flags is
  'Stored readings that a plausibility rule doubts, one row for each such rule.';
comment on column ingest.reading_flags.at is 'The time of the reading.';

create index if not exists idx_reading_flags_device on ingest.reading_flags (device_id, at);
-- For retention.
create index if not exists idx_reading_flags_created on ingest.reading_flags (created_at);

-- Devices that operators took out of use, whether they are in a registry or not.
create table if not exists ingest.inactive_devices (
  device_id varchar(100) not null,
  kind      text         not null check (kind in ('production', 'consumption', 'storage')),
  since     timestamptz  not null default now(),
  reason    text,
  primary key (kind, device_id)
);
comment on table ingest.inactive_devices is
  'Devices out of use: what they still report is doubted. Written by operators.';
comment on column ingest.inactive_devices.since is 'Readings from this time on are doubted.';

drop trigger if exists meter_registry_changed on ingest.inactive_devices;
create trigger meter_registry_changed
  after insert or update or delete or truncate on ingest.inactive_devices
  for each statement execute function ingest.notify_registry_changed();

-- What plausibility rules remember of a meter, so that a restart, or another worker, goes on where
-- the last one ended. Rows change all the time and never in an indexed column: room left in each
-- page keeps the new version there, without an entry in the index (manual, 73.7, HOT updates).
create table if not exists ingest.meter_states (
  kind            text          not null check (kind in ('production', 'consumption', 'storage')),
  device_id       varchar(100)  not null,
  last_at         timestamptz   not null,
  last_energy_kwh numeric(15,6),
  repeats         integer,
  level_kwh       numeric(15,6),
  readings        integer,
  last_sequence   bigint,
  updated_at      timestamptz   default now(),
  primary key (kind, device_id)
) with (fillfactor = 50);
comment on table ingest.meter_states is 'What plausibility rules remember of each meter.';
comment on column ingest.meter_states.last_at is 'The time of the latest reading.';
comment on column ingest.meter_states.last_energy_kwh is 'Its energy.';
comment on column ingest.meter_states.repeats is
  'How many readings in a row, the latest included, had that energy.';
comment on column ingest.meter_states.level_kwh is 'The recent level of its intervals'' energy.';
comment on column ingest.meter_states.readings is 'How many readings that level rests on.';
comment on column ingest.meter_states.last_sequence is
  'The number the meter gave its latest reading, where it numbers them.';

-- How a dead letter ended, and what was tried before.
alter table ingest.dead_letters
  add column if not exists history jsonb not null default '[]',
  add column if not exists resolution text
    check (resolution in ('stored', 'duplicate', 'zero', 'discarded'));
comment on column ingest.dead_letters.history is
  'Earlier rejections, oldest first, when a redrive ended in another one.';
comment on column ingest.dead_letters.resolution is
  'How it ended; null while open, and for those closed before this was kept.';

-- For retention, and for the redrive of a device that has just been registered.
create index if not exists idx_dead_letters_resolved
  on ingest.dead_letters (resolved_at) where resolved_at is not null;
create index if not exists idx_dead_letters_unregistered
  on ingest.dead_letters (device_id)
  where reason = 'unregistered_device' and resolved_at is null;

-- As in 0004, with two differences: an unknown battery's error names the constraint that is broken,
-- and an old battery whose efficiency is beyond 0 … 1 does not stop its operations.
--
-- Since 0006 such a battery's row cannot be updated at all until its efficiency is mended, which is
-- not the ingestor's to do. Its whole change waits in ingest.storage_remainders meanwhile, where
-- half a watt-hour waits otherwise: nothing is turned away, and the next operation after the
-- mending brings current_charge up to date.
create or replace function ingest.apply_storage_operations(
  storage_ids text[], deltas_kwh numeric[]
) returns void
language plpgsql volatile security invoker
as $$
declare
  missing_id text;
begin
  if cardinality(storage_ids) is distinct from cardinality(deltas_kwh) then
    raise exception 'apply_storage_operations: % storage ids but % amounts',
      cardinality(storage_ids), cardinality(deltas_kwh)
      using errcode = 'array_subscript_error';
  end if;

  perform from grid.energy_storage as battery
  where battery.storage_id = any (storage_ids)
  order by battery.storage_id
  for no key update;

  select coalesce(operation.storage_id, 'null') into missing_id
  from unnest(storage_ids) as operation (storage_id)
  where not exists (
    select from grid.energy_storage as battery where battery.storage_id = operation.storage_id
  )
  limit 1;
  if found then
    raise exception 'apply_storage_operations: no battery % in grid.energy_storage', missing_id
      using errcode = 'foreign_key_violation', hint = 'Register it there first.',
        schema = 'grid', table = 'storage_operations',
        constraint = 'storage_operations_storage_id_fkey';
  end if;

  -- A statement of its own, after the locks: it sees what the transactions waited for committed.
  with delta as (
    select storage_id, sum(kwh) as kwh
    from unnest(storage_ids, deltas_kwh) as operation (storage_id, kwh)
    group by storage_id
  ), book as (
    select battery.storage_id,
      battery.efficiency between 0 and 1 as is_updatable,
      battery.current_charge * 1000 as column_kwh,
      least(
        greatest(
          battery.current_charge * 1000 + coalesce(remainder.remainder_kwh, 0)
            + coalesce(delta.kwh, 0),
          0),
        battery.capacity_mwh * 1000) as kwh
    from delta
    join grid.energy_storage as battery using (storage_id)
    left join ingest.storage_remainders as remainder using (storage_id)
  ), charged as (
    update grid.energy_storage as battery
    set current_charge = round(book.kwh * 0.001, 6), updated_at = now()
    from book
    where battery.storage_id = book.storage_id and book.is_updatable
    returning battery.storage_id, book.kwh - battery.current_charge * 1000 as remainder_kwh
  ), rest as (
    select storage_id, remainder_kwh from charged
    union all
    select storage_id, kwh - column_kwh from book where not is_updatable
  )
  insert into ingest.storage_remainders as remainder (storage_id, remainder_kwh)
  select rest.storage_id, rest.remainder_kwh
  from rest
  left join ingest.storage_remainders as earlier using (storage_id)
  where rest.remainder_kwh <> coalesce(earlier.remainder_kwh, 0)
  on conflict (storage_id) do update set remainder_kwh = excluded.remainder_kwh;
end
$$;

-- Batteries are locked as apply_storage_operations locks them, so that of two transactions with the
-- same battery the second judges by what the first left, and sees the first's operations.
--
-- A plan made for ten thousand ids may read the whole of grid.storage_operations instead of looking
-- each of them up, two to three times slower already at a million rows; a generic plan never does.
--
-- position is quoted because SQL keeps the bare word for its function.
create or replace function ingest.battery_flags(
  operation_ids uuid[], opposite_ids uuid[], storage_ids text[], at timestamptz[],
  deltas_kwh numeric[], tolerance numeric
) returns table ("position" integer, rule text, detail text)
language plpgsql volatile security invoker
set plan_cache_mode = force_generic_plan
as $$
declare
  battery text;
  -- What the battery holds and may hold, kWh.
  held numeric;
  capacity numeric;
  operation record;
begin
  if (select count(distinct size) > 1 from unnest(array[
    coalesce(cardinality(operation_ids), 0), coalesce(cardinality(opposite_ids), 0),
    coalesce(cardinality(storage_ids), 0), coalesce(cardinality(at), 0),
    coalesce(cardinality(deltas_kwh), 0)
  ]) as size) then
    raise exception 'battery_flags: the arrays differ in length'
      using errcode = 'array_subscript_error';
  end if;
  if tolerance is null or not tolerance between 0 and 1 then
    raise exception 'battery_flags: tolerance % is not between 0 and 1', tolerance
      using errcode = 'invalid_parameter_value';
  end if;

  perform from grid.energy_storage as stored
  where stored.storage_id = any (storage_ids)
  order by stored.storage_id
  for no key update;

  -- A statement of its own, after the locks: it sees what the transactions waited for committed.
  for operation in
    select given.place::integer, given.storage_id, given.kwh,
      given.opposite_id in (
        select unnest(operation_ids)
        union all
        select other.id from grid.storage_operations as other where other.id = any (opposite_ids)
      ) as has_opposite,
      stored.capacity_mwh * 1000 as capacity_kwh,
      stored.current_charge * 1000 + coalesce(remainder.remainder_kwh, 0) as book_kwh
    from unnest(operation_ids, opposite_ids, storage_ids, at, deltas_kwh) with ordinality
      as given (id, opposite_id, storage_id, moment, kwh, place)
    join grid.energy_storage as stored using (storage_id)
    left join ingest.storage_remainders as remainder using (storage_id)
    order by given.storage_id, given.moment, given.place
  loop
    "position" := operation.place;
    if operation.storage_id is distinct from battery then
      battery := operation.storage_id;
      capacity := operation.capacity_kwh;
      held := least(greatest(operation.book_kwh, 0), capacity);
    end if;

    if operation.has_opposite then
      rule := 'simultaneous_operations';
      detail := format('%s %s of the same time', battery,
        case when operation.kwh < 0 then 'discharges beside a charge'
          else 'charges beside a discharge' end);
      return next;
    end if;

    if operation.kwh > 0 and held + operation.kwh > capacity * (1 + tolerance) then
      rule := 'charge_above_capacity';
      detail := format('%s takes %s kWh, but holds %s of %s kWh', battery,
        trim_scale(operation.kwh), trim_scale(held), trim_scale(capacity));
      return next;
    elsif operation.kwh < 0 and held + operation.kwh < -capacity * tolerance then
      rule := 'discharge_above_charge';
      detail := format('%s gives %s kWh, but holds %s of %s kWh', battery,
        trim_scale(-operation.kwh), trim_scale(held), trim_scale(capacity));
      return next;
    end if;
    held := least(greatest(held + operation.kwh, 0), capacity);
  end loop;
end
$$;
comment on function ingest.battery_flags(uuid[], uuid[], text[], timestamptz[], numeric[], numeric)
is
$$Judges battery operations by what the batteries hold. To be called in the transaction that stored
them, before apply_storage_operations, which takes the same storage_ids and deltas_kwh.
  operation_ids  ids of the operations
  opposite_ids   ids that the opposite operations of the same batteries and times have or would have
  at             times of the operations; a battery's are judged in this order, then as given
  deltas_kwh     positive for a charge, negative for a discharge
  tolerance      how far the book may be off, as a share of the capacity, 0 … 1
A row for each operation and rule that doubts it; position counts from 1. The rules:
  charge_above_capacity    the charge would lift the book above the capacity by more than tolerance
  discharge_above_charge   the discharge would take it below 0 by more than tolerance
  simultaneous_operations  the opposite operation is stored, or among these
After each operation the book is within 0 … capacity again. Operations of unknown batteries are
passed over.$$;

-- As in 0005, with what this migration made. DELETE is for retention.
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
      'ingest.meter_states',
    'select, insert, update on ingest.storage_remainders',
    'select on ingest.device_keys, ingest.schema_migrations',
    'execute on function ingest.reading_id(text, text, timestamptz, text), '
      'ingest.apply_storage_operations(text[], numeric[]), '
      'ingest.battery_flags(uuid[], uuid[], text[], timestamptz[], numeric[], numeric)'
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
