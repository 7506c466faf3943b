// A CHECK constraint that can be judged without PostgreSQL.

import EnergyReadings

/// A compiled CHECK constraint of a table or a domain.
///
/// A class, since it is handed around for every reading: a struct's arrays would be counted each
/// time.
public final class CheckConstraint: Sendable {
  public let name: String
  /// As `pg_get_expr` prints it.
  public let expression: String
  /// Indices of the carried columns it reads, ascending.
  public let columns: [Int]
  /// Whether it reads the clock: the verdict holds for the `now` it was given.
  public let usesClock: Bool

  let program: Program
  let directTest: DirectTest?

  /// Compiles an expression.
  ///
  /// - Parameters:
  ///   - expression: from `pg_get_expr(conbin, conrelid)`, read with `search_path = pg_catalog`,
  ///     `TimeZone = UTC`, `DateStyle = ISO`, `IntervalStyle = iso_8601` and
  ///     `standard_conforming_strings = on`: what is printed without a schema is then PostgreSQL's
  ///     own.
  ///   - columns: all columns of the table; rows have their values in this order.
  /// - Throws: ``Deferral`` where the expression uses what is not computed here, or would raise an
  ///   error for every row.
  public init(
    name: String, expression: String, columns: [CheckedColumn], environment: CheckEnvironment
  ) throws(Deferral) {
    var compiler = Compiler(columns: columns, environment: environment)
    var reader = ExpressionReader(try TokenReader(expression))
    let root = try reader.readAll(&compiler)
    program = try compiler.finish(root)
    directTest = DirectTest(program, columns)
    self.name = name
    self.expression = expression
    self.columns = compiler.columnsRead.sorted()
    usesClock = compiler.usesClock
  }
}
