// The bytes of one batch: messages and texts stand here once, and readings hold slices of them.

/// A place in a ``ByteArena``: trivially copyable, so that a reading is too.
public struct ByteSlice: Sendable, Hashable {
  /// First byte, or -1 where the text is absent.
  public var offset: Int32
  /// Length in bytes.
  public var count: Int32

  @inlinable
  public init(offset: Int, count: Int) {
    self.offset = Int32(truncatingIfNeeded: offset)
    self.count = Int32(truncatingIfNeeded: count)
  }

  /// The text that a payload did not give.
  public static let absent = ByteSlice(offset: -1, count: 0)

  /// Whether there is a text, be it empty.
  @inlinable public var isPresent: Bool { offset >= 0 }

  /// The slice as array indices.
  @inlinable public var range: Range<Int> { Int(offset)..<(Int(offset) + Int(count)) }

  /// The slice of this slice that starts at `start` and is `count` long.
  @inlinable
  public func subslice(from start: Int, count: Int) -> ByteSlice {
    ByteSlice(offset: Int(offset) + start, count: count)
  }
}

/// Growing memory for the texts of one batch. It is reused from batch to batch, so that a reading
/// costs no allocation; 2 GiB at most, far above what a batch of readings holds.
///
/// Not copyable: whoever looks at it borrows it. To copy it would count a reference for every reading
/// and, at the next append, all of its bytes.
public struct ByteArena: ~Copyable, Sendable {
  /// All bytes, in order of arrival.
  public private(set) var bytes: [UInt8] = []

  public init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  /// Bytes in use.
  @inlinable public var count: Int { bytes.count }

  /// Forgets the content and keeps the memory.
  public mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  /// Forgets what came after `count`.
  public mutating func truncate(to count: Int) { bytes.removeLast(bytes.count - count) }

  /// Copies `text` to the end.
  public mutating func append(_ text: Span<UInt8>) -> ByteSlice {
    let start = bytes.count
    text.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
    return ByteSlice(offset: start, count: text.count)
  }

  /// Copies bytes that C lends for the length of a callback to the end.
  public mutating func append(_ text: UnsafeRawBufferPointer) -> ByteSlice {
    let start = bytes.count
    bytes.append(contentsOf: text)
    return ByteSlice(offset: start, count: text.count)
  }

