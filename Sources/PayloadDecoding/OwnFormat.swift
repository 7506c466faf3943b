// The ingestor's own format: a JSON object with the database's column names, an array of them, or
// one object a line.

import EnergyReadings

extension PayloadDecoder {
  func decodeOwn(
    _ payload: ByteSlice, as frame: Reading, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection) {
    do throws(JSONError) {
      try parser.parse(payload, in: &arena)
    } catch {
      guard isNewlineDelimited(payload, in: &arena) else { throw Rejection(error) }
      return try decodeLines(payload, as: frame, in: &arena, into: &decoded)
    }
    switch parser[0].kind {
    case .object:
      decodeReading(
        at: 0, place: ReadingPlace(index: nil, text: payload), as: frame, in: &arena,
        into: &decoded)
    case .array:
      try decodeElements(as: frame, in: &arena, into: &decoded)
    default:
      throw Rejection(.wrongType, path: "$", detail: "expected an object or an array of objects")
    }
  }

  private func decodeElements(
    as frame: Reading, in arena: inout ByteArena, into decoded: inout DecodedReadings
  ) throws(Rejection) {
    var node = 1
    var index: Int32 = 0
    let end = parser[0].next
    while node < end {
      if index == PayloadDecoder.maximumReadings { throw Self.tooManyReadings }
      let place = ReadingPlace(index: index, text: parser[node].value)
      decodeReading(at: node, place: place, as: frame, in: &arena, into: &decoded)
      node = parser[node].next
      index += 1
    }
    if index == 0 { throw Rejection(.missingField, path: "$", detail: "an array of no readings") }
  }

  /// Whether a payload that is no JSON document is newline-delimited: several lines, at least one
  /// of which is an object by itself. The others may be anything, or a bad first line would cost
  /// its neighbours. What begins as an array is a broken array.
  private func isNewlineDelimited(_ payload: ByteSlice, in arena: inout ByteArena) -> Bool {
    var start = 0
    var lines = 0
    var holdsObject = false
    while start < Int(payload.count), lines < PayloadDecoder.maximumReadings {
      let line = arena.line(of: payload, from: start)
      start += Int(line.count) + 1
      if arena[line].isBlank { continue }
      lines += 1
      if lines == 1, arena[line].beginsAsArray { return false }
      if !holdsObject, (try? parser.parse(line, in: &arena)) != nil {
        holdsObject = parser[0].kind == .object
      }
      if holdsObject, lines > 1 { return true }
    }
    return false
  }

  private func decodeLines(
    _ payload: ByteSlice, as frame: Reading, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) throws(Rejection) {
    var start = 0
    var index: Int32 = 0
    while start < Int(payload.count) {
      let line = arena.line(of: payload, from: start)
      start += Int(line.count) + 1
      if arena[line].isBlank { continue }
      if index == PayloadDecoder.maximumReadings { throw Self.tooManyReadings }
      let place = ReadingPlace(index: index, text: line)
      index += 1
      do throws(JSONError) {
        try parser.parse(line, in: &arena)
        decodeReading(at: 0, place: place, as: frame, in: &arena, into: &decoded)
      } catch {
        decoded.reject(Rejection(error).inside(element: place.index), at: place, as: frame)
      }
    }
  }

  private static var tooManyReadings: Rejection {
    Rejection(
      .outOfRange, path: "$[\(maximumReadings)]",
      detail: "more than \(maximumReadings) readings in one payload; those after it are not taken")
  }

  /// Decodes the object at `node` into one reading or one rejection.
  private func decodeReading(
    at node: Int, place: ReadingPlace, as frame: Reading, in arena: inout ByteArena,
    into decoded: inout DecodedReadings
  ) {
    do throws(Rejection) {
      guard parser[node].kind == .object else {
        throw Rejection(.wrongType, path: "$", detail: "expected an object")
      }
      try decoded.accept(frame, at: place) { (reading) throws(Rejection) in
        try fields.read(node, into: &reading, in: &arena)
        return fields.unknown
      }
    } catch {
      decoded.reject(error.inside(element: place.index), at: place, as: frame)
    }
  }
}

extension DecodedReadings {
  /// Adds what `fill` makes of `frame`; nothing where it throws. It returns the fields it did not know.
  fileprivate mutating func accept(
    _ frame: Reading, at place: ReadingPlace,
    _ fill: (inout Reading) throws(Rejection) -> Int
  ) throws(Rejection) {
    accepted.append(.init(reading: frame, place: place))
    do throws(Rejection) {
      unknownFields += try fill(&accepted[accepted.count - 1].reading)
    } catch {
      accepted.removeLast()
      throw error
    }
  }

  fileprivate mutating func reject(
    _ rejection: Rejection, at place: ReadingPlace, as frame: Reading
  ) {
    rejected.append(
      .init(rejection: rejection, place: place, kind: frame.kind, device: frame.device))
  }
}

extension ByteArena {
  /// The line of `text` that begins at `start`, without its end.
  fileprivate func line(of text: ByteSlice, from start: Int) -> ByteSlice {
    let bytes = self[text]
    var end = start
    while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
    return text.subslice(from: start, count: end - start)
  }
}

extension Span where Element == UInt8 {
  /// Index of the first byte that is no blank, or `count`.
  private var blanks: Int {
    var index = 0
    while index < count, self[index] == 0x20 || self[index] == 0x0D || self[index] == 0x09 {
      index += 1
    }
    return index
  }

  fileprivate var isBlank: Bool { blanks == count }

  fileprivate var beginsAsArray: Bool { !isBlank && self[blanks] == UInt8(ascii: "[") }
}
