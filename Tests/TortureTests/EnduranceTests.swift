// Overload and outage: short in the suite, as long as one likes through `deploy/endure`.

import Foundation
import Testing

@Suite(.serialized) struct EnduranceTests {
  @Test(arguments: [
    EnduranceSize(scenario: .overload, seconds: 8, readingsPerSecond: 6_000),
    EnduranceSize(
      scenario: .overload, seconds: 8, readingsPerSecond: 6_000, hasSpool: false,
      hasLargeMessages: true),
    EnduranceSize(scenario: .outage, seconds: 8, readingsPerSecond: 2_000),
  ])
  func recoversByItself(_ size: EnduranceSize) async throws {
    let report = try await EnduranceTests.report(size)
    print(report.text)
    EnduranceTests.expect(report)
  }

  /// What `deploy/endure` asks for.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["ENDURE_SCENARIO"] != nil))
  func asAskedFor() async throws {
    let environment = ProcessInfo.processInfo.environment
    let report = try await EnduranceTests.report(EnduranceSize(environment: environment))
    if let directory = environment["ENDURE_REPORT"] {
      try report.text.write(toFile: directory + "/report.txt", atomically: true, encoding: .utf8)
      try report.json.write(toFile: directory + "/report.json", atomically: true, encoding: .utf8)
    } else {
      print(report.text)
    }
    EnduranceTests.expect(report)
  }

  private static func report(_ size: EnduranceSize) async throws -> EnduranceReport {
    try await onThread {
      let run = try EnduranceRun(size)
      defer { run.end() }
      return try run.run()
    }
  }

  private static func expect(_ report: EnduranceReport) {
    #expect(report.isClean, "\(report.text)")
    // It was what it is called: no verdict on a fault that did not happen.
    switch report.scenario {
    case .overload:
      #expect(report.waitingAtItsEnd > report.seconds * report.readingsPerSecond / 20)
    case .outage:
      #expect(report.wasNotReady)
      #expect(report.storedDuring < report.readingsPerSecond / 2)
      #expect(report.peakSpoolMessages > 1_000)
    }
  }
}

extension EnduranceSize {
  /// Reads `ENDURE_SCENARIO`, `ENDURE_MINUTES`, `ENDURE_RATE`, `ENDURE_SPOOL` and `ENDURE_LARGE`.
  ///
  /// - Throws: `TortureSettings.Mistake` that names the variable.
  init(environment: [String: String]) throws {
    func number(_ name: String, _ range: ClosedRange<Int>, default standard: Int) throws -> Int {
      guard let text = environment[name] else { return standard }
      guard let value = Int(text), range.contains(value) else {
        throw TortureSettings.Mistake(
          description: "\(name)=\(text): expected \(range.lowerBound)…\(range.upperBound)")
      }
      return value
    }
    let name = environment["ENDURE_SCENARIO"] ?? ""
    guard let scenario = EnduranceScenario(rawValue: name) else {
      throw TortureSettings.Mistake(description: "ENDURE_SCENARIO=\(name): overload or outage")
    }
    let isOverload = scenario == .overload
    self.init(
      scenario: scenario,
      seconds: try number("ENDURE_MINUTES", 1...1_440, default: isOverload ? 10 : 5) * 60,
      readingsPerSecond: try number(
        "ENDURE_RATE", 100...100_000, default: isOverload ? 6_000 : 2_000),
      hasSpool: environment["ENDURE_SPOOL"] != "0",
      hasLargeMessages: environment["ENDURE_LARGE"] == "1")
  }
}
