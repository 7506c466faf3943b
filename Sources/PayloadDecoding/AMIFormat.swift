// A GridTokenX prosumer's JSON: one message, two intervals — what was generated and what was used.

import EnergyReadings

extension PayloadDecoder {
  /// Decodes `energy_generated` as production and `energy_consumed` as consumption, both kWh in the
  /// interval that ends at `timestamp`; surplus, deficit and power repeat them and are not read. A
  /// timestamp without offset is UTC, as GridTokenX's own bridge reads it.
  ///
  /// Each amount is judged by itself. Its index is 0 for what was generated and 1 for what was used,
  /// whether or not the other is given.
  func decodeAMI(
    _ payload: ByteSlice, device: ByteSlice, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection) {
    do throws(JSONError) { try parser.parse(payload, in: &arena) } catch { throw Rejection(error) }
    guard parser[0].kind == .object else {
      throw Rejection(.wrongType, path: "$", detail: "expected an object")
    }
    let fields = try AMIFields(parser, in: &arena)
    guard let time = fields.timestamp else {
      throw Rejection(.missingField, path: "$.timestamp", detail: "timestamp is required")
    }
    if fields.generated == nil, fields.consumed == nil {
      throw Rejection(
        .missingField, path: "$.energy_generated",
        detail: "neither energy_generated nor energy_consumed is given")
    }
    var frame = Reading(kind: .production, device: device, gridCode: .absent)
    frame.timestamp = try arena.timestampInUTC(time, text: parser.text(of: time, in: &arena))
    if let node = fields.interval {
      frame.intervalSeconds = Int32(try arena.integer(node, in: 1...31_622_400))
    }
    if let node = fields.generated {
      decoded.take(node, as: frame, place: ReadingPlace(index: 0, text: payload), in: arena)
    }
    if let node = fields.consumed {
      frame.kind = .consumption
      decoded.take(node, as: frame, place: ReadingPlace(index: 1, text: payload), in: arena)
    }
  }
}

/// The members of an AMI payload that are read, each given at most once; nil where it is `null`.
private struct AMIFields {
  private(set) var timestamp: JSONNode?
  private(set) var interval: JSONNode?
  private(set) var generated: JSONNode?
  private(set) var consumed: JSONNode?

  init(_ parser: JSONParser, in arena: inout ByteArena) throws(Rejection) {
    var named = 0
    for index in parser.members(of: 0) {
      let node = parser[index]
      let value = node.kind == .null ? nil : node
      let key = parser.key(of: node, in: &arena)
      let bit: Int
      if arena[key].elementsEqual("timestamp") {
        timestamp = value
        bit = 1
      } else if arena[key].elementsEqual("interval_seconds") {
        interval = value
        bit = 2
      } else if arena[key].elementsEqual("energy_generated") {
        generated = value
        bit = 4
      } else if arena[key].elementsEqual("energy_consumed") {
        consumed = value
        bit = 8
      } else {
        continue
      }
      if named & bit != 0 {
        throw Rejection(.malformedPayload, path: arena.path(node), detail: "given twice")
      }
      named |= bit
    }
  }
}

extension DecodedReadings {
  /// Adds the reading that `frame` becomes with the amount of `node`, or its rejection.
  fileprivate mutating func take(
    _ node: JSONNode, as frame: Reading, place: ReadingPlace, in arena: borrowing ByteArena
  ) {
    var reading = frame
    do throws(Rejection) {
      let amount = try arena.decimal(node, integerDigits: 9, scale: 6)
      reading.energy = EnergyAmount(microKWh: amount)
      accepted.append(.init(reading: reading, place: place))
    } catch {
      rejected.append(
        .init(rejection: error, place: place, kind: frame.kind, device: frame.device))
    }
  }
}

extension ByteArena {
  fileprivate mutating func timestampInUTC(
    _ node: JSONNode, text: ByteSlice
  ) throws(Rejection) -> Timestamp {
    if node.kind == .string, (try? Timestamp(rfc3339: self[text])) == nil {
      let local = append(text)
      _ = append("Z")
      let zoned = ByteSlice(offset: Int(local.offset), count: Int(local.count) + 1)
      if let timestamp = try? Timestamp(rfc3339: self[zoned]) { return timestamp }
    }
    return try timestamp(node, text: text)
  }
}
