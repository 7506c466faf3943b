// What is remembered of a register, and what the next sample makes of it: an interval, an event, or
// nothing. Pure: the database keeps the memory, and locks it while a batch is at work on it.

/// The memory of one register of one device.
///
/// Intervals run from sample to sample in order of their own time, never twice over the same time,
/// and each is the difference of two totals. So, however samples are shuffled, repeated or lost, the
/// intervals of a register that was neither reset nor exchanged add up to its newest total minus its
/// oldest. Around a reset or an exchange late samples are left out rather than counted twice.
public struct RegisterHistory: Sendable, Equatable {
  /// A total at a time, micro-kWh; or power, mW.
  public struct Point: Sendable, Equatable {
    public var at: Timestamp
    public var value: Int64

    public init(at: Timestamp, value: Int64) {
      self.at = at
      self.value = value
    }
  }

  public var measure: RegisterSample.Measure
  /// The newest sample that was taken.
  public var last: Point
  /// The oldest one: as far back as the intervals reach.
  public var first: Point
  /// Samples up to here belong to what was before a reset or an exchange; nil: there was none.
  public var floor: Timestamp?
  /// Where the total stood before it fell, as long as it may come back.
  public var fallen: Point?
  /// A total that cannot be, unless the next one confirms that the meter is another.
  public var candidate: Point?
  /// What of integrated power was less than a micro-kWh: 1/7,200,000,000 of it, signed.
  public var carry: Int64 = 0

  public init(measure: RegisterSample.Measure, first: Point, last: Point) {
    self.measure = measure
    self.first = first
    self.last = last
  }
}

/// Energy between two samples.
public struct RegisterInterval: Sendable, Equatable {
  public var start: Timestamp
  public var end: Timestamp
  /// Above 0.
  public var microKWh: Int64
  public var flow: RegisterSample.Flow

  /// Its length in whole seconds; nil where it is below half a second or beyond 68 years.
  public var seconds: Int32? {
    let seconds = (end.microseconds - start.microseconds + 500_000) / 1_000_000
    return seconds > 0 ? Int32(exactly: seconds) : nil
  }
}

/// What happened to a register, besides counting.
public struct RegisterEvent: Sendable, Equatable {
  public enum Kind: UInt8, Sendable, CaseIterable {
    /// The display went over its last digit; the interval counts on.
    case rollover
    /// The total fell: it counts from there.
    case reset
    /// It is back where it was before it fell, and counts on from there.
    case restored
    /// Two totals in a row agree that this is another meter: it counts from the first of them.
    case exchange
    /// A total that the installation cannot have reached; nothing is booked.
    case implausibleStep
    /// The register counts something else now: its source was configured anew.
    case redefined

    /// The stable name in `ingest.register_events`.
    public var name: StaticString {
      switch self {
      case .rollover: "rollover"
      case .reset: "reset"
      case .restored: "restored"
      case .exchange: "exchange"
      case .implausibleStep: "implausible_step"
      case .redefined: "redefined"
      }
    }
  }

  public var kind: Kind
  /// Totals before and after, micro-kWh.
  public var before: Int64
  public var after: Int64

  public init(kind: Kind, before: Int64, after: Int64) {
    self.kind = kind
    self.before = before
    self.after = after
  }
}

/// What a sample came to.
public struct RegisterOutcome: Sendable, Equatable {
  public enum Verdict: Sendable, Equatable {
    /// Energy to store.
    case interval(RegisterInterval)
    /// Nothing to store: a first sample, a total that did not rise, or what is nobody's energy.
    case heard
    /// Its energy is in an interval already: it came again, or late.
    case known
    /// It cannot be true; one sentence for people.
    case implausible(String)
    /// No such total can be stored.
    case outOfRange(String)
  }

  public var verdict: Verdict
  public var event: RegisterEvent?

  public init(_ verdict: Verdict, _ event: RegisterEvent? = nil) {
    self.verdict = verdict
    self.event = event
  }
}

