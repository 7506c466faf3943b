// Judges one reading by the plausibility rules: its time, what the registry says of its device, and
// what the meter showed before.

import EnergyReadings

/// What the registry knows of a device, as far as rules ask.
public struct DeviceFacts: Sendable {
  /// Rated power of a producer or agreed demand of a consumer, micro-kW; 0 where unknown.
  public var ratedPower: Int64 = 0
  /// What a battery holds at most, micro-kWh; 0 where unknown.
  public var capacity: Int64 = 0
  /// A producer's energy sources, one a line, in the registry's arena.
  public var sources: ByteSlice = .absent
  /// Readings from this time on come from a device that is out of use; nil while it is in use.
  public var inactiveSince: Timestamp?

  public init() {}
}

/// A rule that a stored reading breaks.
public struct ReadingFlag: Sendable {
  public var rule: PlausibilityRule
  /// One sentence for people.
  public var detail: String

  public init(rule: PlausibilityRule, detail: String) {
    self.rule = rule
    self.detail = detail
  }
}

/// The rules at work on one reading; what it breaks and is to be flagged gathers in `flags`.
struct PlausibilityCheck {
  let settings: PlausibilitySettings
  var flags: [ReadingFlag] = []

  init(_ settings: PlausibilitySettings) { self.settings = settings }

  /// Rejects or flags, as the rule's severity says.
  private mutating func broken(
    _ rule: PlausibilityRule, path: String, _ detail: @autoclosure () -> String
  ) throws(Rejection) {
    switch settings[rule] {
    case .off: return
    case .flag: flags.append(ReadingFlag(rule: rule, detail: detail()))
    case .reject:
      throw Rejection(.implausible, path: path, detail: detail(), rule: "\(rule.name)")
    }
  }

  // MARK: Time

  mutating func checkTime(of reading: Reading, receivedAt: Timestamp) throws(Rejection) {
    let time = reading.timestamp.microseconds
    if PlausibilityCheck.isSentinel(time) {
      try broken(
        .sentinelDate, path: "$.timestamp", "\(reading.timestamp): a clock that was never set")
    }
    let age = receivedAt.microseconds - time
    let tolerance = settings.futureTolerance
    if -age > tolerance {
      try broken(
        .futureTimestamp, path: "$.timestamp",
        "\(reading.timestamp) is more than \(tolerance / 3_600_000_000) h ahead of "
          + "the ingestor's clock \(receivedAt)")
    }
    if age > settings.tooOldAfter {
      try broken(
        .tooOld, path: "$.timestamp",
        "\(reading.timestamp) is \(age / 86_400_000_000) days before its arrival")
    }
  }

  /// The time of a clock that was never set.
  private static func isSentinel(_ time: Int64) -> Bool {
    time < PlausibilitySettings.firstPlausible || PlausibilitySettings.sentinel2070.contains(time)
  }

  /// A time that must not become the newest of a meter, whatever the rules of time do with it: it
  /// would be so for ever.
  private static func isNoTime(_ time: Int64, receivedAt: Timestamp) -> Bool {
    isSentinel(time) || time - receivedAt.microseconds > PlausibilitySettings.longestLead
  }

  /// As ``checkTime(of:receivedAt:)``, for a sample that its register is going to remember.
  mutating func checkTime(ofSample reading: Reading, receivedAt: Timestamp) throws(Rejection) {
    try checkTime(of: reading, receivedAt: receivedAt)
    let time = reading.timestamp.microseconds
    guard PlausibilityCheck.isNoTime(time, receivedAt: receivedAt) else { return }
    let rule: PlausibilityRule =
      PlausibilityCheck.isSentinel(time) ? .sentinelDate : .futureTimestamp
    throw Rejection(
      .implausible, path: "$.timestamp",
      detail: "\(reading.timestamp): no later total would count after it", rule: "\(rule.name)")
  }

  // MARK: The registry

  mutating func check(
    _ reading: Reading, by facts: DeviceFacts?, _ registry: borrowing ByteArena,
    in arena: borrowing ByteArena
  ) throws(Rejection) {
    if reading.energy < .zero {
      try broken(.negativeEnergy, path: "$.energy_amount", "\(reading.energy) kWh")
    }
    if reading.applianceBreakdown.isPresent {
      try checkBreakdown(of: reading)
    }
    guard let facts else { return }
    if let since = facts.inactiveSince, reading.timestamp >= since {
      try broken(.inactiveDevice, path: "", "\(arena.string(reading.device)) is out of use")
    }
    if reading.kind == .production, facts.sources.count > 0,
      !registry[facts.sources].hasLine(arena[reading.energySource])
    {
      try broken(
        .unknownSource, path: "$.energy_source",
        "\(arena.string(reading.energySource)); registered: "
          + registry.string(facts.sources).replacing("\n", with: ", "))
    }
    try checkCapacity(of: reading, facts)
  }

