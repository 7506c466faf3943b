// How the health of a grid code is computed: every formula, with its source, and the statements.

/// The statements behind `monitoring.grid_health`. Amounts stay `numeric`: none is ever a double.
///
/// A **window** is (end − length, end]: a meter stamps a reading with the end of its interval, so one
/// of 12:00:00 tells of the time before. `recorded_at` is the window's end. For each grid code where
/// a device is registered or was heard:
///
/// | column | formula |
/// | --- | --- |
/// | `energy_flow_in` | production + discharge, kWh of the window |
/// | `energy_flow_out` | consumption + charge, kWh of the window |
/// | `active_connections` | distinct devices with a stored reading in the window |
/// | `completeness` | min(1, heard ÷ registered) |
/// | `load_mw` | `energy_flow_out` of the meters' interval ÷ the interval |
/// | `congestion_level` | by load ÷ capacity: below 0.7 low, below 0.9 medium, below 1 high |
/// | `stability_index` | 1 − min(1, change of net load ÷ capacity) |
/// | `health_score` | ∛(completeness × stability × headroom) |
///
/// - **heard** are devices whose latest reading, zero or not, lies within the meters' interval that
///   ends with the window (`ingest.meter_states`). It is taken when the window closes and then stays:
///   a late reading mends amounts, but its meter was not heard in time. A window that nobody wrote
///   when it closed counts devices with a stored reading in the interval instead. Where nobody is
///   registered, it is 1 as soon as somebody is heard.
/// - **load** is demand as utilities bill it, a mean over an interval (IEC 60050-601, 601-01-16;
///   15 minutes in most tariffs). Over one window it would be nonsense for meters that report less
///   often than that.
/// - **congestion**: above its rated power a transformer ages faster (IEC 60076-7), hence critical
///   from 1; the steps at 0.7 and 0.9 are of the kind that planners use, and a choice. Without a
///   capacity in `grid.locations` it is low.
/// - **stability** is the ramp of net load (out − in) from the meters' interval before to this one,
///   as a share of the capacity: a power system is stable when it regains balance after a disturbance
///   (IEEE/CIGRE task force, "Definition and Classification of Power System Stability", 2004), and
///   the ramp of net load is the disturbance that meters can see. 1 without a capacity, and as long
///   as there is nothing to compare with. No standard defines such an index from meter data alone.
/// - **headroom** is 1 up to a load of 0.7, then falls in a line to 0 at 1.
/// - **health** is a geometric mean, so that no part makes up for a bad one (OECD/JRC, "Handbook on
///   Constructing Composite Indicators", 2008, 6.3). It is 0 when nobody was heard: what is not seen
///   is not known to be well.
/// - `grid.status_history.outage_risk` is 1 − completeness × headroom: an outage shows in meters that
///   fall silent together, and an overload announces one. An indicator, not a probability.
enum GridHealthSQL {
  /// Load ÷ capacity at which congestion becomes medium, high and critical; headroom is 0 at the last.
  static let congestionSteps = (medium: "0.7", high: "0.9", critical: "1.0")

  /// A grid code as the tables can hold it; energy that no code can be found for is not dropped.
  static func gridCode(_ text: String) -> String {
    "CASE WHEN length(\(text)) BETWEEN 1 AND 20 THEN \(text) ELSE 'unknown' END"
  }

  /// Makes this session the one that writes, if none is; $1 is the number of the lock.
  static let lead = """
    SELECT CASE WHEN EXISTS (
      SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
        AND classid::bigint << 32 | objid::bigint = $1::bigint
    ) THEN true ELSE pg_try_advisory_lock($1::bigint) END
    """

