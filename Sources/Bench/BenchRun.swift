// One run of the bench: loads made once, then everything in turn, round by round.

import Foundation
import PrivateServices

/// Measures what a plan says, on services of its own or on given ones. Blocks; needs one thread.
public struct BenchRun {
  let plan: BenchPlan
  let stage: BenchStage
  /// One reading a message: direct replay, and what the raw COPY stores.
  let direct: BenchLoad
  let single: BenchLoad
  let hundreds: BenchLoad
  private let say: (String) -> Void

  /// - Parameters:
  ///   - directory: where private services and files go.
  ///   - given: services to use instead.
  ///   - say: told what is going on.
  /// - Throws: ``BenchError``, `PrivateServicesError`, `PostgresError`, `MQTTError`.
  public static func perform(
    _ plan: BenchPlan, in directory: String, on given: GivenServices? = nil,
    say: @escaping (String) -> Void
  ) throws -> BenchReport {
    try plan.check()
    if given != nil, plan.prefill > 0 {
      throw BenchError(.usage, "--prefill works on private services only: it fills a table")
    }
    say("starting services")
    let stage = try given.map(BenchStage.init(given:)) ?? BenchStage(privateIn: directory)
    do {
      let report = try BenchRun(plan, stage, say).measureAll()
      try stage.close()
      return report
    } catch {
      try? stage.close()
      throw error
    }
  }

  private init(_ plan: BenchPlan, _ stage: BenchStage, _ say: @escaping (String) -> Void) {
    self.plan = plan
    self.stage = stage
    self.say = say
    func load(_ readings: Int, _ perMessage: Int) -> BenchLoad {
      BenchLoad(
        readings: readings, perMessage: perMessage, meters: plan.meters, seed: plan.seed)
    }
    direct = load(plan.readings, 1)
    single = load(plan.endToEndReadings, 1)
    // As many as are copied: a burst would be measured by how it begins and ends.
    hundreds = load(plan.readings, 100)
  }

  private func measureAll() throws -> BenchReport {
    var report = BenchReport(plan: plan, arePrivate: stage.isPrivate)
    let contestants = contestants
    try prepareFiles()
    if contestants.contains(where: { $0.measure == .prefilled }) {
      say("filling a table with \(plan.prefill) rows")
      try stage.makeFilledDatabase(
        rows: plan.prefill, meters: plan.meters, before: direct.begin)
    }
    for round in 1...plan.rounds {
      for contestant in contestants {
        say("round \(round) of \(plan.rounds): \(contestant.label)")
        let sample = try contestant.measure(report)
        report.add(sample, as: contestant)
      }
    }
    return report
  }

  /// Something that is measured once a round.
  struct Entry {
    let measure: Measure
    let label: String
    let rival: String?
    /// Given what was measured before.
    private let body: (BenchReport) throws -> BenchSample

    init(
      _ measure: Measure, label: String, rival: String? = nil,
      _ body: @escaping (BenchReport) throws -> BenchSample
    ) {
      self.measure = measure
      self.label = label
      self.rival = rival
      self.body = body
    }

    func measure(_ report: BenchReport) throws -> BenchSample { try body(report) }
  }

  private var contestants: [Entry] {
    var all: [Entry] = [
      Entry(.rawCopy, label: "raw COPY, 1 connection") { _ in try measureRawCopy(1) },
      Entry(.psqlCopy, label: "psql \\copy") { _ in try measurePsqlCopy() },
      Entry(.direct, label: "direct replay, 1 worker") { _ in try measureDirect(workers: 1) },
      Entry(.rawCopyMany, label: "raw COPY, \(plan.workers) connections") { _ in
        try measureRawCopy(plan.workers)
      },
      Entry(.directMany, label: "direct replay, \(plan.workers) workers") { _ in
        try measureDirect(workers: plan.workers)
      },
      Entry(.rawCopy100, label: "raw COPY, as 100 a message") { _ in
        try measureRawCopy(1, of: hundreds)
      },
      Entry(.broker, label: "broker, thrown away") { _ in try measureBroker(single) },
      Entry(.endToEnd1, label: "end to end, 1 a message") { _ in try measureEndToEnd(single) },
      Entry(.endToEnd100, label: "end to end, 100 a message") { _ in
        try measureEndToEnd(hundreds)
      },
    ]
    if stage.isPrivate {
      all.append(
        Entry(.latency, label: "latency at a tenth of the maximum") {
          try measureLatency(after: $0)
        })
    }
    for rival in plan.rivals {
      for load in [single, hundreds] {
        let label = "\(rival.name), \(load.perMessage) a message"
        all.append(
          Entry(.against, label: label, rival: rival.name) { _ in
            try measureRival(rival, load)
          })
      }
    }
    if plan.prefill > 0 {
      let rows = BenchReport.number(Double(plan.prefill), 0)
      all.insert(
        Entry(.prefilled, label: "direct replay, 1 worker, onto \(rows) rows") { _ in
          try stage.inFilledDatabase { try measureDirect(workers: 1, keepRows: true) }
        }, at: 3)
    }
    return all.filter {
      plan.measures.contains($0.measure) && ($0.measure != .psqlCopy || Self.psql != nil)
    }
  }

  // MARK: Files

  func capture(of load: BenchLoad) -> String {
    "\(stage.scratch)/\(load.readings)x\(load.perMessage).ndjson"
  }

  func packets(of load: BenchLoad) -> String {
    "\(stage.scratch)/\(load.readings)x\(load.perMessage).packets"
  }

  func copyFile(_ load: BenchLoad, _ part: Int, of parts: Int) -> String {
    "\(stage.scratch)/rows-\(load.perMessage)-\(part)-of-\(parts).bin"
  }

  /// The loads as captures and as packets, and their rows as the ingestor stores them.
  private func prepareFiles() throws {
    let copies = wants(.rawCopy, .rawCopyMany, .psqlCopy)
    let copiesHundreds = wants(.rawCopy100)
    try write(
      direct, asCapture: copies || wants(.direct, .directMany, .prefilled), asMessages: false)
    try write(single, asCapture: false, asMessages: wants(.broker, .endToEnd1, .against))
    try write(hundreds, asCapture: copiesHundreds, asMessages: wants(.endToEnd100, .against))
    if copies { try prepareCopy(of: direct, parts: [1, plan.workers]) }
    if copiesHundreds { try prepareCopy(of: hundreds, parts: [1]) }
  }

  private func wants(_ measures: Measure...) -> Bool {
    measures.contains(where: plan.measures.contains)
  }

  /// Writes what `replay --direct` reads, what the publisher reads, or both.
  private func write(_ load: BenchLoad, asCapture: Bool, asMessages: Bool) throws {
    guard asCapture || asMessages else { return }
    say("writing \(load.readings) readings, \(load.perMessage) a message")
    if asCapture || (asMessages && stage.isEncrypted) { try load.write(to: capture(of: load)) }
    if asMessages, !stage.isEncrypted { try load.writePackets(to: packets(of: load)) }
  }

  private func prepareCopy(of load: BenchLoad, parts: Set<Int>) throws {
    say("storing \(load.perMessage) a message once, for the raw COPY")
    _ = try measureDirect(workers: 1, of: load)
    for count in parts {
      for part in 0..<count {
        // The parts of several workers: every meter's readings are in one of them.
        try RawCopy.export(
          where: "substring(consumer_id FROM 3)::int % \(count) = \(part)",
          to: copyFile(load, part, of: count), url: stage.postgresURL)
      }
    }
  }

  static let psql = ["/usr/bin/psql", "/usr/local/bin/psql"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }
}
