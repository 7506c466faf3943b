// What an operator may choose about grid health and the monitoring tables.

/// Settings of the ``MonitoringJob``.
public struct MonitoringSettings: Sendable, Equatable {
  /// Length of the windows of `monitoring.grid_health`, whole seconds, 10 s … 1 h, default 60 s.
  /// Windows are aligned to the Unix epoch, so that every process means the same ones.
  public var window = Duration.seconds(60)
  /// The longest interval at which meters report, not below the window, at most 24 h, default 15 min.
  /// Load and completeness are taken over it: in a shorter time a meter that is well may say nothing.
  public var meterInterval = Duration.seconds(900)
  /// Silence after which a meter is not late any more but silent, above ``meterInterval``, default
  /// 24 h.
  public var silentAfter = Duration.seconds(86_400)
  /// Age at which rows of `monitoring.system_metrics` go, default 7 days.
  public var retention = Duration.seconds(7 * 86_400)
  /// Age at which windows of `monitoring.grid_health` and `grid.status_history` go, default 400 days:
  /// a month can be compared with that of the year before.
  public var healthRetention = Duration.seconds(400 * 86_400)

  public init() {}

  var windowSeconds: Int { Int(window.components.seconds) }
  var intervalSeconds: Int { Int(meterInterval.components.seconds) }
  var silentSeconds: Int { Int(silentAfter.components.seconds) }
  var retentionSeconds: Int { Int(retention.components.seconds) }
  var healthRetentionSeconds: Int { Int(healthRetention.components.seconds) }
}
