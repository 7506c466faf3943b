// Rows of CSV (RFC 4180), each with its line. A reader of our own, since the Swift ones that there are
// tell no lines, drop blanks around values, and take a quotation that never ends.

/// One row.
struct CSVRow: Equatable {
  /// The line of the file that it begins on, from 1.
  var line: Int
  var fields: [String]
}

/// Why a text is no CSV.
struct CSVError: Error, Equatable {
  var line: Int
  var problem: String
}

/// Reads row by row. Lines end with LF or CRLF; empty ones are passed over.
struct CSVReader {
  private let bytes: [UInt8]
  private var index = 0
  private var line = 1

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The next row; nil at the end.
  ///
  /// - Throws: at a quote within a field that has none around it, at anything between a closing quote
  ///   and the next comma, at a quotation that never ends, and at invalid UTF-8. The rest of the file
  ///   is not read then: nobody knows where the next row begins.
  mutating func next() throws(CSVError) -> CSVRow? {
    while let byte = peek, byte == CSVReader.lineFeed || isCRLF { skipLineEnd(byte) }
    guard index < bytes.count else { return nil }
    var row = CSVRow(line: line, fields: [])
    while true {
      row.fields.append(try field())
      guard let byte = peek else { return row }
      if byte == CSVReader.lineFeed || isCRLF {
        skipLineEnd(byte)
        return row
      }
      // A comma: a field follows, be it empty.
      index += 1
    }
  }

  private static let quote = UInt8(ascii: "\"")
  private static let comma = UInt8(ascii: ",")
  private static let lineFeed = UInt8(ascii: "\n")

  private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

  private var isCRLF: Bool {
    index + 1 < bytes.count && bytes[index] == UInt8(ascii: "\r")
      && bytes[index + 1] == CSVReader.lineFeed
  }

  private mutating func skipLineEnd(_ byte: UInt8) {
    index += byte == CSVReader.lineFeed ? 1 : 2
    line += 1
  }

  private mutating func field() throws(CSVError) -> String {
    if peek == CSVReader.quote { return try quotedField() }
    let start = index
    while let byte = peek, byte != CSVReader.comma, byte != CSVReader.lineFeed, !isCRLF {
      if byte == CSVReader.quote {
        throw CSVError(
          line: line, problem: "a quote within a field; put quotes around it, and two for one")
      }
      index += 1
    }
    return try text(bytes[start..<index])
  }

  private mutating func quotedField() throws(CSVError) -> String {
    let start = line
    var content: [UInt8] = []
    index += 1
    while let byte = peek {
      index += 1
      if byte == CSVReader.quote {
        guard peek == CSVReader.quote else {
          guard peek == nil || peek == CSVReader.comma || peek == CSVReader.lineFeed || isCRLF
          else {
            throw CSVError(line: line, problem: "something between a quotation and the next comma")
          }
          return try text(content[...])
        }
        index += 1
      }
      if byte == CSVReader.lineFeed { line += 1 }
      content.append(byte)
    }
    throw CSVError(line: start, problem: "a quotation that never ends")
  }

  private func text(_ bytes: ArraySlice<UInt8>) throws(CSVError) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw CSVError(line: line, problem: "not UTF-8")
    }
    return text
  }
}
