-- What was stored and is worth a look, of the last 24 hours: flags of plausibility rules, and what
-- happened to registers. Of each, the newest 10,000 are counted, and the latest meter is named.
SELECT coalesce(json_agg(notice ORDER BY notice.about, notice.times DESC, notice.name), '[]')
FROM (
  SELECT 'reading' AS about, rule AS name, count(*) AS times,
    to_char(max(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_at,
    (array_agg(device_id ORDER BY created_at DESC))[1] AS device_id
  FROM (
    SELECT rule, at, device_id, created_at FROM ingest.reading_flags
    WHERE created_at > now() - interval '24 hours' ORDER BY created_at DESC LIMIT 10000
  ) AS flag GROUP BY rule
  UNION ALL
  SELECT 'register', event, count(*),
    to_char(max(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    (array_agg(device_id ORDER BY created_at DESC))[1]
  FROM (
    SELECT event, at, device_id, created_at FROM ingest.register_events
    WHERE created_at > now() - interval '24 hours' ORDER BY created_at DESC LIMIT 10000
  ) AS event GROUP BY event
) AS notice
