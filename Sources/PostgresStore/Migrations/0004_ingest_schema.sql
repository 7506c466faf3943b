-- Creates the ingestor's own tables and functions, and its triggers on the platform's registries.

create schema if not exists ingest;

-- Every message or reading that was turned away, whole enough to be explained and redriven.
create table if not exists ingest.dead_letters (
  id               uuid        primary key,
  received_at      timestamptz not null,
  last_received_at timestamptz not null,
  topic            text        not null,
  payload          bytea       not null,
  payload_bytes    bigint,
  payload_index    integer,
  kind             text,
  device_id        text,
  reason           text        not null,
  rule             text,
  constraint_name  text,
  sqlstate         text,
  json_path        text,
  detail           text,
  attempts         integer     not null default 1,
  resolved_at      timestamptz
);
comment on table ingest.dead_letters is
  'Messages and readings the ingestor did not store, and why.';
comment on column ingest.dead_letters.id is
  'Derived from the content: the same bad message again is the same row with attempts + 1.';
comment on column ingest.dead_letters.received_at is 'When it first came.';
comment on column ingest.dead_letters.last_received_at is 'When it last came.';
comment on column ingest.dead_letters.payload is 'The whole message as it came; its start if huge.';
comment on column ingest.dead_letters.payload_bytes is
  'True size of the message in bytes where payload holds only its start, else null.';
comment on column ingest.dead_letters.payload_index is
  'Which reading of the message, from 0; null is the message as a whole.';
comment on column ingest.dead_letters.reason is
  'Stable code, such as malformed_payload or check_violation; the documentation lists them.';
comment on column ingest.dead_letters.resolved_at is
  'When a redrive stored it or an operator closed it; null while open.';

-- The questions asked of it: what is open and why, what of this device, what came when.
create index if not exists idx_dead_letters_open
  on ingest.dead_letters (reason, received_at) where resolved_at is null;
create index if not exists idx_dead_letters_device
  on ingest.dead_letters (device_id, received_at) where device_id is not null;
create index if not exists idx_dead_letters_received
  on ingest.dead_letters (received_at);

