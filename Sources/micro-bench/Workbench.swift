// The steps of the path of a reading, each by itself on a round of messages, and all of them together.

import CheckRules
import EnergyReadings
import IngestPipeline
import PayloadDecoding
import PostgresStore

/// A step that is measured.
enum Step: String, CaseIterable, Codable {
  /// A message's bytes to readings.
  case decode
  /// What the registry adds to a reading.
  case enrich
  /// CHECK constraints and plausibility rules of a reading that is complete.
  case judge
  /// The derivation of a reading's id.
  case id
  /// A reading to its row of a binary COPY.
  case encode
  /// `Batch.add`: copy, decode, enrich, judge, id, encode.
  case path
}

/// What one kind of traffic is worked on with; reused from round to round as a worker does it.
final class Workbench {
  // Unchecked, as in the product's hot loops: one thread, and no access encloses another.
  @exclusivity(unchecked) private var arena = ByteArena(capacity: 1 << 23)
  @exclusivity(unchecked) private var decoded = DecodedReadings()
  @exclusivity(unchecked) private var messages: [Message] = []
  /// As decoded.
  @exclusivity(unchecked) private var bare: [Reading] = []
  /// Enriched.
  @exclusivity(unchecked) private var readings: [Reading] = []
  @exclusivity(unchecked) private var ids: [ReadingID] = []
  private let decoder = PayloadDecoder()
  private let enrichment = Enrichment(settings: EnrichmentSettings())
  private let judge = ReadingJudge(states: MeterStates())
  private let rows = CopyBuffer()
  private let batch: Batch
  private let reference: ReferenceData
  private let traffic: Traffic
  private var registry = ByteArena()
  private var facts = DeviceFacts()
  private var flags = 0

  init(_ traffic: Traffic, by reference: ReferenceData) {
    self.traffic = traffic
    self.reference = reference
    batch = Batch(enrichment: EnrichmentSettings())
    facts.sources = registry.append("solar")
    facts.ratedPower = 10_000_000
    facts.capacity = 1_000_000_000
  }

  /// Makes the messages of a round, and the readings and ids that later steps begin with.
  func prepare(_ round: Int) {
    arena.removeAll()
    messages.removeAll(keepingCapacity: true)
    bare.removeAll(keepingCapacity: true)
    readings.removeAll(keepingCapacity: true)
    ids.removeAll(keepingCapacity: true)
    rows.removeAll()
    batch.removeAll()
    flags = 0
    traffic.forEachMessage(of: round) { topic, payload, receivedAt in
      messages.append(
        Message(
          topic: arena.append(topic.utf8.span), payload: arena.append(payload.utf8.span),
          receivedAt: receivedAt))
    }
    for message in messages {
      decoder.decode(message, in: &arena, into: &decoded)
      for accepted in decoded.accepted { bare.append(accepted.reading) }
    }
    enrichReadings()
    ids.append(contentsOf: repeatElement(ReadingID(high: 0, low: 0), count: readings.count))
  }

  func perform(_ step: Step) {
    switch step {
    case .decode: decodeMessages()
    case .enrich: enrichReadings()
    case .judge: judgeReadings()
    case .id: deriveIDs()
    case .encode: encodeRows()
    case .path: takeMessages()
    }
  }

  private func decodeMessages() {
    for index in messages.indices { decoder.decode(messages[index], in: &arena, into: &decoded) }
  }

  private func enrichReadings() {
    readings.removeAll(keepingCapacity: true)
    for index in bare.indices {
      var reading = bare[index]
      let known = try? enrichment.complete(&reading, from: reference.registry, in: &arena)
      if known != nil { readings.append(reading) }
    }
  }

  private func judgeReadings() {
    for index in readings.indices {
      var reading = readings[index]
      let receivedAt = Timestamp(microseconds: reading.timestamp.microseconds + 1_000_000)
      let broken = try? judge.judge(
        &reading, by: reference.rules, facts: facts, registry: registry, in: &arena,
        receivedAt: receivedAt)
      flags += broken?.count ?? 1
    }
  }

  private func deriveIDs() {
    for index in readings.indices {
      ids[index] = ReadingID(
        kind: readings[index].kind, device: arena[readings[index].device],
        timestamp: readings[index].timestamp, channel: readings[index].channel)
    }
  }

  private func encodeRows() {
    for index in readings.indices { rows.append(readings[index], id: ids[index], in: arena) }
  }

  private func takeMessages() {
    for message in messages {
      batch.add(
        topic: arena[message.topic], payload: arena[message.payload],
        receivedAt: message.receivedAt, by: reference)
    }
  }

  /// Figures of work that was not done are worth nothing.
  ///
  /// - Throws: ``MicroBenchError`` where a reading of the round was lost, refused or flagged.
  func check() throws(MicroBenchError) {
    var stored = 0
    batch.forEachTimestamp { _ in stored += 1 }
    let counts = [
      "decoded": bare.count, "enriched": readings.count, "encoded": rows.rowCount,
      "ids": Set(ids).count, "taken by the batch": batch.count, "rows of the batch": stored,
      "judged without a flag": readings.count - flags,
    ]
    for (what, count) in counts.sorted(by: { $0.key < $1.key }) where count != Traffic.readings {
      throw MicroBenchError(
        "of \(Traffic.readings) readings (\(traffic.rawValue)), \(count) were \(what); the figures "
          + "would not be of what they say")
    }
  }
}

struct MicroBenchError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