  /// Copies the characters of `text` to the end.
  public mutating func append(_ text: StaticString) -> ByteSlice {
    append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Copies a slice of this arena to its end; an absent one stays absent.
  public mutating func append(_ slice: ByteSlice) -> ByteSlice {
    guard slice.isPresent else { return .absent }
    let start = bytes.count
    // Byte by byte: a second reference to the array would make the append copy all of it.
    for index in slice.range { bytes.append(bytes[index]) }
    return ByteSlice(offset: start, count: Int(slice.count))
  }

  /// Copies a slice of another arena to the end; an absent one stays absent.
  public mutating func append(_ slice: ByteSlice, from other: borrowing ByteArena) -> ByteSlice {
    guard slice.isPresent else { return .absent }
    let start = bytes.count
    bytes.append(contentsOf: other.bytes[slice.range])
    return ByteSlice(offset: start, count: Int(slice.count))
  }

  /// Makes room for at most `capacity` bytes at the end, which `body` writes.
  ///
  /// - Parameter body: gets the first of all bytes and the first of the room, which is uninitialised;
  ///   returns how many it wrote.
  public mutating func append(
    capacity: Int, writing body: (UnsafePointer<UInt8>, UnsafeMutablePointer<UInt8>) -> Int
  ) -> ByteSlice {
    let start = bytes.count
    if bytes.capacity - start < capacity { reserve(capacity) }
    bytes.append(addingCapacity: capacity) { room in
      // The room lies in the array's own memory, behind its content.
      room.withUnsafeMutableBufferPointer { room, count in
        guard let first = room.baseAddress else { return }
        count = body(UnsafePointer(first - start), first)
      }
    }
    return ByteSlice(offset: start, count: bytes.count - start)
  }

  /// Makes memory behind the content readable, whatever it holds, so that a vectorised parser may
  /// read past the end.
  public mutating func pad(by count: Int) {
    if bytes.capacity - bytes.count < count { reserve(count) }
  }

  /// Makes room for `count` more bytes, and for as much again as there is.
  private mutating func reserve(_ count: Int) {
    bytes.reserveCapacity(2 * bytes.count + count)
  }

  /// The bytes of a slice. An absent slice reads as empty.
  @inlinable
  public subscript(slice: ByteSlice) -> Span<UInt8> {
    @_lifetime(borrow self)
    borrowing get {
      slice.isPresent ? bytes.span.extracting(slice.range) : bytes.span.extracting(0..<0)
    }
  }

  /// Lends the bytes of two slices, for callers that hold the arena in a class.
  @inlinable
  public func lend<Value>(
    _ first: ByteSlice, _ second: ByteSlice,
    to body: (Span<UInt8>, Span<UInt8>) throws -> Value
  ) rethrows -> Value {
    try body(self[first], self[second])
  }

  /// The slice as text for people; invalid UTF-8 is replaced.
  public func string(_ slice: ByteSlice) -> String {
    slice.isPresent ? String(decoding: bytes[slice.range], as: UTF8.self) : ""
  }
}

extension Span where Element == UInt8 {
  /// Whether these are the bytes of `text`.
  @inlinable
  public func elementsEqual(_ text: StaticString) -> Bool {
    guard count == text.utf8CodeUnitCount else { return false }
    // A static string's bytes live as long as the program.
    let other = UnsafeRawPointer(text.utf8Start)
    var index = 0
    while index + 8 <= count {
      let word = other.loadUnaligned(fromByteOffset: index, as: UInt64.self)
      if self.word(at: index) != word { return false }
      index += 8
    }
    while index < count {
      if self[index] != other.load(fromByteOffset: index, as: UInt8.self) { return false }
      index += 1
    }
    return true
  }

  /// Whether both hold the same bytes; eight at a time.
  @inlinable
  public func elementsEqual(_ other: Span<UInt8>) -> Bool {
    guard count == other.count else { return false }
    var index = 0
    while index + 8 <= count {
      if word(at: index) != other.word(at: index) { return false }
      index += 8
    }
    while index < count {
      if self[index] != other[index] { return false }
      index += 1
    }
    return true
  }

  /// Eight bytes from `index`; an integer has no bit pattern that is not one.
  @inlinable
  func word(at index: Int) -> UInt64 {
    bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
  }

  /// A hash for tables of this program: eight bytes at a time, each step a multiplication whose
  /// halves are folded (the mixing of wyhash).
  ///
  /// - Parameter seed: random where the bytes come from outside, so that nobody can choose them to
  ///   collide.
  @inlinable
  public func hash(seed: UInt64) -> UInt64 {
    var hash = seed ^ UInt64(truncatingIfNeeded: count)
    var index = 0
    while index + 8 <= count {
      hash = (hash ^ word(at: index)).folded
      index += 8
    }
    var rest: UInt64 = 0
    while index < count {
      rest = rest << 8 | UInt64(self[index])
      index += 1
    }
    return (hash ^ rest).folded
  }

  /// Whether `byte` occurs.
  @inlinable
  public func contains(_ byte: UInt8) -> Bool {
    for index in indices where self[index] == byte { return true }
    return false
  }

  /// The bytes as text for people; invalid UTF-8 is replaced.
  public var text: String {
    withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
  }
}

extension UInt64 {
  /// The product with an odd constant (of the golden ratio), its upper half folded into the lower.
  @inlinable
  var folded: UInt64 {
    let product = (self ^ 0x9e37_79b9_7f4a_7c15).multipliedFullWidth(by: 0xd6e8_feb8_6659_fd93)
    return product.high ^ product.low
  }
}
