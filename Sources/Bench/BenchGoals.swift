// The goals of the published table, beside what was measured.

/// One goal and how far it is reached.
public struct BenchGoal: Codable, Sendable, Equatable {
  public let text: String
  public let wanted: Double
  /// Whether more is better, or less.
  public let isFloor: Bool
  public let measured: Double
  public let unit: String

  public var isMet: Bool { isFloor ? measured >= wanted : measured <= wanted }

  enum CodingKeys: String, CodingKey {
    case text, wanted, measured, unit
    case isFloor = "at_least"
    case isMet = "met"
  }

  init(_ text: String, atLeast wanted: Double, _ measured: Double) {
    (self.text, self.wanted, self.measured) = (text, wanted, measured)
    (isFloor, unit) = (true, "")
  }

  init(_ text: String, atMost wanted: Double, _ measured: Double, _ unit: String) {
    (self.text, self.wanted, self.measured, self.unit) = (text, wanted, measured, unit)
    isFloor = false
  }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    text = try values.decode(String.self, forKey: .text)
    wanted = try values.decode(Double.self, forKey: .wanted)
    measured = try values.decode(Double.self, forKey: .measured)
    unit = try values.decode(String.self, forKey: .unit)
    isFloor = try values.decode(Bool.self, forKey: .isFloor)
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(text, forKey: .text)
    try values.encode(wanted, forKey: .wanted)
    try values.encode(measured, forKey: .measured)
    try values.encode(unit, forKey: .unit)
    try values.encode(isFloor, forKey: .isFloor)
    try values.encode(isMet, forKey: .isMet)
  }
}

extension BenchReport {
  /// The goals for which everything was measured.
  public var goals: [BenchGoal] {
    var goals: [BenchGoal] = []
    for (measure, wanted) in [
      (Measure.direct, 0.95), (.directMany, 0.95), (.endToEnd1, 0.80), (.endToEnd100, 0.90),
      (.prefilled, 0.85),
    ] {
      guard let row = row(measure), let limit = limit(of: row), let ratio = ratio(row) else {
        continue
      }
      goals.append(BenchGoal("\(row.label), of \(limit.label)", atLeast: wanted, ratio))
    }
    return goals + costGoals + rivalGoals
  }

  private var costGoals: [BenchGoal] {
    var goals: [BenchGoal] = []
    if let own = row(.direct)?.microseconds(\.ownSeconds) {
      goals.append(BenchGoal("own CPU per reading, direct replay", atMost: 2, own, "µs"))
    }
    if let row = row(.endToEnd1), let own = row.microseconds(\.ownSeconds),
      let postgres = row.microseconds(\.postgresSeconds)
    {
      goals.append(
        BenchGoal("own + PostgreSQL's CPU, \(row.label)", atMost: 21, own + postgres, "µs"))
    }
    if let p99 = row(.latency)?.latency(\.p99) {
      goals.append(
        BenchGoal("publish to commit, p99 at a tenth of the maximum", atMost: 100, p99, "ms"))
    }
    let peaks = rows.filter(\.isOurs).compactMap(\.peakBytes)
    if let peak = peaks.max() {
      goals.append(
        BenchGoal("peak resident memory", atMost: 128, Double(peak) / Double(1 << 20), "MiB"))
    }
    return goals
  }

  private var rivalGoals: [BenchGoal] {
    let wanted: [(Measure, String, Double)] = [
      (.endToEnd1, "python", 2.2), (.endToEnd1, "shell", 1.4), (.endToEnd100, "python", 2.0),
    ]
    return wanted.compactMap { measure, rival, factor in
      guard let ours = row(measure) else { return nil }
      let size = measure == .endToEnd1 ? ", 1 a message" : ", 100 a message"
      guard let theirs = rows.first(where: { $0.rival == rival && $0.label == rival + size })
      else { return nil }
      return BenchGoal(
        "\(ours.label), of \(theirs.label)", atLeast: factor,
        ours.rate.median / max(theirs.rate.median, 1e-6))
    }
  }
}

extension BenchRow {
  /// Whether the ingestor itself was measured.
  public var isOurs: Bool {
    switch measure {
    case .direct, .directMany, .endToEnd1, .endToEnd100, .latency, .prefilled: true
    case .rawCopy, .rawCopyMany, .rawCopy100, .psqlCopy, .broker, .against: false
    }
  }
}
