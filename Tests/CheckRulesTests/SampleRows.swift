// Rows with the values at which rules and number formats turn, for PostgreSQL and for the engine.

import CheckRules
import EnergyReadings
import SeededRandom

/// The columns that test expressions read: one or two of each type that is computed.
let sampleColumns: [CheckedColumn] = [
  CheckedColumn(name: "amount", type: "numeric(15,6)"),
  CheckedColumn(name: "ratio", type: "numeric(5,4)"),
  CheckedColumn(name: "free", type: "numeric"),
  CheckedColumn(name: "small", type: "smallint"),
  CheckedColumn(name: "whole", type: "integer"),
  CheckedColumn(name: "big", type: "bigint"),
  CheckedColumn(name: "name", type: "character varying(20)"),
  CheckedColumn(name: "note", type: "text"),
  CheckedColumn(name: "timestamp", type: "timestamp with time zone"),
  CheckedColumn(name: "doc", type: "jsonb"),
  CheckedColumn(name: "flag", type: "boolean"),
  CheckedColumn(name: "id", type: "uuid"),
]

/// One row: its values as text, nil for NULL, in the order of `sampleColumns`.
struct SampleRow {
  var texts: [String?]

  /// `(1, 'x', NULL)`: for INSERT, and for people.
  var sql: String {
    let literals = texts.map { text in
      text.map { "'" + $0.replacing("'", with: "''") + "'" } ?? "NULL"
    }
    return "(" + literals.joined(separator: ", ") + ")"
  }

  /// The row as the engine gets it.
  func values(_ arena: inout ByteArena) -> [SQLValue] {
    zip(sampleColumns, texts).map { column, text in
      guard let text else { return .null }
      switch column.type {
      case "character varying(20)", "text":
        return .text(SQLText(row: arena.append(Array(text.utf8).span)))
      case "jsonb": return .json(SQLText(row: arena.append(Array(text.utf8).span)))
      case "boolean": return .boolean(text == "true")
      case "uuid": return .opaque
      case "timestamp with time zone":
        let timestamp = try? Timestamp(rfc3339: Array(text.utf8).span)
        return timestamp.map { .timestamp($0.microseconds) } ?? .undecided
      default: return .number(number(text))
      }
    }
  }

  /// A plain decimal; its scale is the number of decimals written.
  private func number(_ text: String) -> SQLNumber {
    let decimals = text.split(separator: ".").dropFirst().first?.count ?? 0
    let mantissa = Int128(text.filter { $0 != "." }) ?? 0
    return SQLNumber(mantissa: mantissa, scale: Int16(decimals))
  }
}

/// Draws rows.
struct SampleRows {
  var random: SeededGenerator

  mutating func rows(_ count: Int) -> [SampleRow] { (0..<count).map { _ in row() } }

  private mutating func row() -> SampleRow {
    SampleRow(texts: [
      any(SampleRows.amounts), any(SampleRows.ratios), any(SampleRows.numbers),
      any(["0", "1", "-1", "7", "32767", "-32768", "100"]),
      any(["0", "1", "-1", "2", "10", "2147483647", "-2147483648", "12345"]),
      any(["0", "1", "-1", "100", "9223372036854775807", "-9223372036854775808", "86400"]),
      any(SampleRows.names), any(SampleRows.names + SampleRows.notes), any(SampleRows.times),
      any(SampleRows.documents), any(["true", "false"]), any([SampleRows.uuid]),
    ])
  }

  /// One of the values, or NULL, once in ten.
  private mutating func any(_ values: [String]) -> String? {
    random.oneIn(10) ? nil : random.element(of: values)
  }

  private static let uuid = "0190a5a0-0000-8000-8000-000000000001"
  private static let amounts = [
    "0.000000", "0.000001", "-0.000001", "1.000000", "1.500000", "-1.500000", "0.500000",
    "2.500000", "99.999999", "100.000000", "100.000001", "999999999.999999",
    "-999999999.999999", "12345.678901", "3.000000", "7.000000", "0.333333",
  ]
  private static let ratios = [
    "0.0000", "1.0000", "0.0001", "0.9999", "1.0001", "-0.0001", "0.5000", "9.9999", "0.9500",
  ]
  private static let numbers = [
    "0", "0.0", "0.00", "1", "1.0", "1.50", "-1.5", "2.5", "-2.5", "0.5", "10000", "9999",
    "10000.0001", "0.00001", "123456789012345678", "0.1234567890123456789", "33",
    // Half of it ends in a 5 that has to be rounded.
    "3.00000000000000001",
  ]
  private static let names = [
    "", "solar", "Solar", "SOLAR", " solar", "solar ", "wind", "hydro", "naïve", "日本", "a%b",
    "a_b", "a\\b", "12", "-3.50", "007", "abc-123", "BKK-01", "NULL", "É", "x'y", "true", "{}",
  ]
  private static let notes = [
    "a longer note with more than twenty characters", "line\nbreak", "tab\there", "solarsolar",
    "  both  ", "aaaaaaaaaaaaaaaaaaaaaaaab", "ß", "1e2", "charge", "2026-01-01",
  ]
  private static let times = [
    "1970-01-01T00:00:00Z", "2000-02-29T12:00:00Z", "2023-12-31T17:00:00Z",
    "2024-01-31T16:59:59.999999Z", "2024-01-31T17:00:00Z", "2024-02-29T00:00:00.000001Z",
    "2024-03-31T23:59:59Z", "2026-06-10T07:00:00.25Z", "2070-01-01T00:00:00Z",
    "1999-12-31T23:59:59Z", "2025-01-01T00:00:00Z",
  ]
  private static let documents = [
    "{}", "[]", "null", "true", "1.50", "\"solar\"", " { } ", "[ ]",
    "{\"lat\": 13.75, \"lon\": 100.50, \"grid_code\": \"BKK-01\"}",
    "{\"lat\":1e2,\"lon\":-0.0,\"grid_code\":null,\"n\":1.50}",
    "{\"lat\": 1, \"lat\": \"2\", \"lon\": {\"lat\": 5}}",
    "{\"grid_code\":\"caf\\u00e9 \\ud83d\\ude00\",\"lat\":\"90.0\",\"l\\u0061t\": 7}",
    "{\"a\":{\"b\":[1,2,{\"c\":\"x\"}]},\"lat\":true,\"n\":-12}",
    "[1, \"lat\", {\"lat\": 3}, [4], null]", "[\"solar\",\"wi\\u006ed\"]",
    "{\"n\": 12345678901234567890.123, \"lat\": \"\", \"grid_code\": \"\\\"q\\\\\\/\\n\"}",
    "{\"n\":2.5,\"lat\":-91,\"lon\":181,\"solar\":0}", "{\"lat\":[],\"lon\":{},\"n\":1E-3}",
    "{\"a\":{\"b\":null},\"grid_code\":\"\",\"n\":0}", "-0", "12e-1",
  ]
}
