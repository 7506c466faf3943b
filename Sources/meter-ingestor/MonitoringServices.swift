// Grid health as a running service: its settings, and its connection.

import EnergyReadings
import Monitoring
import PostgresStore
import ServiceLifecycle

extension SettingTexts {
  /// What concerns `monitoring.grid_health` and its like.
  func monitoring() throws -> MonitoringSettings {
    var settings = MonitoringSettings()
    settings.window = try wholeSeconds(.monitoringWindow, in: .seconds(10)...(.seconds(3_600)))
    settings.meterInterval = try wholeSeconds(
      .monitoringMeterInterval, in: settings.window...(.seconds(86_400)))
    settings.silentAfter = try wholeSeconds(
      .monitoringSilentAfter, in: settings.meterInterval...(.seconds(400 * 86_400)))
    settings.retention = try wholeSeconds(
      .monitoringRetention, in: .seconds(3_600)...(.seconds(315_576_000)))
    settings.healthRetention = try wholeSeconds(
      .monitoringHealthRetention, in: .seconds(86_400)...(.seconds(315_576_000)))
    return settings
  }

  /// Windows are aligned to whole seconds of the Unix epoch.
  private func wholeSeconds(
    _ key: SettingKey, in range: ClosedRange<Duration>
  ) throws -> Duration {
    let duration = try duration(key, in: range)
    guard duration.components.attoseconds == 0 else {
      throw SettingError(key: key, problem: "\(self[key]) is no whole number of seconds")
    }
    return duration
  }
}

extension IngestServices {
  /// Writes grid health and the metrics of the chain, over a connection of its own.
  var monitoring: some Service {
    let lane = PostgresLane(
      url: settings.postgresURL, applicationName: "meter-ingestor monitoring")
    let job = MonitoringJob(settings: settings.monitoring)
    let epoch = { @Sendable in Duration.microseconds(Timestamp.now.microseconds) }
    return MonitoringService(
      registry: registry, window: settings.monitoring.window, clock: ContinuousClock(),
      epoch: epoch, logger: logger
    ) { isStopping in
      try await lane.run { (connection) throws(PostgresError) in
        try job.run(over: connection, isStopping: isStopping)
      }
    }
  }
}
