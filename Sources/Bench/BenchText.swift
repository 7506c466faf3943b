// The report as cells of a table, and as JSON.

import Foundation

extension BenchReport {
  public static let columns = [
    "measure", "readings/s", "min…max", "ratio", "own µs", "PostgreSQL µs", "broker µs",
    "publisher µs", "peak MiB",
  ]

  /// A line for every measure, in the order in which they ran.
  public var cells: [[String]] {
    rows.map { row in
      let rate = row.rate
      func cost(_ path: KeyPath<BenchSample, Double?>) -> String {
        row.microseconds(path).map { Self.number($0, 1) } ?? "-"
      }
      return [
        row.label, Self.number(rate.median, 0),
        "\(Self.number(rate.least, 0))…\(Self.number(rate.most, 0))",
        ratio(row).map { Self.number($0, 2) } ?? "-", cost(\.ownSeconds), cost(\.postgresSeconds),
        cost(\.brokerSeconds), cost(\.publisherSeconds),
        row.peakBytes.map { Self.number(Double($0) / Double(1 << 20), 0) } ?? "-",
      ]
    }
  }

  /// What stands below the table.
  public var notes: [String] {
    var notes: [String] = []
    if let row = row(.latency), let p50 = row.latency(\.p50), let p99 = row.latency(\.p99),
      let p999 = row.latency(\.p999)
    {
      notes.append(
        "publish to commit at \(Self.number(row.rate.median, 0)) messages/s: "
          + "p50 \(Self.number(p50, 1)) ms, p99 \(Self.number(p99, 1)) ms, "
          + "p99.9 \(Self.number(p999, 1)) ms")
    }
    notes.append(
      "\(machine); medians of \(rounds) round\(rounds == 1 ? "" : "s"); µs of CPU per reading; "
        + "every run's rows were checked")
    return notes
  }

  public static let goalColumns = ["goal", "wanted", "measured", ""]

  public var goalCells: [[String]] {
    goals.map { goal in
      let unit = goal.unit.isEmpty ? "" : " \(goal.unit)"
      return [
        goal.text, "\(goal.isFloor ? "≥" : "≤") \(Self.number(goal.wanted, 2))\(unit)",
        "\(Self.number(goal.measured, 2))\(unit)", goal.isMet ? "met" : "not met",
      ]
    }
  }

  /// A number with so many decimals, and blanks between its thousands.
  static func number(_ value: Double, _ decimals: Int) -> String {
    let text = String(format: "%.\(decimals)f", value)
    guard decimals == 0 else { return text }
    var grouped = ""
    for (index, digit) in text.reversed().enumerated() {
      if index > 0, index % 3 == 0, digit != "-" { grouped.append(" ") }
      grouped.append(digit)
    }
    return String(grouped.reversed())
  }
}

/// The same for programs.
extension BenchReport: Encodable {
  private struct Line: Encodable {
    let measure: Measure
    let label: String
    let rival: String?
    let rate: Spread
    let ratio: Double?
    let limit: String?
    let own: Double?
    let postgres: Double?
    let broker: Double?
    let publisher: Double?
    let peakBytes: Int?
    let latency: Percentiles?
    let rounds: [BenchSample]

    enum CodingKeys: String, CodingKey {
      case measure, label, rival, ratio, limit, latency, rounds
      case rate = "readings_per_second"
      case own = "own_cpu_us_per_reading"
      case postgres = "postgres_cpu_us_per_reading"
      case broker = "broker_cpu_us_per_reading"
      case publisher = "publisher_cpu_us_per_reading"
      case peakBytes = "peak_resident_bytes"
    }
  }

  enum CodingKeys: String, CodingKey {
    case machine, rounds, workers, prefill, measures, goals
    case arePrivate = "private_services"
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(machine, forKey: .machine)
    try values.encode(rounds, forKey: .rounds)
    try values.encode(workers, forKey: .workers)
    try values.encode(prefill, forKey: .prefill)
    try values.encode(arePrivate, forKey: .arePrivate)
    try values.encode(rows.map(line), forKey: .measures)
    try values.encode(goals, forKey: .goals)
  }

  private func line(_ row: BenchRow) -> Line {
    var latency: Percentiles?
    if let p50 = row.latency(\.p50), let p99 = row.latency(\.p99), let p999 = row.latency(\.p999) {
      latency = Percentiles(p50: p50, p99: p99, p999: p999)
    }
    return Line(
      measure: row.measure, label: row.label, rival: row.rival, rate: row.rate, ratio: ratio(row),
      limit: limit(of: row)?.label, own: row.microseconds(\.ownSeconds),
      postgres: row.microseconds(\.postgresSeconds), broker: row.microseconds(\.brokerSeconds),
      publisher: row.microseconds(\.publisherSeconds), peakBytes: row.peakBytes, latency: latency,
      rounds: row.samples)
  }
}
