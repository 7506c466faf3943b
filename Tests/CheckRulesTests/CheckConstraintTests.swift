// Single rules of the CHECK engine: what decides, what is undecided, what is deferred, and which
// columns a constraint reads.

import CheckRules
import EnergyReadings
import Testing

@Suite struct CheckConstraintTests {
  @Test(arguments: [
    ("1.000000", CheckVerdict.passes), ("0.000000", .violated), ("-0.000001", .violated),
  ])
  func anAmountIsAboveZero(amount text: String, verdict: CheckVerdict) throws {
    let row = [(Column.amount, TestValue.number(text))]
    #expect(try judge("(amount > (0)::numeric)", row) == verdict)
  }

  @Test func nullPasses() throws {
    #expect(try judge("(amount > (0)::numeric)", [(Column.amount, .null)]) == .passes)
    let range = "((amount >= (0)::numeric) AND (amount <= (1)::numeric))"
    #expect(try judge(range, [(Column.amount, .null)]) == .passes)
    let source = "((name)::text = ANY (ARRAY['solar'::text, 'wind'::text]))"
    #expect(try judge(source, [(Column.name, .null)]) == .passes)
  }

  @Test(arguments: [
    // A decision on the left is not undone by what would be an error on the right.
    ("((whole = 1) AND ((1 / (whole - whole)) > 0))", "0", CheckVerdict.violated),
    ("((whole = 0) OR ((1 / (whole - whole)) > 0))", "0", .passes),
    // An error on the left has been raised before the right is looked at.
    ("(((1 / (whole - whole)) > 0) AND (whole = 1))", "0", .undecided),
    ("(((1 / (whole - whole)) > 0) OR (whole = 0))", "0", .undecided),
    // A NULL on the left decides nothing.
    ("((NULL::boolean AND ((1 / whole) > 0)))", "0", .undecided),
    ("CASE WHEN (whole = 0) THEN true ELSE ((1 / whole) > 0) END", "0", .passes),
    ("(COALESCE(whole, (1 / (whole - whole))) = 0)", "0", .passes),
    ("((whole + 1) > 0)", "2147483647", .undecided), ("((whole + 1) > 0)", "2147483646", .passes),
    ("((whole / 0) IS NULL)", "1", .undecided), ("((- whole) < 0)", "-2147483648", .undecided),
  ])
  func errorsAreUndecided(expression: String, whole value: String, verdict: CheckVerdict) throws {
    #expect(try judge(expression, [(Column.whole, .number(value))]) == verdict)
  }

  @Test func aRowValueThatIsNotKnownIsUndecidedWhereItIsRead() throws {
    let row = [(Column.amount, TestValue.undecided), (Column.whole, .number("1"))]
    #expect(try judge("(amount > (0)::numeric)", row) == .undecided)
    #expect(try judge("(amount IS NULL)", row) == .undecided)
    #expect(try judge("((whole = 1) OR (amount > (0)::numeric))", row) == .passes)
    #expect(try judge("(whole > 1)", row) == .violated)
  }

  @Test func numbersBeyondTheRangeAreUndecided() throws {
    let free = CheckedColumn(name: "free", type: "numeric")
    let large = TestValue.number(String(repeating: "9", count: 38))
    #expect(try judge("((free * free) > (0)::numeric)", [(free, large)]) == .undecided)
    #expect(try judge("(free > 0.5)", [(free, large)]) == .passes)
    // Compared at 40 decimals, this is beyond 128 bits, and still larger.
    let tiny = "0." + String(repeating: "0", count: 36) + "1"
    #expect(try judge("(free > \(tiny))", [(free, large)]) == .passes)
    #expect(deferral("(amount < 1\(String(repeating: "0", count: 40)))") != nil)
  }

  @Test func columnsAndClock() throws {
    let rule = try CheckConstraint(
      name: "rule", expression: "((whole > 0) AND (\"timestamp\" < now()) AND (amount > whole))",
      columns: sampleColumns, environment: CheckEnvironment())
    #expect(rule.columns == [0, 4, 8])
    #expect(rule.usesClock)
    let other = try CheckConstraint(
      name: "rule", expression: "(flag IS NOT FALSE)", columns: sampleColumns,
      environment: CheckEnvironment())
    #expect(other.columns == [10] && !other.usesClock)
  }

  @Test func aDomainsValue() throws {
    let value = CheckedColumn(name: "VALUE", type: "numeric")
    #expect(try judge("(VALUE > (0)::numeric)", [(value, .number("-1"))]) == .violated)
  }

