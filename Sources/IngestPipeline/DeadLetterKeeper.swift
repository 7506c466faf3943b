// Looks after dead letters and flags while the ingestor runs: tries again what waited for a
// registration, and lets go of what is old.

import CheckRules
import PostgresStore
import ServiceLifecycle
import Synchronization

/// How long dead letters and flags are kept.
public struct DeadLetterRetention: Sendable {
  /// Age at which a letter goes, open or not; default 90 days.
  public var age = Duration.seconds(90 * 86_400)
  /// Letters kept at most; those that are settled go first. Default 1,000,000.
  public var count = 1_000_000
  /// Age at which a flag, or what happened to a register, goes; default 400 days.
  public var flagAge = Duration.seconds(400 * 86_400)

  public init() {}
}

/// Redrives letters `unregistered_device` when the registry has grown, and prunes every ten minutes.
public final class DeadLetterKeeper: Service, CustomStringConvertible {
  public var description: String { "DeadLetterKeeper" }

  private let lane: PostgresLane
  private let enrichment: EnrichmentSettings
  private let reference: ReferenceHolder
  private let retention: DeadLetterRetention
  private let onRedrive: @Sendable (RedriveReport) -> Void
  private let onFailure: @Sendable (String, any Error) -> Void
  private let registrations = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))

  public init(
    postgresURL: String, enrichment: EnrichmentSettings, reference: ReferenceHolder,
    retention: DeadLetterRetention, onRedrive: @escaping @Sendable (RedriveReport) -> Void,
    onFailure: @escaping @Sendable (String, any Error) -> Void
  ) {
    lane = PostgresLane(url: postgresURL, applicationName: "meter-ingestor dead letters")
    self.enrichment = enrichment
    self.reference = reference
    self.retention = retention
    self.onRedrive = onRedrive
    self.onFailure = onFailure
  }

  /// The registry was loaded, and may know devices that letters wait for.
  public func registryLoaded() { registrations.continuation.yield() }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await self.redriveOnRegistration() }
        group.addTask { await self.prune() }
      }
    }
  }

  private func redriveOnRegistration() async {
    for await _ in registrations.stream {
      do {
        let report = try await lane.run { (connection) throws(PostgresError) in
          var filter = DeadLetterFilter()
          filter.isRegisteredMeanwhile = true
          return try Redrive(
            connection, enrichment: enrichment, reference: { _ in self.reference.current }
          ).run(filter) { _ in !Task.isCancelled }
        }
        if report != RedriveReport() { onRedrive(report) }
      } catch {
        // The registry is loaded again after an outage, and this is called again.
        onFailure("redrive dead letters", error)
        await lane.close()
      }
    }
  }

  private func prune() async {
    while !Task.isCancelled {
      do {
        try await lane.run { (connection) throws(PostgresError) in
          _ = try DeadLetterArchive(connection).prune(
            olderThan: retention.age, keeping: retention.count)
          try connection.query(
            "DELETE FROM ingest.reading_flags WHERE created_at < now() - $1::interval",
            ["\(retention.flagAge.components.seconds) seconds"], as: "prune ingest.reading_flags")
          try connection.query(
            "DELETE FROM ingest.register_events WHERE created_at < now() - $1::interval",
            ["\(retention.flagAge.components.seconds) seconds"],
            as: "prune ingest.register_events")
          try connection.query(
            "DELETE FROM ingest.meter_states WHERE updated_at < now() - $1::interval",
            ["\(retention.flagAge.components.seconds) seconds"], as: "prune ingest.meter_states")
        }
      } catch {
        onFailure("prune dead letters, flags, register events and meter states", error)
        await lane.close()
      }
      try? await Task.sleep(for: .seconds(600))
    }
  }
}
