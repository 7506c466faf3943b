// The meters of each grid code as metrics: how many are registered, heard, late, silent.

import Synchronization

/// Holds the last count of meters, and shows it at each scrape.
///
/// Only the process whose job writes has a count, so that a sum over instances counts no meter twice.
/// Labels are bounded: the grid codes with most meters by name, all others together as `other`.
public final class MeterCounts: Sendable {
  /// Grid codes that are shown by name.
  public static let namedGridCodes = 20

  private let shown = Mutex<[GridMeters]>([])

  public init() {}

  /// What is shown from now on; none for a process that does not count.
  public func replace(with meters: [GridMeters]) {
    let ranked = meters.sorted { ($1.registered, $0.gridCode) < ($0.registered, $1.gridCode) }
    var rows = Array(ranked.prefix(Self.namedGridCodes))
    let others = ranked.dropFirst(Self.namedGridCodes)
    if !others.isEmpty {
      // A grid code of that name, should there be one, is part of it.
      let named = rows.filter { $0.gridCode == Self.other }
      rows.removeAll { $0.gridCode == Self.other }
      rows.append((others + named).reduce(GridMeters(gridCode: Self.other), +))
    }
    shown.withLock { [rows] in $0 = rows }
  }

  private static let other = "other"

  /// A collector of a ``MetricRegistry``.
  public func collect(into builder: inout SampleBuilder) {
    for meters in shown.withLock({ $0 }) {
      let code = ("grid_code", meters.gridCode)
      builder.gauge(
        IngestMetrics.metersRegistered.name, Double(meters.registered), labels: [code])
      for (state, count) in [
        ("heard", meters.heard), ("late", meters.late), ("silent", meters.silent),
      ] {
        builder.gauge(IngestMetrics.meters.name, Double(count), labels: [code, ("state", state)])
      }
    }
  }
}

extension GridMeters {
  fileprivate init(gridCode: String) {
    self.init(gridCode: gridCode, registered: 0, heard: 0, late: 0, silent: 0)
  }

  /// The grid code is that of the first.
  fileprivate static func + (a: GridMeters, b: GridMeters) -> GridMeters {
    GridMeters(
      gridCode: a.gridCode, registered: a.registered + b.registered, heard: a.heard + b.heard,
      late: a.late + b.late, silent: a.silent + b.silent)
  }
}
