// The engine against PostgreSQL: drawn expressions, drawn rows, the same verdicts.

import CheckRules
import EnergyReadings
import Foundation
import PostgresStore
import SeededRandom
import TestServices
import Testing

@Suite struct DifferentialTests {
  /// More expressions, or others, for a longer look.
  private static func setting(_ name: String, default value: Int) -> Int {
    ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? value
  }

  @Test func verdictsArePostgreSQLs() throws {
    let seed = Self.setting("CHECK_DIFFERENTIAL_SEED", default: 1)
    let expressions = Self.setting("CHECK_DIFFERENTIAL_EXPRESSIONS", default: 400)
    var random = SeededGenerator(seed: UInt64(seed))
    var rows = SampleRows(random: SeededGenerator(seed: random.next()))
    let comparison = try Comparison(rows: rows.rows(300), seed: seed)
    var generator = ExpressionGenerator(random: SeededGenerator(seed: random.next()))
    for _ in 0..<expressions {
      let depth = random.number(0...4)
      let numbers = (0..<50).map { _ in random.number(0...299) }
      try comparison.compare(generator.condition(depth), rows: numbers)
    }
    let tally = comparison.tally
    // Shirking is no way to be right.
    #expect(tally.drawn - tally.refused >= expressions * 9 / 10, "\(tally)")
    #expect(tally.compiled * 100 >= (tally.drawn - tally.refused) * 95, "\(tally)")
    #expect(tally.decided * 100 >= tally.decidable * 95, "\(tally)")
    print("differential: \(tally)")
    for (reason, count) in tally.deferrals.sorted(by: { $0.value > $1.value }).prefix(20) {
      print("  deferred \(count) ×: \(reason)")
    }
  }

  /// A comparison shows little of a value. Here each has to be PostgreSQL's to the last digit.
  @Test func valuesArePostgreSQLs() throws {
    let seed = Self.setting("CHECK_DIFFERENTIAL_SEED", default: 1)
    let expressions = Self.setting("CHECK_DIFFERENTIAL_EXPRESSIONS", default: 400)
    var random = SeededGenerator(seed: UInt64(seed))
    var rows = SampleRows(random: SeededGenerator(seed: random.next()))
    let comparison = try Comparison(rows: rows.rows(300), seed: seed)
    var generator = ExpressionGenerator(random: SeededGenerator(seed: random.next()))
    for number in 0..<expressions {
      let kind = ValueKind.allCases[number % ValueKind.allCases.count]
      let numbers = (0..<12).map { _ in random.number(0...299) }
      try comparison.compareValue(
        generator.value(kind, random.number(1...4)), kind, rows: numbers)
    }
    let tally = comparison.tally
    #expect(tally.compiled * 100 >= (tally.drawn - tally.refused) * 95, "\(tally)")
    #expect(tally.decided * 100 >= tally.decidable * 90, "\(tally)")
    print("differential values: \(tally)")
  }
}

/// What a run saw.
struct Tally: CustomStringConvertible {
  var drawn = 0
  /// PostgreSQL does not take the expression as a constraint.
  var refused = 0
  var compiled = 0
  /// Rows of compiled expressions that PostgreSQL has a verdict for.
  var decidable = 0
  var decided = 0
  /// Rows whose INSERT was tried.
  var inserted = 0
  var deferrals: [String: Int] = [:]

  var description: String {
    "\(drawn) expressions, \(refused) refused by PostgreSQL, \(compiled) compiled; "
      + "\(decided) of \(decidable) row verdicts decided; \(inserted) rows inserted"
  }
}

/// One database with sample rows, asked beside the engine.
final class Comparison {
  private(set) var tally = Tally()
  private let connection: PostgresConnection
  private let samples: [SampleRow]
  private let rows: [[SQLValue]]
  private let arena: ByteArena
  private let seed: Int
  private let evaluator = CheckEvaluator()
  private let environment = CheckEnvironment(utcOffsetSeconds: 7 * 3_600)

