-- Creates what grid health, the count of meters and the metrics of the chain are kept in: columns,
-- indexes and tables of the monitoring job, and its rights.

-- Of the three tables of readings this one alone does not say when a row arrived. In two steps, so
-- that old rows keep null: they arrived before anybody asked.
alter table grid.storage_operations add column if not exists created_at timestamptz;
alter table grid.storage_operations alter column created_at set default now();
comment on column grid.storage_operations.created_at is
  'When the row arrived; null for rows from before this was kept.';

-- Finds readings that arrived late, so that the windows they belong to are written again. Readings
-- that come in time, nearly all, are in none of these: for them an insert costs the look at the
-- condition. The condition is repeated word for word where the job asks (GridHealthSQL).
create index if not exists idx_energy_production_late on grid.energy_production (created_at)
  where created_at - "timestamp" > interval '1 minute';
create index if not exists idx_energy_consumption_late on grid.energy_consumption (created_at)
  where created_at - "timestamp" > interval '1 minute';
create index if not exists idx_storage_operations_late on grid.storage_operations (created_at)
  where created_at - executed_at > interval '1 minute';

-- What health_score rests on besides the columns that were there. Null in rows of other writers,
-- which is how the job knows its own.
alter table monitoring.grid_health
  add column if not exists registered_devices integer,
  add column if not exists completeness numeric(5,4),
  add column if not exists load_mw numeric(15,6);
comment on column monitoring.grid_health.recorded_at is
  'The end of the window that the row is about.';
comment on column monitoring.grid_health.energy_flow_in is
  'kWh that producers and batteries fed in during the window: production and discharge.';
comment on column monitoring.grid_health.energy_flow_out is
  'kWh taken out during the window: consumption and charge.';
comment on column monitoring.grid_health.active_connections is
  'Distinct devices with a stored reading in the window.';
comment on column monitoring.grid_health.registered_devices is
  'Devices in use that a registry places here, counted when the row was written.';
comment on column monitoring.grid_health.completeness is
  'Share of them that was heard, zero readings included, 0 … 1.';
comment on column monitoring.grid_health.load_mw is
  'Mean power taken out over the meters'' interval that ends with the window, MW.';

-- Windows whose readings changed since they were written, by their end. A row goes when its window
-- is written, so what a stopped job leaves is done by the next.
create table if not exists ingest.stale_windows (
  ends_at timestamptz primary key
);
comment on table ingest.stale_windows is
  'Windows of monitoring.grid_health that are to be written, or written again, by their end.';

-- How far the monitoring jobs have come.
create table if not exists ingest.monitoring_progress (
  job     text        primary key,
  through timestamptz not null,
  number  bigint
);
comment on table ingest.monitoring_progress is 'How far each monitoring job has come.';
comment on column ingest.monitoring_progress.through is
  'Readings that arrived before this are in grid_health; for the chain, when it was last looked at.';
comment on column ingest.monitoring_progress.number is 'The last block taken in.';
insert into ingest.monitoring_progress (job, through) values ('grid_health', now())
on conflict do nothing;

-- The meters of each grid code at the last count. Small, and all of it is replaced every window.
create table if not exists ingest.grid_meters (
  grid_code  varchar(20) primary key,
  registered integer     not null,
  heard      integer     not null,
  late       integer     not null,
  silent     integer     not null,
  counted_at timestamptz not null
);
comment on table ingest.grid_meters is
  'Registered devices of each grid code, and how many of them are heard, late and silent.';

-- The rights of 0009 on top of those that were given before, whatever these are: the function that
-- gives them is kept under another name and called first. Renamed once only, so that repeating this
-- file does not make it call itself.
do $$
begin
  if to_regprocedure('ingest.grant_earlier_rights(name)') is null then
    alter function ingest.grant_rights(name) rename to grant_earlier_rights;
  end if;
end
$$;
comment on function ingest.grant_earlier_rights(name) is
  'The rights of migrations before 0009. For ingest.grant_rights, which calls it.';
revoke execute on function ingest.grant_earlier_rights(name) from public;

create or replace function ingest.grant_rights(grantee name) returns void
language plpgsql volatile security invoker
as $$
declare
  command text;
begin
  perform ingest.grant_earlier_rights(grantee);
  foreach command in array array[
    'usage on schema trading',
    -- A window that is written again is deleted first.
    'select, insert, update, delete on monitoring.grid_health, grid.status_history, '
      'monitoring.transaction_metrics',
    'update (current_load_mw, congestion_level, updated_at) on grid.locations',
    'select on blockchain.blocks, blockchain.transactions, trading.trades',
    'select, insert, update, delete on ingest.stale_windows, ingest.monitoring_progress, '
      'ingest.grid_meters'
  ] loop
    execute format('grant %s to %I', command, grantee);
  end loop;
  execute format('grant usage on sequence %s to %I',
    pg_get_serial_sequence('monitoring.transaction_metrics', 'id'), grantee);
end
$$;
comment on function ingest.grant_rights(name) is
  'Gives a role the rights the meter ingestor needs. For administrators.';
revoke execute on function ingest.grant_rights(name) from public;

do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'meter_ingestor') then
    perform ingest.grant_rights('meter_ingestor');
  end if;
end
$$;
