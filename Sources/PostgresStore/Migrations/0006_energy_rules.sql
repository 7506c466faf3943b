-- Adds the energy rules to the platform's tables: CHECK constraints for what schema v2.0 describes
-- in words, such as its vocabularies, but does not enforce.
--
-- All are NOT VALID: they hold for new and changed rows, and no old row is read or refused. But an
-- old row that breaks a rule cannot be updated, in whichever column, until it is mended. To find
-- such rows and then have PostgreSQL vouch for all of them:
--   select * from grid.carbon_credits where not (energy_source in ('solar', …));
--   alter table grid.carbon_credits validate constraint carbon_credits_energy_source_check;
-- The one old row that the ingestor itself updates, a battery's, is provided for: 0007 puts its
-- charge right where it is out of range, and does without updating where its efficiency is.
--
-- Names are those PostgreSQL gives by itself, so that dead letters read alike. Where a table has a
-- constraint of that name already, that one stays.
--
-- Left alone, on purpose:
--   governance.proposals.status and blockchain.transactions.status: no vocabulary is known.
--   blockchain.account_balances: a transfer may overdraw between its two statements, and a CHECK
--     cannot wait for the end of a transaction.
--   grid.locations.capacity_mw and current_load_mw, grid.status_history.capacity and current_load:
--     0002 knows old ones below 0, and a load below 0 is a place that feeds in.
--   monitoring.transaction_metrics.avg_confirmation_time: a difference of two machines' clocks.
--   What has its CHECK from 0001: types, statuses and most amounts and prices.

do $$
declare
  energy_sources constant text := $list$
    'solar', 'wind', 'hydro', 'biomass', 'natural_gas', 'nuclear', 'coal', 'gas', 'mixed'$list$;
  congestion constant text := $rule$congestion_level in ('low', 'medium', 'high', 'critical')$rule$;
  energy_source constant text := format('energy_source in (%s)', energy_sources);
  rule record;
begin
  for rule in
    select new.target::regclass as target, class.relname || '_' || new.subject || '_check' as name,
      new.condition
    from (values
      ('grid.energy_production', 'efficiency', 'efficiency between 0 and 1'),
      ('grid.energy_production', 'quality_score', 'quality_score between 0 and 1'),
      ('grid.energy_production', 'energy_source', energy_source),

      ('grid.energy_storage', 'efficiency', 'efficiency between 0 and 1'),
      ('grid.energy_storage', 'current_charge', 'current_charge between 0 and capacity_mwh'),

      ('grid.carbon_credits', 'energy_source', energy_source),

      ('grid.locations', 'congestion_level', congestion),
      ('grid.status_history', 'congestion_level', congestion),
      ('grid.status_history', 'stability_score', 'stability_score between 0 and 1'),
      ('grid.status_history', 'outage_risk', 'outage_risk between 0 and 1'),

      -- None is allowed: whoever registers a producer may not know its sources yet. A null among
      -- them is not, because <@ finds it nowhere.
      ('blockchain.registered_producers', 'energy_sources',
        format('energy_sources <@ array[%s]', energy_sources)),
      ('blockchain.registered_consumers', 'avg_consumption_kwh', 'avg_consumption_kwh >= 0'),
      ('blockchain.registered_consumers', 'peak_demand_kw', 'peak_demand_kw >= 0'),
      -- 256-bit integers of the chain, which have no sign.
      ('blockchain.transactions', 'value', 'value >= 0'),
      ('blockchain.transactions', 'gas_price', 'gas_price >= 0'),
      ('blockchain.smart_contracts', 'storage_rent', 'storage_rent >= 0'),

      -- An order without a source takes any: null passes.
      ('trading.orders', 'energy_source', energy_source),
      ('trading.trades', 'grid_fee', 'grid_fee >= 0'),
      ('trading.trades', 'carbon_offset', 'carbon_offset >= 0'),

      ('monitoring.grid_health', 'health_score', 'health_score between 0 and 1'),
      ('monitoring.grid_health', 'stability_index', 'stability_index between 0 and 1'),
      ('monitoring.grid_health', 'congestion_level', congestion),
      -- The direction is in the name, not in the sign.
      ('monitoring.grid_health', 'energy_flow_in', 'energy_flow_in >= 0'),
      ('monitoring.grid_health', 'energy_flow_out', 'energy_flow_out >= 0'),
      ('monitoring.system_metrics', 'metric_type',
        $rule$metric_type in ('counter', 'gauge', 'histogram')$rule$),
      ('monitoring.transaction_metrics', 'total_fees', 'total_fees >= 0'),
      ('monitoring.transaction_metrics', 'energy_traded', 'energy_traded >= 0')
    ) as new (target, subject, condition)
    join pg_catalog.pg_class as class on class.oid = new.target::regclass
  loop
    if not exists (
      select from pg_catalog.pg_constraint
      where conrelid = rule.target and conname = rule.name
    ) then
      execute format('alter table %s add constraint %I check (%s) not valid',
        rule.target, rule.name, rule.condition);
    end if;
  end loop;
end
$$;
