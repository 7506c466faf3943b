-- One meter: its registrations, what the rules remember of it, its registers and what happened to
-- them, its latest readings, gaps, flags and dead letters. NULL where nothing is known of it.
WITH reading AS (
  SELECT * FROM (
    (SELECT timestamp AS at, 'production' AS kind, energy_amount AS kwh, energy_source AS note
     FROM grid.energy_production WHERE producer_id = $1::text
     ORDER BY timestamp DESC LIMIT 100)
    UNION ALL
    (SELECT timestamp, 'consumption', energy_amount, consumer_type
     FROM grid.energy_consumption WHERE consumer_id = $1::text
     ORDER BY timestamp DESC LIMIT 100)
    UNION ALL
    (SELECT executed_at, 'storage', energy_amount, operation_type
     FROM grid.storage_operations WHERE storage_id = $1::text
     ORDER BY executed_at DESC LIMIT 100)
  ) AS every ORDER BY at DESC LIMIT 100
), registration AS (
  SELECT 'production' AS kind, producer_name AS name, producer_type AS type,
    location_json ->> 'grid_code' AS grid_code, capacity_kw AS rated_kw, verified
  FROM blockchain.registered_producers WHERE producer_id = $1::text
  UNION ALL
  SELECT 'consumption', consumer_name, consumer_type, location_json ->> 'grid_code',
    peak_demand_kw, verified
  FROM blockchain.registered_consumers WHERE consumer_id = $1::text
  UNION ALL
  SELECT 'storage', storage_operator, storage_type, location_json ->> 'grid_code', NULL, NULL
  FROM grid.energy_storage WHERE storage_id = $1::text
), state AS (
  SELECT kind, to_char(last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_at,
    last_energy_kwh, repeats AS same_in_a_row, level_kwh, last_sequence
  FROM ingest.meter_states WHERE device_id = $1::text ORDER BY kind LIMIT 3
), flag AS (
  SELECT at, kind, rule, left(detail, 400) AS detail
  FROM ingest.reading_flags WHERE device_id = $1::text ORDER BY at DESC LIMIT 50
), total AS (
  SELECT register, measure,
    to_char(last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_at,
    last_value * 0.000001 AS value
  FROM ingest.register_state WHERE device_id = $1::text AND measure IS NOT NULL
  ORDER BY register LIMIT 20
), event AS (
  SELECT at, register, event, before_value * 0.000001 AS before, after_value * 0.000001 AS after
  FROM ingest.register_events WHERE device_id = $1::text ORDER BY at DESC LIMIT 50
), letter AS (
  SELECT id, received_at, reason, coalesce(rule, constraint_name) AS rule, attempts,
    left(json_path, 200) AS json_path, left(detail, 400) AS detail, resolution,
    resolved_at IS NULL AS is_open
  FROM ingest.dead_letters WHERE device_id = $1::text ORDER BY received_at DESC LIMIT 50
), step AS (
  SELECT kind, lag(at) OVER byTime AS before, at,
    at - lag(at) OVER byTime AS missing
  FROM reading WINDOW byTime AS (PARTITION BY kind ORDER BY at)
), pace AS (
  SELECT kind, percentile_disc(0.5) WITHIN GROUP (ORDER BY missing) AS usual
  FROM step WHERE missing > interval '0' GROUP BY kind
), gap AS (
  SELECT kind, step.before, step.at, step.missing
  FROM step JOIN pace USING (kind) WHERE step.missing > 1.5 * pace.usual
)
SELECT CASE WHEN EXISTS (SELECT FROM reading) OR EXISTS (SELECT FROM registration)
    OR EXISTS (SELECT FROM state) OR EXISTS (SELECT FROM flag) OR EXISTS (SELECT FROM letter)
    OR EXISTS (SELECT FROM total)
  THEN json_build_object(
    'device_id', $1::text,
    'registrations', (SELECT coalesce(json_agg(registration), '[]') FROM registration),
    'states', (SELECT coalesce(json_agg(state), '[]') FROM state),
    'readings', (SELECT coalesce(json_agg(json_build_object(
        'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'kind', kind, 'kwh', kwh, 'note', note) ORDER BY at DESC), '[]') FROM reading),
    'gaps', (SELECT coalesce(json_agg(json_build_object(
        'kind', kind,
        'from', to_char(before AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'to', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'seconds', date_part('epoch', missing)) ORDER BY at DESC), '[]') FROM gap),
    'flags', (SELECT coalesce(json_agg(json_build_object(
        'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'kind', kind, 'rule', rule, 'detail', detail) ORDER BY at DESC), '[]') FROM flag),
    'registers', (SELECT coalesce(json_agg(total), '[]') FROM total),
    'register_events', (SELECT coalesce(json_agg(json_build_object(
        'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'register', register, 'event', event, 'before', before, 'after', after)
        ORDER BY at DESC), '[]') FROM event),
    'dead_letters', (SELECT coalesce(json_agg(json_build_object(
        'id', id, 'received_at',
        to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'reason', reason, 'rule', rule, 'attempts', attempts, 'json_path', json_path,
        'detail', detail, 'open', is_open, 'resolution', resolution)
        ORDER BY received_at DESC), '[]') FROM letter)) END
