// What a metric of free name counts: as the source lists it, or as common words for energy say.

import EnergyReadings

/// What a metric's value is. Trivially copyable, so that it can be kept with the metric.
struct MetricMeaning: Sendable {
  var mode = ValueMode.register
  /// What a rise is, or positive power.
  var flow: RegisterSample.Flow
  /// What the fall of a net register is, or a negative value; nil: no energy of anybody's.
  var opposite: RegisterSample.Flow?
  /// Where the source itself says what the unit is.
  var conversion: Conversion?
  /// Length of an interval, s; nil where the source does not say.
  var intervalSeconds: Int32?
  /// Whether it was found by common words: of several such metrics of one device that mean the same,
  /// only one is taken.
  var isGuessed = false
}

extension SourceOptions {
  /// What a metric of that name counts; nil where it is none of energy, or nobody asked for it.
  ///
  /// Names that the source lists come first, then OBIS codes as the name's last level (`Meter/1.8.0`),
  /// then common words: `Energy/Import`, `Active Energy Export (kWh)`, `BatteryEnergyCharged`.
  func meaning(of name: Span<UInt8>) -> MetricMeaning? {
    for index in metrics.indices {
      let listed = metrics[index].name
      if name.elementsEqual(listed.span) { return metrics[index].meaning }
    }
    for index in registers.indices {
      let listed = registers[index].name
      if name.elementsEqual(listed.span) { return MetricMeaning(flow: registers[index].flow) }
    }
    return flow(ofCode: name.lastLevel) ?? flow(ofWords: name.withoutUnit)
  }

  private func flow(ofCode code: Span<UInt8>) -> MetricMeaning? {
    let flow: RegisterSample.Flow? =
      switch OBISCode(code)?.role {
      case .importTotal: importFlow
      case .exportTotal: exportFlow
      case .importTariff: takesTariffs ? importFlow : nil
      case .exportTariff: takesTariffs ? exportFlow : nil
      default: nil
      }
    return flow.map { MetricMeaning(flow: $0) }
  }

  private func flow(ofWords name: Span<UInt8>) -> MetricMeaning? {
    let flow: RegisterSample.Flow? =
      switch EnergyWords(name).direction {
      case .imported: importFlow
      case .exported: exportFlow
      case .charged: .init(.storage, .charge)
      case .discharged: .init(.storage, .discharge)
      case nil: nil
      }
    return flow.map { MetricMeaning(flow: $0, isGuessed: true) }
  }
}

/// The words of a metric's name, in any order and case, between whatever separates them.
///
/// A name that has any other word is none of these: `Energy/Import/Today` is no running total, and
/// neither is `Reactive Energy Import` energy. "Delivered", "forward" and the like are left out, since
/// one vendor's direction is the other's opposite.
private struct EnergyWords {
  enum Direction { case imported, exported, charged, discharged }

  /// nil where the words do not say for sure.
  private(set) var direction: Direction?

  init(_ name: Span<UInt8>) {
    guard name.count <= 100 else { return }
    var (found, isEnergy, isBattery, start) = (Direction?.none, false, false, 0)
    for index in 0...name.count where index == name.count || name.isWordEnd(at: index) {
      let word = name.extracting(start..<index)
      start = index
      let letters = word.count > 0 && !word[0].isLetterOrDigit ? word.extracting(1...) : word
      if letters.count == 0 { continue }
      if letters.equalsIgnoringCase("energy") {
        isEnergy = true
      } else if letters.equalsIgnoringCase("battery") {
        isBattery = true
      } else if let direction = EnergyWords.direction(letters) {
        if found != nil { return }
        found = direction
      } else if !EnergyWords.saysNothing(letters) {
        return
      }
    }
    // What a battery imports may come from the grid, or be what the house consumes.
    if isBattery, found == .imported || found == .exported { return }
    if isEnergy { direction = found }
  }

  private static func direction(_ word: Span<UInt8>) -> Direction? {
    let words: InlineArray<14, (StaticString, Direction)> = [
      ("import", .imported), ("imported", .imported), ("consumed", .imported),
      ("consumption", .imported), ("export", .exported), ("exported", .exported),
      ("produced", .exported), ("production", .exported), ("generated", .exported),
      ("generation", .exported), ("charge", .charged), ("charged", .charged),
      ("discharge", .discharged), ("discharged", .discharged),
    ]
    for index in words.indices where word.equalsIgnoringCase(words[index].0) {
      return words[index].1
    }
    return nil
  }

  private static func saysNothing(_ word: Span<UInt8>) -> Bool {
    let words: InlineArray<10, StaticString> = [
      "active", "total", "cumulative", "lifetime", "meter", "register", "counter", "grid",
      "electric", "electricity",
    ]
    for index in words.indices where word.equalsIgnoringCase(words[index]) { return true }
    return false
  }
}

extension Span where Element == UInt8 {
  /// Whether a word ends before the byte at `index`: at what is no letter, and where a capital follows
  /// a small letter.
  fileprivate func isWordEnd(at index: Int) -> Bool {
    if index == 0 { return false }
    if !self[index].isLetterOrDigit { return true }
    return self[index].isCapital && self[index - 1].isLetterOrDigit && !self[index - 1].isCapital
  }

  /// What stands behind the last `/`.
  fileprivate var lastLevel: Span<UInt8> {
    @_lifetime(copy self)
    get {
      var start = count
      while start > 0, self[start - 1] != UInt8(ascii: "/") { start -= 1 }
      return extracting(start..<count)
    }
  }

  /// Where a unit at the end begins, as in `Import (kWh)`, `import_kWh` or `Import/kWh`, and where it
  /// ends; nil where there is none.
  private var unitRange: Range<Int>? {
    var end = count
    if end > 0, self[end - 1] == UInt8(ascii: ")") || self[end - 1] == UInt8(ascii: "]") {
      end -= 1
    }
    var start = end
    while start > 0, self[start - 1].isLetterOrDigit { start -= 1 }
    return start > 0 && start < end ? start..<end : nil
  }

  /// The unit that a name ends with; nil where it names none.
  var unitAtEnd: MeterUnit? {
    guard let range = unitRange else { return nil }
    return MeterUnit(extracting(range))
  }

  fileprivate var withoutUnit: Span<UInt8> {
    @_lifetime(copy self)
    get {
      guard let range = unitRange, MeterUnit(extracting(range)) != nil else { return self }
      return extracting(0..<(range.lowerBound - 1))
    }
  }
}

extension UInt8 {
  fileprivate var isCapital: Bool { self &- UInt8(ascii: "A") < 26 }

  fileprivate var isLetterOrDigit: Bool {
    (self | 0x20) &- UInt8(ascii: "a") < 26 || self &- UInt8(ascii: "0") < 10 || self > 0x7F
  }
}
