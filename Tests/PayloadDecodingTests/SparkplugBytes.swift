// Sparkplug payloads, written field by field with nothing of the decoder's.

/// A metric as a node writes it.
struct TestMetric {
  enum Value {
    case int(UInt64)
    case long(UInt64)
    case float(Float)
    case double(Double)
    case bool(Bool)
    case text(String)
    case bytes([UInt8])
    case dataSet([UInt8])
  }

  var name: String?
  var alias: UInt64?
  var time: UInt64?
  var type: UInt64?
  var isHistorical = false
  var isNull = false
  var unit: String?
  var quality: UInt64?
  var value: Value?

  init(
    _ name: String? = nil, _ alias: UInt64? = nil, _ value: Value? = nil, type: UInt64? = nil,
    unit: String? = nil, time: UInt64? = Spb.time, isHistorical: Bool = false,
    isNull: Bool = false, quality: UInt64? = nil
  ) {
    (self.name, self.alias, self.value, self.type) = (name, alias, value, type)
    (self.unit, self.time, self.quality) = (unit, time, quality)
    (self.isHistorical, self.isNull) = (isHistorical, isNull)
  }

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    if let name { bytes += Spb.field(1, Array(name.utf8)) }
    if let alias { bytes += Spb.field(2, alias) }
    if let time { bytes += Spb.field(3, time) }
    if let type { bytes += Spb.field(4, type) }
    if isHistorical { bytes += Spb.field(5, 1) }
    if isNull { bytes += Spb.field(7, 1) }
    if unit != nil || quality != nil { bytes += Spb.field(9, properties) }
    switch value {
    case nil: break
    case .int(let number): bytes += Spb.field(10, number)
    case .long(let number): bytes += Spb.field(11, number)
    case .float(let number): bytes += Spb.fixed(12, UInt64(number.bitPattern), bytes: 4)
    case .double(let number): bytes += Spb.fixed(13, number.bitPattern, bytes: 8)
    case .bool(let flag): bytes += Spb.field(14, flag ? 1 : 0)
    case .text(let text): bytes += Spb.field(15, Array(text.utf8))
    case .bytes(let content): bytes += Spb.field(16, content)
    case .dataSet(let content): bytes += Spb.field(17, content)
    }
    return bytes
  }

  /// Keys, then values, as most libraries write them.
  private var properties: [UInt8] {
    var (keys, values): ([UInt8], [UInt8]) = ([], [])
    if let quality {
      keys += Spb.field(1, Array("Quality".utf8))
      values += Spb.field(2, Spb.field(1, 3) + Spb.field(3, quality))
    }
    if let unit {
      keys += Spb.field(1, Array("engUnit".utf8))
      values += Spb.field(2, Spb.field(1, 12) + Spb.field(8, Array(unit.utf8)))
    }
    return keys + values
  }
}

enum Spb {
  /// 2026-06-10T06:59:00Z, ms: a minute before ``SourcedDecoder/arrival``.
  static let time: UInt64 = 1_781_074_740_000

  static func payload(
    _ metrics: [TestMetric], seq: UInt64? = nil, time: UInt64? = time
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    if let time { bytes += field(1, time) }
    for metric in metrics { bytes += field(2, metric.bytes) }
    if let seq { bytes += field(3, seq) }
    return bytes
  }

  static func varint(_ value: UInt64) -> [UInt8] {
    var (rest, bytes) = (value, [UInt8]())
    repeat {
      bytes.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
      rest >>= 7
    } while rest > 0
    return bytes
  }

  static func field(_ number: UInt64, _ value: UInt64) -> [UInt8] {
    varint(number << 3) + varint(value)
  }

  static func field(_ number: UInt64, _ content: [UInt8]) -> [UInt8] {
    varint(number << 3 | 2) + varint(UInt64(content.count)) + content
  }

  static func fixed(_ number: UInt64, _ value: UInt64, bytes: Int) -> [UInt8] {
    varint(number << 3 | (bytes == 4 ? 5 : 1))
      + (0..<bytes).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
  }
}