extension RegisterHistory {
  /// Takes in a sample.
  ///
  /// - Parameter history: what is remembered of the register, nil at first sight. It changes also
  ///   with an implausible sample: the next may confirm it.
  public static func take(
    _ sample: RegisterSample, into history: inout RegisterHistory?
  ) -> RegisterOutcome {
    if let problem = sample.problem { return RegisterOutcome(.outOfRange(problem)) }
    var point = Point(at: sample.timestamp, value: sample.value)
    guard var known = history else {
      history = RegisterHistory(measure: sample.measure, first: point, last: point)
      return RegisterOutcome(.heard)
    }
    // Of what arrived within one tick of the clock, the order of arrival is the order in time.
    let sinceLast = known.last.at.microseconds - point.at.microseconds
    if sample.isTimeOfArrival, (0..<RegisterSample.tick).contains(sinceLast),
      point.value != known.last.value
    {
      point.at.microseconds += sinceLast + 1
    }
    let outcome: RegisterOutcome
    if known.measure != sample.measure {
      outcome = known.redefine(sample, point)
    } else if sample.measure == .power {
      outcome = known.integrate(sample, point)
    } else if point.at > known.last.at {
      outcome = known.advance(sample, point)
    } else if point.at < known.first.at {
      outcome = known.extendBack(sample, point)
    } else {
      outcome = RegisterOutcome(.known)
    }
    history = known
    return outcome
  }

  private mutating func redefine(_ sample: RegisterSample, _ point: Point) -> RegisterOutcome {
    guard point.at > last.at else { return RegisterOutcome(.known) }
    let before = self
    self = RegisterHistory(measure: sample.measure, first: point, last: point)
    floor = before.last.at
    return RegisterOutcome(
      .heard, RegisterEvent(kind: .redefined, before: before.last.value, after: point.value))
  }

  // MARK: Totals

  /// A sample that is newer than all before.
  private mutating func advance(_ sample: RegisterSample, _ point: Point) -> RegisterOutcome {
    if let outcome = comeBack(sample, point) { return outcome }
    if isHeld(sample, at: point.at), point.value >= last.value {
      // Above where it fell from, and not come back: more than can have flowed.
      if let fallen, point.value >= fallen.value { return doubt(sample, point) }
      return RegisterOutcome(.heard)
    }
    let before = last
    switch sample.difference(from: before, to: point) {
    case .counted(let amount):
      let event = amount == 0 ? nil : lateReset(sample)
      count(on: point, amount)
      return sample.outcome(from: before, to: point, amount, event)
    case .rolledOver(let amount):
      count(on: point, amount)
      return sample.outcome(
        from: before, to: point, amount,
        RegisterEvent(kind: .rollover, before: before.value, after: point.value))
    case .fell:
      return fall(sample, point)
    case .implausible:
      return doubt(sample, point)
    }
  }

  /// Whether a total that fell is not counted on yet, since it may be an older message that the
  /// broker delivers again: without a time of its own it looks like a meter that was reset.
  private func isHeld(_ sample: RegisterSample, at time: Timestamp) -> Bool {
    fallen != nil && sample.isTimeOfArrival
      && time.microseconds - first.at.microseconds < RegisterSample.hold
  }

  /// A fall that was held and turns out to be a reset, which nobody was told of yet.
  private func lateReset(_ sample: RegisterSample) -> RegisterEvent? {
    guard let fallen, sample.isTimeOfArrival else { return nil }
    return RegisterEvent(kind: .reset, before: fallen.value, after: last.value)
  }

  private mutating func count(on point: Point, _ amount: Int64) {
    last = point
    candidate = nil
    // It counts from where it fell to: so it was reset indeed.
    if amount != 0 { fallen = nil }
  }

  /// A meter that was only away for a while, as Tasmota's script after its start, which publishes
  /// zeros until the first telegram of its meter: what it counted meanwhile is counted from where
  /// it stood before.
  private mutating func comeBack(_ sample: RegisterSample, _ point: Point) -> RegisterOutcome? {
    guard let before = fallen, point.value >= before.value,
      case .counted(let amount) = sample.difference(from: before, to: point)
    else { return nil }
    // While it is held, nobody was told that it fell.
    let event =
      isHeld(sample, at: point.at)
      ? nil : RegisterEvent(kind: .restored, before: last.value, after: point.value)
    self = RegisterHistory(measure: measure, first: point, last: point)
    floor = point.at
    return sample.outcome(from: before, to: point, amount, event)
  }