  private mutating func checkBreakdown(of reading: Reading) throws(Rejection) {
    let sum = Int128(reading.applianceTotal.microKWh)
    if sum * 100 > Int128(reading.energy.microKWh) * Int128(settings.breakdownPercent) {
      try broken(
        .breakdownExceedsTotal, path: "$.appliance_breakdown",
        "the appliances' \(reading.applianceTotal) kWh exceed the total of \(reading.energy)")
    }
  }

  /// Energy against rated power × interval; a battery's against what it holds.
  private mutating func checkCapacity(
    of reading: Reading, _ facts: DeviceFacts
  ) throws(Rejection) {
    // Both sides in micro-kW seconds: to divide 128 bits would take as long as all the rest.
    let rated: Int128
    if reading.kind == .storage {
      rated = Int128(facts.capacity) * 3_600
    } else {
      guard let seconds = reading.secondsForCapacity else { return }
      rated = Int128(facts.ratedPower) * Int128(seconds)
    }
    let energy = Int128(reading.energy.microKWh) * 3_600
    if rated <= 0 || energy <= rated { return }
    // An agreed demand is a contract, not a limit of nature: consumers are flagged only.
    if energy >= rated * Int128(PlausibilitySettings.farAboveFactor), reading.kind != .consumption,
      settings[.farAboveCapacity] != .off
    {
      let detail = above(rated, reading)
      try broken(.farAboveCapacity, path: "$.energy_amount", detail)
    } else if energy * 100 > rated * Int128(settings.capacityPercent), reading.kind != .storage {
      let detail = above(rated, reading)
      try broken(.aboveCapacity, path: "$.energy_amount", detail)
    }
  }

  private func above(_ rated: Int128, _ reading: Reading) -> String {
    "\(reading.energy) kWh, where the rated capacity allows "
      + "\(EnergyAmount(microKWh: Int64(clamping: rated / 3_600))) kWh"
  }

  // MARK: The meter's past

  /// What a reading looks like beside its meter's past.
  private struct Finding {
    var peak: Int64 = 0
    var repeats: Int32 = 0
    var missing: Int64 = 0
  }

  /// Judges by what the meter showed before, and remembers the reading. A late or repeated one is
  /// not compared: what it would be compared with came after it.
  mutating func checkPast(
    of reading: Reading, receivedAt: Timestamp, in arena: borrowing ByteArena,
    _ states: MeterStates
  ) throws(Rejection) {
    let time = reading.timestamp.microseconds
    if PlausibilityCheck.isNoTime(time, receivedAt: receivedAt) { return }
    let factor = settings.spikeFactor
    let stuckAfter = settings.stuckAfter
    var finding = Finding()
    states.update(kind: reading.kind, device: arena[reading.device]) { state, isKnown in
      guard isKnown else {
        state.remember(reading, spikeFactor: factor)
        return true
      }
      guard reading.timestamp > state.lastAt else { return false }
      // Bounded: a counter may jump to whatever an Int64 holds, again and again.
      state.missing = min(state.missing + state.intervalsMissing(before: reading), 1_000_000_000)
      if state.readings >= PlausibilitySettings.readingsBeforeSpike,
        state.comparableEnergy(of: reading) > state.peak &* factor
      {
        finding.peak = state.peak
      }
      state.remember(reading, spikeFactor: factor)
      // A register that is stuck shows no energy at all; the same rise again is its resolution.
      if state.repeats >= stuckAfter, !reading.register.isPresent {
        finding.repeats = state.repeats
      }
      if reading.energy != .zero {
        finding.missing = state.missing
        state.missing = 0
      }
      return true
    }
    try report(finding, of: reading)
  }

  private mutating func report(_ finding: Finding, of reading: Reading) throws(Rejection) {
    if reading.energy == .zero { return }
    if finding.peak > 0, reading.kind != .storage {
      try broken(
        .spike, path: "$.energy_amount",
        "\(reading.energy) kWh, where the meter's recent peak is "
          + "\(EnergyAmount(microKWh: finding.peak))")
    }
    if finding.repeats > 0 {
      try broken(
        .stuckValue, path: "$.energy_amount",
        "\(reading.energy) kWh for the \(finding.repeats)th time in a row")
    }
    if finding.missing > 0 {
      try broken(.gap, path: "$.timestamp", "\(finding.missing) intervals before it are missing")
    }
  }
}

extension Span where Element == UInt8 {
  /// Whether one of the lines is `line`.
  fileprivate func hasLine(_ line: Span<UInt8>) -> Bool {
    var start = 0
    while start <= count {
      var end = start
      while end < count, self[end] != UInt8(ascii: "\n") { end += 1 }
      if extracting(start..<end).elementsEqual(line) { return true }
      start = end + 1
    }
    return false
  }
}

extension Reading {
  /// Over how many seconds its energy may have flowed; nil where nobody knows.
  ///
  /// Of a register a quarter of an hour at least: displays count in steps of up to a kWh, and totals
  /// that waited at the broker arrive at once.
  fileprivate var secondsForCapacity: Int32? {
    if register.isPresent { return max(intervalSeconds ?? 0, 900) }
    return intervalSeconds
  }
}