  /// Notes the windows to write: those that ended since the last run or may have had readings since,
  /// and those of late readings. $1 is now, $2 the length of a window in seconds, $3 the age in
  /// seconds from which windows are not kept, and so not written either. Answers whether there
  /// is a flood of late readings, and whether what it changes has waited long enough all the same.
  ///
  /// The conditions of late readings are those of the partial indexes of migration 0009.
  static let mark = """
    WITH progress AS (
      SELECT through - interval '15 seconds' AS since FROM ingest.monitoring_progress
      WHERE job = 'grid_health'
    ), otherwise_aligned AS (
      DELETE FROM ingest.stale_windows
      WHERE mod(extract(epoch FROM ends_at)::bigint, $2::bigint) <> 0 RETURNING ends_at
    ), too_old AS (
      DELETE FROM ingest.stale_windows
      WHERE ends_at <= $1::timestamptz - make_interval(secs => $3::integer)
    ), late AS (
      SELECT "timestamp" AS at FROM grid.energy_production
      WHERE created_at - "timestamp" > interval '1 minute'
        AND created_at >= (SELECT since FROM progress)
      UNION ALL SELECT "timestamp" FROM grid.energy_consumption
      WHERE created_at - "timestamp" > interval '1 minute'
        AND created_at >= (SELECT since FROM progress)
      UNION ALL SELECT executed_at FROM grid.storage_operations
      WHERE created_at - executed_at > interval '1 minute'
        AND created_at >= (SELECT since FROM progress)
      UNION ALL SELECT ends_at FROM otherwise_aligned
      UNION ALL SELECT generate_series(
        greatest((SELECT since FROM progress) - interval '1 minute',
          $1::timestamptz - interval '1 day'),
        $1::timestamptz, make_interval(secs => $2::integer))
    ), ends AS (
      -- The end of the window that `at` is in: that which begins before it, and a length later.
      SELECT date_bin(make_interval(secs => $2::integer), at - interval '1 microsecond',
        to_timestamp(0)) + make_interval(secs => $2::integer) AS ends_at, count(*) AS readings
      FROM late GROUP BY 1
    ), marked AS (
      INSERT INTO ingest.stale_windows (ends_at)
      SELECT ends_at FROM ends
      WHERE ends_at <= $1::timestamptz
        AND ends_at > $1::timestamptz - make_interval(secs => $3::integer)
      ON CONFLICT DO NOTHING
    )
    SELECT sum(readings) > \(flood) AND count(*) > \(windowsPerTransaction),
      ceil(extract(epoch FROM $1::timestamptz) / $2::integer) % \(patience) = 0
    FROM ends
    """

  /// Notes that all is marked that arrived before $1, but for what transactions still hold: a row's
  /// `created_at` is the begin of its transaction. Those of other roles are not seen (manual, 28.2.3),
  /// hence the 15 s above; and one of hours that only reads must not hold everything up.
  static let advance = """
    UPDATE ingest.monitoring_progress SET through = greatest(through,
      $1::timestamptz - interval '5 minutes',
      least($1::timestamptz, (SELECT min(xact_start) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid())))
    WHERE job = 'grid_health'
    """

  /// Counts the meters of each grid code. $1 is now, $2 and $3 seconds after which a meter is late
  /// and silent.
  ///
  /// Meter states are saved every 30 s, so that a meter is given 45 s more. A device that is
  /// registered as several kinds is one.
  static let countMeters = """
    WITH registered AS (
      SELECT 'production' AS kind, producer_id AS device, location_json
      FROM blockchain.registered_producers
      UNION ALL SELECT 'consumption', consumer_id, location_json
      FROM blockchain.registered_consumers
      UNION ALL SELECT 'storage', storage_id, location_json FROM grid.energy_storage
    ), meter AS (
      SELECT location_json ->> 'grid_code' AS code, device, max(state.last_at) AS heard_at
      FROM registered
      LEFT JOIN ingest.meter_states AS state ON state.kind = registered.kind
        AND state.device_id = registered.device
      WHERE NOT EXISTS (
        SELECT FROM ingest.inactive_devices AS inactive
        WHERE inactive.kind = registered.kind AND inactive.device_id = registered.device
          AND inactive.since <= $1::timestamptz)
      GROUP BY 1, 2
    ), place AS (
      SELECT code, count(*) AS registered,
        count(*) FILTER (WHERE heard_at > \(ago("$2"))) AS heard,
        count(*) FILTER (WHERE heard_at > \(ago("$3"))) AS known
      FROM meter GROUP BY code
    ), counted AS MATERIALIZED (
      SELECT \(gridCode("code")) AS grid_code, sum(registered) AS registered, sum(heard) AS heard,
        sum(known) AS known
      FROM place GROUP BY 1
    ), gone AS (
      DELETE FROM ingest.grid_meters AS old
      WHERE NOT EXISTS (SELECT FROM counted WHERE counted.grid_code = old.grid_code)
    )
    INSERT INTO ingest.grid_meters
    SELECT grid_code, registered, heard, known - heard, registered - known, $1::timestamptz
    FROM counted
    ON CONFLICT (grid_code) DO UPDATE SET registered = excluded.registered,
      heard = excluded.heard, late = excluded.late, silent = excluded.silent,
      counted_at = excluded.counted_at
    """

  /// So many seconds before now, and the 45.
  private static func ago(_ seconds: String) -> String {
    "$1::timestamptz - make_interval(secs => \(seconds)::integer + 45)"
  }

  /// The next windows to write, newest first, as seconds of the Unix epoch; $1 is now.
  static let next = """
    SELECT extract(epoch FROM ends_at)::bigint FROM ingest.stale_windows
    WHERE ends_at <= $1::timestamptz ORDER BY ends_at DESC LIMIT \(windowsPerTransaction)
    """