  private mutating func fall(_ sample: RegisterSample, _ point: Point) -> RegisterOutcome {
    // A meter that corrected itself, or an older total with a newer time: counted again once it is
    // above what was counted.
    if point.value > last.value / 100 * RegisterSample.dipPercent {
      return RegisterOutcome(.heard)
    }
    let before = last
    let highest = fallen ?? before
    self = RegisterHistory(measure: measure, first: point, last: point)
    floor = before.at
    fallen = highest
    if sample.isTimeOfArrival { return RegisterOutcome(.heard) }
    return RegisterOutcome(
      .heard, RegisterEvent(kind: .reset, before: before.value, after: point.value))
  }

  /// A total that cannot be: it counts nothing, but is kept. When another one agrees with it, the
  /// meter was exchanged for one that stood higher.
  private mutating func doubt(_ sample: RegisterSample, _ point: Point) -> RegisterOutcome {
    if let candidate, candidate.at != point.at {
      let isLater = point.at > candidate.at
      let (start, end) = isLater ? (candidate, point) : (point, candidate)
      // The same total at another time of arrival may be the same message once more.
      if case .counted(let amount) = sample.difference(from: start, to: end),
        amount != 0 || !sample.isTimeOfArrival
      {
        let event = RegisterEvent(kind: .exchange, before: last.value, after: start.value)
        let before = last
        self = RegisterHistory(measure: measure, first: start, last: end)
        floor = before.at
        return sample.outcome(from: start, to: end, amount, event)
      }
    }
    let isRepeated = candidate == point
    candidate = point
    return RegisterOutcome(
      .implausible(sample.impossibility(from: last, to: point)),
      isRepeated
        ? nil : RegisterEvent(kind: .implausibleStep, before: last.value, after: point.value))
  }

  /// A sample that is older than all before: the intervals begin with it.
  private mutating func extendBack(_ sample: RegisterSample, _ point: Point) -> RegisterOutcome {
    if let floor, point.at <= floor { return RegisterOutcome(.known) }
    let after = first
    switch sample.difference(from: point, to: after) {
    case .counted(let amount):
      first = point
      if amount != 0 { fallen = nil }
      return sample.outcome(from: point, to: after, amount)
    case .rolledOver(let amount):
      first = point
      return sample.outcome(
        from: point, to: after, amount,
        RegisterEvent(kind: .rollover, before: point.value, after: after.value))
    case .fell:
      // Of what was before a reset that nobody saw.
      return RegisterOutcome(.heard)
    case .implausible:
      return RegisterOutcome(.implausible(sample.impossibility(from: point, to: after)))
    }
  }

  // MARK: Power

  /// Trapezoid between two samples; where the sign changes, what is left over of one direction.
  private mutating func integrate(_ sample: RegisterSample, _ point: Point) -> RegisterOutcome {
    guard point.at > last.at else { return RegisterOutcome(.known) }
    if let detail = sample.impossiblePower { return RegisterOutcome(.implausible(detail)) }
    let before = last
    last = point
    let elapsed = point.at.microseconds - before.at.microseconds
    guard elapsed <= Int64(max(0, sample.maximumGapSeconds)) * 1_000_000 else {
      return RegisterOutcome(.heard)
    }
    let doubled =
      (Int128(before.value) + Int128(point.value)) * Int128(elapsed) + Int128(carry)
    let amount = doubled / RegisterHistory.carryPerMicroKWh
    guard amount.magnitude <= RegisterSample.largestAmount.magnitude else {
      return RegisterOutcome(.heard)
    }
    carry = Int64(doubled - amount * RegisterHistory.carryPerMicroKWh)
    return sample.outcome(from: before, to: point, Int64(amount))
  }

  /// A micro-kWh is 3.6 J, which is 3,600,000,000 mW µs; the trapezoid is twice as much before it is
  /// halved.
  private static let carryPerMicroKWh: Int128 = 7_200_000_000
}

extension RegisterSample {
  /// Power that no installation exceeds where nothing is known of it, W: a megawatt, above which
  /// meters are no longer connected over MQTT without a thought.
  public static let unknownMaximumWatts: Int64 = 1_000_000
  /// The same for a total that stood at exactly 0, W: that may be a meter that was not read yet, and
  /// the next total its whole life. Also for a net register that goes to a hundredth of what it was,
  /// or comes from there.
  public static let unknownMaximumWattsFromZero: Int64 = 30_000
  /// Time that a step may stand for at least, µs: 15 minutes, since displays count in steps of up to
  /// a kWh, and gateways gather.
  public static let leastElapsed: Int64 = 900_000_000
  /// What `numeric(15,6)` holds, micro-kWh.
  static let largestAmount: Int64 = 999_999_999_999_999
  /// Totals and power beyond this are no measurement.
  private static let largestValue: Int64 = 1_000_000_000_000_000_000

