// JSON as decoders see it: a flat list of nodes over the bytes of the arena, parsed by simdjson.
// Pointers are confined to this file: simdjson reads the arena only during `parse`, and the nodes
// it owns stay valid until the next one.

import CSimdJSON
import EnergyReadings

/// One value of a document, with its key where it is a member of an object.
public struct JSONNode {
  public enum Kind: UInt8, Sendable {
    case null, `false`, `true`, number, string, array, object
  }

  private let node: csj_node

  fileprivate init(_ node: csj_node) { self.node = node }

  public var kind: Kind { Kind(rawValue: node.type) ?? .null }
  /// The key between its quotes, escapes unresolved.
  public var key: ByteSlice { ByteSlice(offset: Int(node.key_offset), count: Int(node.key_length)) }
  /// The value's own bytes: a string between its quotes, a number's digits, a container whole.
  public var value: ByteSlice { ByteSlice(offset: Int(node.offset), count: Int(node.length)) }
  public var keyHasEscapes: Bool { node.flags & UInt8(CSJ_KEY_ESCAPED) != 0 }
  public var hasEscapes: Bool { node.flags & UInt8(CSJ_VALUE_ESCAPED) != 0 }
  /// Index of the node after this value and all it contains.
  public var next: Int { Int(node.next) }
}

/// Why a text is not a JSON document.
public struct JSONError: Error, Equatable, Sendable {
  public enum Code: Sendable {
    case empty, tooDeep, invalidUTF8, trailing, badNumber, badString, syntax
  }
  public var code: Code
  /// Where, in bytes from the beginning of the text.
  public var offset: Int
}

/// A parser that is kept and reused, so that a document costs no allocation.
public final class JSONParser {
  /// Bytes that must be readable behind a document's last one.
  public static let padding = csj_padding()

  private let parser: OpaquePointer
  // Unchecked: a parser belongs to one thread, and no access to `nodes` encloses another. The check
  // would cost more than the access.
  @exclusivity(unchecked)
  private var nodes: UnsafeBufferPointer<csj_node> = .init(start: nil, count: 0)

  public init() {
    guard let parser = csj_parser_new() else { preconditionFailure("simdjson has no parser") }
    self.parser = parser
  }

  deinit { csj_parser_free(parser) }

  /// Number of values in the last document; 0 after an error.
  public var count: Int { nodes.count }

  /// The value at `index` in document order; the root is at 0.
  public subscript(index: Int) -> JSONNode { JSONNode(nodes[index]) }

  /// The indices of the members of the object, or the elements of the array, at `container`.
  public func members(of container: Int) -> JSONMembers {
    JSONMembers(nodes: nodes, index: container + 1, end: self[container].next)
  }

  /// Parses a document that stands in the arena.
  ///
  /// - Parameters:
  ///   - maximumDepth: containers within containers; the root counts as one.
  ///   - checksEscapes: whether an escape that JSON does not have is an error of the document; else
  ///     ``unescaped(_:in:)`` of that value finds it.
  public func parse(
    _ text: ByteSlice, in arena: inout ByteArena, maximumDepth: UInt16 = 32,
    checksEscapes: Bool = true
  ) throws(JSONError) {
    arena.pad(by: JSONParser.padding)
    var first: UnsafePointer<csj_node>?
    var count = 0
    var errorOffset = 0
    let code = arena.bytes.withUnsafeBufferPointer {
      csj_parse(
        parser, $0.baseAddress, Int(text.offset), Int(text.count), maximumDepth,
        checksEscapes ? 1 : 0, &first, &count, &errorOffset)
    }
    nodes = UnsafeBufferPointer(start: first, count: count)
    if code != CSJ_OK {
      throw JSONError(code: .init(code), offset: errorOffset - Int(text.offset))
    }
  }

  /// The key of a member, its escapes resolved: JSON does not tell `"\u0061"` from `"a"`.
  func key(of node: JSONNode, in arena: inout ByteArena) -> ByteSlice {
    node.keyHasEscapes ? unescaped(node.key, in: &arena) : node.key
  }

  /// The text of a string, its escapes resolved.
  func text(of node: JSONNode, in arena: inout ByteArena) -> ByteSlice {
    node.hasEscapes ? unescaped(node.value, in: &arena) : node.value
  }

  /// The text of a string whose escapes are resolved, at the end of the arena; absent where one of
  /// them is wrong, which ``parse(_:in:maximumDepth:checksEscapes:)`` finds unless told not to.
  public func unescaped(_ text: ByteSlice, in arena: inout ByteArena) -> ByteSlice {
    var isValid = true
    let resolved = arena.append(capacity: Int(text.count) + JSONParser.padding) { bytes, room in
      let count = csj_unescape(parser, bytes + Int(text.offset), room)
      isValid = count >= 0
      return max(0, count)
    }
    return isValid ? resolved : .absent
  }
}

/// Copies the plain text of a string that begins at `start`, just after its opening quote, to the end
/// of the arena.
///
/// - Parameter line: what it stands in; ``JSONParser/padding`` bytes behind it are readable.
/// - Returns: the text, and the place after the closing quote; nil where the string does not end in the
///   line, or holds anything but ASCII and escapes of two characters, which only ``JSONParser`` reads.
public func copyPlainString(
  of line: Span<UInt8>, from start: Int, to arena: inout ByteArena
) -> (text: ByteSlice, next: Int)? {
  var next: Int?
  // The pointers are C's for the call.
  let text = line.withUnsafeBufferPointer { line in
    arena.append(capacity: line.count - start + 32) { _, room in
      guard let bytes = line.baseAddress else { return 0 }
      var count = 0
      let after = csj_copy_plain_string(bytes + start, bytes + line.count, room, &count)
      guard let after else { return 0 }
      next = after - bytes
      return count
    }
  }
  guard let next else { return nil }
  return (text, next)
}

/// Steps from one member of a container to the next, over all that each contains. For use before the
/// parser's next document: it holds the parser's nodes, and not the parser, whose references would be
/// counted for every reading.
public struct JSONMembers: Sequence, IteratorProtocol {
  fileprivate let nodes: UnsafeBufferPointer<csj_node>
  fileprivate var index: Int
  fileprivate let end: Int

  public mutating func next() -> Int? {
    guard index < end else { return nil }
    defer { index = JSONNode(nodes[index]).next }
    return index
  }
}

extension JSONError.Code {
  fileprivate init(_ code: Int32) {
    self =
      switch Int(code) {
      case Int(CSJ_EMPTY): .empty
      case Int(CSJ_TOO_DEEP): .tooDeep
      case Int(CSJ_UTF8): .invalidUTF8
      case Int(CSJ_TRAILING): .trailing
      case Int(CSJ_NUMBER_BAD): .badNumber
      case Int(CSJ_STRING_BAD): .badString
      default: .syntax
      }
  }
}
