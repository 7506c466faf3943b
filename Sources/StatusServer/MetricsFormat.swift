// Which text of the metrics a scraper gets: what it asks for, by its Accept header.

/// The two texts of `/metrics`.
enum MetricsFormat: Sendable, Hashable {
  /// Prometheus' text format 0.0.4, for everybody who does not ask for the other.
  case text
  /// OpenMetrics 1.0.0, with exemplars.
  case openMetrics

  /// Reads an `Accept` header (RFC 9110, section 12.5.1): OpenMetrics is served only to who names it,
  /// in a version that is served, and weighs it at least as much as plain text.
  init(accept: String?) {
    var weights: [String: Double] = [:]
    for range in (accept ?? "").split(separator: ",") {
      let parts = range.lowercased().filter { !$0.isWhitespace }.split(separator: ";")
      guard let type = parts.first else { continue }
      let parameters = parts.dropFirst()
      let version = parameters.first { $0.hasPrefix("version=") }
      if type == Self.name, let version, version != "version=1.0.0" { continue }
      let weight = parameters.first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) } ?? 1
      weights[String(type)] = max(weights[String(type)] ?? 0, weight)
    }
    let wanted = weights[Self.name] ?? 0
    self = wanted > 0 && wanted >= weights["text/plain"] ?? 0 ? .openMetrics : .text
  }

  private static let name = "application/openmetrics-text"
}
