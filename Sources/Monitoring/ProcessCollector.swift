// What the kernel knows about this process, under the names that Prometheus' clients share.
// Source: proc(5); https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics

import FoundationEssentials
import Glibc

/// Reads `/proc/self` at each scrape. What cannot be read is left out.
struct ProcessCollector: Sendable {
  private let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))
  private let bytesPerPage = Double(sysconf(Int32(_SC_PAGESIZE)))

  func collect(into builder: inout SampleBuilder) {
    if let fields = statFields() {
      // Fields 14 and 15 of proc(5), counted from field 3, the first after the command's name.
      if let user = Double(fields[11]), let system = Double(fields[12]) {
        builder.counter(IngestMetrics.processCPU.name, (user + system) / ticksPerSecond)
      }
      if let start = Double(fields[19]), let boot = bootTime() {
        builder.gauge(IngestMetrics.processStartTime.name, boot + start / ticksPerSecond)
      }
      if let pages = Double(fields[21]) {
        builder.gauge(IngestMetrics.processResidentMemory.name, pages * bytesPerPage)
      }
    }
    if let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
      builder.gauge(IngestMetrics.processOpenFDs.name, Double(open.count))
    }
  }

  /// The fields of `/proc/self/stat` behind the command's name, which may hold blanks and brackets.
  private func statFields() -> [Substring]? {
    guard let text = read("/proc/self/stat"), let bracket = text.lastIndex(of: ")") else {
      return nil
    }
    let fields = text[text.index(after: bracket)...].split(whereSeparator: \.isWhitespace)
    return fields.count > 21 ? fields : nil
  }

  /// Seconds of the Unix epoch at which the machine started.
  private func bootTime() -> Double? {
    read("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
      .flatMap { Double($0.dropFirst("btime ".count)) }
  }

  private func read(_ path: String) -> String? {
    try? String(contentsOfFile: path, encoding: .utf8)
  }
}
