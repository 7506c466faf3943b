// A meter's JSON payload: what never changes is written once, the rest per reading.

/// The unchanging pieces of one meter's payloads, in the ingestor's own wire format.
struct MeterPayload: Sendable {
  /// Before the timestamp.
  private static let head = [UInt8](#"{"timestamp":""#.utf8)
  private static let amount = [UInt8](#"","energy_amount":"#.utf8)
  private static let quality = [UInt8](#","quality_score":"#.utf8)
  /// Between the amount and what follows: the type or source, and the next field's name.
  private let afterAmount: [UInt8]
  /// From the location to the sequence's value.
  private let tail: [UInt8]

  /// - Parameter interval: seconds.
  init(of meter: Meter, interval: Int) {
    var tail: [UInt8] = []
    switch meter.model {
    case .producer(let producer):
      afterAmount = Array(#","energy_source":"\#(producer.source.rawValue)","efficiency":"#.utf8)
      let equipment = "\(producer.source.equipmentPrefix)-\(meter.digits)"
      tail.append(#","equipment_id":"\#(equipment)""#)
      tail.append(location: meter)
    case .consumer(let consumer):
      afterAmount = Array(
        #","consumer_type":"\#(consumer.type.rawValue)","appliance_breakdown":{"#.utf8)
      tail.append("}")
      tail.append(location: meter)
    case .battery:
      afterAmount = Array(#","operation_type":""#.utf8)
      tail.append(#","grid_location":"\#(GridArea.all[meter.area].gridCode)""#)
    }
    tail.append(#","interval_seconds":\#(interval),"sequence":"#)
    self.tail = tail
  }

  /// A producer's reading; `efficiency` and `quality` in 1/10,000.
  func production(
    time: Int64, microKWh: Int64, efficiency: Int, quality: Int, sequence: Int64
  ) -> [UInt8] {
    var bytes = begin(time: time, microKWh: microKWh)
    bytes.append(decimal: Int64(efficiency), places: 4)
    bytes.append(contentsOf: Self.quality)
    bytes.append(decimal: Int64(quality), places: 4)
    return end(bytes, sequence: sequence)
  }

  /// A consumer's reading; `parts` are the micro-kWh of its loads and add up to `microKWh`.
  func consumption(
    time: Int64, microKWh: Int64, loads: [ConsumerModel.Load], parts: [Int64], sequence: Int64
  ) -> [UInt8] {
    var bytes = begin(time: time, microKWh: microKWh)
    for index in loads.indices {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes.append(contentsOf: loads[index].key)
      bytes.append(decimal: parts[index], places: 6)
    }
    return end(bytes, sequence: sequence)
  }

  /// A battery's reading; `price` in 1/10,000 of the currency per kWh.
  func storage(
    time: Int64, operation: BatteryModel.Operation, price: Int64, sequence: Int64
  ) -> [UInt8] {
    var bytes = begin(time: time, microKWh: operation.microKWh)
    bytes.append(operation.isCharge ? "charge" : "discharge")
    bytes.append(#"","price_per_unit":"#)
    bytes.append(decimal: price, places: 4)
    return end(bytes, sequence: sequence)
  }

  private func begin(time: Int64, microKWh: Int64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(384)
    bytes.append(contentsOf: Self.head)
    bytes.append(timestamp: time)
    bytes.append(contentsOf: Self.amount)
    bytes.append(decimal: microKWh, places: 6)
    bytes.append(contentsOf: afterAmount)
    return bytes
  }

  private func end(_ begun: consuming [UInt8], sequence: Int64) -> [UInt8] {
    var bytes = begun
    bytes.append(contentsOf: tail)
    bytes.append(digits: sequence.magnitude)
    bytes.append(UInt8(ascii: "}"))
    return bytes
  }
}

extension [UInt8] {
  /// Appends the `location` field of a meter.
  fileprivate mutating func append(location meter: Meter) {
    append(#","location":{"grid_code":"\#(GridArea.all[meter.area].gridCode)","latitude":"#)
    append(decimal: meter.latitude, places: 4)
    append(#","longitude":"#)
    append(decimal: meter.longitude, places: 4)
    append("}")
  }
}
