// Text that a meter chose, made harmless for a terminal.

extension StringProtocol {
  /// The text with every character escaped, as `\u{1b}`, that is not there to be seen: those that
  /// steer a terminal (C0, DEL, C1), turn the direction of reading (Unicode Standard Annex 9,
  /// section 2), are invisible, or break a line. New lines and tabs are among them.
  public var printable: String {
    if utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return String(self) }
    var text = ""
    for scalar in unicodeScalars {
      if scalar.isPrintable {
        text.unicodeScalars.append(scalar)
      } else {
        text += scalar.shortEscape ?? "\\u{\(String(scalar.value, radix: 16))}"
      }
    }
    return text
  }
}

extension Unicode.Scalar {
  /// Whether it is there to be seen and does nothing else.
  public var isPrintable: Bool {
    if value < 0x7F { return value >= 0x20 }
    return switch properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator:
      false
    // Blank although they are letters: the Hangul fillers and an empty braille pattern.
    default: ![0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800].contains(value)
    }
  }

  fileprivate var shortEscape: String? {
    switch self {
    case "\n": "\\n"
    case "\r": "\\r"
    case "\t": "\\t"
    default: nil
    }
  }
}
