// Rows in PostgreSQL's binary COPY format (manual, COPY, "Binary Format"), written straight into one
// growing block of memory. The raw pointer is what makes a row cost no bounds check or allocation;
// it is private, and every write is preceded by `reserve`.

import EnergyReadings

/// Binary COPY rows of one table, reused from batch to batch.
public final class CopyBuffer {
  // Unchecked: a buffer belongs to one thread, and no access to one of these encloses another.
  @exclusivity(unchecked) private var memory: UnsafeMutableRawPointer
  @exclusivity(unchecked) private var capacity: Int
  /// Bytes written.
  @exclusivity(unchecked) public private(set) var count = 0
  /// Where each row ends, so that any run of rows can be sent again.
  @exclusivity(unchecked) private(set) var rowEnds: [Int] = []
  /// What each row is sorted by when all are sent in order.
  @exclusivity(unchecked) private var rowKeys: [UInt64] = []
  /// Whether rows were appended in the order of their keys.
  @exclusivity(unchecked) private var isInOrder = true
  private var order = RowOrder()

  /// Signature, flags, header extension length.
  private static let header: [UInt8] =
    Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00, 0, 0, 0, 0, 0, 0, 0, 0]
  private static let trailer: [UInt8] = [0xFF, 0xFF]

  public init() {
    capacity = 1 << 16
    memory = .allocate(byteCount: capacity, alignment: 16)
    removeAll()
  }

  deinit { memory.deallocate() }

  public var rowCount: Int { rowEnds.count }

  /// Forgets the rows and keeps the memory.
  public func removeAll() {
    rowEnds.removeAll(keepingCapacity: true)
    rowKeys.removeAll(keepingCapacity: true)
    isInOrder = true
    CopyBuffer.header.withUnsafeBytes {
      memory.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: $0.count)
    }
    count = CopyBuffer.header.count
  }

  /// Forgets the rows from the given number on.
  func removeRows(from row: Int) {
    count = row == 0 ? CopyBuffer.header.count : rowEnds[row - 1]
    rowEnds.removeLast(rowEnds.count - row)
    rowKeys.removeLast(rowKeys.count - row)
  }

  /// Appends one row.
  ///
  /// - Parameters:
  ///   - columns: number of fields that `body` writes, in order.
  ///   - textBytes: at least the length of all texts together, counted twice where they may be
  ///     escaped; fields of fixed size are allowed for.
  ///   - key: what the row is sorted by.
  func appendRow(columns: Int16, textBytes: Int, key: UInt64 = 0, _ body: (inout RowWriter) -> Void)
  {
    reserve(textBytes + Int(columns) * RowWriter.fixedFieldBytes + 2)
    var writer = RowWriter(at: memory + count)
    writer.int16(columns)
    body(&writer)
    count = writer.position - memory
    precondition(count + 2 <= capacity, "a row was longer than announced")
    rowEnds.append(count)
    if let last = rowKeys.last, key < last { isInOrder = false }
    rowKeys.append(key)
  }

  /// Makes room for a row of up to `size` bytes, and for the trailer.
  private func reserve(_ size: Int) {
    if count + size + 2 <= capacity { return }
    let larger = max(capacity * 2, count + size + 2)
    let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
    moved.copyMemory(from: memory, byteCount: count)
    memory.deallocate()
    memory = moved
    capacity = larger
  }

  // MARK: Sending

  /// Lends a complete COPY of all rows in the order in which they were appended.
  package func withCopyData<Value, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    memory.storeBytes(of: Int16(-1), toByteOffset: count, as: Int16.self)
    return try body(UnsafeRawBufferPointer(start: memory, count: count + 2))
  }

  /// Hands over a complete COPY of all rows, by their keys, in pieces of at most 64 KiB, or one row.
  ///
  /// - Parameter put: false says that no more is wanted.
  package func sendInOrder(_ put: (UnsafeRawBufferPointer) -> Bool) {
    if isInOrder {
      return withCopyData { PostgresConnection.send($0, put) }
    }
    order.sort(rowKeys)
    withUnsafeTemporaryAllocation(byteCount: PostgresConnection.copyChunk, alignment: 16) { room in
      var used = 0
      func send() -> Bool {
        defer { used = 0 }
        return put(UnsafeRawBufferPointer(rebasing: room[..<used]))
      }
      func add(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if used + bytes.count > room.count, !send() { return false }
        if bytes.count > room.count { return put(bytes) }
        UnsafeMutableRawBufferPointer(rebasing: room[used...]).copyMemory(from: bytes)
        used += bytes.count
        return true
      }
      guard CopyBuffer.header.withUnsafeBytes(add) else { return }
      for index in rowEnds.indices where !add(bytes(of: order[index])) { return }
      if CopyBuffer.trailer.withUnsafeBytes(add) { _ = send() }
    }
  }

  private func bytes(of row: Int) -> UnsafeRawBufferPointer {
    let start = row == 0 ? CopyBuffer.header.count : rowEnds[row - 1]
    return UnsafeRawBufferPointer(start: memory + start, count: rowEnds[row] - start)
  }

  /// A complete COPY of some rows, copied: only repair needs it.
  func copyData(rows: Range<Int>) -> [UInt8] {
    let start = rows.lowerBound == 0 ? CopyBuffer.header.count : rowEnds[rows.lowerBound - 1]
    let end = rows.isEmpty ? start : rowEnds[rows.upperBound - 1]
    return CopyBuffer.header + UnsafeRawBufferPointer(start: memory + start, count: end - start)
      + CopyBuffer.trailer
  }
}

