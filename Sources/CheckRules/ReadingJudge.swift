// Judges readings: first their time, then the table's CHECKs, then whether they are plausible.

import EnergyReadings

/// One thread's judge; reuses its memory from reading to reading.
public final class ReadingJudge {
  private let states: MeterStates
  private let evaluator = CheckEvaluator()
  @exclusivity(unchecked) private var row: [SQLValue] = []

  /// - Parameter states: what the rules remember of each meter; shared with other judges.
  public init(states: MeterStates) { self.states = states }

  /// Judges an enriched reading and lowers its quality score for each flag.
  ///
  /// - Parameters:
  ///   - facts: what the registry says of the device, nil where it is not registered; its texts
  ///     stand in `registry`.
  ///   - receivedAt: what the reading's time is compared with.
  ///   - now: what `now()` is to CHECKs; nil: `receivedAt`.
  /// - Returns: the rules that the reading breaks and is stored with nevertheless.
  /// - Throws: the first reason to turn it away.
  public func judge(
    _ reading: inout Reading, by rules: RuleSet, facts: DeviceFacts?,
    registry: borrowing ByteArena, in arena: inout ByteArena, receivedAt: Timestamp,
    now: Timestamp? = nil
  ) throws(Rejection) -> [ReadingFlag] {
    let now = now ?? receivedAt
    var check = PlausibilityCheck(rules.plausibility)
    try check.checkTime(of: reading, receivedAt: receivedAt)
    try checkConstraints(of: reading, rules, in: &arena, now)
    try check.check(reading, by: facts, registry, in: arena)
    try check.checkPast(of: reading, receivedAt: receivedAt, in: arena, states)
    if !check.flags.isEmpty, reading.kind == .production {
      // Half the trust for each doubt; the constraints see the score that will be stored.
      reading.qualityScore >>= Int32(check.flags.count)
      try checkConstraints(of: reading, rules, in: &arena, now)
    }
    return check.flags
  }

  /// Judges the time of a register's sample, before the register remembers it.
  ///
  /// - Parameter reading: has the sample's time.
  /// - Throws: ``Rejection`` also where the rules of time are off but the time is a day ahead or that
  ///   of a clock that was never set.
  public func judgeTime(
    ofSample reading: Reading, by rules: RuleSet, receivedAt: Timestamp
  ) throws(Rejection) {
    var check = PlausibilityCheck(rules.plausibility)
    try check.checkTime(ofSample: reading, receivedAt: receivedAt)
  }

  /// A reading of zero: heard, and nothing to store.
  public func heard(
    _ reading: Reading, by rules: RuleSet, in arena: borrowing ByteArena, receivedAt: Timestamp
  ) {
    var check = PlausibilityCheck(rules.plausibility)
    // Nothing is reported of a zero reading.
    try? check.checkPast(of: reading, receivedAt: receivedAt, in: arena, states)
  }

  private func checkConstraints(
    of reading: Reading, _ rules: RuleSet, in arena: inout ByteArena, _ time: Timestamp
  ) throws(Rejection) {
    let direct = rules.judgeDirectly(reading, &row, in: &arena)
    guard direct != .passed, let table = rules.checks(of: reading.kind) else { return }
    let now = Timestamp(microseconds: time.microseconds + rules.clockOffset)
    // Where one is broken, all are looked at in their order: the first is named, as PostgreSQL does.
    for constraint in direct == .open ? table.enforced : table.others
    where evaluator.verdict(of: constraint, row: row, texts: arena, now: now) == .violated {
      if constraint.usesClock, !isViolatedAround(now, constraint, in: arena) { continue }
      throw violation(of: constraint, table, reading, in: &arena)
    }
  }

  /// Whether the verdict does not hang on the moment: the clocks differ a little, and the batch
  /// takes its time. Where it does, PostgreSQL is to judge.
  private func isViolatedAround(
    _ now: Timestamp, _ constraint: CheckConstraint, in arena: borrowing ByteArena
  ) -> Bool {
    for margin in [-RuleSet.clockMargin, RuleSet.clockMargin] {
      let time = Timestamp(microseconds: now.microseconds + margin)
      if evaluator.verdict(of: constraint, row: row, texts: arena, now: time) != .violated {
        return false
      }
    }
    return true
  }

  private func violation(
    of constraint: CheckConstraint, _ table: TableChecks, _ reading: Reading,
    in arena: inout ByteArena
  ) -> Rejection {
    let fields = table.fields.filter { constraint.columns.contains($0.column) }
    let values = fields.map { column, field in
      "\(table.columns[column].name) = "
        + field.value(of: reading, in: &arena).description(in: arena)
    }
    return Rejection(
      .checkViolation, path: fields.first?.field.path ?? "",
      detail: "\(values.joined(separator: ", ")) breaks CHECK \(constraint.expression)",
      constraint: constraint.name)
  }
}

extension SQLValue {
  /// For people; long texts are cut.
  fileprivate func description(in arena: borrowing ByteArena) -> String {
    func text(_ slice: ByteSlice) -> String {
      let whole = arena.string(slice)
      return whole.count <= 80 ? whole : whole.prefix(80) + "…"
    }
    switch self {
    case .null: return "null"
    case .boolean(let value): return value ? "true" : "false"
    case .number(let number):
      return FixedPoint.text(Int64(clamping: number.mantissa), scale: Int(number.scale))
    case .text(let value): return "'\(text(value.slice))'"
    case .json(let value): return text(value.slice)
    case .timestamp(let time): return Timestamp(microseconds: time).description
    default: return "…"
    }
  }
}
