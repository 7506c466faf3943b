// The stream of a fleet's readings in the order of time, made one by one as they are asked for.

/// One message that a simulated meter publishes.
public struct SimulatedReading: Sendable {
  /// The end of the interval, µs since 1970, whole milliseconds; also the payload's timestamp.
  public let time: Int64
  public let topic: String
  /// One JSON object of `wire-format.md`, 200–350 bytes.
  public let payload: [UInt8]
  public let kind: MeterKind
  /// Equals the topic's last level.
  public let deviceID: String
  /// The payload's `energy_amount` in micro-kWh, ≥ 0.
  public let energyMicroKWh: Int64

  /// A solar meter at night and a resting battery report 0, which is heard but not stored.
  public var isZero: Bool { energyMicroKWh == 0 }

  /// The line of a capture that began at `start` (µs since 1970), QoS 1.
  public func captureRecord(since start: Int64) -> CaptureRecord {
    CaptureRecord(
      timeMilliseconds: (time - start).dividedDown(by: 1_000), topic: topic, payload: payload)
  }
}

/// The readings of a `Neighbourhood` whose intervals end in a span of time, ordered by time.
///
/// A reading is computed when the iterator reaches it and depends only on the fleet's seed and
/// size, the meter, the interval and its end: two spans that meet give what one long span gives.
public struct SimulatedReadings: Sequence, Sendable {
  fileprivate let meters: [Meter]
  fileprivate let payloads: [MeterPayload]
  fileprivate let skies: [Sky]
  /// Per meter, µs into an interval; ascending.
  fileprivate let offsets: [Int64]
  fileprivate let start: Int64
  fileprivate let end: Int64
  fileprivate let interval: Int64

  init(meters: [Meter], skies: [Sky], from start: Int64, to end: Int64, interval seconds: Int) {
    let milliseconds = Double(seconds * 1_000)
    self.meters = meters.sorted { ($0.phase, $0.number) < ($1.phase, $1.number) }
    offsets = self.meters.map { Int64($0.phase * milliseconds) * 1_000 }
    payloads = self.meters.map { MeterPayload(of: $0, interval: seconds) }
    self.skies = skies
    self.start = start
    self.end = end
    interval = Int64(seconds) * 1_000_000
  }

  /// How many readings the sequence will give; computed without making them.
  public var readingCount: Int {
    offsets.reduce(0) { sum, offset in
      let upTo = (end - offset).dividedDown(by: interval)
      return sum + Int(Swift.max(0, upTo - (start - offset).dividedDown(by: interval)))
    }
  }

  public func makeIterator() -> Iterator {
    Iterator(self)
  }

  /// Walks through the rounds of the fleet: in each interval every meter once, by its offset.
  public struct Iterator: IteratorProtocol {
    private let readings: SimulatedReadings
    /// The number of the interval since 1970; also the reading's `sequence`.
    private var round: Int64
    private var position = 0
    /// Per meter, the local day and the surplus a battery stores on it, kWh.
    private var surplus: [(day: Int, kWh: Double)]
    private var parts: [Int64] = []

    fileprivate init(_ readings: SimulatedReadings) {
      self.readings = readings
      round = readings.start.dividedDown(by: readings.interval)
      surplus = Array(repeating: (.min, 0), count: readings.meters.count)
    }

    public mutating func next() -> SimulatedReading? {
      while !readings.meters.isEmpty {
        if position == readings.meters.count {
          position = 0
          round += 1
        }
        let time = round * readings.interval + readings.offsets[position]
        guard time <= readings.end else { return nil }
        defer { position += 1 }
        if time > readings.start { return reading(of: position, at: time) }
      }
      return nil
    }

    private mutating func reading(of index: Int, at time: Int64) -> SimulatedReading {
      let span = Double(readings.interval) / 1_000_000
      let end = Double(time) / 1_000_000
      let middle = LocalTime(seconds: end - span / 2)
      let made: (payload: [UInt8], microKWh: Int64) =
        switch readings.meters[index].model {
        case .producer(let model):
          production(model, index, time: time, middle: middle, hours: span / 3600)
        case .consumer(let model):
          consumption(model, index, time: time, middle: middle, hours: span / 3600)
        case .battery(let model):
          storage(model, index, time: time, from: end - span, to: end, middle: middle)
        }
      let meter = readings.meters[index]
      return SimulatedReading(
        time: time, topic: meter.topic, payload: made.payload, kind: meter.kind,
        deviceID: meter.deviceID, energyMicroKWh: made.microKWh)
    }

    private func production(
      _ model: ProducerModel, _ index: Int, time: Int64, middle: LocalTime, hours: Double
    ) -> ([UInt8], Int64) {
      let output = model.output(at: middle, under: readings.skies[readings.meters[index].area])
      let energy = microKWh(model.capacityKW * output * hours)
      let payload = readings.payloads[index].production(
        time: time, microKWh: energy, efficiency: model.efficiency(at: output),
        quality: model.quality(at: middle), sequence: round)
      return (payload, energy)
    }

    private mutating func consumption(
      _ model: ConsumerModel, _ index: Int, time: Int64, middle: LocalTime, hours: Double
    ) -> ([UInt8], Int64) {
      parts.removeAll(keepingCapacity: true)
      var total: Int64 = 0
      for load in model.loads {
        let part = microKWh(model.power(of: load, at: middle) * hours)
        parts.append(part)
        total += part
      }
      let payload = readings.payloads[index].consumption(
        time: time, microKWh: total, loads: model.loads, parts: parts, sequence: round)
      return (payload, total)
    }

    private mutating func storage(
      _ model: BatteryModel, _ index: Int, time: Int64, from start: Double, to end: Double,
      middle: LocalTime
    ) -> ([UInt8], Int64) {
      let sky = readings.skies[readings.meters[index].area]
      if model.plan == .evening, surplus[index].day != middle.day {
        surplus[index] = (middle.day, model.surplus(day: middle.day, under: sky))
      }
      let operation = model.operation(
        from: start, to: end, middle: middle, under: sky, stored: surplus[index].kWh)
      let payload = readings.payloads[index].storage(
        time: time, operation: operation, price: Self.price(at: middle), sequence: round)
      return (payload, operation.microKWh)
    }

    /// A time-of-use price per kWh in 1/10,000 baht: dear from 9 to 22 h on working days.
    private static func price(at time: LocalTime) -> Int64 {
      (9..<22).contains(time.hour) && !time.isWeekend ? 57_982 : 26_369
    }
  }
}
