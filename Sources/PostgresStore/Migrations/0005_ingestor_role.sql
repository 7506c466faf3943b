-- Creates the role meter_ingestor and gives it the rights the ingestor needs, and no others.
--
-- It cannot log in: an administrator grants it to a login, "create role … login in role
-- meter_ingestor", and chooses how that login proves itself.

-- A role belongs to the whole server, so a migration of another database may create it at the same
-- moment: the loser sees one of two duplicate errors, depending on the moment.
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'meter_ingestor') then
    create role meter_ingestor nologin;
  end if;
exception
  when duplicate_object or unique_violation then
    null;
  when insufficient_privilege then
    raise notice 'role meter_ingestor is missing and % may not create it', current_user
      using hint = 'Let an administrator run "create role meter_ingestor nologin", then run '
        '"select ingest.grant_rights(''meter_ingestor'')" as the owner of this database.';
end
$$;

-- A function, so that the rights can be given later where the role could not be created now, and
-- to a role of another name.
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
      'grid.energy_storage, grid.locations',
    'update (current_charge, updated_at) on grid.energy_storage',
    -- What it reports. Only the metrics, its own, are also cleared away.
    'select, insert, delete on monitoring.system_metrics',
    'select, insert on monitoring.grid_health, grid.status_history',
    -- What it keeps for itself; device keys and migrations are written by their owners.
    'select, insert, update on ingest.dead_letters, ingest.storage_remainders',
    'select on ingest.device_keys, ingest.schema_migrations',
    'execute on function ingest.reading_id(text, text, timestamptz, text), '
      'ingest.apply_storage_operations(text[], numeric[])'
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
