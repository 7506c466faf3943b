// What came out: samples, their medians, and the table that people read.

import Foundation

/// What one run of one contestant took.
public struct BenchSample: Codable, Sendable, Equatable {
  public var readings: Int
  /// Wall time, from the start of the contestant, or of its publisher, to the last commit.
  public var seconds: Double
  /// CPU of the contestant, all its processes, user and system.
  public var ownSeconds: Double?
  /// CPU of PostgreSQL, all its processes; nil where it is not the bench's own.
  public var postgresSeconds: Double?
  public var brokerSeconds: Double?
  public var publisherSeconds: Double?
  /// Most memory resident, all processes of the contestant together.
  public var peakBytes: Int?
  /// From publish to commit.
  public var latency: Percentiles?

  public init(readings: Int, seconds: Double) {
    self.readings = readings
    self.seconds = seconds
  }

  /// Readings per second.
  public var rate: Double { Double(readings) / max(seconds, 1e-6) }

  enum CodingKeys: String, CodingKey {
    case readings, seconds, latency
    case ownSeconds = "own_cpu_seconds"
    case postgresSeconds = "postgres_cpu_seconds"
    case brokerSeconds = "broker_cpu_seconds"
    case publisherSeconds = "publisher_cpu_seconds"
    case peakBytes = "peak_resident_bytes"
  }
}

/// How long the median, and the slowest, had to wait, in ms.
public struct Percentiles: Codable, Sendable, Equatable {
  public var p50: Double
  public var p99: Double
  public var p999: Double

  public init(p50: Double, p99: Double, p999: Double) {
    (self.p50, self.p99, self.p999) = (p50, p99, p999)
  }

  /// Nearest rank: the smallest value that at least so many percent do not exceed.
  public init?(of values: [Double]) {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    func rank(_ share: Double) -> Double {
      sorted[min(max(Int((share * Double(sorted.count)).rounded(.up)), 1), sorted.count) - 1]
    }
    self.init(p50: rank(0.5), p99: rank(0.99), p999: rank(0.999))
  }

  enum CodingKeys: String, CodingKey {
    case p50 = "p50_ms"
    case p99 = "p99_ms"
    case p999 = "p99_9_ms"
  }
}

/// The middle of several rounds, and how far apart they were.
public struct Spread: Codable, Sendable, Equatable {
  public var median: Double
  public var least: Double
  public var most: Double

  enum CodingKeys: String, CodingKey {
    case median
    case least = "min"
    case most = "max"
  }

  /// nil of nothing. The median of an even number is the mean of the two in the middle.
  public init?(_ values: [Double]) {
    let sorted = values.sorted()
    guard let first = sorted.first, let last = sorted.last else { return nil }
    (least, most) = (first, last)
    median = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }
}

/// The rounds of one contestant.
public struct BenchRow: Codable, Sendable {
  public let measure: Measure
  public let label: String
  /// The rival's name; nil for the ingestor and the limits.
  public let rival: String?
  public internal(set) var samples: [BenchSample] = []

  public init(_ measure: Measure, label: String, rival: String? = nil, samples: [BenchSample]) {
    self.measure = measure
    self.label = label
    self.rival = rival
    self.samples = samples
  }

  /// Readings per second.
  public var rate: Spread { Spread(samples.map(\.rate)) ?? Spread(zero: ()) }

  /// Median of a CPU time, in µs per reading.
  public func microseconds(_ cost: KeyPath<BenchSample, Double?>) -> Double? {
    Spread(
      samples.compactMap { sample in
        sample[keyPath: cost].map { $0 * 1e6 / Double(max(sample.readings, 1)) }
      })?.median
  }

  public var peakBytes: Int? { samples.compactMap(\.peakBytes).max() }

  /// Median of a percentile over the rounds, in ms.
  public func latency(_ percentile: KeyPath<Percentiles, Double>) -> Double? {
    Spread(samples.compactMap { $0.latency?[keyPath: percentile] })?.median
  }
}

extension Spread {
  fileprivate init(zero: Void) { (median, least, most) = (0, 0, 0) }
}

/// Everything that one run of the bench has found; only runs whose rows were right get here.
public struct BenchReport: Sendable {
  public let workers: Int
  public let rounds: Int
  public let prefill: Int
  public let arePrivate: Bool
  public let machine: String
  public private(set) var rows: [BenchRow] = []

  public init(plan: BenchPlan, arePrivate: Bool, machine: String = BenchReport.thisMachine) {
    workers = plan.workers
    rounds = plan.rounds
    prefill = plan.prefill
    self.arePrivate = arePrivate
    self.machine = machine
  }

  public mutating func add(_ row: BenchRow) { rows.append(row) }

  mutating func add(_ sample: BenchSample, as entry: BenchRun.Entry) {
    if let index = rows.firstIndex(where: {
      $0.measure == entry.measure && $0.label == entry.label
    }) {
      rows[index].samples.append(sample)
    } else {
      rows.append(
        BenchRow(entry.measure, label: entry.label, rival: entry.rival, samples: [sample]))
    }
  }

  public func row(_ measure: Measure) -> BenchRow? { rows.first { $0.measure == measure } }

  /// What a row is held against: the limit that it could at best reach.
  public func limit(of row: BenchRow) -> BenchRow? {
    let copy = self.row(.psqlCopy) ?? self.row(.rawCopy)
    switch row.measure {
    case .direct: return copy
    case .directMany: return self.row(.rawCopyMany)
    case .endToEnd1: return self.row(.broker)
    case .endToEnd100: return self.row(.rawCopy100) ?? self.row(.rawCopy)
    case .prefilled: return self.row(.direct)
    case .against:
      return row.label.contains("100 a message")
        ? self.row(.rawCopy100) ?? self.row(.rawCopy) : self.row(.broker)
    case .rawCopy, .rawCopyMany, .rawCopy100, .psqlCopy, .broker, .latency: return nil
    }
  }

  public func ratio(_ row: BenchRow) -> Double? {
    limit(of: row).map { row.rate.median / max($0.rate.median, 1e-6) }
  }

  /// Processor and memory, as the kernel names them.
  public static var thisMachine: String {
    let cpus = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let model =
      cpus.split(separator: "\n").first { $0.hasPrefix("model name") }
      .map { $0.drop { $0 != ":" }.dropFirst(2) } ?? "unknown processor"
    let gibibytes = Int(
      (Double(ProcessInfo.processInfo.physicalMemory) / Double(1 << 30)).rounded())
    return "\(ProcessInfo.processInfo.activeProcessorCount) × \(model), \(gibibytes) GiB"
  }
}