/// Writes the fields of one row into room that ``CopyBuffer/appendRow(columns:textBytes:_:)`` made.
struct RowWriter {
  /// Where the next byte goes.
  private(set) var position: UnsafeMutableRawPointer

  /// Most bytes of a field without its text: length word, and `numeric` with five digits.
  static let fixedFieldBytes = 24

  fileprivate init(at position: UnsafeMutableRawPointer) { self.position = position }

  // MARK: Fields

  mutating func null() { int32(-1) }

  mutating func uuid(_ id: ReadingID) {
    int32(16)
    int64(Int64(bitPattern: id.high))
    int64(Int64(bitPattern: id.low))
  }

  mutating func text(_ text: Span<UInt8>) {
    int32(Int32(text.count))
    text.withUnsafeBytes { bytes($0) }
  }

  mutating func text(_ text: StaticString) {
    int32(Int32(text.utf8CodeUnitCount))
    bytes(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Text without NUL, or NULL.
  mutating func text(_ text: String?) {
    guard let text else { return null() }
    self.text(text.utf8.span)
  }

  mutating func integer(_ value: Int32?) {
    guard let value else { return null() }
    int32(4)
    int32(value)
  }

  mutating func bigint(_ value: Int64?) {
    guard let value else { return null() }
    int32(8)
    int64(value)
  }

  /// `timestamptz`: microseconds since 2000-01-01 (src/include/datatype/timestamp.h).
  mutating func timestamp(_ timestamp: Timestamp) {
    int32(8)
    int64(timestamp.microseconds &- 946_684_800_000_000)
  }

  /// `jsonb`: version 1, then the JSON text.
  mutating func jsonb(_ text: Span<UInt8>) {
    int32(Int32(text.count) + 1)
    byte(1)
    text.withUnsafeBytes { bytes($0) }
  }

  /// A `jsonb` object: `inserted` as its first member, then the members of `object`.
  mutating func jsonb(_ object: Span<UInt8>, inserting key: StaticString, _ value: Span<UInt8>) {
    let lengthAt = position
    int32(0)
    byte(1)
    byte(UInt8(ascii: "{"))
    byte(UInt8(ascii: "\""))
    bytes(UnsafeRawBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount))
    for character in "\":\"".utf8 { byte(character) }
    for index in value.indices {
      if value[index] == UInt8(ascii: "\"") || value[index] == UInt8(ascii: "\\") {
        byte(UInt8(ascii: "\\"))
      }
      byte(value[index])
    }
    byte(UInt8(ascii: "\""))
    let rest = object.firstMember
    if rest < object.count - 1 {
      byte(UInt8(ascii: ","))
      object.extracting(rest..<object.count).withUnsafeBytes { bytes($0) }
    } else {
      byte(UInt8(ascii: "}"))
    }
    lengthAt.storeBytes(of: Int32(position - lengthAt - 4).bigEndian, as: Int32.self)
  }

  /// `numeric` with six decimals (src/backend/utils/adt/numeric.c, numeric_recv): base-10,000
  /// digits, of which two stand after the point.
  mutating func numeric6(_ millionths: Int64) {
    numeric(millionths.magnitude * 100, isNegative: millionths < 0, fractionGroups: 2, scale: 6)
  }

  /// `numeric` with four decimals.
  mutating func numeric4(_ tenThousandths: Int32) {
    numeric(
      UInt64(tenThousandths.magnitude), isNegative: tenThousandths < 0, fractionGroups: 1, scale: 4)
  }

  private mutating func numeric(
    _ value: UInt64, isNegative: Bool, fractionGroups: Int, scale: Int16
  ) {
    var groups: InlineArray<5, Int16> = .init(repeating: 0)
    var used = 0
    var rest = value
    while rest > 0 {
      groups[used] = Int16(truncatingIfNeeded: rest % 10_000)
      rest /= 10_000
      used += 1
    }
    var lowest = 0
    while lowest < used, groups[lowest] == 0 { lowest += 1 }
    let digits = used - lowest
    int32(Int32(8 + 2 * digits))
    int16(Int16(digits))
    int16(digits == 0 ? 0 : Int16(used - 1 - fractionGroups))
    int16(isNegative ? 0x4000 : 0)
    int16(scale)
    var index = used
    while index > lowest {
      index -= 1
      int16(groups[index])
    }
  }

  // MARK: Bytes

  private mutating func byte(_ value: UInt8) {
    position.storeBytes(of: value, as: UInt8.self)
    position += 1
  }

  fileprivate mutating func int16(_ value: Int16) {
    position.storeBytes(of: value.bigEndian, as: Int16.self)
    position += 2
  }

  private mutating func int32(_ value: Int32) {
    position.storeBytes(of: value.bigEndian, as: Int32.self)
    position += 4
  }

  private mutating func int64(_ value: Int64) {
    position.storeBytes(of: value.bigEndian, as: Int64.self)
    position += 8
  }

  private mutating func bytes(_ source: UnsafeRawBufferPointer) {
    guard let start = source.baseAddress else { return }
    position.copyMemory(from: start, byteCount: source.count)
    position += source.count
  }
}

extension Span where Element == UInt8 {
  /// Index of the first byte after `{` and blanks.
  fileprivate var firstMember: Int {
    var index = 1
    while index < count, self[index] == 0x20 || (0x09...0x0D).contains(self[index]) { index += 1 }
    return index
  }
}
