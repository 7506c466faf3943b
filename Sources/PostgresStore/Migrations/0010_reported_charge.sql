-- Lets grid.energy_storage.current_charge follow what batteries say they hold.
--
-- What a battery says at a moment is the truth of that moment. From there the book counts on: it is
-- the report, and the operations after it. So the charge does not depend on the order in which
-- reports and operations arrive.

create table if not exists ingest.charge_reports (
  storage_id varchar(100)  primary key,
  at         timestamptz   not null,
  charge_kwh numeric(15,6) not null
) with (fillfactor = 50);
comment on table ingest.charge_reports is 'The newest state of charge that each battery told.';
comment on column ingest.charge_reports.at is
  'When it was measured. Operations up to then are in it; a report that is older changes nothing.';
comment on column ingest.charge_reports.charge_kwh is 'What it held, within 0 and its capacity.';

-- Batteries are locked as apply_storage_operations locks them. A statement of its own after the
-- locks: it sees the operations that the transactions waited for committed.
create or replace function ingest.take_charge_reports(
  storage_ids text[], at timestamptz[], kwh_millionths bigint[], share_millionths bigint[]
) returns table (place bigint, outcome text)
language plpgsql volatile security invoker
set plan_cache_mode = force_generic_plan
as $$
begin
  perform from grid.energy_storage as battery
  where battery.storage_id = any (storage_ids)
  order by battery.storage_id
  for no key update;

  return query
  with told as (
    select given.place, given.storage_id, given.moment,
      battery.capacity_mwh * 1000 as capacity_kwh, battery.current_charge * 1000 as column_kwh,
      battery.efficiency between 0 and 1 as is_updatable,
      least(
        greatest(coalesce(given.kwh * 0.000001,
          battery.capacity_mwh * 1000 * given.share * 0.000001), 0),
        battery.capacity_mwh * 1000) as kwh,
      battery.storage_id is not null as is_known,
      report.at is null or given.moment > report.at as is_newer
    from unnest(storage_ids, at, kwh_millionths, share_millionths) with ordinality
      as given (storage_id, moment, kwh, share, place)
    left join grid.energy_storage as battery on battery.storage_id = given.storage_id
    left join ingest.charge_reports as report on report.storage_id = given.storage_id
  ), newest as (
    select distinct on (told.storage_id) told.*
    from told
    where told.is_known and told.is_newer
    order by told.storage_id, told.moment desc, told.place desc
  ), kept as (
    insert into ingest.charge_reports as report (storage_id, at, charge_kwh)
    select newest.storage_id, newest.moment, newest.kwh from newest
    on conflict (storage_id) do update set at = excluded.at, charge_kwh = excluded.charge_kwh
  ), book as (
    select newest.storage_id, newest.is_updatable, newest.column_kwh,
      least(greatest(newest.kwh + coalesce(later.kwh, 0), 0), newest.capacity_kwh) as kwh
    from newest
    left join lateral (
      select sum(case operation.operation_type when 'charge' then operation.energy_amount
        else -operation.energy_amount end) as kwh
      from grid.storage_operations as operation
      where operation.storage_id = newest.storage_id and operation.executed_at > newest.moment
    ) as later on true
  ), charged as (
    update grid.energy_storage as battery
    set current_charge = round(book.kwh * 0.001, 6), updated_at = now()
    from book
    where battery.storage_id = book.storage_id and book.is_updatable
    returning battery.storage_id, book.kwh - battery.current_charge * 1000 as remainder_kwh
  ), rest as (
    select charged.storage_id, charged.remainder_kwh from charged
    union all
    select book.storage_id, book.kwh - book.column_kwh from book where not book.is_updatable
  ), remembered as (
    insert into ingest.storage_remainders as remainder (storage_id, remainder_kwh)
    select rest.storage_id, rest.remainder_kwh
    from rest
    left join ingest.storage_remainders as earlier using (storage_id)
    where rest.remainder_kwh <> coalesce(earlier.remainder_kwh, 0)
    on conflict (storage_id) do update set remainder_kwh = excluded.remainder_kwh
  )
  select told.place,
    case when not told.is_known then 'unregistered'
      when newest.place is null then 'superseded' else 'applied' end
  from told
  left join newest using (place);
end
$$;
comment on function ingest.take_charge_reports(text[], timestamptz[], bigint[], bigint[]) is
$$Lets current_charge follow what batteries say they hold: the newest report, and what was charged and
discharged since. To be called in the transaction that stored the operations, after
apply_storage_operations.
  at                when it was measured
  kwh_millionths    what is held, in millionths of a kWh; null where it is told as a share
  share_millionths  the same in millionths of the capacity