  @Test func columnsThatAreNotCarriedHoldTheirDefault() throws {
    func column(_ type: String, _ expression: String?) -> CheckedColumn {
      CheckedColumn(
        name: "other", type: type, isCarried: false, defaultExpression: expression)
    }
    let status = column("character varying(20)", "'pending'::character varying")
    #expect(try judge("((other)::text = 'pending'::text)", [(status, .opaque)]) == .passes)
    #expect(try judge("((other)::text = 'settled'::text)", [(status, .opaque)]) == .violated)
    let price = column("numeric(5,2)", "1.005")
    #expect(try judge("((other)::text = '1.01'::text)", [(price, .opaque)]) == .passes)
    let none = column("integer", nil)
    #expect(try judge("(other IS NOT NULL)", [(none, .opaque)]) == .violated)
    let clock = column("timestamp with time zone", "now()")
    let rule = try CheckConstraint(
      name: "rule", expression: "(other <= now())", columns: [clock],
      environment: CheckEnvironment())
    #expect(rule.usesClock && rule.columns.isEmpty)
    let long = column("character varying(3)", "'pending'::character varying")
    #expect(deferral("(other IS NULL)", columns: [long]) != nil)
    let random = column("uuid", "gen_random_uuid()")
    #expect(deferral("(other IS NULL)", columns: [random]) != nil)
  }

  @Test func aGeneratedColumnIsComputedFromCarriedOnes() throws {
    let twice = CheckedColumn(
      name: "twice", type: "integer", isCarried: false, defaultExpression: "(whole * 2)")
    let row = [(Column.whole, TestValue.number("3")), (twice, .opaque)]
    #expect(try judge("(twice > 6)", row) == .violated)
    let circle = CheckedColumn(
      name: "circle", type: "integer", isCarried: false, defaultExpression: "(circle + 1)")
    #expect(deferral("(circle > 0)", columns: [circle]) != nil)
  }

  @Test(arguments: [
    "(public.lower(name) = 'x'::text)", "((name)::text OPERATOR(public.=) 'x'::text)",
    "((name)::public.citext = 'x'::public.citext)", "((name)::text < 'b'::text)",
    "((1 / 0) > whole)", "('NaN'::numeric > amount)", "((whole > 0) OR ((1 / 0) = 1))",
    "(\"timestamp\" < 'infinity'::timestamp with time zone)", "(amount > 'x'::numeric)",
    "((amount)::double precision > (0)::double precision)", "(md5((name)::text) = 'x'::text)",
    "((name)::text ~ '(a|b)'::text)", "((name)::text ~ '(?i)a'::text)",
    "((name)::text ~ '***=a'::text)", "((name)::text ~ 'a**'::text)",
    "((name)::text ~ '\\1'::text)",
    "((name)::text ~ 'a+?'::text)", "(date_part('hour'::text, \"timestamp\") < 25)",
    "(doc @> '{}'::jsonb)", "(id = '00000000-0000-0000-0000-000000000000'::uuid)",
    "((name COLLATE \"de_DE\") = 'x'::text)", "(clock_timestamp() > \"timestamp\")",
    "(nobody > 0)", "(ROW(whole, 1) IS NULL)", "amount", "(whole)", "", "(", "whole >",
    "whole > 0)", "(name = 'open)", "(\"name = 1)", "whole > 0 -- comment",
    "whole > 0 /* comment */", "(whole > --1\n1)", "\u{1F600}",
    "(whole > 0) garbage", "whole[1] > 0", "(whole = ANY (SELECT 1))",
    "E'a' = name", "whole IS",
    "(whole)::integer[] IS NULL", "CASE END", "ARRAY[1,2] IS NULL", "(small > 1::\"char\")",
    "((amount)::numeric(3,-2) > (0)::numeric)", "(\"timestamp\" > '2026-01-01'::date)",
  ])
  func isLeftToPostgreSQL(expression: String) {
    let reason = deferral(expression)
    #expect(reason != nil)
    #expect(reason?.isEmpty == false)
  }

  @Test func localeAndTimeZoneMayDefer() {
    let turkish = CheckEnvironment(isCasePlain: false)
    #expect(deferral("(lower((name)::text) = 'i'::text)", environment: turkish) != nil)
    #expect(deferral("((name)::text ~~* 'i'::text)", environment: turkish) != nil)
    #expect(deferral("((name)::text ~~ 'i'::text)", environment: turkish) == nil)
    let summer = CheckEnvironment(utcOffsetSeconds: nil)
    let day = "(\"timestamp\" > (now() - 'P1D'::interval))"
    #expect(deferral(day, environment: summer) != nil)
    #expect(deferral(day.replacing("P1D", with: "PT24H"), environment: summer) == nil)
  }

  @Test func textThatACollationMayCallEqualIsOnlyAskedForNull() {
    let column = CheckedColumn(name: "name", type: "text", hasPlainCollation: false)
    #expect(deferral("(name = 'x'::text)", columns: [column]) != nil)
    #expect(deferral("(length(name) > 0)", columns: [column]) != nil)
    #expect(deferral("(name IS NOT NULL)", columns: [column]) == nil)
  }

  @Test func aPatternThatTakesTooLongIsUndecided() throws {
    let text = String(repeating: "a", count: 2_000)
    let note = CheckedColumn(name: "note", type: "text")
    let row = [(note, TestValue.text(text))]
    #expect(try judge("(note ~ 'a*a*a*a*a*b'::text)", row) == .undecided)
    #expect(try judge("(note ~ '^a*$'::text)", row) == .passes)
  }
}
