// Tries one input after the other, and watches time and memory.

import Foundation

/// How much is tried, and what is too much.
public struct FuzzSettings: Sendable {
  /// Default 1,000,000.
  public var inputs = 1_000_000
  /// Default 1.
  public var seed: UInt64 = 1
  /// An input may take so much CPU time; default 1 s. One that never ends is the caller's affair.
  public var longest = Duration.seconds(1)
  /// Resident memory may grow so much once a fifth of the inputs was tried; default 64 MiB. Not the
  /// peak, which one large input moves.
  public var growthMiB = 64

  public init() {}
}

/// What one run has shown.
public struct FuzzReport: Sendable {
  public var inputs = 0
  /// Inputs that were kept for an outcome that none before had.
  public var outcomes = 0
  public var elapsed = Duration.zero
  public var slowest = Duration.zero
  /// Peak resident memory, KiB, after a fifth of the inputs and at the end.
  public var peakKiB = (before: 0, after: 0)
  /// What is wrong; nil where nothing is.
  public var problem: String?
  /// The input that shows it.
  public var input: [UInt8] = []
}

/// One run of one target.
public struct FuzzRun {
  private let settings: FuzzSettings
  private let target: FuzzTarget
  private let current: CurrentInput?
  private var mutator: Mutator
  private var known: Set<Int> = []
  /// Resident memory once a fifth of the inputs was tried.
  private var residentKiB = 0
  private var report = FuzzReport()

  /// - Parameter current: notes each input before it is tried; nil where the caller would not
  ///   survive a crash either.
  public init(_ target: FuzzTarget, _ settings: FuzzSettings, current: CurrentInput? = nil) {
    self.settings = settings
    self.target = target
    self.current = current
    mutator = Mutator(corpus: target.corpus, dictionary: target.dictionary, seed: settings.seed)
  }

  /// Tries the corpus as it is, then mutations of it, up to the first problem.
  public mutating func run() throws -> FuzzReport {
    let begin = ContinuousClock.now
    let originals = mutator.corpus
    while report.problem == nil, report.inputs < settings.inputs {
      let number = report.inputs
      try attempt(number < originals.count ? originals[number] : mutator.next())
      if report.inputs == max(1, settings.inputs / 5) {
        report.peakKiB.before = FuzzRun.memoryKiB("VmHWM:")
        residentKiB = FuzzRun.memoryKiB("VmRSS:")
      }
    }
    report.elapsed = ContinuousClock.now - begin
    report.peakKiB.after = FuzzRun.memoryKiB("VmHWM:")
    let growth = FuzzRun.memoryKiB("VmRSS:") - residentKiB
    if report.problem == nil, growth > settings.growthMiB << 10 {
      report.problem = "memory grew by \(growth) KiB, allowed are \(settings.growthMiB) MiB"
    }
    return report
  }

  /// Tries one input alone.
  public mutating func replay(_ input: [UInt8]) throws -> FuzzReport {
    try attempt(input)
    return report
  }

  private mutating func attempt(_ input: [UInt8]) throws {
    try current?.note(input, number: report.inputs)
    report.inputs += 1
    do {
      let begin = FuzzRun.threadTime()
      let outcome = try target.attempt(input)
      let duration = FuzzRun.threadTime() - begin
      report.slowest = max(report.slowest, duration)
      if duration > settings.longest {
        report.problem = "an input takes \(duration) of CPU time, allowed are \(settings.longest)"
        report.input = input
      }
      if known.count < 100_000, known.insert(outcome).inserted {
        report.outcomes += 1
        mutator.keep(input)
      }
    } catch let finding as FuzzFinding {
      report.problem = finding.description
      report.input = input
    }
  }

  /// CPU time of this thread: what else the machine does counts as little as it can.
  private static func threadTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  /// From the kernel: resident memory (VmRSS) or its peak (VmHWM), proc(5).
  private static func memoryKiB(_ field: String) -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix(field) } ?? ""
    return line.split(separator: " ").compactMap { Int($0) }.first ?? 0
  }
}
