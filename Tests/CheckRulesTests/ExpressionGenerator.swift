// Draws CHECK expressions over the sample columns: mostly what people write, and every form that
// the engine computes.

import SeededRandom

enum ValueKind: CaseIterable {
  case number
  case integer
  case text
  case timestamp
  case interval
}

struct ExpressionGenerator {
  var random: SeededGenerator

  /// A condition whose operators are nested up to `depth` deep.
  mutating func condition(_ depth: Int) -> String {
    switch random.number(0...(depth > 0 ? 107 : 55)) {
    case 0..<18: return "\(number(depth - 1)) \(comparison()) \(number(depth - 1))"
    case 18..<22: return "\(integer(depth - 1)) \(comparison()) \(integer(depth - 1))"
    case 22..<31: return membership(depth - 1)
    case 31..<34: return range(depth - 1)
    case 34..<38: return test(depth - 1)
    case 38..<43: return like(depth - 1)
    case 43..<47: return matches(depth - 1)
    case 47..<51: return time(depth - 1)
    case 51..<56: return document(depth - 1)
    case 56..<58: return pick(["flag", "(whole <> 0)", "(flag = true)", "(flag > false)"])
    case 58..<62:
      return "\(text(depth - 1)) \(pick(["=", "<>"])) \(text(depth - 1))"
    case 62..<66: return "\(scalar(depth - 1)) IS\(pick([" NOT", ""])) NULL"
    case 66..<70: return distinct(depth - 1)
    case 70..<74: return "NOT (\(condition(depth - 1)))"
    case 74..<86: return connected("AND", depth)
    case 86..<95: return connected("OR", depth)
    case 95..<99: return digits(depth - 1)
    case 99..<103:
      return "\(pick(["length", "octet_length"]))(\(text(depth - 1))) \(comparison()) "
        + "\(random.number(0...12))"
    default:
      return "CASE WHEN \(condition(depth - 1)) THEN \(condition(depth - 1)) "
        + "ELSE \(condition(depth - 1)) END"
    }
  }

  /// An expression of a kind whose value, printed, is exact.
  mutating func value(_ kind: ValueKind, _ depth: Int) -> String {
    switch kind {
    case .number: number(depth)
    case .integer: integer(depth)
    case .text: text(depth)
    case .timestamp: timestamp(depth)
    case .interval: "((\"timestamp\" \(pick(["+", "-"])) \(interval())) - \(timestamp(depth)))"
    }
  }

  private mutating func pick(_ forms: [String]) -> String { random.element(of: forms) }

  private mutating func comparison() -> String {
    pick(["=", "<>", "<", "<=", ">", ">=", ">", ">="])
  }

  private mutating func connected(_ word: String, _ depth: Int) -> String {
    (0..<random.number(2...3)).map { _ in "(\(condition(depth - 1)))" }
      .joined(separator: " \(word) ")
  }

  // MARK: Conditions

  private mutating func membership(_ depth: Int) -> String {
    switch random.number(0...7) {
    case 0...3:
      let words = ["'solar'", "'wind'", "'hydro'", "'12'", "''", "'日本'", "'naïve'", "'É'"]
      let list = (0..<random.number(1...9)).map { _ in random.element(of: words) }
      let null = random.oneIn(6) ? ", NULL" : ""
      return "\(text(depth)) \(pick(["IN", "NOT IN"])) (\(list.joined(separator: ", "))\(null))"
    case 4:
      return "\(number(depth)) \(comparison()) \(pick(["ANY", "ALL"])) "
        + "(ARRAY[\(number(0)), \(number(0)), \(pick(["NULL", "1.5", "0"]))])"
    case 5: return "name \(pick(["= ANY", "<> ALL"])) ('{solar,\"a%b\",NULL,x}'::text[])"
    case 6: return "\(integer(depth)) \(pick(["IN", "NOT IN"])) (1, -1, 7, 32767)"
    default:
      return "\(text(depth)) \(pick(["LIKE", "NOT LIKE", "ILIKE"])) \(pick(["ANY", "ALL"])) "
        + "(ARRAY['sol%', '%a', NULL, '_'])"
    }
  }

  private mutating func range(_ depth: Int) -> String {
    switch random.number(0...3) {
    case 0: "ratio >= 0 AND ratio <= 1"
    case 1: "\(number(depth)) \(pick(["", "NOT "]))BETWEEN \(number(0)) AND \(number(0))"
    case 2: "amount > 0 AND amount < \(number(0))"
    default: "whole BETWEEN 0 AND 100"
    }
  }

  /// Looks at the scale and the last digits of a number, which comparisons do not show.
  private mutating func digits(_ depth: Int) -> String {
    let printed = "(\(number(max(depth, 1))))::text"
    switch random.number(0...2) {
    case 0: return "length(\(printed)) \(comparison()) \(random.number(1...30))"
    case 1: return "\(printed) LIKE '%\(random.number(0...9))'"
    default: return "\(printed) ~ '\\.\\d{\(random.number(1...20))}$'"
    }
  }

