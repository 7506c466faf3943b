// The load: readings that follow from a seed, as messages, as a capture file, as packets, and as the
// sums that the stored rows must have.

import Foundation
import MQTTSession
import MeterSimulator

/// A seeded set of consumption readings, the same for every contestant.
struct BenchLoad: Sendable {
  let readings: Int
  let perMessage: Int
  let meters: Int
  let seed: UInt64
  /// Time of the first interval, in seconds of the Unix epoch.
  let begin: Int

  /// - Parameter readings: a multiple of `perMessage`.
  init(readings: Int, perMessage: Int, meters: Int, seed: UInt64) {
    self.readings = readings
    self.perMessage = perMessage
    self.meters = meters
    self.seed = seed
    // Everything lies in the past, whatever the hour: nothing is refused as a reading of the future.
    let messagesEach = (readings / perMessage + meters - 1) / meters
    let midnight = Int(Date().timeIntervalSince1970) / 86_400 * 86_400
    begin = midnight - 86_400 - messagesEach * perMessage * BenchLoad.intervalSeconds
  }

  static let intervalSeconds = 900
  var messages: Int { readings / perMessage }

  /// The meter of a message and the number of its first interval.
  func place(ofMessage message: Int) -> (meter: Int, interval: Int) {
    (message % meters, message / meters * perMessage)
  }

  /// 0.2…0.9 kWh: neighbours differ by less than what counts as a spike, and equal ones are rare.
  func microKWh(meter: Int, interval: Int) -> Int {
    // SplitMix64 (Steele, Lea, Flood 2014), as a hash of the place.
    var mixed =
      seed &+ UInt64(interval &* 1_000_003 &+ meter &+ 1) &* 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return 200_000 + Int((mixed ^ (mixed >> 31)) % 700_000)
  }

  func topic(ofMessage message: Int) -> String {
    let meter = place(ofMessage: message).meter
    return "gridtokenx/v1/BKK-\(Self.digits(meter % 8, 2))/consumption/m-\(Self.digits(meter, 6))"
  }

  /// One object, or an array of `perMessage` objects, of some 190 bytes each.
  func payload(ofMessage message: Int) -> [UInt8] {
    let (meter, first) = place(ofMessage: message)
    if perMessage == 1 { return Array(object(meter, first).utf8) }
    let objects = (0..<perMessage).map { object(meter, first + $0) }
    return Array("[\(objects.joined(separator: ","))]".utf8)
  }

  private func object(_ meter: Int, _ interval: Int) -> String {
    let energy = Self.digits(microKWh(meter: meter, interval: interval), 6)
    let time = begin + interval * Self.intervalSeconds
    return #"{"timestamp":\#(time),"energy_amount":0.\#(energy),"consumer_type":"residential","#
      + #""appliance_breakdown":{"hvac":0.12,"lighting":0.03},"interval_seconds":900,"#
      + #""sequence":\#(interval + 1),"location":{"district":"D\#(meter % 9)"}}"#
  }

  private static func digits(_ number: Int, _ count: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, count - text.count)) + text
  }

  /// Writes the load as a capture that `replay` takes.
  func write(to file: String) throws {
    let writer = try CaptureWriter(file: file)
    for message in 0..<messages {
      try writer.write(
        CaptureRecord(
          timeMilliseconds: Int64(message), topic: topic(ofMessage: message),
          payload: payload(ofMessage: message)))
    }
    try writer.close()
  }

  /// Writes the load as packets that ``PacketPublisher`` takes.
  func writePackets(to file: String) throws {
    guard let output = fopen(file, "w") else { throw BenchError(.failed, "cannot write \(file)") }
    for message in 0..<messages {
      let packet = MQTTSession.publishPacket(
        topic: Array(topic(ofMessage: message).utf8), payload: payload(ofMessage: message),
        id: UInt16(message % Int(UInt16.max) + 1))
      fwrite(packet, 1, packet.count, output)
    }
    // A full disk shows here at the latest.
    guard fclose(output) == 0 else { throw BenchError(.failed, "cannot write \(file)") }
  }

  /// What must be stored.
  var sums: StoredSums {
    var sums = StoredSums(rows: readings, distinctReadings: readings, distinctIDs: readings)
    for message in 0..<messages {
      let (meter, first) = place(ofMessage: message)
      for interval in first..<(first + perMessage) {
        let energy = microKWh(meter: meter, interval: interval)
        sums.microKWh += energy
        sums.byMeter += energy * meter
        sums.byInterval += energy * interval
      }
    }
    return sums
  }
}

/// What is compared before a number is believed: equal only if no reading is missing, doubled,
/// altered, or given to another meter or another time.
struct StoredSums: Equatable, Sendable {
  var rows = 0
  var distinctReadings = 0
  var distinctIDs = 0
  var microKWh = 0
  /// Sum of energy times the meter's number.
  var byMeter = 0
  /// Sum of energy times the interval's number.
  var byInterval = 0

  /// Reads them from the rows since `begin`.
  static func query(since begin: Int) -> String {
    """
    WITH stored AS MATERIALIZED (
      SELECT id, consumer_id, timestamp, energy_amount * 1000000 AS energy
      FROM grid.energy_consumption WHERE timestamp >= to_timestamp(\(begin)))
    SELECT count(*),
      (SELECT count(*) FROM (SELECT DISTINCT consumer_id, timestamp FROM stored) AS r),
      (SELECT count(*) FROM (SELECT DISTINCT id FROM stored) AS i),
      coalesce(sum(energy), 0)::bigint,
      coalesce(sum(energy * substring(consumer_id FROM '^m-([0-9]{6,9})$')::int), 0)::bigint,
      coalesce(sum(energy * ((extract(epoch FROM timestamp)::bigint - \(begin)) / 900)), 0)::bigint
    FROM stored
    """
  }

  init(rows: Int = 0, distinctReadings: Int = 0, distinctIDs: Int = 0) {
    self.rows = rows
    self.distinctReadings = distinctReadings
    self.distinctIDs = distinctIDs
  }

  init(row: [String?]) {
    let values = row.map { Int($0 ?? "") ?? -1 }
    self.init(rows: values[0], distinctReadings: values[1], distinctIDs: values[2])
    (microKWh, byMeter, byInterval) = (values[3], values[4], values[5])
  }

  /// What is wrong with `stored`, in words; nil where nothing is.
  func complaint(about stored: StoredSums) -> String? {
    if stored == self { return nil }
    var words: [String] = []
    if stored.rows != rows { words.append("\(stored.rows) rows are stored instead of \(rows)") }
    if stored.distinctReadings != stored.rows {
      words.append("only \(stored.distinctReadings) of the rows are distinct readings")
    }
    if stored.distinctIDs != stored.rows {
      words.append("only \(stored.distinctIDs) of the ids are distinct")
    }
    if stored.microKWh != microKWh {
      words.append("the energy adds up to \(stored.microKWh) µkWh instead of \(microKWh)")
    }
    if words.isEmpty { words.append("energy was given to other meters or other times") }
    return words.joined(separator: "; ")
  }
}
