// Arrays as parameters of one statement for a thousand rows, in PostgreSQL's binary form
// (src/backend/utils/adt/arrayfuncs.c, array_recv): nothing is quoted, and no number becomes text.

import EnergyReadings

/// A one-dimensional array.
struct ArrayParameter {
  /// The types that are used, with their OIDs (src/include/catalog/pg_type.dat).
  enum Element: UInt32 {
    case bigint = 20
    case text = 25
    case tid = 27
    case timestamp = 1184
  }

  private(set) var bytes: [UInt8] = []
  private var count: Int32 = 0

  /// Dimensions, whether there are nulls, element type, length, first index.
  private static let headerBytes = 20

  /// - Parameter capacity: the number of elements to make room for.
  init(_ element: Element, capacity: Int) {
    bytes.reserveCapacity(ArrayParameter.headerBytes + capacity * 16)
    append(word: 1)
    append(word: 1)
    append(word: element.rawValue)
    append(word: 0)
    append(word: 1)
  }

  mutating func append(_ text: Span<UInt8>) {
    begin(Int32(text.count))
    text.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
  }

  mutating func append(_ text: StaticString) {
    begin(Int32(text.utf8CodeUnitCount))
    bytes.append(
      contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func append(_ value: Int64?) {
    guard let value else { return begin(-1) }
    begin(8)
    append(word: UInt32(truncatingIfNeeded: value >> 32))
    append(word: UInt32(truncatingIfNeeded: value))
  }

  /// Microseconds since 2000-01-01, as `timestamptz` is sent.
  mutating func append(_ time: Timestamp?) { append(time.map(\.sinceY2K)) }

  mutating func append(_ version: RowVersion) {
    begin(6)
    append(word: version.block)
    bytes.append(UInt8(truncatingIfNeeded: version.offset >> 8))
    bytes.append(UInt8(truncatingIfNeeded: version.offset))
  }

  /// Begins an element of that many bytes, -1 for NULL, and counts it.
  private mutating func begin(_ length: Int32) {
    count += 1
    let number = UInt32(bitPattern: count).bigEndian
    withUnsafeBytes(of: number) { number in
      for index in 0..<4 { bytes[12 + index] = number[index] }
    }
    append(word: UInt32(bitPattern: length))
  }

  private mutating func append(word: UInt32) {
    withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) }
  }
}

/// Where a row's version stands in its table (`ctid`): the shortest way to a row that is locked.
struct RowVersion: Equatable {
  var block: UInt32
  var offset: UInt16
}

extension Timestamp {
  /// PostgreSQL's count (src/include/datatype/timestamp.h).
  var sinceY2K: Int64 { microseconds &- 946_684_800_000_000 }

  init(sinceY2K count: Int64) { self.init(microseconds: count &+ 946_684_800_000_000) }
}