  private mutating func test(_ depth: Int) -> String {
    let test = pick([
      "TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN", "NULL", "NOT NULL",
    ])
    return "(\(condition(depth))) IS \(test)"
  }

  private mutating func distinct(_ depth: Int) -> String {
    let word = pick(["IS DISTINCT FROM", "IS NOT DISTINCT FROM"])
    switch random.number(0...3) {
    case 0: return "\(number(depth)) \(word) \(number(depth))"
    case 1: return "\(text(depth)) \(word) \(text(depth))"
    case 2: return "flag \(word) \(pick(["true", "false", "NULL"]))"
    default: return "\(timestamp(depth)) \(word) \(timestamp(depth))"
    }
  }

  private mutating func like(_ depth: Int) -> String {
    let pattern = pick([
      "'sol%'", "'%a_b%'", "'a\\%b'", "'_'", "'%'", "''", "'日_'", "'S%R'", "'%\\\\%'", "'__%'",
      "'%o%a%'", "'solar'", "'%ï%'", "note", "'\\s%'",
    ])
    return "\(text(depth)) \(pick(["LIKE", "NOT LIKE", "ILIKE", "LIKE"])) \(pattern)"
  }

  private mutating func matches(_ depth: Int) -> String {
    let pattern = pick([
      "'^[a-z]+$'", "'\\d'", "'^\\S+$'", "'[^a-z]'", "'a.c'", "'^.{2,5}$'", "'[[:digit:]]{2}'",
      "'a*b?'", "'^$'", "'日'", "'^[A-Z]{3}-\\d+$'", "'o.*r'", "'^[^ ]*$'", "'[%_]'", "'\\\\'",
      "'^(solar|wind)$'", "'[-+]?[0-9]+\\.[0-9]{2}$'", "'^\\w+$'", "'a{3,}b'", "'[]x]'", "'.'",
    ])
    return "\(text(depth)) \(pick(["~", "!~", "~*", "~"])) \(pattern)"
  }

  private mutating func time(_ depth: Int) -> String {
    switch random.number(0...5) {
    case 0: "\"timestamp\" \(comparison()) now() \(pick(["+", "-"])) \(interval())"
    case 1: "(\(timestamp(depth)) - \(timestamp(depth))) \(comparison()) \(interval())"
    case 2: "\(interval()) \(comparison()) \(interval()) \(pick(["+", "-"])) \(interval())"
    case 3:
      "((\"timestamp\" \(pick(["+", "-"])) \(interval())) - \"timestamp\") \(comparison()) "
        + "'\(random.number(-32...32)) days'::interval"
    default: "\(timestamp(depth)) \(comparison()) \(timestamp(depth))"
    }
  }

  private mutating func document(_ depth: Int) -> String {
    switch random.number(0...7) {
    case 0: "\(json(depth)) ? \(key())"
    case 1: "jsonb_typeof(\(json(depth))) = \(pick(["'object'", "'array'", "'number'", "'null'"]))"
    case 2: "\(json(depth)) ->> \(key()) IS\(pick(["", " NOT"])) NULL"
    case 3: "doc \(pick(["=", "<>"])) \(pick(["'{}'", "'[]'"]))"
    case 4: "doc \(pick(["?|", "?&"])) ARRAY['lat', \(key())]"
    case 5: "(doc #>> \(pick(["'{a,b,1}'", "'{lon,lat}'", "'{2,lat}'", "'{}'"]))) = '2'"
    case 6:
      "CASE WHEN jsonb_typeof(doc -> 'n') = 'number' THEN (doc ->> 'n')::numeric "
        + "\(comparison()) \(number(0)) ELSE \(pick(["true", "false", "NULL"])) END"
    default: "(\(json(depth)) ->> \(key())) = \(text(depth))"
    }
  }

  // MARK: Values

  private mutating func scalar(_ depth: Int) -> String {
    switch random.number(0...5) {
    case 0: number(depth)
    case 1: text(depth)
    case 2: timestamp(depth)
    case 3: json(depth)
    case 4: "id"
    default: pick(["amount", "name", "flag", "doc", "\"timestamp\""])
    }
  }

