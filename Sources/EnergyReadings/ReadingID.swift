// The identity of a reading, derived from what it is about, so that a second delivery is recognised.

import CLibcrypto

/// A UUIDv8 (RFC 9562, section 5.8): 48 bits of the reading's time in milliseconds, then 74 bits of
/// a SHA-256 over kind, device, time and channel.
///
/// The digest covers the UTF-8 text `kind LF device LF microseconds LF channel`, `microseconds`
/// being the decimal count since 1970. `ingest.reading_id(…)` computes the same in SQL. This
/// derivation may never change: it is what makes a redelivery the same row.
public struct ReadingID: Sendable, Hashable {
  /// The first eight bytes, big-endian.
  public let high: UInt64
  /// The last eight bytes, big-endian.
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The reading's time, ms since 1970, as the id begins with it.
  public var milliseconds: UInt64 { high >> 16 }

  /// The id of a reading.
  ///
  /// - Parameters:
  ///   - device: the device's id, UTF-8, 1…100 characters.
  ///   - timestamp: end of the interval.
  ///   - channel: tells apart what one device reports for one time; empty where it reports one.
  public init(
    kind: ReadingKind, device: Span<UInt8>, timestamp: Timestamp, channel: StaticString = ""
  ) {
    self.init(kind: kind, device: device, timestamp: timestamp, channel, Span())
  }

  private init(
    kind: ReadingKind, device: Span<UInt8>, timestamp: Timestamp, _ channel: StaticString,
    _ name: Span<UInt8>
  ) {
    var digest = Digest()
    digest.update(kind.name)
    digest.update(newline)
    digest.update(device)
    digest.update(newline)
    digest.updateDecimal(timestamp.microseconds)
    digest.update(newline)
    digest.update(channel)
    if !name.isEmpty { digest.update(name) }
    let (first, second) = digest.finish()
    let milliseconds = UInt64(bitPattern: timestamp.microseconds.flooredMilliseconds)
    high = milliseconds << 16 | 0x8000 | (first >> 56 & 0x0F) << 8 | first >> 48 & 0xFF
    low =
      0x8000_0000_0000_0000 | (first >> 40 & 0x3F) << 56 | (first & 0xFF_FFFF_FFFF) << 16
      | second >> 48
  }

  /// The id of an interval between two samples of a register: that of the channel `register:` with
  /// the register's name, since a device may have several registers of one kind.
  public init(
    kind: ReadingKind, device: Span<UInt8>, timestamp: Timestamp, register: Span<UInt8>
  ) {
    self.init(kind: kind, device: device, timestamp: timestamp, "register:", register)
  }

  /// The id of a dead letter: 122 bits of the digest of what arrived, so that the same bad message
  /// again is the same dead letter.
  ///
  /// - Parameter index: the reading's place in a payload of several, nil for the whole payload.
  public init(topic: Span<UInt8>, payload: Span<UInt8>, index: Int?) {
    var digest = Digest()
    digest.update(topic)
    digest.update(newline)
    digest.updateDecimal(Int64(index ?? -1))
    digest.update(newline)
    digest.update(payload)
    let (first, second) = digest.finish()
    high = first & 0xFFFF_FFFF_FFFF_0FFF | 0x8000
    low = second >> 2 | 0x8000_0000_0000_0000
  }
}

extension Reading {
  /// Its id.
  public func id(in arena: borrowing ByteArena) -> ReadingID {
    register.isPresent
      ? ReadingID(
        kind: kind, device: arena[device], timestamp: timestamp, register: arena[register])
      : ReadingID(kind: kind, device: arena[device], timestamp: timestamp, channel: channel)
  }
}

extension ReadingID {
  /// Reads the usual 8-4-4-4-12 hexadecimal form; nil where `text` is none.
  public init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.map(\.utf8.count) == [8, 4, 4, 4, 12],
      let high = UInt64(parts[0...2].joined(), radix: 16),
      let low = UInt64(parts[3...4].joined(), radix: 16)
    else { return nil }
    self.init(high: high, low: low)
  }
}

extension ReadingID: CustomStringConvertible {
  /// The usual 8-4-4-4-12 hexadecimal form.
  public var description: String {
    func hex(_ value: UInt64, _ digits: Int) -> String {
      let text = String(value, radix: 16)
      return String(repeating: "0", count: digits - text.count) + text
    }
    return [
      hex(high >> 32, 8), hex(high >> 16 & 0xFFFF, 4), hex(high & 0xFFFF, 4),
      hex(low >> 48, 4), hex(low & 0xFFFF_FFFF_FFFF, 12),
    ].joined(separator: "-")
  }
}

private let newline: StaticString = "\n"

/// One SHA-256 in the making, on the stack.
private struct Digest {
  private var context = SHA256_CTX()

  init() { SHA256_Init(&context) }

  mutating func update(_ text: StaticString) {
    SHA256_Update(&context, text.utf8Start, text.utf8CodeUnitCount)
  }

  mutating func update(_ bytes: Span<UInt8>) {
    // The pointer is lent to libcrypto for the length of the call.
    bytes.withUnsafeBytes { _ = SHA256_Update(&context, $0.baseAddress, $0.count) }
  }

  mutating func updateDecimal(_ value: Int64) {
    var digits: InlineArray<20, UInt8> = .init(repeating: 0)
    var start = 20
    var rest = value.magnitude
    repeat {
      start -= 1
      digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    } while rest > 0
    if value < 0 {
      start -= 1
      digits[start] = UInt8(ascii: "-")
    }
    update(digits.span.extracting(start..<20))
  }

  /// The first 128 bits, as two big-endian words.
  mutating func finish() -> (UInt64, UInt64) {
    var bytes: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &bytes) {
      _ = SHA256_Final($0.baseAddress?.assumingMemoryBound(to: UInt8.self), &context)
    }
    return (UInt64(bigEndian: bytes.0), UInt64(bigEndian: bytes.1))
  }
}