  /// Late readings since the last run that are a flood, if they are of more windows than one transaction
  /// writes: to read them takes a third of a second.
  static let flood = 100_000
  /// For how many windows a flood may put off what it changes.
  static let patience = 10

  /// Bounds what one transaction holds and how long it takes.
  static let windowsPerTransaction = 10
}

// MARK: - Writing windows

extension GridHealthSQL {
  /// Writes what is measured in windows; scores follow. $1 are their ends as seconds of the Unix
  /// epoch, $2 their length in seconds, $3 the meters' interval in seconds, $4 the end of the newest
  /// window that is over.
  ///
  /// One statement, so that it reads the rows that it replaces. Rows of other writers stay.
  static let write = """
    WITH given AS (
      SELECT to_timestamp(epoch) AS ends_at, epoch = $4::bigint AS is_newest,
        to_timestamp(epoch - $2::integer) AS starts_at, to_timestamp(epoch - $3::integer) AS early
      FROM unnest($1::bigint[]) AS end_of (epoch)
    ), earlier AS MATERIALIZED (
      SELECT ends_at, grid_code, max(completeness) AS completeness
      FROM given JOIN monitoring.grid_health ON recorded_at = ends_at
      WHERE completeness IS NOT NULL GROUP BY 1, 2
    ), span AS MATERIALIZED (
      SELECT given.*, CASE
        WHEN is_newest OR ends_at IN (SELECT ends_at FROM earlier) THEN starts_at ELSE early
        END AS since
      FROM given
    ), device AS (
      SELECT ends_at, \(gridCode("code")) AS grid_code, device, bool_or(at > starts_at) AS is_active,
        sum(kwh) FILTER (WHERE is_in AND at > starts_at) AS kwh_in,
        sum(kwh) FILTER (WHERE NOT is_in AND at > starts_at) AS kwh_out
      FROM span CROSS JOIN LATERAL (\(readings)) AS reading (device, at, kwh, is_in, code)
      GROUP BY 1, 2, 3
    ), area AS (
      SELECT ends_at, grid_code, count(*) AS heard, count(*) FILTER (WHERE is_active) AS active,
        coalesce(sum(kwh_in), 0) AS kwh_in, coalesce(sum(kwh_out), 0) AS kwh_out
      FROM device GROUP BY 1, 2
    ), place AS (
      SELECT ends_at, is_newest, grid_code FROM span CROSS JOIN ingest.grid_meters
      UNION SELECT ends_at, is_newest, grid_code FROM area JOIN span USING (ends_at)
      WHERE active > 0
    ), heard AS (
      SELECT place.*, coalesce(meters.registered, 0) AS registered, earlier.completeness,
        coalesce(area.active, 0) AS active, coalesce(area.kwh_in, 0) AS kwh_in,
        coalesce(area.kwh_out, 0) AS kwh_out, greatest(area.heard,
          CASE WHEN is_newest THEN meters.heard END, 0)::numeric AS heard
      FROM place LEFT JOIN area USING (ends_at, grid_code)
      LEFT JOIN earlier USING (ends_at, grid_code)
      LEFT JOIN ingest.grid_meters AS meters USING (grid_code)
    ), replaced AS (
      DELETE FROM monitoring.grid_health USING given
      WHERE recorded_at = ends_at AND completeness IS NOT NULL
    ), done AS (
      DELETE FROM ingest.stale_windows USING given WHERE stale_windows.ends_at = given.ends_at
    )
    INSERT INTO monitoring.grid_health (recorded_at, grid_code, active_connections, energy_flow_in,
      energy_flow_out, registered_devices, completeness, health_score, stability_index,
      congestion_level)
    SELECT ends_at, grid_code, active, least(kwh_in, 999999999.999999),
      least(kwh_out, 999999999.999999), registered,
      CASE WHEN NOT is_newest AND completeness IS NOT NULL THEN completeness
        WHEN registered > 0 THEN round(least(1, heard / registered), 4)
        WHEN heard > 0 THEN 1 ELSE 0 END,
      0, 0, 'low'
    FROM heard
    """

  /// The readings of one row of `span`, each by the index on its time. A storage operation's
  /// `grid_location` may be any text, so its battery's own grid code is preferred.
  private static let readings = """
    SELECT producer_id, "timestamp", energy_amount, true, location_json ->> 'grid_code'
    FROM grid.energy_production WHERE "timestamp" > since AND "timestamp" <= ends_at
    UNION ALL
    SELECT consumer_id, "timestamp", energy_amount, false, location_json ->> 'grid_code'
    FROM grid.energy_consumption WHERE "timestamp" > since AND "timestamp" <= ends_at
    UNION ALL
    SELECT storage_id, executed_at, energy_amount, operation_type = 'discharge',
      coalesce(battery.location_json ->> 'grid_code', grid_location)
    FROM grid.storage_operations JOIN grid.energy_storage AS battery USING (storage_id)
    WHERE executed_at > since AND executed_at <= ends_at
    """

