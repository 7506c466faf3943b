// What every format of a source does: bytes of a message to readings and samples.

import EnergyReadings

/// A payload format. A decoder is immutable and shared by all workers; what it needs to work with
/// comes with the message.
protocol PayloadFormat: Sendable {
  /// Whether a message means something only after those before it: then one subscriber hears them all.
  var needsOrder: Bool { get }

  /// Names of the registers that every message tells totals of, as far as they are certain.
  var fixedRegisters: [String] { get }

  /// What the topic itself calls the device, where the format says so; absent where it does not.
  func nameInTopic(_ heard: borrowing SourcedMessage, in arena: inout ByteArena) -> ByteSlice

  /// Decodes the payload of `heard`: appends what it holds to `decoded`.
  ///
  /// - Throws: why the message as a whole is no payload of this format. What concerns one of several
  ///   values is appended to `decoded.rejected`, and its neighbours are taken.
  func decode(
    _ heard: borrowing SourcedMessage, with parser: JSONParser, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection)
}

extension PayloadFormat {
  var needsOrder: Bool { false }
  var fixedRegisters: [String] { [] }

  func nameInTopic(_ heard: borrowing SourcedMessage, in arena: inout ByteArena) -> ByteSlice {
    .absent
  }
}

/// A message, the source that it belongs to, and the levels of its topic.
struct SourcedMessage {
  let message: Message
  let source: Source
  let levels: TopicLevels
  /// What is remembered from message to message.
  let memory: SparkplugMemory

  /// The whole payload, as the place of what it holds.
  var place: ReadingPlace { ReadingPlace(index: nil, text: message.payload) }

  /// The place of one of several values of the payload.
  func place(_ index: Int) -> ReadingPlace {
    ReadingPlace(index: Int32(truncatingIfNeeded: index), text: message.payload)
  }

  /// Parses the payload as JSON.
  ///
  /// Python's `json.dumps` writes `NaN` and `Infinity`, which JSON does not have: they are read as
  /// `null`.
  func parse(with parser: JSONParser, in arena: inout ByteArena) throws(Rejection) {
    do throws(JSONError) {
      try parser.parse(message.payload, in: &arena)
    } catch {
      guard let repaired = arena.withoutNaN(message.payload) else { throw Rejection(error) }
      do throws(JSONError) { try parser.parse(repaired, in: &arena) } catch {
        throw Rejection(error)
      }
    }
  }

  /// A sample of this source's device; caps and digits are those of the source.
  ///
  /// - Throws: where the register's name has not 1 to 100 characters that can be seen, or
  ///   a total is below 0.
  func sample(
    _ register: ByteSlice, of device: ByteSlice, _ measure: RegisterSample.Measure, _ value: Int64,
    at moment: Moment, flow: RegisterSample.Flow, opposite: RegisterSample.Flow? = nil,
    in arena: inout ByteArena
  ) throws(Rejection) -> RegisterSample {
    if register.count == 0 || (register.count > 100 && arena[register].characterCount > 100) {
      throw Rejection(
        .outOfRange, path: "$", detail: "the register's name has not 1 to 100 characters")
    }
    if let problem = arena[register].problemAsName {
      throw Rejection(.outOfRange, path: "$", detail: "the register's name \(problem)")
    }
    if measure == .register, value < 0 {
      throw Rejection(.outOfRange, path: "$", detail: "a total below 0")
    }
    var sample = RegisterSample(
      device: device, register: register, measure: measure, value: value,
      timestamp: moment.timestamp, flow: self.flow(flow, of: device, in: arena),
      opposite: opposite.map { self.flow($0, of: device, in: arena) })
    sample.gridCode = source.gridCode?.text(levels, in: &arena) ?? .absent
    sample.maximumWatts = source.options.maximumWatts
    sample.digits = source.options.digits
    sample.isTimeOfArrival = moment.isArrival
    return sample
  }
}

extension Rejection {
  /// The same, with the place that it is about: made only where something is turned away.
  func at(_ path: String) -> Rejection {
    var placed = self
    placed.path = path
    return placed
  }
}

extension SourcedMessage {
  /// What a flow is with a device: the other way round where it measures what is generated.
  func flow(
    _ flow: RegisterSample.Flow, of device: ByteSlice, in arena: borrowing ByteArena
  ) -> RegisterSample.Flow {
    guard flow.kind != .storage, let producers = source.producers,
      producers.contains(device, in: arena)
    else { return flow }
    return .init(flow.kind == .consumption ? .production : .consumption)
  }

  /// A reading of this source's device over an interval.
  ///
  /// - Parameters:
  ///   - amount: micro-kWh; of one below 0 the magnitude, since `flow` is its direction.
  ///   - seconds: length of the interval; nil where nobody says.
  func reading(
    of device: ByteSlice, _ amount: Int64, at moment: Moment, flow: RegisterSample.Flow,
    seconds: Int32?, in arena: inout ByteArena
  ) -> Reading {
    let flow = self.flow(flow, of: device, in: arena)
    var reading = Reading(
      kind: flow.kind, device: device, gridCode: .absent,
      energy: EnergyAmount(microKWh: Int64(amount.magnitude)), timestamp: moment.timestamp)
    reading.gridCode = source.gridCode?.text(levels, in: &arena) ?? .absent
    reading.operation = flow.operation
    reading.intervalSeconds = seconds
    return reading
  }
}

extension ByteArena {
  /// A copy of a text in which `NaN`, `Infinity` and `-Infinity` outside of strings are `null`; nil
  /// where there are none.
  fileprivate mutating func withoutNaN(_ text: ByteSlice) -> ByteSlice? {
    let start = count
    var isChanged = false
    var isInString = false
    var index = Int(text.offset)
    let end = index + Int(text.count)
    var copy: [UInt8] = []
    copy.reserveCapacity(Int(text.count))
    while index < end {
      let rest = self[ByteSlice(offset: index, count: end - index)]
      if !isInString, let length = rest.lengthOfNaN {
        copy += Array("null".utf8)
        index += length
        isChanged = true
        continue
      }
      if isInString, rest[0] == UInt8(ascii: "\\"), rest.count > 1 {
        copy.append(rest[0])
        index += 1
      } else if rest[0] == UInt8(ascii: "\"") {
        isInString.toggle()
      }
      copy.append(bytes[index])
      index += 1
    }
    guard isChanged else { return nil }
    _ = append(copy.span)
    return ByteSlice(offset: start, count: copy.count)
  }
}

extension Span where Element == UInt8 {
  /// Length of the word that Python writes for what is no number, if the bytes begin with one.
  fileprivate var lengthOfNaN: Int? {
    switch self[0] {
    case UInt8(ascii: "N") where starts(with: "NaN"): 3
    case UInt8(ascii: "I") where starts(with: "Infinity"): 8
    case UInt8(ascii: "-") where starts(with: "-Infinity"): 9
    default: nil
    }
  }

  private func starts(with word: StaticString) -> Bool {
    let length = word.utf8CodeUnitCount
    return count >= length && extracting(0..<length).elementsEqual(word)
  }
}
