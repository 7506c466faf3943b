-- Each grid code: where it is, its meters at the last count, its latest window of
-- monitoring.grid_health, and an hour of scores.
SELECT coalesce(json_agg(grid ORDER BY grid.grid_code), '[]')
FROM (
  SELECT code.grid_code, location.province, location.district, location.substation,
    location.capacity_mw, location.current_load_mw, latest.health,
    coalesce(past.scores, '[]') AS health_history,
    CASE WHEN counted.grid_code IS NOT NULL THEN json_build_object(
      'registered', counted.registered, 'heard', counted.heard, 'late', counted.late,
      'silent', counted.silent) END AS meters
  FROM (
    SELECT grid_code FROM grid.locations
    UNION
    SELECT grid_code FROM monitoring.grid_health WHERE recorded_at > now() - interval '1 hour'
    ORDER BY grid_code LIMIT 100
  ) AS code
  LEFT JOIN grid.locations AS location ON location.grid_code = code.grid_code
  LEFT JOIN ingest.grid_meters AS counted ON counted.grid_code = code.grid_code
  LEFT JOIN LATERAL (
    SELECT json_build_object(
        'recorded_at', to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'health_score', health_score, 'stability_index', stability_index,
        'congestion_level', congestion_level, 'active_connections', active_connections,
        'energy_in_kwh', energy_flow_in, 'energy_out_kwh', energy_flow_out) AS health
    FROM monitoring.grid_health
    WHERE grid_code = code.grid_code AND recorded_at > now() - interval '1 hour'
    ORDER BY recorded_at DESC, id DESC LIMIT 1
  ) AS latest ON true
  LEFT JOIN LATERAL (
    SELECT json_agg(score ORDER BY recorded_at, id) AS scores
    FROM (
      SELECT recorded_at, id, round(health_score, 3) AS score
      FROM monitoring.grid_health
      WHERE grid_code = code.grid_code AND recorded_at > now() - interval '1 hour'
      ORDER BY recorded_at DESC, id DESC LIMIT 60
    ) AS newest
  ) AS past ON true
) AS grid
