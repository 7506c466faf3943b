// How samples become rows of `monitoring.system_metrics`: one statement, one parameter.

import FoundationEssentials

/// The INSERT behind the recorder.
public enum SystemMetricsSQL {
  /// A statement and its parameters in PostgreSQL's text format.
  public struct Statement: Sendable, Hashable {
    public let sql: String
    public let parameters: [String?]
  }

  /// All rows in one JSON parameter, so that the text never changes and nothing is quoted by hand.
  /// `recorded_at` is the table's default, `now()`: the same for all rows of a scrape.
  public static let text = """
    INSERT INTO monitoring.system_metrics (metric_name, metric_value, metric_type, labels)
    SELECT name, value, type, labels
    FROM json_to_recordset($1::json) AS sample(name text, value numeric, type text, labels jsonb)
    """

  /// Builds the statement for samples that ``isStorable(_:)`` accepts.
  ///
  /// - Parameters:
  ///   - samples: one row each.
  ///   - instance: added to every row as the label `instance`, which tells processes apart.
  /// - Returns: nil when there are no samples.
  /// - Throws: what `JSONEncoder` throws; not for samples made by a ``MetricRegistry``.
  public static func insert(_ samples: [MetricSample], instance: String) throws -> Statement? {
    guard !samples.isEmpty else { return nil }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let json = try encoder.encode(samples.map { Row($0, instance: instance) })
    return Statement(sql: text, parameters: [String(decoding: json, as: UTF8.self)])
  }

  /// Whether the columns can hold a sample: `metric_value numeric(20,8)`, `metric_name
  /// varchar(100)`.
  public static func isStorable(_ sample: MetricSample) -> Bool {
    sample.value.isFinite && abs(sample.value) < 1e12 && sample.name.unicodeScalars.count <= 100
  }

  private struct Row: Encodable {
    let name: String
    /// As text, so that PostgreSQL and not a JSON library makes the number.
    let value: String
    let type: String
    let labels: [String: String]

    init(_ sample: MetricSample, instance: String) {
      name = sample.name
      value = PrometheusText.number(sample.value)
      type = sample.kind.rawValue
      var labels = ["instance": storable(instance)]
      for label in sample.labels { labels[label.name] = storable(label.value) }
      self.labels = labels
    }
  }

  /// U+0000 is the one character that jsonb refuses (SQLSTATE 22P05).
  private static func storable(_ text: String) -> String {
    guard text.utf8.contains(0) else { return text }
    let scalars = text.unicodeScalars.map { $0 == "\0" ? "\u{FFFD}" : $0 }
    return String(String.UnicodeScalarView(scalars))
  }
}
