// CHECK constraints: any text is compiled or deferred, and what was compiled judges any row.

import CheckRules
import EnergyReadings

extension FuzzTarget {
  static func checkExpression() -> FuzzTarget {
    var arena = ByteArena()
    let rows = CheckSamples.rows(&arena)
    let texts = arena
    let evaluator = CheckEvaluator()
    return FuzzTarget(
      corpus: CheckSamples.expressions.map { Array($0.utf8) }, dictionary: CheckSamples.words
    ) { input in
      var outcome = Hasher()
      do throws(Deferral) {
        let constraint = try CheckConstraint(
          name: "rule", expression: String(decoding: input, as: UTF8.self),
          columns: CheckSamples.columns, environment: CheckEnvironment())
        outcome.combine(constraint.columns)
        for row in rows {
          let time = Timestamp(microseconds: 1_800_000_000_000_000)
          outcome.combine(evaluator.verdict(of: constraint, row: row, texts: texts, now: time))
        }
      } catch {
        if error.reason.isEmpty { throw FuzzFinding("a deferral without a reason") }
        outcome.combine(error.reason.prefix(20))
      }
      return outcome.finalize()
    }
  }

  /// The input is the row's texts and document; the rules are sound.
  static func checkRow() throws -> FuzzTarget {
    let evaluator = CheckEvaluator()
    let constraints = try CheckSamples.expressions.map { expression in
      try CheckConstraint(
        name: "rule", expression: expression, columns: CheckSamples.columns,
        environment: CheckEnvironment())
    }
    var arena = ByteArena()
    return FuzzTarget(
      corpus: CheckSamples.documents.map { Array($0.utf8) }, dictionary: CheckSamples.documentWords
    ) { input in
      arena.removeAll()
      let slice = arena.append(input.span)
      var row = CheckSamples.row(number: 1, text: slice)
      row[6] = .text(SQLText(row: slice.subslice(from: 0, count: min(20, input.count))))
      var outcome = Hasher()
      for constraint in constraints {
        let time = Timestamp(microseconds: 1_800_000_000_000_000)
        outcome.combine(evaluator.verdict(of: constraint, row: row, texts: arena, now: time))
      }
      return outcome.finalize()
    }
  }
}