  /// Gives windows their scores, and later ones within two intervals too, since load and ramp look
  /// back that far; then writes `grid.status_history` for those that changed. $1 are the windows'
  /// ends as seconds of the Unix epoch, $2 the meters' interval in seconds.
  static let score = """
    WITH sum AS (
      SELECT id, grid_code, recorded_at, completeness, is_affected,
        sum(energy_flow_out) OVER latest AS kwh_out,
        sum(energy_flow_out - energy_flow_in) OVER latest AS net,
        sum(energy_flow_out - energy_flow_in) OVER before AS net_before
      FROM (
        SELECT health.*, bool_or(recorded_at >= to_timestamp(epoch)) AS is_affected
        FROM unnest($1::bigint[]) AS end_of (epoch)
        JOIN monitoring.grid_health AS health
          ON recorded_at > to_timestamp(epoch - 2 * $2::bigint)
          AND recorded_at < to_timestamp(epoch + 2 * $2::bigint)
        WHERE completeness IS NOT NULL GROUP BY health.id
      ) AS near
      WINDOW latest AS (PARTITION BY grid_code ORDER BY recorded_at RANGE BETWEEN
          make_interval(secs => $2::integer) - interval '1 microsecond' PRECEDING AND CURRENT ROW),
        before AS (PARTITION BY grid_code ORDER BY recorded_at RANGE BETWEEN
          2 * make_interval(secs => $2::integer) - interval '1 microsecond' PRECEDING
          AND make_interval(secs => $2::integer) PRECEDING)
    ), power AS (
      SELECT sum.*, place.capacity_mw, nullif(greatest(place.capacity_mw, 0), 0) AS capacity,
        \(megawatts("kwh_out")) AS load, \(megawatts("net - net_before")) AS ramp
      FROM sum LEFT JOIN grid.locations AS place USING (grid_code) WHERE is_affected
    ), part AS (
      -- greatest and least pass over nulls, so that an unknown share must be 0 before.
      SELECT power.*, greatest(0, 1 - coalesce(abs(ramp) / capacity, 0)) AS stability,
        least(1, greatest(0, (\(congestionSteps.critical) - coalesce(load / capacity, 0))
          / (\(congestionSteps.critical) - \(congestionSteps.medium)))) AS headroom,
        CASE WHEN load / capacity >= \(congestionSteps.critical) THEN 'critical'
          WHEN load / capacity >= \(congestionSteps.high) THEN 'high'
          WHEN load / capacity >= \(congestionSteps.medium) THEN 'medium' ELSE 'low'
          END AS congestion
      FROM power
    ), scored AS (
      UPDATE monitoring.grid_health AS health
      SET load_mw = round(load, 6), congestion_level = congestion,
        stability_index = round(stability, 4),
        health_score = round(power(part.completeness * stability * headroom, 1.0 / 3), 4)
      FROM part
      WHERE part.id = health.id AND (
        health.load_mw IS DISTINCT FROM round(load, 6)
        OR health.congestion_level <> congestion OR health.stability_index <> round(stability, 4))
      RETURNING part.*
    ), replaced AS (
      DELETE FROM grid.status_history AS old USING scored
      WHERE old.recorded_at = scored.recorded_at AND old.grid_code = scored.grid_code
    )
    INSERT INTO grid.status_history (grid_code, capacity, current_load, congestion_level,
      stability_score, outage_risk, recorded_at)
    SELECT grid_code, capacity_mw, least(load, 99999999.99), congestion, round(stability, 4),
      round(1 - completeness * headroom, 4), recorded_at
    FROM scored WHERE capacity_mw IS NOT NULL
    """

  /// kWh of the meters' interval, $2 seconds, as a mean power.
  private static func megawatts(_ kWh: String) -> String { "(\(kWh)) * 3.6 / $2::integer" }

  /// Keeps the load of `grid.locations` as the newest window that is over tells it; $1 is its end as
  /// seconds of the Unix epoch.
  static let locate = """
    UPDATE grid.locations AS place
    SET current_load_mw = least(load_mw, 99999999.99), congestion_level = health.congestion_level,
      updated_at = now()
    FROM monitoring.grid_health AS health
    WHERE health.recorded_at = to_timestamp($1::bigint) AND health.completeness IS NOT NULL
      AND health.grid_code = place.grid_code
      AND (place.current_load_mw <> round(least(load_mw, 99999999.99), 2)
        OR place.congestion_level <> health.congestion_level)
    """
}