  private mutating func number(_ depth: Int) -> String {
    if depth <= 0 || random.oneIn(3) {
      return pick([
        "amount", "amount", "ratio", "free", "0", "1", "0.5", "100", "1.0", "999999999.999999",
        "0.000001", "3", "-1.5", "12345.678", "1e3", "0::numeric(5,2)",
      ])
    }
    let inner = number(depth - 1)
    switch random.number(0...17) {
    case 0: return "(\(inner) + \(number(depth - 1)))"
    case 1: return "(\(inner) - \(number(depth - 1)))"
    case 2, 3: return "(\(inner) * \(number(0)))"
    case 4:
      return "(\(inner) / \(pick(["2", "3", "7.0", "0.25", "100", "10001", "free", "ratio"])))"
    case 5: return "(\(inner) % \(pick(["3", "0.7", "1", "10", "amount"])))"
    case 6: return "abs(\(inner))"
    case 7: return "coalesce(\(inner), \(number(0)))"
    case 8: return "\(pick(["greatest", "least"]))(\(inner), \(number(0)), \(number(0)))"
    case 9: return "round((\(inner))::numeric, \(pick(["0", "1", "2", "5", "-1"])))"
    case 10: return "\(pick(["floor", "ceil", "trunc", "round", "sign"]))((\(inner))::numeric)"
    case 11: return "nullif(\(inner), \(number(0)))"
    case 12: return "(- \(inner))"
    case 13: return "(\(inner))::numeric(\(pick(["20,2", "15,6", "12", "5,4"])))"
    case 14: return "CASE WHEN \(condition(depth - 1)) THEN \(inner) ELSE \(number(0)) END"
    case 15: return "(\(integer(depth - 1)))::numeric"
    case 16: return "CASE WHEN name ~ '^[0-9]+$' THEN name::numeric ELSE \(inner) END"
    default: return "trunc((\(inner))::numeric, \(pick(["0", "2", "-2"])))"
    }
  }

  private mutating func integer(_ depth: Int) -> String {
    if depth <= 0 || random.oneIn(3) {
      return pick(["small", "whole", "big", "0", "1", "-7", "100", "whole"])
    }
    let inner = integer(depth - 1)
    switch random.number(0...11) {
    case 10: return "nullif(\(pick(["whole", "small"])), \(integer(0)))"
    case 11: return "greatest(\(inner), \(integer(0)))"
    case 0: return "(\(inner) + 1)"
    case 1: return "(\(inner) - \(integer(0)))"
    case 2: return "(\(inner) * 2)"
    case 3: return "(\(inner) / \(pick(["2", "-3", "whole"])))"
    case 4: return "(\(inner) % \(pick(["7", "-2"])))"
    case 5: return "\(pick(["length", "char_length", "octet_length"]))(\(text(depth - 1)))"
    case 6: return "(ratio)::integer"
    case 7: return "abs(\(pick(["whole", "small", "big"])))"
    case 8: return "coalesce(\(inner), 0)"
    default: return "(flag)::integer"
    }
  }

  private mutating func text(_ depth: Int) -> String {
    if depth <= 0 || random.oneIn(3) {
      return pick(["name", "name", "note", "note", "'solar'::text", "''::text", "'É'::text"])
    }
    let inner = text(depth - 1)
    switch random.number(0...12) {
    case 0: return "lower(name)"
    case 1: return "upper(\(inner))"
    case 2: return "btrim(\(inner))"
    case 3: return "\(pick(["btrim", "ltrim", "rtrim"]))(\(inner), \(pick(["'sr'", "' '", "'-'"])))"
    case 4: return "coalesce(\(inner), 'none')"
    case 5: return "(\(inner) || \(text(0)))"
    case 6: return "(\(number(depth - 1)))::text"
    case 7: return "(doc ->> \(key()))"
    case 8: return "nullif(\(inner), '')"
    case 9: return "(\(inner))::varchar(\(random.number(1...6)))"
    case 10: return "(flag)::text"
    case 11: return "(\(integer(depth - 1)))::text"
    default:
      return "CASE \(inner) WHEN 'solar' THEN 'sun' WHEN \(text(0)) THEN 'same' END"
    }
  }

  private mutating func timestamp(_ depth: Int) -> String {
    switch random.number(0...5) {
    case 0: "now()"
    case 1: "'2025-01-01 00:00:00+00'::timestamptz"
    case 2: "(\"timestamp\" \(pick(["+", "-"])) \(interval()))"
    case 3: "coalesce(\"timestamp\", CURRENT_TIMESTAMP)"
    default: "\"timestamp\""
    }
  }

  private mutating func interval() -> String {
    let length = pick([
      "1 day", "24 hours", "1 month", "30 days", "1 year 2 months", "-1 day", "15 minutes",
      "0.5 seconds", "1 day -3 hours", "36:00:00", "5 years", "-1 month 1 day", "0",
    ])
    return "'\(length)'::interval"
  }

  private mutating func key() -> String {
    pick(["'lat'", "'lon'", "'grid_code'", "'n'", "'a'", "'solar'", "'lat'"])
  }

  private mutating func json(_ depth: Int) -> String {
    if depth <= 0 || random.oneIn(2) { return "doc" }
    return switch random.number(0...4) {
    case 0: "(doc -> \(random.number(-3...4)))"
    case 1: "(\(json(depth - 1)) -> \(key()))"
    case 2: "(doc #> \(pick(["'{a,b}'", "'{a,b,-1}'", "'{0}'", "'{lon}'"])))"
    case 3: "coalesce(doc -> \(key()), '{}')"
    default: "(doc -> \(key()))"
    }
  }
}
