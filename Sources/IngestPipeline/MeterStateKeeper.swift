// Carries what rules remember of the meters across restarts, by ingest.meter_states.

import CheckRules
import EnergyReadings
import PostgresStore
import ServiceLifecycle

/// Restores the states at start, and saves those that changed twice a minute and at the end; first after
/// 5 s, so that the monitoring job, whose second run is 5 s later, knows who is heard.
///
/// A crash forgets half a minute of them: enough to compare with, since no stored energy hangs on
/// it. States of a meter that several processes hear are those of the last to save.
public struct MeterStateKeeper: Service, CustomStringConvertible {
  public var description: String { "MeterStateKeeper" }

  private let states: MeterStates
  private let lane: PostgresLane
  private let onRestore: @Sendable (Int) -> Void
  private let onFailure: @Sendable (String, any Error) -> Void
  private static let interval = Duration.seconds(30)

  /// - Parameters:
  ///   - onRestore: told how many meters are remembered from earlier runs.
  ///   - onFailure: told what could not be done, and why.
  public init(
    states: MeterStates, postgresURL: String, onRestore: @escaping @Sendable (Int) -> Void,
    onFailure: @escaping @Sendable (String, any Error) -> Void
  ) {
    self.states = states
    self.onRestore = onRestore
    self.onFailure = onFailure
    lane = PostgresLane(url: postgresURL, applicationName: "meter-ingestor meter states")
  }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        do {
          try await restore()
          onRestore(states.count)
          break
        } catch {
          onFailure("read meter states", error)
          try? await Task.sleep(for: .seconds(2))
        }
      }
      for pause in [5, 10, 15] where !Task.isCancelled { await save(after: .seconds(pause)) }
      while !Task.isCancelled { await save(after: Self.interval) }
    }
    await saveOrReport()
  }

  private func save(after pause: Duration) async {
    try? await Task.sleep(for: pause)
    await saveOrReport()
  }

  /// What could not be saved is saved after the meter's next reading.
  private func saveOrReport() async {
    do { try await save() } catch { onFailure("save meter states", error) }
  }

  private func restore() async throws {
    try await lane.run { (connection) throws(PostgresError) in
      try connection.forEachRow(MeterStateKeeper.select(states.limit)) { row in
        guard let kind = row.kind(0), let device = row.string(1),
          let lastAt = row.number(2)
        else { return }
        states.restore(
          kind: kind, device: device,
          MeterState(
            lastAt: Timestamp(microseconds: lastAt), lastEnergy: row.number(3) ?? 0,
            repeats: Int32(clamping: row.number(4) ?? 0),
            readings: Int32(clamping: row.number(6) ?? 0),
            peak: row.number(5) ?? 0, lastSequence: row.number(7) ?? -1))
      }
    }
  }

  /// The newest, oldest of them first: what is heard last is forgotten last.
  private static func select(_ limit: Int) -> String {
    """
    SELECT kind, device_id, (extract(epoch FROM last_at) * 1000000)::bigint,
      (last_energy_kwh * 1000000)::bigint, repeats, (level_kwh * 1000000)::bigint, readings,
      last_sequence
    FROM (SELECT * FROM ingest.meter_states ORDER BY updated_at DESC LIMIT \(limit)) AS newest
    ORDER BY updated_at
    """
  }

  private func save() async throws {
    // In one order in every process, so that two that save the same meters do not deadlock.
    let rows = states.takeChanged().sorted {
      ($0.kind.rawValue, $0.device) < ($1.kind.rawValue, $1.device)
    }
    for start in stride(from: 0, to: rows.count, by: 10_000) {
      let chunk = Array(rows[start..<min(start + 10_000, rows.count)])
      try await lane.run { (connection) throws(PostgresError) in
        try MeterStateKeeper.save(chunk, over: connection)
      }
    }
  }

  private static func save(
    _ rows: [MeterStates.Known], over connection: PostgresConnection
  ) throws(PostgresError) {
    func column(_ text: (MeterStates.Known) -> String) -> String { arrayLiteral(rows.map(text)) }
    try connection.query(
      """
      INSERT INTO ingest.meter_states AS kept (kind, device_id, last_at, last_energy_kwh, repeats,
        level_kwh, readings, last_sequence)
      SELECT kind, device, at, energy, repeats, level, readings, nullif(sequence, -1)
      FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::numeric[], $5::integer[],
        $6::numeric[], $7::integer[], $8::bigint[])
        AS given (kind, device, at, energy, repeats, level, readings, sequence)
      ON CONFLICT (kind, device_id) DO UPDATE SET
        last_at = excluded.last_at, last_energy_kwh = excluded.last_energy_kwh,
        repeats = excluded.repeats, level_kwh = excluded.level_kwh, readings = excluded.readings,
        last_sequence = excluded.last_sequence, updated_at = now()
      WHERE excluded.last_at >= kept.last_at
      """,
      [
        column { $0.kind.description }, column { $0.device },
        column { $0.state.lastAt.description },
        column { FixedPoint.text($0.state.lastEnergy, scale: 6) }, column { "\($0.state.repeats)" },
        column { FixedPoint.text($0.state.peak, scale: 6) }, column { "\($0.state.readings)" },
        column { "\($0.state.lastSequence)" },
      ], as: "save meter states")
  }
}

extension PostgresRow {
  fileprivate func number(_ column: Int) -> Int64? { string(column).flatMap { Int64($0) } }

  fileprivate func kind(_ column: Int) -> ReadingKind? {
    withText(column) { text in
      guard let text else { return nil }
      return ReadingKind(topicLevel: text)
    }
  }
}
