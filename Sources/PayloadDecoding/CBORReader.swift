// CBOR (RFC 8949) as decoders see it: one item after the other, decoded by libcbor.
// Pointers are confined to this file: libcbor reads the arena only during `next`.

import CCBORItems
import EnergyReadings

/// One item of a document.
struct CBORItem {
  enum Kind: UInt8 {
    case unsigned, negative, bytes, text, array, map, tag, float, bool, null, end
  }

  private let item: ccbor_item

  fileprivate init(_ item: ccbor_item) { self.item = item }

  var kind: Kind { Kind(rawValue: item.kind) ?? .null }
  /// An integer (of a negative one, -1 - this), a tag, or the elements or pairs of a container.
  var number: UInt64 { item.number }
  /// Whether a container or text goes on until an ``Kind/end``.
  var isIndefinite: Bool { item.is_indefinite != 0 }
  /// The bytes of a text.
  var text: ByteSlice { ByteSlice(offset: Int(item.offset), count: Int(item.length)) }

  /// A small integer; nil for any other item.
  var label: Int? {
    switch kind {
    case .unsigned where number < 1_000: Int(number)
    case .negative where number < 1_000: -1 - Int(number)
    default: nil
    }
  }

  /// A number in decimal digits; nil for any other item.
  ///
  /// Of a binary float, the shortest decimal that means it: what the publisher had before it became
  /// one.
  var decimal: String? {
    switch kind {
    case .unsigned: "\(number)"
    case .negative: "\(-1 - Int128(number))"
    case .float: item.width == 8 ? "\(item.real)" : "\(Float(item.real))"
    default: nil
    }
  }
}

/// Steps through a document that stands in the arena.
struct CBORReader {
  private var offset: Int
  private let start: Int
  private let end: Int
  /// Containers within containers; as deep as JSON may be.
  private static let maximumDepth = 32

  init(_ document: ByteSlice) {
    start = document.range.lowerBound
    offset = start
    end = document.range.upperBound
  }

  /// Whether everything was read.
  var isAtEnd: Bool { offset == end }

  /// - Throws: where the document is cut off, or is no CBOR.
  mutating func next(in arena: borrowing ByteArena) throws(Rejection) -> CBORItem {
    var item = ccbor_item()
    let status = arena.bytes.withUnsafeBufferPointer { bytes in
      ccbor_next(bytes.baseAddress, offset, end, &item)
    }
    guard status == 0 else { throw malformed("not CBOR, or cut off,") }
    offset = Int(item.next)
    return CBORItem(item)
  }

  /// Reads past the rest of an item that was begun.
  mutating func skip(
    _ item: CBORItem, in arena: borrowing ByteArena, depth: Int = 0
  ) throws(Rejection) {
    guard depth < CBORReader.maximumDepth else { throw malformed("nested deeper than 32 levels") }
    let parts: UInt64
    switch item.kind {
    case .array: parts = item.number
    // A count above that of the document's bytes is a lie that costs nothing: the bytes run out.
    case .map: parts = item.number > UInt64.max / 2 ? item.number : 2 * item.number
    case .tag: parts = 1
    default: parts = 0
    }
    if item.isIndefinite {
      while true {
        let part = try next(in: arena)
        if part.kind == .end { return }
        try skip(part, in: arena, depth: depth + 1)
      }
    }
    var left = parts
    while left > 0 {
      let part = try next(in: arena)
      if part.kind == .end { throw malformed("a break where none may be,") }
      try skip(part, in: arena, depth: depth + 1)
      left -= 1
    }
  }

  private func malformed(_ what: String) -> Rejection {
    Rejection(.malformedPayload, path: "$", detail: "\(what) near byte \(offset - start)")
  }
}
