// What the metrics say of meters and of the program itself, at one moment.

import FoundationEssentials
import Glibc
import Monitoring

/// Sums over the labels of some metrics.
struct ProgramFigures: Sendable, Hashable {
  var cpuSeconds = 0.0
  var residentBytes = 0
  /// nil where there is no spool.
  var spoolMessages: Int?
  /// nil where the broker does not tell.
  var brokerDropped: Int?
  var registered = 0
  /// nil where nobody counts them.
  var heard, late, silent: Int?

  init() {}

  init(of registry: MetricRegistry) {
    // Meters are counted by a collector.
    let collected = registry.collectedSamples()
    func sum(_ name: String, _ state: String? = nil) -> Double? {
      let values =
        registry.values(of: name)
        + collected.filter { $0.name == name }.map { ($0.labels, $0.value) }
      guard !values.isEmpty else { return nil }
      return values.filter { series in
        state == nil || series.labels.contains { $0.name == "state" && $0.value == state }
      }.reduce(0) { $0 + $1.value }
    }
    var usage = rusage()
    if getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
      cpuSeconds = Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime)
    }
    residentBytes = Self.residentPages * Int(sysconf(Int32(_SC_PAGESIZE)))
    spoolMessages = sum(IngestMetrics.spoolMessages.name).map { Int($0) }
    brokerDropped = sum(IngestMetrics.brokerDropped.name).map { Int($0) }
    // The process that writes grid health counts the meters in use; others know the registry.
    let known =
      sum(IngestMetrics.metersRegistered.name) ?? sum(IngestMetrics.registryDevices.name)
    registered = Int(known ?? 0)
    func meters(_ state: String) -> Int? { sum(IngestMetrics.meters.name, state).map { Int($0) } }
    (heard, late, silent) = (meters("heard"), meters("late"), meters("silent"))
  }

  private static func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) / 1e6
  }

  /// The second number of `/proc/self/statm` (proc(5)); 0 where it cannot be read.
  private static var residentPages: Int {
    let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
    let numbers = text?.split(separator: " ") ?? []
    return numbers.count > 1 ? Int(numbers[1]) ?? 0 : 0
  }

  var meters: StatusReport.Meters {
    .init(expected: registered, heard: heard, late: late, silent: silent)
  }
}