A row for each report; place counts from 1. Outcomes: applied; superseded, by one that is newer;
unregistered.$$;

-- A battery whose row some constraint does not let be updated must not hold up its neighbours: where
-- they fail together, they are taken one by one.
create or replace function ingest.report_charges(
  storage_ids text[], at timestamptz[], kwh_millionths bigint[], share_millionths bigint[]
) returns text[]
language plpgsql volatile security invoker
as $$
declare
  outcomes text[];
begin
  begin
    return (
      select array_agg(taken.outcome order by taken.place)
      from ingest.take_charge_reports(storage_ids, at, kwh_millionths, share_millionths) as taken);
  exception
    when data_exception or integrity_constraint_violation then
      null;
  end;
  for place in 1..coalesce(cardinality(storage_ids), 0) loop
    begin
      outcomes[place] := (
        select taken.outcome
        from ingest.take_charge_reports(storage_ids[place:place], at[place:place],
          kwh_millionths[place:place], share_millionths[place:place]) as taken);
    exception
      when data_exception or integrity_constraint_violation then
        outcomes[place] := 'refused';
    end;
  end loop;
  return outcomes;
end
$$;
comment on function ingest.report_charges(text[], timestamptz[], bigint[], bigint[]) is
  'As take_charge_reports, but an array of outcomes, with one more: refused, where the battery''s row
cannot be updated.';

-- What happened up to a battery's report is in the report.
create or replace function ingest.apply_storage_operations(
  storage_ids text[], deltas_kwh numeric[], at timestamptz[]
) returns void
language plpgsql volatile security invoker
as $$
declare
  counted_kwh numeric[] := deltas_kwh;
begin
  if cardinality(storage_ids) is distinct from cardinality(at) then
    raise exception 'apply_storage_operations: % storage ids but % times',
      cardinality(storage_ids), cardinality(at)
      using errcode = 'array_subscript_error';
  end if;

  -- First, so that a report that is being taken is seen.
  perform from grid.energy_storage as battery
  where battery.storage_id = any (storage_ids)
  order by battery.storage_id
  for no key update;

  if exists (
    select from ingest.charge_reports as report where report.storage_id = any (storage_ids)
  ) then
    select array_agg(
      case when operation.moment <= report.at then 0 else operation.kwh end
      order by operation.place)
    into counted_kwh
    from unnest(storage_ids, deltas_kwh, at) with ordinality
      as operation (storage_id, kwh, moment, place)
    left join ingest.charge_reports as report using (storage_id);
  end if;
  perform ingest.apply_storage_operations(storage_ids, counted_kwh);
end
$$;
comment on function ingest.apply_storage_operations(text[], numeric[], timestamptz[]) is
  'As with two arguments, but for operations up to a battery''s last report of its charge, which are
in it already.';

-- As in 0007, but that an operation of before the battery's last report is not judged by the book, which
-- is of after it.
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
      stored.current_charge * 1000 + coalesce(remainder.remainder_kwh, 0) as book_kwh,
      coalesce(given.moment <= report.at, false) as is_reported
    from unnest(operation_ids, opposite_ids, storage_ids, at, deltas_kwh) with ordinality
      as given (id, opposite_id, storage_id, moment, kwh, place)
    join grid.energy_storage as stored using (storage_id)
    left join ingest.storage_remainders as remainder using (storage_id)
    left join ingest.charge_reports as report using (storage_id)
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

    -- The report that is the book now has seen it: nothing is left to compare it with.
    continue when operation.is_reported;

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

-- The rights of 0010 on top of those that were given before, as in 0009.
do $$
begin
  if to_regprocedure('ingest.grant_rights_until_0009(name)') is null then
    alter function ingest.grant_rights(name) rename to grant_rights_until_0009;
  end if;
end
$$;
comment on function ingest.grant_rights_until_0009(name) is
  'The rights of migrations before 0010. For ingest.grant_rights, which calls it.';
revoke execute on function ingest.grant_rights_until_0009(name) from public;

create or replace function ingest.grant_rights(grantee name) returns void
language plpgsql volatile security invoker
as $$
declare
  command text;
begin
  perform ingest.grant_rights_until_0009(grantee);
  foreach command in array array[
    'select, insert, update on ingest.charge_reports',
    'execute on function ingest.apply_storage_operations(text[], numeric[], timestamptz[]), '
      'ingest.take_charge_reports(text[], timestamptz[], bigint[], bigint[]), '
      'ingest.report_charges(text[], timestamptz[], bigint[], bigint[])'
  ] loop
    execute format('grant %s to %I', command, grantee);
  end loop;
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
