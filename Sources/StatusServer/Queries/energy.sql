-- Energy in kWh by quarter of an hour, of readings whose interval ended in it.
SELECT slot, json_build_object(
    'begins', to_char(to_timestamp(slot * 900) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'production', coalesce(sum(kwh) FILTER (WHERE kind = 'production'), 0),
    'consumption', coalesce(sum(kwh) FILTER (WHERE kind = 'consumption'), 0),
    'discharge', coalesce(sum(kwh) FILTER (WHERE kind = 'discharge'), 0),
    'charge', coalesce(sum(kwh) FILTER (WHERE kind = 'charge'), 0))
FROM (
  SELECT ceil(date_part('epoch', timestamp) / 900)::bigint - 1 AS slot,
    'production' AS kind, sum(energy_amount) AS kwh
  FROM grid.energy_production
  WHERE timestamp > to_timestamp($1::bigint) AND timestamp <= to_timestamp($2::bigint)
  GROUP BY 1
  UNION ALL
  SELECT ceil(date_part('epoch', timestamp) / 900)::bigint - 1, 'consumption', sum(energy_amount)
  FROM grid.energy_consumption
  WHERE timestamp > to_timestamp($1::bigint) AND timestamp <= to_timestamp($2::bigint)
  GROUP BY 1
  UNION ALL
  SELECT ceil(date_part('epoch', executed_at) / 900)::bigint - 1, operation_type,
    sum(energy_amount)
  FROM grid.storage_operations
  WHERE executed_at > to_timestamp($1::bigint) AND executed_at <= to_timestamp($2::bigint)
  GROUP BY 1, 2
) AS flow
GROUP BY slot
ORDER BY slot
