// Latency from publish to commit, at a tenth of the rate that was reached before.
//
// Both ends are seen from outside the ingestor: the bench notes when it hands a message to the
// kernel, PostgreSQL notes when the transaction of a row commits (track_commit_timestamp), on one
// clock. PostgreSQL takes that time as it writes the commit record, before the flush to the disk,
// so the flush of the last batch, some milliseconds at most, is not in it.

import Foundation
import MQTTSession
import MeterSimulator

extension BenchRun {
  /// Messages a second where nothing was measured before.
  private static let ratePerSecondUnknown = 20_000.0

  func measureLatency(after report: BenchReport) throws -> BenchSample {
    let most = report.row(.endToEnd1)?.rate.median ?? Self.ratePerSecondUnknown
    let rate = max(most / 10, 10)
    let load = BenchLoad(
      readings: max(Int(rate) * plan.latencySeconds, 10), perMessage: 1, meters: plan.meters,
      seed: plan.seed)
    try stage.empty()
    let (ingestor, clients) = try startIngestor()
    let before = ingestor.seconds
    let meter = CostMeter(stage)
    let published = try publish(load, perSecond: rate)
    let deadline = ContinuousClock.now + .seconds(10)
    while try stage.storedRows < load.readings, ContinuousClock.now < deadline { usleep(50_000) }
    var sample = meter.sample(readings: load.readings)
    sample.ownSeconds = ingestor.seconds - before
    ingestor.look()
    sample.peakBytes = ingestor.peakBytes
    try stage.check(load, storedBy: "latency", lastWords: ingestor.lastWords)
    var waits: [Double] = []
    waits.reserveCapacity(load.readings)
    try stage.forEachCommit { meter, time, commit in
      let interval = (time - load.begin) / BenchLoad.intervalSeconds
      let message = interval * load.meters + meter
      waits.append(Double(commit - published[message]) / 1_000)
    }
    sample.latency = Percentiles(of: waits)
    try end(ingestor, clients)
    return sample
  }

  /// Publishes at an even pace.
  ///
  /// - Returns: when each message was handed to the kernel, in µs of the Unix epoch.
  private func publish(_ load: BenchLoad, perSecond rate: Double) throws -> [Int] {
    var settings = try MQTTSettings(
      url: stage.mqttURL, clientID: "meter-ingestor-bench-publisher-\(getpid())")
    settings.cleanStart = true
    settings.sessionExpiry = 0
    let publisher = try MQTTPublisher(settings)
    var published: [Int] = []
    published.reserveCapacity(load.messages)
    let start = ContinuousClock.now
    for message in 0..<load.messages {
      let due = start + .seconds(Double(message) / rate)
      while true {
        let rest = (due - .now) / .milliseconds(1)
        if rest <= 0 { break }
        // poll(2) counts whole milliseconds; the last part of one is waited for without it.
        if rest >= 1 { try publisher.exchange(milliseconds: Int32(rest)) } else { usleep(100) }
      }
      let payload = load.payload(ofMessage: message)
      published.append(Int(Date().timeIntervalSince1970 * 1e6))
      try publisher.publish(topic: load.topic(ofMessage: message), payload: payload)
      try publisher.push()
    }
    try publisher.finish()
    return published
  }
}