private enum CheckSamples {
  /// One or two columns of each type that is computed.
  static let columns: [CheckedColumn] = [
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

  /// One row of ordinary values, one at the ends of the types, one of NULLs, one that is not known.
  static func rows(_ arena: inout ByteArena) -> [[SQLValue]] {
    var rows = documents.prefix(6).map { document in
      row(number: document.utf8.count, text: arena.append(Array(document.utf8).span))
    }
    let empty = SQLText(row: arena.append(""))
    rows.append([
      .number(SQLNumber(mantissa: -999_999_999_999_999, scale: 6)),
      .number(SQLNumber(mantissa: 99_999, scale: 4)),
      .number(SQLNumber(mantissa: Int128.max, scale: 0)),
      .number(SQLNumber(mantissa: -32_768, scale: 0)),
      .number(SQLNumber(mantissa: Int128(Int32.min), scale: 0)),
      .number(SQLNumber(mantissa: Int128(Int64.min), scale: 0)),
      .text(empty), .text(empty), .timestamp(.max), .json(empty), .boolean(false), .opaque,
    ])
    rows.append(Array(repeating: .null, count: columns.count))
    rows.append(Array(repeating: .undecided, count: columns.count))
    return rows
  }

  static func row(number: Int, text: ByteSlice) -> [SQLValue] {
    let number = Int128(number)
    return [
      .number(SQLNumber(mantissa: number * 250_000, scale: 6)),
      .number(SQLNumber(mantissa: number % 10_000, scale: 4)),
      .number(SQLNumber(mantissa: number * -12_345_678_901, scale: 9)),
      .number(SQLNumber(mantissa: number % 100, scale: 0)),
      .number(SQLNumber(mantissa: number, scale: 0)),
      .number(SQLNumber(mantissa: number << 30, scale: 0)),
      .text(SQLText(row: text)), .text(SQLText(row: text)),
      .timestamp(1_800_000_000_000_000 - Int64(number) * 3_600_000_000),
      .json(SQLText(row: text)), .boolean(number % 2 == 0), .opaque,
    ]
  }

  static let documents = [
    #"{"lat": 13.75, "lon": 100.50, "grid_code": "BKK-01"}"#,
    #"{"a":{"b":[1,2,{"c":"x"}]},"lat":true,"n":-12}"#,
    #"{"n": 12345678901234567890.123, "lat": "", "grid_code": "\"q\\\/\n"}"#, "solar",
    #"[1, "lat", {"lat": 3}, [4], null]"#, "-3.50", "2026-01-01", "12e-1", "{}", " [ ] ",
    #"{"grid_code":"caf\u00e9 \ud83d\ude00","lat":"90.0","l\u0061t": 7}"#, "ABC-07", "",
    #"{"lat":[],"lon":{},"n":1E-3}"#, "aaaaaaaaaaaaaaaab", "日本 naïve É", "a%b_c\\d",
  ]

  static let documentWords = [
    #""lat":"#, #""lon":"#, #""grid_code":"#, #""n":"#, #""a":"#, #""b":"#, "{", "}", "[", "]",
    ",", "null", "true", "1e400", "-0.0", "0.00000000000000000000000000000000000001", "1E-3",
    "99999999999999999999999999999999999999", #"\u0000"#, #"\ud83d"#, #"\n"#, "é", "日", "solar",
    "-", "+", ".", " ", "\t", "%", "_", "\\",
  ]

  /// As PostgreSQL prints them: those of the schema, and one of each form that is computed.
  static let expressions = [
    "(amount > (0)::numeric)", "((ratio >= (0)::numeric) AND (ratio <= (1)::numeric))",
    "((name)::text = ANY ((ARRAY['solar'::character varying, 'wind'::character varying])::text[]))",
    "(length((name)::text) > 0)", "(\"timestamp\" <= (now() + 'PT1H'::interval))",
    "(\"timestamp\" > '2020-01-01 00:00:00+00'::timestamp with time zone)",
    "((doc ->> 'grid_code'::text) IS NOT NULL)", "(jsonb_typeof(doc) = 'object'::text)",
    "((name)::text ~ '^[A-Z]{3}-\\d+$'::text)", "((note)::text !~~ '%o\\%a_'::text)",
    "CASE WHEN (whole = 0) THEN true ELSE ((1 / whole) > 0) END",
    "(COALESCE(free, (whole)::numeric) <> 0.5)", "((whole % 7) = 0)", "(doc ? 'lat'::text)",
    "((amount * (2)::numeric) < round(free, 3))", "(NOT (flag IS TRUE))", "(flag IS NOT FALSE)",
    "((((doc ->> 'n'::text))::numeric > 0.5) OR (big = '9223372036854775807'::bigint))",
    "((doc #>> '{a,b,0}'::text[]) IS NULL)", "(lower((name)::text) = 'x'::text)",
    "((name IS NOT NULL) AND ((btrim((note)::text, ' -'::text) || 'x'::text) <> 'x'::text))",
    "(GREATEST(small, (whole)::smallint, 3) IS DISTINCT FROM 4)", "(id IS NOT NULL)",
    "((\"timestamp\" - 'P1M2DT3H'::interval) < now())", "(abs((- big)) >= octet_length(note))",
    "((note)::text ~* '[^a-z[:digit:]]+x?.{2,5}'::text)", "(NULLIF(name, 'a'::text) IS NULL)",
    "(doc ?| ARRAY['lat'::text, 'n'::text])", "((doc -> (-1)) IS NULL)",
    "((amount)::text ~~ '%.5%'::text)", "((free / 3.0) > trunc(ratio, 2))",
    "((whole >= 1) AND (whole <= 100))",
  ]

  static let words = [
    "(", ")", "((", "))", "[", "]", ",", "::", "::text", "::numeric", "::numeric(15,6)",
    "::integer", "::smallint", "::bigint", "::boolean", "::interval", "::jsonb", "::text[]",
    "::timestamp with time zone", "::character varying(3)", "AND", "OR", "NOT", "IS NULL",
    "IS NOT NULL", "IS TRUE", "IS NOT UNKNOWN", "IS DISTINCT FROM", "BETWEEN", "IN", "= ANY",
    "<> ALL", "ARRAY[", "CASE", "WHEN", "THEN", "ELSE", "END", "LIKE", "ILIKE", "SIMILAR TO", "~~",
    "!~~*", "~", "!~", "~*", "->", "->>", "#>", "#>>", "?", "?|", "?&", "||", "+", "-", "*", "/",
    "%", "^", "=", "<>", "!=", "<", "<=", ">", ">=", "NULL", "true", "false", "0", "1", "-1",
    "0.5", "1e3", "1e400", "2147483647", "9223372036854775807", "9223372036854775808",
    "99999999999999999999999999999999999999", "0.00000000000000000000000000000000000001",
    "amount", "ratio", "free", "small", "whole", "big", "name", "note", "\"timestamp\"", "doc",
    "flag", "id", "VALUE", "now()", "CURRENT_TIMESTAMP", "length(", "char_length(",
    "octet_length(", "lower(", "upper(", "btrim(", "ltrim(", "COALESCE(", "NULLIF(", "GREATEST(",
    "LEAST(", "round(", "trunc(", "floor(", "ceil(", "sign(", "abs(", "jsonb_typeof(", "''",
    "'solar'", "'{a,b}'", "'a*a*a*a*b'", "'^[^a-z]{2,9}$'", "'[[:alpha:]]+?'", "'%\\%_'",
    "'P1Y2M3DT4H'", "'1 day -3 hours'", "'2026-02-29'", "'NaN'", "'infinity'", "E'\\n'", "$$", "--",
    "/*", "\"", "'", "\\", "\u{0}", "é", "日",
  ]
}
