// The current registry snapshot, and the service that replaces it when the registries change.

import Glibc
import PostgresStore
import ServiceLifecycle
import Synchronization

/// Holds the snapshot that workers look devices up in.
public final class RegistryHolder: Sendable {
  private let snapshot = Mutex<MeterRegistry?>(nil)

  public init() {}

  /// The newest snapshot; empty before the first load.
  public var current: MeterRegistry { snapshot.withLock { $0 } ?? .empty }

  /// Loads the first snapshot; later ones come from ``RegistryWatcher``.
  public func loadIfEmpty(over connection: PostgresConnection) throws(PostgresError) {
    if snapshot.withLock({ $0 == nil }) { try reload(over: connection) }
  }

  func reload(over connection: PostgresConnection) throws(PostgresError) {
    let loaded = try MeterRegistry.load(over: connection)
    snapshot.withLock { $0 = loaded }
  }
}

/// Reloads the registry when the database says that it changed (`NOTIFY meter_registry`), and every
/// five minutes in case a trigger was switched off.
public struct RegistryWatcher: Service, CustomStringConvertible {
  public var description: String { "RegistryWatcher" }

  private let holder: RegistryHolder
  private let lane: PostgresLane
  private let onReload: @Sendable (MeterRegistry) -> Void

  public init(
    holder: RegistryHolder, postgresURL: String,
    onReload: @escaping @Sendable (MeterRegistry) -> Void
  ) {
    self.holder = holder
    self.onReload = onReload
    lane = PostgresLane(url: postgresURL, applicationName: "meter-ingestor registry")
  }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        do {
          try await watch()
        } catch {
          // The workers report the outage; the watcher only has to come back.
          await lane.close()
          try? await Task.sleep(for: .seconds(2))
        }
      }
    }
  }

  private func watch() async throws {
    try await lane.run { (connection) throws(PostgresError) in
      try connection.execute("LISTEN meter_registry")
      try holder.reload(over: connection)
    }
    onReload(holder.current)
    var loadedAt = ContinuousClock.now
    while !Task.isCancelled {
      let changed = try await lane.run { (connection) throws(PostgresError) in
        // The lane has a thread of its own, so it may wait on the socket; a second at most keeps
        // a shutdown short.
        var descriptor = pollfd(fd: connection.socket, events: Int16(POLLIN), revents: 0)
        _ = poll(&descriptor, 1, 1_000)
        return try !connection.notifications().isEmpty
      }
      guard changed || ContinuousClock.now - loadedAt > .seconds(300) else { continue }
      try await lane.run { (connection) throws(PostgresError) in
        try holder.reload(over: connection)
      }
      loadedAt = .now
      onReload(holder.current)
    }
  }
}
