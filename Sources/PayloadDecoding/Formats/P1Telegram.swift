// A telegram of a meter's customer port: lines of OBIS codes and values between `/` and a checksum.
//
// DSMR 5.0.2 P1 Companion Standard, chapter 6; e-MUCS P1; the same lines without a checksum in DSMR 2
// and 3, and in IEC 62056-21 read-outs.

import EnergyReadings

/// What of a telegram an ingestor needs, as slices of the arena.
struct P1Telegram {
  /// `0-0:1.0.0`: `YYMMDDhhmmss`, and `S` or `W` where the meter tells the season.
  private(set) var clock: ByteSlice = .absent
  /// `0-0:96.1.1`, or `96.1.0` or `96.1.255`, as it is written: the hexadecimal of an ASCII text.
  private(set) var equipment: ByteSlice = .absent
  private let text: ByteSlice

  /// - Throws: `malformedPayload` where the telegram is cut off or its checksum is wrong.
  init(_ text: ByteSlice, in arena: borrowing ByteArena) throws(Rejection) {
    let bytes = arena[text]
    var end = bytes.count
    while end > 0, bytes[end - 1] != UInt8(ascii: "!") { end -= 1 }
    guard end > 0, bytes[0] == UInt8(ascii: "/") else {
      throw Rejection(
        .malformedPayload, path: "$", detail: "a telegram begins with / and ends with !; it is cut")
    }
    try P1Telegram.check(bytes, end: end)
    self.text = text.subslice(from: 0, count: end - 1)
    var lines = lines
    while let line = lines.next(in: arena) {
      // The gas and the water meter behind it have numbers of their own, as 0-1:96.1.1.
      guard let code = OBISCode(arena[line.code]), code.medium == 0, code.channel == 0 else {
        continue
      }
      if code.c == 1, code.d == 0, code.e == 0 { clock = line.value }
      let isEquipment = code.c == 96 && code.d == 1 && (code.e <= 1 || code.e == 255)
      if isEquipment, line.value.count > 0, !equipment.isPresent || code.e == 1 {
        equipment = line.value
      }
    }
  }

  /// Remainders of four bits by the polynomial 0xA001 (0x8005 reversed).
  private static let crcOfNibble: InlineArray<16, UInt16> = [
    0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401,
    0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400,
  ]

  /// CRC-16/ARC from the `/` to the `!`, four hexadecimal digits behind it; meters before DSMR 4 have
  /// none.
  private static func check(_ bytes: Span<UInt8>, end: Int) throws(Rejection) {
    guard bytes.count >= end + 4, bytes[end].hexDigit != nil else { return }
    var told: UInt16 = 0
    for index in end..<end + 4 {
      guard let digit = bytes[index].hexDigit else {
        throw Rejection(
          .malformedPayload, path: "$", detail: "no four hexadecimal digits follow the !")
      }
      told = told << 4 | UInt16(digit)
    }
    var crc: UInt16 = 0
    for index in 0..<end {
      crc = crc >> 4 ^ crcOfNibble[Int((crc ^ UInt16(bytes[index])) & 0xF)]
      crc = crc >> 4 ^ crcOfNibble[Int((crc ^ UInt16(bytes[index] >> 4)) & 0xF)]
    }
    if crc != told {
      let (told, crc) = (String(told, radix: 16), String(crc, radix: 16))
      throw Rejection(
        .malformedPayload, path: "$",
        detail: "the telegram's checksum is \(told) and its bytes make \(crc)")
    }
  }

  /// One line: the code, and what stands in its last parentheses without the unit.
  struct Line {
    var code: ByteSlice
    var value: ByteSlice
    /// `kWh`; empty where the value has none.
    var unit: ByteSlice
  }

  /// Steps from line to line.
  struct Lines {
    fileprivate let text: ByteSlice
    fileprivate var start = 0

    /// The next line that has a value; nil at the end.
    mutating func next(in arena: borrowing ByteArena) -> Line? {
      let bytes = arena[text]
      while start < bytes.count {
        var (opening, last, closing, star) = (-1, -1, -1, -1)
        var index = start
        while index < bytes.count, bytes[index] != UInt8(ascii: "\n") {
          switch bytes[index] {
          case UInt8(ascii: "("):
            if opening < 0 { opening = index }
            (last, closing, star) = (index, -1, -1)
          case UInt8(ascii: ")"): closing = index
          case UInt8(ascii: "*"): star = last >= 0 && closing < 0 ? index : star
          default: break
          }
          index += 1
        }
        let line = start
        start = index + 1
        guard opening > line, closing > last else { continue }
        let end = star < 0 ? closing : star
        return Line(
          code: text.subslice(from: line, count: opening - line),
          value: text.subslice(from: last + 1, count: end - last - 1),
          unit: text.subslice(from: min(end + 1, closing), count: max(0, closing - end - 1)))
      }
      return nil
    }
  }

  var lines: Lines { Lines(text: text) }
}
