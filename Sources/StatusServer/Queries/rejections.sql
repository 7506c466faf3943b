-- Open dead letters by reason and rule, of the newest 10,000, with the latest of each as an example.
SELECT coalesce(json_agg(rejection ORDER BY rejection.letters DESC, rejection.reason), '[]')
FROM (
  SELECT known.reason, known.rule, known.letters, known.attempts,
    to_char(letter.last_received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_at,
    json_build_object(
      'id', letter.id, 'device_id', letter.device_id, 'topic', left(letter.topic, 300),
      'json_path', left(letter.json_path, 200), 'detail', left(letter.detail, 400),
      'payload_base64', encode(substring(letter.payload FROM 1 FOR 300), 'base64'),
      'payload_bytes', coalesce(letter.payload_bytes, octet_length(letter.payload))) AS example
  FROM (
    SELECT reason, coalesce(rule, constraint_name) AS rule, count(*) AS letters,
      sum(attempts) AS attempts, (array_agg(id ORDER BY last_received_at DESC))[1] AS example_id
    FROM (
      SELECT id, reason, rule, constraint_name, attempts, last_received_at
      FROM ingest.dead_letters WHERE resolved_at IS NULL
      ORDER BY received_at DESC LIMIT 10000
    ) AS newest
    GROUP BY 1, 2
    ORDER BY letters DESC LIMIT 20
  ) AS known
  JOIN ingest.dead_letters AS letter ON letter.id = known.example_id
) AS rejection
