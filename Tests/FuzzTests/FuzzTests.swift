// A short round of each target, and proof that the runner notices what it looks for.

import Foundation
import Fuzzing
import PrivateServices
import Testing

@Suite struct FuzzTests {
  /// Some seconds in all; deploy/fuzz tries a million.
  @Test(.timeLimit(.minutes(5)), arguments: FuzzTarget.all.map(\.name))
  func aShortRoundHoldsOut(target name: String) throws {
    let target = try #require(try FuzzTarget.named(name))
    var settings = FuzzSettings()
    settings.inputs = 20_000
    // Other tests of this process have memory of their own.
    settings.growthMiB = 256
    // A watched build takes ten times as long.
    let isWatched = ProcessInfo.processInfo.environment["METER_INGESTOR_SANITIZER"] != nil
    settings.longest = .seconds(isWatched ? 20 : 5)
    var run = FuzzRun(target, settings)
    let report = try run.run()
    #expect(report.inputs == settings.inputs)
    #expect(report.problem == nil, "\(report.problem ?? ""): \(report.input)")
    // Where every input came to the same, nothing was tried.
    #expect(report.outcomes > 5)
  }

  @Test(arguments: [
    ("wrong", "it is wrong"), ("crashing", "crashed (signal"), ("hanging", "hangs"),
    ("hoarding", "memory grew"),
  ])
  func aFaultIsNoticed(target: String, words: String) throws {
    let program = try #require(FuzzTests.program, "METER_INGESTOR_BINARY is not set")
    let folder = FileManager.default.temporaryDirectory.appending(path: "fuzz-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var child = try ChildProcess(
      [program, "--inputs", "20000", "--findings", folder, target], output: folder + "/log")
    #expect(child.waitForExit(atMost: .seconds(120)) == 1)
    let log = try String(contentsOfFile: folder + "/log", encoding: .utf8)
    #expect(log.contains("\(target): ") && log.contains(words), "\(log)")
    let saved = try FileManager.default.contentsOfDirectory(atPath: folder)
      .first { $0.hasSuffix(".input") }
    let input = try Data(contentsOf: URL(filePath: "\(folder)/\(try #require(saved, "\(log)"))"))
    #expect(target == "hoarding" || input.starts(with: Data("bad".utf8)))
  }

  /// Beside the program under test.
  private static var program: String? {
    ProcessInfo.processInfo.environment["METER_INGESTOR_BINARY"].map {
      URL(filePath: $0).deletingLastPathComponent().appending(path: "fuzz").path
    }
  }
}
