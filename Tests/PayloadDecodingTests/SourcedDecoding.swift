// One message of a source in, what became of it out, as lines that a table of expectations can hold.

import EnergyReadings
import PayloadDecoding

/// A worker's decoder with the sources of a YAML text.
struct SourcedDecoder {
  private let decoder = PayloadDecoder()
  let sources: SourceTable
  /// When messages arrive: 2026-06-10T07:00:00Z.
  static let arrival = Timestamp(microseconds: 1_781_074_800_000_000)

  init(_ yaml: String) throws {
    sources = try SourceFile.table(yaml: yaml, name: "sources.yaml")
  }

  /// The same, read anew while `former` goes on.
  init(_ yaml: String, after former: SourcedDecoder) throws {
    sources = SourceTable(
      try SourceFile.table(yaml: yaml, name: "sources.yaml"), after: former.sources)
  }

  func decode(
    _ payload: String, on topic: String, receivedAt: Timestamp = arrival
  ) -> Outcome {
    decode(Array(payload.utf8), on: topic, receivedAt: receivedAt)
  }

  func decode(
    _ payload: [UInt8], on topic: String, receivedAt: Timestamp = arrival, isLive: Bool = true
  ) -> Outcome {
    PayloadDecodingTests.decode(
      payload, on: topic, with: decoder, from: sources, receivedAt: receivedAt, isLive: isLive)
  }

  /// ``Outcome/lines`` of a message.
  func lines(_ payload: String, on topic: String) -> [String] { decode(payload, on: topic).lines }
}

extension Outcome {
  /// Everything that came of a message: samples as
  /// `device register measure value flow[/opposite] time`, the value in micro-kWh or mW; readings as
  /// `device interval value kind time`; states of charge as `device charge value measure time`;
  /// rejections as `reason path`; `skipped n` where n > 0. A time is `arrival` where it is that.
  var lines: [String] {
    samples.map(line) + readings.map(line) + charges.map(line) + reasons
      + (skipped > 0 ? ["skipped \(skipped)"] : [])
  }

  private func line(_ sample: RegisterSample) -> String {
    let flow = name(sample.flow) + (sample.opposite.map { "/" + name($0) } ?? "")
    let time = sample.isTimeOfArrival ? "arrival" : name(sample.timestamp)
    return "\(arena.string(sample.device)) \(arena.string(sample.register)) \(sample.measure) "
      + "\(sample.value) \(flow) \(time)"
  }

  private func line(_ reading: Reading) -> String {
    let flow = name(.init(reading.kind, reading.operation))
    return "\(arena.string(reading.device)) interval \(reading.energy.microKWh) \(flow) "
      + name(reading.timestamp)
  }

  private func line(_ charge: ReportedCharge) -> String {
    let isArrival = charge.timestamp == SourcedDecoder.arrival
    return "\(arena.string(charge.device)) charge \(charge.value) \(charge.measure) "
      + (isArrival ? "arrival" : name(charge.timestamp))
  }

  private func name(_ flow: RegisterSample.Flow) -> String {
    flow.kind == .storage ? "\(flow.operation.name)" : "\(flow.kind)"
  }

  /// Without a fraction of zeros.
  private func name(_ time: Timestamp) -> String {
    let text = time.description
    return text.hasSuffix(".000000Z") ? text.dropLast(8) + "Z" : text
  }
}