-- The key each device signs with. 32 bytes are 32 to 44 characters of base58 (Bitcoin's alphabet);
-- the CHECK turns away a hexadecimal or base64 key when it is entered, not when a meter is refused.
create table if not exists ingest.device_keys (
  device_id  text        primary key,
  public_key text        not null check (public_key ~ '^[1-9A-HJ-NP-Za-km-z]{32,44}$'),
  created_at timestamptz not null default now()
);
comment on column ingest.device_keys.public_key is 'Ed25519 public key, 32 bytes, in base58.';

-- What of each battery's charge is below the 1 Wh step of grid.energy_storage.current_charge.
-- No foreign key: it would make TRUNCATE grid.energy_storage fail for services that know nothing
-- of this table, and a remainder without a battery is half a watt-hour of nobody.
create table if not exists ingest.storage_remainders (
  storage_id    varchar(100)  primary key,
  remainder_kwh numeric(15,6) not null
);

-- plpgsql rather than SQL: convert_to is labelled stable (a conversion may be replaced), so this
-- could not be inlined anyway. It does not depend on the session, and from UTF8 to UTF8, the usual
-- case, converts nothing. date_part on timestamptz would depend on the session's time zone; on the
-- time in UTC it does not. It returns a double, exact here because seconds and microseconds are
-- taken apart.
create or replace function ingest.reading_id(
  kind text, device_id text, at timestamptz, channel text default ''
) returns uuid
language plpgsql immutable strict parallel safe
as $$
declare
  utc constant timestamp := pg_catalog.timezone('UTC', at);
  microseconds constant bigint :=
    pg_catalog.date_part('epoch', pg_catalog.date_trunc('second', utc))::bigint * 1000000
    + pg_catalog.date_part('microseconds', utc)::bigint % 1000000;
  -- Division truncates towards zero; times before 1970 need the floor.
  milliseconds constant bigint :=
    microseconds / 1000 - case when microseconds % 1000 < 0 then 1 else 0 end;
  tail bytea := pg_catalog.sha256(pg_catalog.convert_to(
    kind || E'\n' || device_id || E'\n' || microseconds || E'\n' || channel, 'UTF8'));
begin
  tail := pg_catalog.substr(tail, 1, 10);
  tail := pg_catalog.set_byte(tail, 0, 128 | (pg_catalog.get_byte(tail, 0) & 15));
  tail := pg_catalog.set_byte(tail, 2, 128 | (pg_catalog.get_byte(tail, 2) & 63));
  return pg_catalog.encode(
    pg_catalog.substr(pg_catalog.int8send(milliseconds), 3, 6) || tail, 'hex')::uuid;
end
$$;
comment on function ingest.reading_id(text, text, timestamptz, text) is
$$The id of a reading: UUIDv8 of RFC 9562, section 5.8. This derivation may never change: it is what
makes a second delivery of a reading the same row.
  h           = SHA-256 of the UTF-8 text kind LF device_id LF microseconds LF channel,
                microseconds since 1970 in decimal
  bytes 0…5   = milliseconds since 1970, rounded down, big-endian
  byte 6      = 0x80 | h[0] & 0x0f (version 8)
  byte 7      = h[1]
  byte 8      = 0x80 | h[2] & 0x3f (variant)
  bytes 9…15  = h[3…9]$$;

-- Adds what batteries took in (positive) or gave out (negative), in kWh, to their current_charge.
--
-- Bookkeeping is in kWh with six decimals, current_charge in MWh with six: what rounding to 1 Wh
-- leaves over waits in ingest.storage_remainders, so that a thousand small operations add up. The
-- charge is kept within 0 … capacity_mwh; what exceeds is dropped together with the remainder,
-- because the battery knows better than the book.
--
-- Batteries are locked in order of storage_id, so that workers with the same batteries wait for
-- each other instead of deadlocking. NO KEY UPDATE matters: the foreign key of the operations
-- inserted before in the same transaction holds KEY SHARE, and two transactions that hold it and
-- both want FOR UPDATE deadlock whatever the order.
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
      using errcode = 'foreign_key_violation', hint = 'Register it there first.';
  end if;

  -- A statement of its own, after the locks: it sees what the transactions waited for committed.
  with delta as (
    select storage_id, sum(kwh) as kwh
    from unnest(storage_ids, deltas_kwh) as operation (storage_id, kwh)
    group by storage_id
  ), book as (
    select battery.storage_id,
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
    where battery.storage_id = book.storage_id
    returning battery.storage_id, book.kwh - battery.current_charge * 1000 as remainder_kwh
  )
  insert into ingest.storage_remainders as remainder (storage_id, remainder_kwh)
  select charged.storage_id, charged.remainder_kwh
  from charged
  left join ingest.storage_remainders as earlier using (storage_id)
  where charged.remainder_kwh <> coalesce(earlier.remainder_kwh, 0)
  on conflict (storage_id) do update set remainder_kwh = excluded.remainder_kwh;
end
$$;

-- Tells every ingestor that a registry changed, so that it reads it again. PostgreSQL folds equal
-- notifications of one transaction into one.
create or replace function ingest.notify_registry_changed() returns trigger
language plpgsql
as $$
begin
  perform pg_catalog.pg_notify('meter_registry', tg_table_name);
  return null;
end
$$;

-- Only columns the ingestor reads are listed, above all not current_charge: the ingestor itself
-- updates that with every batch. Dropped and made again because CREATE OR REPLACE TRIGGER came
-- only with PostgreSQL 14.
drop trigger if exists meter_registry_changed on blockchain.registered_producers;
create trigger meter_registry_changed
  after insert or update or delete or truncate on blockchain.registered_producers
  for each statement execute function ingest.notify_registry_changed();

drop trigger if exists meter_registry_changed on blockchain.registered_consumers;
create trigger meter_registry_changed
  after insert or update or delete or truncate on blockchain.registered_consumers
  for each statement execute function ingest.notify_registry_changed();

drop trigger if exists meter_registry_changed on grid.energy_storage;
create trigger meter_registry_changed
  after insert or update of storage_id, capacity_mwh, status, location_json or delete or truncate
  on grid.energy_storage
  for each statement execute function ingest.notify_registry_changed();

drop trigger if exists meter_registry_changed on grid.locations;
create trigger meter_registry_changed
  after insert or update of grid_code, capacity_mw or delete or truncate on grid.locations
  for each statement execute function ingest.notify_registry_changed();

drop trigger if exists meter_registry_changed on ingest.device_keys;
create trigger meter_registry_changed
  after insert or update or delete or truncate on ingest.device_keys
  for each statement execute function ingest.notify_registry_changed();
