// Registry files, which people write: JSON or CSV in, entries and refusals out.

import EnergyReadings
import Foundation

/// A file that is no registry file as a whole.
public struct RegistryFileError: Error, Equatable, CustomStringConvertible {
  /// Where: `line 1`, `$.producers`; empty where it is the file as a whole.
  public var place: String
  public var problem: String

  init(_ place: String, _ problem: String) {
    self.place = place
    self.problem = problem
  }

  public var description: String { place.isEmpty ? problem : "\(place): \(problem)" }
}

/// What a registry file holds.
public struct RegistryDocument: Sendable, Equatable {
  public internal(set) var entries: [RegistryEntry] = []
  /// What cannot be entries, each with its place; the others are not affected.
  public internal(set) var refused: [RegistryRefusal] = []

  init() {}

  /// Reads a file: JSON where it begins with a bracket, else CSV.
  ///
  /// - Throws: where it is neither, or a list or column has no known name.
  public init(_ data: Data) throws(RegistryFileError) {
    // Spreadsheets put a byte order mark before UTF-8.
    let text = data.starts(with: [0xEF, 0xBB, 0xBF]) ? data.dropFirst(3) : data
    guard let first = text.first(where: { $0 > 0x20 }) else {
      throw RegistryFileError("", "the file is empty")
    }
    if first == UInt8(ascii: "{") || first == UInt8(ascii: "[") {
      var reader = RegistryJSONReader(text)
      self = try reader.read()
    } else {
      self = try RegistryTable.read(text)
    }
  }
}

/// Reads the JSON form: lists of objects whose keys are the registries' columns.
///
/// Parsed by simdjson: Foundation's own parser (Swift 6.3) ends the program with a trap at a document
/// that breaks off more than 512 levels deep, and makes binary fractions of decimals.
private struct RegistryJSONReader: ~Copyable {
  private let parser = JSONParser()
  private var arena: ByteArena
  private let text: ByteSlice
  private var document = RegistryDocument()

  init(_ data: Data) {
    var arena = ByteArena(capacity: data.count + JSONParser.padding)
    text = data.withUnsafeBytes { arena.append($0) }
    self.arena = arena
  }

  mutating func read() throws(RegistryFileError) -> RegistryDocument {
    do throws(JSONError) { try parser.parse(text, in: &arena) } catch {
      throw RegistryFileError("", Rejection(error).detail)
    }
    guard parser[0].kind == .object else {
      throw RegistryFileError("$", "expected an object with \(RegistryJSONReader.lists)")
    }
    for member in parser.members(of: 0) {
      let name = name(of: member)
      guard let registry = Registry.allCases.first(where: { $0.list == name }) else {
        throw RegistryFileError("$.\(name)", "no such list; there are \(RegistryJSONReader.lists)")
      }
      guard parser[member].kind == .array else {
        throw RegistryFileError("$.\(name)", "expected a list")
      }
      for (number, element) in parser.members(of: member).enumerated() {
        take(element, registry, at: "$.\(name)[\(number)]")
      }
    }
    return document
  }

  private static let lists = Registry.allCases.map(\.list).joined(separator: ", ")

  // In two steps, or the arena would be copied for the second.
  private mutating func name(of member: Int) -> String {
    let key = parser.key(of: parser[member], in: &arena)
    return arena.string(key)
  }

  private mutating func take(_ node: Int, _ registry: Registry, at place: String) {
    var key = ""
    do throws(RegistryProblem) {
      try check(node, registry, &key)
      document.entries.append(
        RegistryEntry(
          registry: registry, key: key, place: place, json: arena.string(parser[node].value)))
    } catch {
      document.refused.append(
        RegistryRefusal(registry: registry, key: key, place: place, reason: error.words))
    }
  }

  /// Looks whether an entry has the columns it needs, and no others.
  private mutating func check(
    _ node: Int, _ registry: Registry, _ key: inout String
  ) throws(RegistryProblem) {
    guard parser[node].kind == .object else { throw RegistryProblem("expected an object") }
    var missing = registry.columns.filter(\.isRequired).map(\.name)
    var seen: Set<String> = []
    for member in parser.members(of: node) {
      let name = name(of: member)
      guard let column = registry.columns.first(where: { $0.name == name }) else {
        let names = registry.columns.map(\.name).joined(separator: ", ")
        throw RegistryProblem("a \(registry.rawValue) has no \(name); it has \(names)")
      }
      guard seen.insert(name).inserted else { throw RegistryProblem("\(name) is given twice") }
      if parser[member].kind == .null { continue }
      if name == registry.key {
        let text = parser.text(of: parser[member], in: &arena)
        key = arena.string(text)
      }
      try check(member, column)
      missing.removeAll { $0 == name }
    }
    if let name = missing.first { throw RegistryProblem("\(name) is missing") }
  }

  private mutating func check(
    _ member: Int, _ column: Registry.Column
  ) throws(RegistryProblem) {
    let kind = parser[member].kind
    switch column.kind {
    case .text, .time:
      if kind != .string { throw RegistryProblem("\(column.name) is no text") }
      if column.isRequired, parser[member].value.count == 0 {
        throw RegistryProblem("\(column.name) is empty")
      }
    case .number:
      if kind != .number && kind != .string { throw RegistryProblem("\(column.name) is no number") }
    case .flag:
      if kind != .true && kind != .false {
        throw RegistryProblem("\(column.name) is neither true nor false")
      }
    case .texts:
      let isList = kind == .array
      if !isList || parser.members(of: member).contains(where: { parser[$0].kind != .string }) {
        throw RegistryProblem("\(column.name) is no list of texts")
      }
    case .object: try check(member, column, has: ["grid_code"], .string)
    case .point: try check(member, column, has: ["longitude", "latitude"], .number)
    }
  }

  private mutating func check(
    _ member: Int, _ column: Registry.Column, has names: [String], _ kind: JSONNode.Kind
  ) throws(RegistryProblem) {
    guard parser[member].kind == .object else {
      throw RegistryProblem("\(column.name) is no object")
    }
    var found: Set<String> = []
    for inner in parser.members(of: member) where parser[inner].kind == kind {
      found.insert(name(of: inner))
    }
    if let name = names.first(where: { !found.contains($0) }) {
      throw RegistryProblem("\(column.name).\(name) is missing, or of another type")
    }
  }
}

/// What is wrong with an entry.
struct RegistryProblem: Error {
  var words: String

  init(_ words: String) { self.words = words }
}
