// The account of readings: what came in and what became of it, so that a lost one shows.

/// received = stored + duplicate + zero + rejected + in flight, in readings, by kind.
public struct Ledger: Sendable, Hashable {
  /// The account of one kind, or of all.
  public struct Line: Sendable, Hashable {
    /// One of `IngestMetrics.kinds`, or `total`.
    public let kind: String
    public var received = 0
    public var stored = 0
    public var duplicate = 0
    public var zero = 0
    public var rejected = 0
    public var inFlight = 0

    public init(kind: String) { self.kind = kind }

    /// 0 when every reading is accounted for; above 0 when some were lost.
    public var imbalance: Int { received - stored - duplicate - zero - rejected - inFlight }
  }

  /// One line for each of `IngestMetrics.kinds`, in that order. What a counter has under another
  /// kind is added to `unknown`, so that the total holds everything.
  public let lines: [Line]
  /// Rejected readings of all kinds by reason.
  public let rejectedByReason: [String: Int]

  /// Reads the present values. They are read one after the other, so while readings flow an
  /// imbalance of a moment may show; see ``init(balancedIn:attempts:)``.
  public init(registry: MetricRegistry) {
    var reasons: [String: Int] = [:]
    var lines = IngestMetrics.kinds.map(Line.init)
    func add(_ metric: MetricDescription, to field: WritableKeyPath<Line, Int>) {
      for (labels, value) in registry.values(of: metric.name) {
        let kind = labels.first { $0.name == "kind" }?.value
        let index = lines.firstIndex { $0.kind == kind } ?? lines.count - 1
        lines[index][keyPath: field] += Int(value)
        if field == \.rejected {
          reasons[labels.first { $0.name == "reason" }?.value ?? "unknown", default: 0] +=
            Int(value)
        }
      }
    }
    add(IngestMetrics.readingsReceived, to: \.received)
    add(IngestMetrics.readingsStored, to: \.stored)
    add(IngestMetrics.readingsDuplicate, to: \.duplicate)
    add(IngestMetrics.readingsZero, to: \.zero)
    add(IngestMetrics.readingsRejected, to: \.rejected)
    add(IngestMetrics.readingsInFlight, to: \.inFlight)
    self.lines = lines
    rejectedByReason = reasons
  }

  /// Reads until the values balance, at most `attempts` times. A worker moves a reading from one
  /// counter to the next within nanoseconds, so an imbalance that stays is a real one.
  public init(balancedIn registry: MetricRegistry, attempts: Int = 5) {
    var ledger = Ledger(registry: registry)
    var left = attempts - 1
    while !ledger.isBalanced, left > 0 {
      ledger = Ledger(registry: registry)
      left -= 1
    }
    self = ledger
  }

  /// All kinds together.
  public var total: Line {
    lines.reduce(into: Line(kind: "total")) { total, line in
      total.received += line.received
      total.stored += line.stored
      total.duplicate += line.duplicate
      total.zero += line.zero
      total.rejected += line.rejected
      total.inFlight += line.inFlight
    }
  }

  /// Whether every kind balances.
  public var isBalanced: Bool { lines.allSatisfy { $0.imbalance == 0 } }
}
