// Judges one row by one expression, for tests of single rules.

import CheckRules
import EnergyReadings

/// What a value is called in a test.
enum TestValue {
  case null
  case boolean(Bool)
  case number(String)
  case text(String)
  case json(String)
  case timestamp(Int64)
  case opaque
  case undecided

  func value(_ arena: inout ByteArena) -> SQLValue {
    switch self {
    case .null: return .null
    case .boolean(let truth): return .boolean(truth)
    case .text(let text): return .text(SQLText(row: arena.append(Array(text.utf8).span)))
    case .json(let text): return .json(SQLText(row: arena.append(Array(text.utf8).span)))
    case .timestamp(let time): return .timestamp(time)
    case .opaque: return .opaque
    case .undecided: return .undecided
    case .number(let text):
      let decimals = text.split(separator: ".").dropFirst().first?.count ?? 0
      guard let mantissa = Int128(text.filter { $0 != "." }) else { return .undecided }
      return .number(SQLNumber(mantissa: mantissa, scale: Int16(decimals)))
    }
  }
}

/// Compiles with the columns of `values` and judges that one row.
func judge(
  _ expression: String, _ values: [(CheckedColumn, TestValue)] = [],
  environment: CheckEnvironment = CheckEnvironment(), now: Int64 = 1_800_000_000_000_000
) throws(Deferral) -> CheckVerdict {
  var arena = ByteArena()
  let constraint = try CheckConstraint(
    name: "rule", expression: expression, columns: values.map(\.0), environment: environment)
  let row = values.map { $0.1.value(&arena) }
  return CheckEvaluator().verdict(
    of: constraint, row: row, texts: arena, now: Timestamp(microseconds: now))
}

/// Why the expression is left to PostgreSQL; nil where it is not.
func deferral(
  _ expression: String, columns: [CheckedColumn] = sampleColumns,
  environment: CheckEnvironment = CheckEnvironment()
) -> String? {
  do throws(Deferral) {
    _ = try CheckConstraint(
      name: "rule", expression: expression, columns: columns, environment: environment)
    return nil
  } catch {
    return error.reason
  }
}

/// Columns of single rules.
enum Column {
  static let amount = CheckedColumn(name: "amount", type: "numeric(15,6)")
  static let whole = CheckedColumn(name: "whole", type: "integer")
  static let name = CheckedColumn(name: "name", type: "character varying(20)")
  static let document = CheckedColumn(name: "doc", type: "jsonb")
}
