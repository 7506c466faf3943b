// OBIS codes: which register of a meter is meant, however the code is written.
//
// IEC 62056-61; the meaning of the codes: the catalogue of formats, section 15.

/// An OBIS code `A-B:C.D.E*F`, of which A and B may be left out.
struct OBISCode: Sendable, Equatable {
  /// Medium: 1 is electricity, 0 what is of no medium; nil where the code begins with C.
  var medium: UInt8?
  /// B: 0 is the meter itself, others are what it passes on, such as of gas and water; nil as A.
  var channel: UInt8?
  var c: UInt8
  var d: UInt8
  var e: UInt8

  /// What a code is to an ingestor of energy.
  enum Role: Equatable {
    case importTotal
    case exportTotal
    /// Import minus export; may fall.
    case net
    /// A part of the total, 1 to 9.
    case importTariff(Int)
    case exportTariff(Int)
    case other
  }

  /// Reads `1-0:1.8.0*255`, `1-0:1.8.0`, `1.8.0`, `1.8.0*255`, `1_8_0`, `1.0.1.8.0.255`, and the
  /// hexadecimal `0100010800ff` and `77070100010800ff` of SML; nil for anything else.
  init?(_ text: Span<UInt8>) {
    var groups: InlineArray<6, UInt8> = .init(repeating: 0)
    guard let count = OBISCode.hexGroups(text, &groups) ?? OBISCode.groups(text, &groups) else {
      return nil
    }
    switch count {
    case 3, 4: (medium, channel, c, d, e) = (nil, nil, groups[0], groups[1], groups[2])
    case 5, 6: (medium, channel, c, d, e) = (groups[0], groups[1], groups[2], groups[3], groups[4])
    default: return nil
    }
  }

  /// Numbers of up to three digits between any of `-:.*_`.
  private static func groups(
    _ text: Span<UInt8>, _ groups: inout InlineArray<6, UInt8>
  ) -> Int? {
    guard text.count >= 5, text.count <= 23 else { return nil }
    var (count, digits, value) = (0, 0, 0)
    for index in 0...text.count {
      let digit = index < text.count ? text[index] &- UInt8(ascii: "0") : 0xFF
      if digit < 10 {
        value = value * 10 + Int(digit)
        digits += 1
        if digits > 3 || value > 255 { return nil }
        continue
      }
      if index < text.count, !isSeparator(text[index]) { return nil }
      guard digits > 0, count < 6 else { return nil }
      groups[count] = UInt8(value)
      (count, digits, value) = (count + 1, 0, 0)
    }
    return count
  }

  private static func isSeparator(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "."), UInt8(ascii: "*"),
      UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// Six bytes in hexadecimal, perhaps behind SML's `7707`.
  private static func hexGroups(
    _ text: Span<UInt8>, _ groups: inout InlineArray<6, UInt8>
  ) -> Int? {
    guard text.count == 12 || (text.count == 16 && text.begins(with: "7707")) else { return nil }
    let start = text.count - 12
    for index in 0..<6 {
      guard let high = text[start + 2 * index].hexDigit,
        let low = text[start + 2 * index + 1].hexDigit
      else { return nil }
      groups[index] = high << 4 | low
    }
    return 6
  }

  var role: Role {
    guard medium == nil || medium == 1, d == 8 else { return .other }
    switch (c, e) {
    case (1, 0): return .importTotal
    case (2, 0): return .exportTotal
    case (16, 0): return .net
    case (1, 1...9): return .importTariff(Int(e))
    case (2, 1...9): return .exportTariff(Int(e))
    default: return .other
    }
  }
}

extension UInt8 {
  /// The value of a hexadecimal digit.
  var hexDigit: UInt8? {
    if self &- UInt8(ascii: "0") < 10 { return self &- UInt8(ascii: "0") }
    let letter = (self | 0x20) &- UInt8(ascii: "a")
    return letter < 6 ? letter + 10 : nil
  }
}
