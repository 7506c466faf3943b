// Prometheus' text format 0.0.4.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/

/// The exposition that `/metrics` serves.
public enum PrometheusText {
  /// What `Content-Type` says.
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  static func render(_ metrics: [MetricRegistry.Exposed]) -> String {
    var text = ""
    text.reserveCapacity(metrics.count * 1024)
    for metric in metrics {
      let about = metric.description
      text += "# HELP \(about.name) \(escapedHelp(about.help))\n"
      text += "# TYPE \(about.name) \(about.kind.rawValue)\n"
      for sample in metric.samples { append(sample, to: &text) }
    }
    return text
  }

  private static func append(_ sample: MetricSample, to text: inout String) {
    text += sample.name
    if !sample.labels.isEmpty {
      var separator = "{"
      for label in sample.labels {
        text += separator
        text += label.name
        text += "=\""
        text += escapedValue(label.value)
        text += "\""
        separator = ","
      }
      text += "}"
    }
    text += " "
    text += number(sample.value)
    text += "\n"
  }

  /// A value as Go's `ParseFloat` reads it; without fraction or exponent when it is integral.
  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    // Above 2^53 not every integer is a double: digits would claim what is not known.
    if abs(value) <= 9_007_199_254_740_992, value == value.rounded(.towardZero) {
      return String(Int64(value))
    }
    return value.description
  }

  private static func escapedHelp(_ text: String) -> String {
    escaped(text, quoteToo: false)
  }

  static func escapedValue(_ text: String) -> String {
    escaped(text, quoteToo: true)
  }

  /// Works on scalars: `\r\n` is one `Character` in Swift, and its line feed must be escaped too.
  private static func escaped(_ text: String, quoteToo: Bool) -> String {
    let special: [UInt8] = [UInt8(ascii: "\\"), UInt8(ascii: "\n"), UInt8(ascii: "\"")]
    guard text.utf8.contains(where: special.contains) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result.append(contentsOf: "\\\\".unicodeScalars)
      case "\n": result.append(contentsOf: "\\n".unicodeScalars)
      case "\"" where quoteToo: result.append(contentsOf: "\\\"".unicodeScalars)
      default: result.append(scalar)
      }
    }
    return String(result)
  }
}
