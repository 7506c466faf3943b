// The text of OpenMetrics 1.0.0, which has what Prometheus' own format has not: exemplars, and an end.
// Source: https://github.com/OpenObservability/OpenMetrics/blob/main/specification/OpenMetrics.md

/// The exposition that `/metrics` serves to those who ask for it.
public enum OpenMetricsText {
  /// What `Content-Type` says.
  public static let contentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

  static func render(_ metrics: [MetricRegistry.Exposed]) -> String {
    var text = ""
    text.reserveCapacity(metrics.count * 1024)
    for metric in metrics {
      let about = metric.description
      let family = family(of: about)
      text += "# TYPE \(family) \(about.kind.rawValue)\n"
      // A unit that is not the end of the name makes the scrape invalid.
      if !about.unit.isEmpty, family.hasSuffix("_" + about.unit) {
        text += "# UNIT \(family) \(about.unit)\n"
      }
      text += "# HELP \(family) \(PrometheusText.escapedValue(about.help))\n"
      for sample in metric.samples { append(sample, of: family, to: &text) }
    }
    return text + "# EOF\n"
  }

  /// The name without a counter's `_total`, which belongs to its sample.
  private static func family(of metric: MetricDescription) -> String {
    guard metric.kind == .counter, metric.name.hasSuffix("_total") else { return metric.name }
    return String(metric.name.dropLast("_total".count))
  }

  private static func append(_ sample: MetricSample, of family: String, to text: inout String) {
    text += sample.kind == .counter ? family + "_total" : sample.name
    appendLabels(
      sample.labels.map { label in
        // Bounds are floating-point numbers in their canonical form: 1.0, not 1.
        sample.kind == .histogram && label.name == "le"
          ? MetricLabel("le", canonical(label.value)) : label
      }, to: &text, evenNone: false)
    text += " \(PrometheusText.number(sample.value))"
    if let exemplar = sample.exemplar {
      text += " # "
      appendLabels(exemplar.labels, to: &text, evenNone: true)
      text += " \(PrometheusText.number(exemplar.value)) \(milliseconds(exemplar.time))"
    }
    text += "\n"
  }

  private static func appendLabels(
    _ labels: [MetricLabel], to text: inout String, evenNone: Bool
  ) {
    guard evenNone || !labels.isEmpty else { return }
    text += "{"
    text += labels.map { "\($0.name)=\"\(PrometheusText.escapedValue($0.value))\"" }
      .joined(separator: ",")
    text += "}"
  }

  private static func canonical(_ bound: String) -> String {
    bound.utf8.allSatisfy {
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "-")
    }
      ? bound + ".0" : bound
  }

  /// Seconds with three digits: no exponent, whatever the number.
  private static func milliseconds(_ seconds: Double) -> String {
    let whole = Int64((seconds * 1000).rounded())
    let fraction = String(whole.magnitude % 1000 + 1000).dropFirst()
    return "\(whole < 0 ? "-" : "")\(whole.magnitude / 1000).\(fraction)"
  }
}
