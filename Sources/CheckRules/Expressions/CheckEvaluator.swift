// Judges rows by compiled constraints.

import EnergyReadings

/// What a constraint says about a row.
public enum CheckVerdict: Sendable {
  /// True or NULL: PostgreSQL takes the row.
  case passes
  /// False: PostgreSQL refuses the row.
  case violated
  /// Left to PostgreSQL, which may take the row, refuse it or raise another error.
  case undecided
}

/// Judges rows; owns the memory for texts that expressions make, so each thread has its own.
public final class CheckEvaluator {
  private var scratch: [UInt8] = []

  public init() {}

  /// Judges one row.
  ///
  /// - Parameters:
  ///   - row: the values of all columns by the index the constraint was compiled with, as the table
  ///     would store them; those that are not carried are not looked at.
  ///   - texts: the arena that texts with the pool `row` stand in.
  ///   - now: what `now()` gives.
  public func verdict(
    of constraint: CheckConstraint, row: borrowing [SQLValue],
    texts: borrowing ByteArena, now: Timestamp
  ) -> CheckVerdict {
    if let test = constraint.directTest {
      // Bound one by one: the whole program would be copied, and each of its arrays counted.
      let members = constraint.program.members
      let constants = constraint.program.constants
      return test.verdict(
        row: row.span, texts: texts.bytes.span, members: members.span, constants: constants.span)
    }
    let program = constraint.program
    var evaluation = Evaluation(
      program, row: row.span, texts: texts.bytes.span, now: now.microseconds)
    guard program.makesTexts else {
      return CheckEvaluator.verdict(&evaluation, program.root)
    }
    swap(&evaluation.scratch, &scratch)
    defer {
      evaluation.scratch.removeAll(keepingCapacity: true)
      swap(&evaluation.scratch, &scratch)
    }
    return CheckEvaluator.verdict(&evaluation, program.root)
  }

  private static func verdict(
    _ evaluation: inout Evaluation, _ root: NodeIndex
  ) -> CheckVerdict {
    do {
      return try evaluation.truth(root) == false ? .violated : .passes
    } catch {
      return .undecided
    }
  }
}
