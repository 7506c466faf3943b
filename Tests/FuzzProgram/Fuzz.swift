// The program behind deploy/fuzz: one process per target, so that a crash is one target's verdict.

import ArgumentParser
import Foundation
import Fuzzing
import PrivateServices

@main
struct Fuzz: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fuzz",
    abstract: "Gives decoders, parsers and readers mutated inputs; none may crash or hang them.",
    discussion: """
      Targets: \(FuzzTarget.all.map(\.name).joined(separator: ", ")).

      Exits with 0 when all held out, with 1 when one crashed, hung, grew or was wrong: the input \
      is saved then, and tried alone with --replay FILE TARGET. The same seed gives the same inputs.
      """)

  @Option(help: "Inputs per target.") var inputs = 1_000_000
  @Option(help: "What the inputs follow from.") var seed: UInt64 = 1
  @Option(help: ArgumentHelp("Seconds of CPU time that one input may take.", valueName: "seconds"))
  var longest = 1
  @Option(help: ArgumentHelp("MiB by which resident memory may grow.", valueName: "MiB"))
  var growth = 64
  @Option(help: ArgumentHelp("Folder for inputs that show a problem.", valueName: "folder"))
  var findings = FileManager.default.temporaryDirectory.path
  @Option(help: ArgumentHelp("Tries this one input.", valueName: "file")) var replay: String?
  @Option(help: .private) var current: String?
  @Argument(help: "What is tried; default: every target.") var targets: [String] = []

  func validate() throws {
    if inputs < 1 || longest < 1 || growth < 0 {
      throw ValidationError("--inputs and --longest are 1 or more, --growth is 0 or more")
    }
    for name in targets where try FuzzTarget.named(name) == nil {
      let names = FuzzTarget.all.map(\.name).joined(separator: ", ")
      throw ValidationError("no target is called \(name); there are: \(names)")
    }
    if replay != nil || current != nil, targets.count != 1 {
      throw ValidationError("--replay needs the name of one target")
    }
  }

  func run() throws {
    if let file = replay { return try tryOne(Array(Data(contentsOf: URL(filePath: file)))) }
    if let current { return try tryAll(noting: current) }
    show(FuzzLine.head)
    var sound = true
    for name in targets.isEmpty ? FuzzTarget.all.map(\.name) : targets {
      if try !FuzzChild(name, self).run() { sound = false }
    }
    if !sound { throw ExitCode(1) }
  }

  private var settings: FuzzSettings {
    var settings = FuzzSettings()
    settings.inputs = inputs
    settings.seed = seed
    settings.longest = .seconds(longest)
    settings.growthMiB = growth
    return settings
  }

  private func tryOne(_ input: [UInt8]) throws {
    guard let target = try FuzzTarget.named(targets[0]) else { return }
    var run = FuzzRun(target, settings)
    let report = try run.replay(input)
    print("\(targets[0]): \(report.problem ?? "held out"), \(report.slowest)")
    if report.problem != nil { throw ExitCode(1) }
  }

  /// The child's part: the line of one target.
  private func tryAll(noting file: String) throws {
    guard let target = try FuzzTarget.named(targets[0]) else { return }
    var run = FuzzRun(target, settings, current: try CurrentInput(file: file))
    let report = try run.run()
    print(FuzzLine.text(targets[0], report))
    if report.problem != nil { throw ExitCode(1) }
  }
}

/// Prints at once, also where standard output is no terminal: a run takes minutes.
private func show(_ text: String, terminator: String = "\n") {
  print(text, terminator: terminator)
  fflush(nil)
}

/// One line of the table.
enum FuzzLine {
  static let head = row(
    ["target", "inputs", "inputs/s", "outcomes", "slowest ms", "peak before MiB", "after MiB"])

  static func text(_ name: String, _ report: FuzzReport) -> String {
    let seconds = report.elapsed / .seconds(1)
    let line = row([
      name, "\(report.inputs)", "\(Int(Double(report.inputs) / max(seconds, 0.001)))",
      "\(report.outcomes)", "\(Int(report.slowest / .milliseconds(1)))",
      "\(report.peakKiB.before >> 10)", "\(report.peakKiB.after >> 10)",
    ])
    return line + (report.problem.map { "\n\(name): \($0)" } ?? "")
  }

  private static func row(_ cells: [String]) -> String {
    zip(cells, [-18, 10, 10, 10, 12, 17, 11]).map { cell, width in
      let blank = String(repeating: " ", count: max(0, abs(width) - cell.count))
      return width < 0 ? cell + blank : blank + cell
    }.joined()
  }
}

/// One target in a process of its own, and what is left of it.
struct FuzzChild {
  private let name: String
  private let options: Fuzz
  private let folder: String
  private var current: String { folder + "/current" }
  private var log: String { folder + "/log" }

  init(_ name: String, _ options: Fuzz) {
    self.name = name
    self.options = options
    folder =
      FileManager.default.temporaryDirectory.appending(path: "fuzz-\(UUID().uuidString)").path
  }

  /// - Returns: whether the target held out.
  func run() throws -> Bool {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    var child = try ChildProcess(
      [
        program, "--current", current, "--inputs", "\(options.inputs)", "--seed", "\(options.seed)",
        "--longest", "\(options.longest)", "--growth", "\(options.growth)", name,
      ], output: log)
    let status = waitForEnd(of: &child)
    let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
    show(text, terminator: "")
    if status == 0 { return true }
    try report(status)
    return false
  }

  /// - Returns: nil where one input took so long that the process was ended.
  private func waitForEnd(of child: inout ChildProcess) -> Int32? {
    // The child itself judges an input that takes too long but comes to an end, in CPU time: on a
    // busy machine that is less than what passes here.
    let patience = Duration.seconds(20 * options.longest)
    var last = (number: -1, since: ContinuousClock.now)
    while true {
      if let status = child.waitForExit(atMost: .seconds(1)) { return status }
      let number = CurrentInput.read(current)?.number ?? -1
      if number != last.number { last = (number, .now) }
      if ContinuousClock.now - last.since > patience {
        kill(child.pid, SIGKILL)
        _ = child.waitForExit(atMost: .seconds(10))
        return nil
      }
    }
  }

  private func report(_ status: Int32?) throws {
    let what =
      switch status {
      case nil: "hangs"
      case .some(let status) where status > 128: "crashed (signal \(status - 128))"
      case .some(let status): "failed (status \(status))"
      }
    guard let (number, input) = CurrentInput.read(current) else {
      return show("\(name): \(what) before its first input")
    }
    let file = "\(options.findings)/\(name)-\(options.seed)-\(number).input"
    try FileManager.default.createDirectory(
      atPath: options.findings, withIntermediateDirectories: true)
    try Data(input).write(to: URL(filePath: file))
    show("\(name): \(what) at input \(number) of seed \(options.seed), saved as \(file)")
  }
}
