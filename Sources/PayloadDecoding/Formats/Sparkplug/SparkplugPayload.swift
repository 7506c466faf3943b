// A Sparkplug payload as decoders see it: read by swift-protobuf, its texts in the arena.

import EnergyReadings
import SwiftProtobuf

/// A payload, all of it read.
///
/// A protobuf is one document: where it is cut off or garbled nothing of it is taken, as with JSON.
struct SparkplugPayload {
  private let wire: WirePayload

  /// - Throws: where the bytes are no such payload, or a compressed one.
  init(_ document: ByteSlice, in arena: borrowing ByteArena) throws(Rejection) {
    var options = BinaryDecodingOptions()
    options.discardUnknownFields = true
    do {
      wire = try WirePayload(serializedBytes: Array(arena.bytes[document.range]), options: options)
    } catch {
      throw Rejection(
        .malformedPayload, path: "$", detail: "no Sparkplug payload, or cut off: \(error)")
    }
    if wire.uuid == "SPBV1.0_COMPRESSED" {
      throw Rejection(
        .unsupportedFormat, path: "$.uuid", detail: "compressed; publish the payload itself")
    }
  }

  /// Milliseconds since 1970.
  var timestamp: UInt64? { wire.hasTimestamp ? wire.timestamp : nil }

  /// The same, to be compared only.
  var milliseconds: Int64? { timestamp.map { Int64(clamping: $0) } }

  /// The number of the message.
  var seq: UInt64? { wire.hasSeq ? wire.seq : nil }

  /// Metrics that are looked at.
  var count: Int { min(wire.metrics.count, PayloadDecoder.maximumReadings) }

  /// - Throws: where there are more metrics than are looked at.
  func checkCount() throws(Rejection) {
    guard count < wire.metrics.count else { return }
    throw Rejection(
      .outOfRange, path: "$[\(count)]",
      detail: "more than \(count) metrics in one payload; those after it are not taken")
  }

  /// One metric, its texts appended to the arena.
  func metric(_ number: Int, in arena: inout ByteArena) -> SparkplugMetric {
    SparkplugMetric(wire.metrics[number], in: &arena)
  }
}

extension SparkplugPayload {
  /// The values of a metric that is a list of them, each with its time, as mqtt-spb-wrapper publishes
  /// what it has gathered: a data set with the columns `timestamps` and `values`.
  ///
  /// - Returns: nil where it is no such list.
  func list(
    _ number: Int, _ metric: SparkplugMetric, in arena: inout ByteArena
  ) throws(Rejection) -> [SparkplugMetric]? {
    let table = wire.metrics[number].datasetValue
    guard let times = table.columns.firstIndex(of: "timestamps"),
      let values = table.columns.firstIndex(of: "values")
    else { return nil }
    guard table.rows.count <= PayloadDecoder.maximumReadings else {
      throw Rejection(
        .outOfRange, path: "$.value", detail: "more than 10000 values in one metric")
    }
    var list: [SparkplugMetric] = []
    for row in table.rows where max(times, values) < row.elements.count {
      var one = metric
      one.isHistorical = true
      one.timestamp = row.elements[times].integer
      let type = values < table.types.count ? table.types[values] : 0
      one.datatype = SparkplugDatatype(code: UInt8(clamping: type))
      switch row.elements[values].value {
      case .intValue(let number): one.value = .integer(UInt64(number))
      case .longValue(let number): one.value = .integer(number)
      case .floatValue(let number): one.value = .float(number)
      case .doubleValue(let number): one.value = .double(number)
      case .stringValue(let text): one.value = .text(arena.append(text.utf8.span))
      case nil: one.value = .none
      }
      list.append(one)
    }
    return list
  }
}

extension WireDataSetValue {
  /// nil where it is no whole number.
  fileprivate var integer: UInt64? {
    switch value {
    case .intValue(let number): UInt64(number)
    case .longValue(let number): number
    default: nil
    }
  }
}

extension SparkplugMetric {
  fileprivate init(_ wire: WireMetric, in arena: inout ByteArena) {
    if wire.hasName { name = arena.append(wire.name.utf8.span) }
    if wire.hasAlias { alias = wire.alias }
    if wire.hasTimestamp { timestamp = wire.timestamp }
    datatype = SparkplugDatatype(code: UInt8(clamping: wire.datatype))
    isHistorical = wire.isHistorical
    isNull = wire.isNull
    switch wire.value {
    case .intValue(let number): value = .integer(UInt64(number))
    case .longValue(let number): value = .integer(number)
    case .floatValue(let number): value = .float(number)
    case .doubleValue(let number): value = .double(number)
    case .booleanValue: value = .flag
    case .stringValue(let text): value = .text(arena.append(text.utf8.span))
    case .datasetValue: value = .dataSet
    case nil: value = .none
    }
    if wire.hasProperties { read(wire.properties, in: &arena) }
  }

  /// Reads the two properties that matter.
  private mutating func read(_ properties: WirePropertySet, in arena: inout ByteArena) {
    for (key, property) in zip(properties.keys, properties.values) {
      switch (key, property.value) {
      case ("engUnit", .stringValue(let text)):
        let known = MeterUnit(text.utf8.span)
        unit = known.map { .known($0) } ?? .other(arena.append(text.utf8.span))
      case ("Quality", .intValue(let number)): isBad = number != 192
      case ("Quality", .longValue(let number)): isBad = number != 192
      default: break
      }
    }
  }
}
