// The settings of the plausibility rules, from their texts.

import CheckRules
import EnergyReadings

extension SettingTexts {
  /// Severities and parameters.
  ///
  /// - Parameter hearsEverything: whether no other session may hear what this process does not:
  ///   else a missing interval says nothing, and `gap` is off unless a setting names it.
  func plausibility(hearsEverything: Bool) throws -> PlausibilitySettings {
    var settings = PlausibilitySettings()
    if !hearsEverything { settings[.gap] = .off }
    var named: [PlausibilityRule: SettingKey] = [:]
    let lists: [(SettingKey, RuleSeverity)] = [
      (.rulesReject, .reject), (.rulesFlag, .flag), (.rulesOff, .off),
    ]
    for (key, severity) in lists {
      for rule in try rules(key) {
        if let other = named.updateValue(key, forKey: rule) {
          throw SettingError(key: key, problem: "\(rule.name) is in \(other.rawValue) already")
        }
        if rule.isJudgedByBook, severity == .reject {
          throw SettingError(
            key: key, problem: "\(rule.name) is judged once the reading is stored; flag it")
        }
        settings[rule] = severity
      }
    }
    let century = Duration.zero...(.seconds(3_155_760_000))
    settings.futureTolerance = try microseconds(.rulesFutureTolerance, in: century)
    settings.tooOldAfter = try microseconds(.rulesTooOldAfter, in: century)
    settings.capacityPercent = try hundredths(.rulesCapacityFactor, in: 100...1_000)
    settings.spikeFactor = Int64(try integer(.rulesSpikeFactor, in: 2...1_000))
    settings.stuckAfter = Int32(try integer(.rulesStuckAfter, in: 2...1_000_000))
    settings.breakdownPercent = try hundredths(.rulesBreakdownFactor, in: 100...1_000)
    settings.batteryPercent = try hundredths(.rulesBatteryTolerance, in: 0...100)
    return settings
  }

  private func rules(_ key: SettingKey) throws -> [PlausibilityRule] {
    try self[key].split(separator: ",").map { text in
      let name = text.filter { !$0.isWhitespace }.replacing("-", with: "_")
      guard let rule = PlausibilityRule(name: name) else {
        let known = PlausibilityRule.allCases.map { "\($0.name)" }.joined(separator: ", ")
        throw SettingError(key: key, problem: "no rule \(name); the rules are \(known)")
      }
      return rule
    }
  }

  private func microseconds(
    _ key: SettingKey, in range: ClosedRange<Duration>
  ) throws -> Int64 {
    Int64(try duration(key, in: range) / .microseconds(1))
  }

  private func hundredths(_ key: SettingKey, in range: ClosedRange<Int64>) throws -> Int64 {
    let value = try? ExactDecimal.parse(self[key].utf8.span, integerDigits: 6, scale: 2)
    guard let value, range.contains(value) else {
      throw SettingError(key: key, problem: "\(self[key]): expected \(key.help)")
    }
    return value
  }
}
