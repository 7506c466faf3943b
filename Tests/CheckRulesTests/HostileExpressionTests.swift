// Expressions and documents that nobody means well with: no crash, no long wait, no wrong verdict.

import CheckRules
import EnergyReadings
import PostgresStore
import SeededRandom
import TestServices
import Testing

@Suite struct HostileExpressionTests {
  @Test(arguments: [
    "(", "NOT ", "- ", "+", "CASE ", "ARRAY[", "coalesce(", "1+", "whole IS NULL IS ",
  ])
  func deepNestingIsDeferred(opening: String) {
    #expect(deferral(String(repeating: opening, count: 10_000) + "whole") != nil)
    let closed =
      String(repeating: "(", count: 10_000) + "whole > 0" + String(repeating: ")", count: 10_000)
    #expect(deferral(closed) != nil)
  }

  @Test func nestingThatPeopleMayWriteIsNot() throws {
    let expression =
      String(repeating: "(", count: 60) + "whole > 0" + String(repeating: ")", count: 60)
    #expect(try judge(expression, [(Column.whole, .number("0"))]) == .violated)
  }

  /// Quadratic time would be minutes.
  @Test(
    .timeLimit(.minutes(1)),
    arguments: [
      "whole > 0 OR ", "'", "\"", "(whole > 0) AND ", "1 + ", "~", "a.", "x ", "1e", "'a' || ",
      "-", "+",
    ])
  func aMegabyteIsReadInOnePass(piece: String) {
    let text = String(repeating: piece, count: 1_000_000 / piece.utf8.count)
    #expect(deferral(text + "'") != nil)
  }

  @Test func aLongListIsJudged() throws {
    let numbers = (0..<20_000).map(String.init).joined(separator: ", ")
    let expression = "(whole = ANY (ARRAY[\(numbers)]))"
    #expect(try judge(expression, [(Column.whole, .number("19999"))]) == .passes)
    #expect(try judge(expression, [(Column.whole, .number("20000"))]) == .violated)
  }

  /// Whatever compiles after bytes were changed, judges a row without a crash.
  @Test func mutatedExpressions() {
    var random = SeededGenerator(seed: 7)
    var generator = ExpressionGenerator(random: SeededGenerator(seed: 8))
    let corpus = (0..<200).map { _ in Array(generator.condition(2).utf8) }
    var rows = SampleRows(random: SeededGenerator(seed: 9))
    var arena = ByteArena()
    let row = rows.rows(1)[0].values(&arena)
    let evaluator = CheckEvaluator()
    var compiled = 0
    for _ in 0..<200_000 {
      let text = String(decoding: mutated(random.element(of: corpus), &random), as: UTF8.self)
      guard
        let constraint = try? CheckConstraint(
          name: "rule", expression: text, columns: sampleColumns, environment: CheckEnvironment())
      else { continue }
      compiled += 1
      _ = evaluator.verdict(
        of: constraint, row: row, texts: arena, now: Timestamp(microseconds: 0))
    }
    #expect(compiled > 2_000)
  }

  /// A few bytes replaced, removed, doubled or inserted.
  private func mutated(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    let alphabet = Array("()[]'\"0123456789.eE+-*/%<>=~!|&?:,aANOT \\{}_\n\u{e9}".utf8)
    for _ in 0..<random.number(1...3) where !bytes.isEmpty {
      let index = random.number(0...(bytes.count - 1))
      switch random.number(0...3) {
      case 0: bytes[index] = random.element(of: alphabet)
      case 1: bytes.remove(at: index)
      case 2: bytes.insert(random.element(of: alphabet), at: index)
      default: bytes.replaceSubrange(index..., with: bytes[index...] + bytes[index...].prefix(9))
      }
    }
    return bytes
  }

  /// Documents reach the engine only when they are valid; it holds out without that.
  @Test func mutatedDocuments() throws {
    var random = SeededGenerator(seed: 11)
    let rules = [
      "((doc ->> 'lat'::text) = 'x'::text)", "((doc -> -1) IS NULL)", "(doc ? 'lat'::text)",
      "((doc #>> '{a,b,0}'::text[]) IS NULL)", "(jsonb_typeof(doc) = 'object'::text)",
      "(((doc ->> 'n'::text))::numeric > 0.5)", "(doc = '{}'::jsonb)",
    ]
    let constraints = try rules.map {
      try CheckConstraint(
        name: "rule", expression: $0, columns: [Column.document], environment: CheckEnvironment())
    }
    let seed = Array(
      #"{"lat":1e2,"a":{"b":[1,"\ud83d\ude00\n"]},"n":-0.50,"lat":"x\u0041"}"#.utf8)
    let evaluator = CheckEvaluator()
    var decided = 0
    for _ in 0..<20_000 {
      var arena = ByteArena()
      let slice = arena.append(mutated(seed, &random).span)
      let row: [SQLValue] = [.json(SQLText(row: slice))]
      for constraint in constraints {
        let verdict = evaluator.verdict(
          of: constraint, row: row, texts: arena, now: Timestamp(microseconds: 0))
        if verdict != .undecided { decided += 1 }
      }
    }
    #expect(decided > 1_000)
  }

  /// What a user has put before PostgreSQL's own is printed with its schema, so it is deferred.
  @Test func functionsAndOperatorsOfTheUser() throws {
    let connection = try PostgresConnection(url: TestServices.emptyDatabase())
    try connection.execute(
      """
      CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''x''';
      CREATE FUNCTION public.same(varchar, varchar) RETURNS boolean LANGUAGE sql IMMUTABLE
      AS 'SELECT false';
      CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.same);
      CREATE DOMAIN public.positive AS numeric(15,6) CHECK (VALUE > 0);
      CREATE TABLE public.checked (
        name varchar(20), amount public.positive,
        CONSTRAINT function_of_user CHECK (lower(name) = 'x'),
        CONSTRAINT operator_of_user CHECK (name = 'x'::varchar),
        CONSTRAINT domain_of_user CHECK (amount <> 1),
        CONSTRAINT of_postgresql CHECK (lower(name::text) <> 'y')
      );
      SET search_path = pg_catalog;
      """)
    let printed = try connection.query(
      """
      SELECT conname, pg_get_expr(conbin, conrelid) FROM pg_constraint
      WHERE conrelid = 'public.checked'::regclass ORDER BY conname
      """)
    // A domain's columns are described by the type below it.
    let columns = [Column.name, CheckedColumn(name: "amount", type: "numeric(15,6)")]
    let deferred = printed.filter { deferral($0[1] ?? "", columns: columns) != nil }.map { $0[0] }
    #expect(printed.count == 4)
    #expect(deferred == ["function_of_user", "operator_of_user"], "\(printed)")
  }
}