  init(rows samples: [SampleRow], seed: Int) throws {
    self.samples = samples
    self.seed = seed
    var arena = ByteArena()
    rows = samples.map { $0.values(&arena) }
    self.arena = arena
    connection = try PostgresConnection(url: TestServices.emptyDatabase())
    let columns = sampleColumns.map { "\"\($0.name)\" \($0.type)" }.joined(separator: ", ")
    // A zone that is not UTC, and whose clock has not been changed since 1920.
    try connection.execute(
      """
      SET TimeZone = 'Asia/Bangkok';
      SET IntervalStyle = 'iso_8601';
      CREATE TABLE checked (\(columns));
      CREATE TABLE samples (LIKE checked, sample_number serial);
      """)
    try connection.execute(Self.functions)
    let values = samples.map(\.sql).joined(separator: ",\n")
    let names = sampleColumns.map { "\"\($0.name)\"" }.joined(separator: ", ")
    try connection.execute("INSERT INTO samples (\(names)) VALUES \(values)")
  }

  /// Judges the rows here and there.
  func compare(_ expression: String, rows numbers: [Int]) throws {
    tally.drawn += 1
    do {
      try connection.execute(
        "ALTER TABLE checked ADD CONSTRAINT drawn CHECK (\(expression)) NOT VALID")
    } catch {
      tally.refused += 1
      return
    }
    defer { try? connection.execute("ALTER TABLE checked DROP CONSTRAINT drawn") }
    let list = "{" + numbers.map { String($0 + 1) }.joined(separator: ",") + "}"
    let answer = try connection.query(
      """
      SELECT printed(oid), judged(printed(oid), $1::int[]),
        (extract(epoch FROM now()) * 1000000)::bigint
      FROM pg_constraint WHERE conname = 'drawn'
      """, [list])[0]
    let printed = try #require(answer[0])
    let judged = Array(try #require(answer[1]))
    let now = Timestamp(microseconds: try #require(answer[2].flatMap { Int64($0) }))
    let constraint: CheckConstraint
    do throws(Deferral) {
      constraint = try CheckConstraint(
        name: "drawn", expression: printed, columns: sampleColumns,
        environment: environment)
    } catch {
      tally.deferrals[error.reason, default: 0] += 1
      return
    }
    tally.compiled += 1
    for (index, number) in numbers.enumerated() {
      let verdict = evaluator.verdict(of: constraint, row: rows[number], texts: arena, now: now)
      check(verdict, against: judged[index], printed, number)
    }
    try insert(numbers.prefix(2), judged: judged)
  }

  /// Asks PostgreSQL for the value in each row, and the engine whether it is just that.
  func compareValue(_ expression: String, _ kind: ValueKind, rows numbers: [Int]) throws {
    tally.drawn += 1
    do {
      try connection.execute(
        "ALTER TABLE checked ADD CONSTRAINT drawn CHECK ((\(expression)) IS NULL) NOT VALID")
    } catch {
      tally.refused += 1
      return
    }
    defer { try? connection.execute("ALTER TABLE checked DROP CONSTRAINT drawn") }
    let test = try connection.query(
      "SELECT printed(oid) FROM pg_constraint WHERE conname = 'drawn'")[0][0]
    let printed = try #require(test).dropFirst().dropLast(" IS NULL)".count)
    tally.compiled += deferral("(\(printed) IS NULL)", environment: environment) == nil ? 1 : 0
    let shown =
      kind == .timestamp
      ? "to_char((\(printed)) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00')"
      : "(\(printed))::text"
    for number in numbers {
      let answer = try connection.query(
        "SELECT * FROM valued($1, $2::int)", [shown, "\(number + 1)"])[0]
      let now = Timestamp(microseconds: try #require(answer[2].flatMap { Int64($0) }))
      if answer[1] == "t" {
        checkValue("(\(printed) IS NULL)", isError: true, number, now)
      } else if let value = answer[0] {
        let literal = "'\(value.replacing("'", with: "''"))'"
        let pinned =
          switch kind {
          case .number, .integer: "((\(printed))::text = \(literal)::text)"
          case .text: "(\(printed) = \(literal)::text)"
          case .timestamp: "(\(printed) = \(literal)::timestamp with time zone)"
          case .interval: "(\(printed) = \(literal)::interval)"
          }
        checkValue(pinned, isError: false, number, now)
      } else {
        checkValue("(\(printed) IS NULL)", isError: false, number, now)
      }
    }
  }

  private func checkValue(
    _ expression: String, isError: Bool, _ number: Int, _ now: Timestamp
  ) {
    guard
      let constraint = try? CheckConstraint(
        name: "drawn", expression: expression, columns: sampleColumns, environment: environment)
    else { return }
    let verdict = evaluator.verdict(of: constraint, row: rows[number], texts: arena, now: now)
    check(verdict, against: isError ? "e" : "t", expression, number)
  }

  private func check(
    _ verdict: CheckVerdict, against answer: Character, _ expression: String, _ number: Int
  ) {
    let expected: CheckVerdict =
      answer == "f" ? .violated : answer == "e" ? .undecided : .passes
    if answer != "e" { tally.decidable += 1 }
    if verdict != .undecided { tally.decided += 1 }
    if verdict == expected || verdict == .undecided { return }
    // In one line: PostgreSQL prints CASE in several.
    let reproduction = expression.split(whereSeparator: \.isNewline).joined(separator: " ")
    Issue.record(
      """
      seed \(seed), expression \(tally.drawn): CHECK (\(reproduction)) is \(verdict) here and \
      "\(answer)" in PostgreSQL for VALUES \(samples[number].sql)
      """)
  }

  /// The constraint itself, asked by INSERT, says what the expression says.
  private func insert(_ numbers: ArraySlice<Int>, judged: [Character]) throws {
    for (index, number) in numbers.enumerated() {
      let answer = try connection.query("SELECT inserted($1::int)", ["\(number + 1)"])[0][0]
      tally.inserted += 1
      let expected = judged[index] == "n" ? "t" : String(judged[index])
      #expect(answer == expected, "row \(samples[number].sql)")
    }
  }

  /// `printed`: a constraint as the ingestor reads it. `judged`: t, f, n (NULL) or e (error) for
  /// each row. `valued`: a value, or that it raises an error. `inserted`: t, f or e of one row by the constraint, and the row is gone again.
  private static let functions = """
    CREATE FUNCTION printed(constraint_oid oid) RETURNS text LANGUAGE sql
    SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO'
    SET IntervalStyle = 'iso_8601'
    AS 'SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE oid = constraint_oid';

    CREATE FUNCTION judged(condition text, numbers int[]) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
      result text := '';
      verdict text;
      wanted int;
      form text := format(
        'CASE WHEN (%1$s) THEN ''t'' WHEN NOT (%1$s) THEN ''f'' ELSE ''n'' END', condition);
    BEGIN
      BEGIN
        EXECUTE format(
          'SELECT string_agg(%s, '''' ORDER BY place) FROM unnest($1) WITH ORDINALITY '
          'AS list(sample_number, place) JOIN samples USING (sample_number)', form)
        INTO result USING numbers;
        RETURN result;
      EXCEPTION WHEN OTHERS THEN result := '';
      END;
      FOREACH wanted IN ARRAY numbers LOOP
        BEGIN
          EXECUTE format('SELECT %s FROM samples WHERE sample_number = $1', form)
          INTO verdict USING wanted;
        EXCEPTION WHEN OTHERS THEN verdict := 'e';
        END;
        result := result || verdict;
      END LOOP;
      RETURN result;
    END $$;

    CREATE FUNCTION valued(
      expression text, wanted int, OUT value text, OUT failed boolean, OUT clock bigint)
    LANGUAGE plpgsql AS $$
    BEGIN
      clock := extract(epoch FROM now()) * 1000000;
      failed := false;
      EXECUTE format('SELECT %s FROM samples WHERE sample_number = $1', expression)
      INTO value USING wanted;
    EXCEPTION WHEN OTHERS THEN failed := true;
    END $$;

    CREATE FUNCTION inserted(wanted int) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
      BEGIN
        INSERT INTO checked
        SELECT \(sampleColumns.map { "\"\($0.name)\"" }.joined(separator: ", "))
        FROM samples WHERE sample_number = wanted;
        RAISE SQLSTATE 'TT000';
      EXCEPTION WHEN SQLSTATE 'TT000' THEN RETURN 't';
      WHEN check_violation THEN RETURN 'f';
      WHEN OTHERS THEN RETURN 'e';
      END;
    END $$;
    """
}