  enum Difference {
    /// Below 0 for net registers only.
    case counted(Int64)
    case rolledOver(Int64)
    case fell
    case implausible
  }

  /// Why the value cannot be used at all.
  var problem: String? {
    if value.magnitude > RegisterSample.largestValue.magnitude {
      return "\(value) is beyond what a meter shows"
    }
    if measure == .register, value < 0 {
      return "\(EnergyAmount(microKWh: value)) kWh: a total that only rises is never below 0"
    }
    return nil
  }

  var impossiblePower: String? {
    let watts = maximumWatts > 0 ? maximumWatts : 1_000 * RegisterSample.unknownMaximumWatts
    guard value.magnitude / 1_000 > watts.magnitude else { return nil }
    return "\(FixedPoint.text(value, scale: 3)) W, where at most \(watts) W can flow"
  }

  /// How a total came from an earlier point to a later one.
  func difference(
    from start: RegisterHistory.Point, to end: RegisterHistory.Point
  ) -> Difference {
    let amount = end.value - start.value
    if amount >= 0 || measure == .netRegister {
      return amount.magnitude <= most(from: start, to: end).magnitude
        ? .counted(amount) : .implausible
    }
    guard (1...12).contains(digits) else { return .fell }
    let range = (0..<digits).reduce(Int64(1_000_000)) { range, _ in range * 10 }
    let wrapped = amount + range
    let isRollover =
      maximumWatts > 0
      ? wrapped >= 0 && wrapped < range / 2 && wrapped <= most(from: start, to: end)
      : start.value < range && start.value >= range / 10 * 9 && end.value < range / 10
    return isRollover ? .rolledOver(wrapped) : .fell
  }

  /// Most energy between two points, micro-kWh.
  private func most(from start: RegisterHistory.Point, to end: RegisterHistory.Point) -> Int64 {
    // Some devices that count both ways begin anew when they start.
    let (small, large) = (
      min(start.value.magnitude, end.value.magnitude),
      max(start.value.magnitude, end.value.magnitude)
    )
    let isFromZero = measure == .netRegister ? small < large / 100 : start.value == 0
    let watts =
      maximumWatts > 0
      ? maximumWatts
      : isFromZero
        ? RegisterSample.unknownMaximumWattsFromZero : RegisterSample.unknownMaximumWatts
    let elapsed = max(
      end.at.microseconds - start.at.microseconds, RegisterSample.leastElapsed)
    // 1 micro-kWh is 3,600,000 W µs.
    let energy = Int128(watts) * Int128(elapsed) / 3_600_000
    return Int64(min(energy, Int128(RegisterSample.largestAmount)))
  }

  func impossibility(
    from start: RegisterHistory.Point, to end: RegisterHistory.Point
  ) -> String {
    "from \(EnergyAmount(microKWh: start.value)) kWh at \(start.at) to "
      + "\(EnergyAmount(microKWh: end.value)) kWh at \(end.at), where at most "
      + "\(EnergyAmount(microKWh: most(from: start, to: end))) kWh can have flowed"
  }

  /// How much of a total may be left for its fall to be none.
  static let dipPercent: Int64 = 99
  /// How long a total must stay lower before it counts as reset, where the time is that of arrival,
  /// µs: 10 minutes, in which a broker has delivered again what was not acknowledged.
  static let hold: Int64 = 600_000_000
  /// Times of arrival that are nearer than this, µs, are of one tick of the clock, which is a
  /// millisecond long or longer, and of captures, which count in milliseconds.
  static let tick: Int64 = 1_000

  func outcome(
    from start: RegisterHistory.Point, to end: RegisterHistory.Point, _ amount: Int64,
    _ event: RegisterEvent? = nil
  ) -> RegisterOutcome {
    let flow = amount < 0 ? opposite : self.flow
    guard amount != 0, let flow else { return RegisterOutcome(.heard, event) }
    return RegisterOutcome(
      .interval(
        RegisterInterval(
          start: start.at, end: end.at, microKWh: abs(amount), flow: flow)), event)
  }
}
