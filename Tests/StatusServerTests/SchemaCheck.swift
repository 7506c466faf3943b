// Judges JSON by the part of JSON Schema that openapi.json uses.

import Foundation

/// Schemas of an OpenAPI description, and which of their members were seen.
final class SchemaCheck {
  let document: [String: any Sendable]
  /// Places of members that had a value, such as `Meter.flags[].rule`.
  private(set) var seen: Set<String> = []

  init(document: [String: any Sendable]) { self.document = document }

  /// The members that a schema describes, by place, those within them included.
  func described(_ schema: [String: Any], at place: String) -> Set<String> {
    if let reference = schema["$ref"] as? String {
      return described(resolve(reference), at: Self.name(reference))
    }
    var places: Set<String> = []
    for (name, property) in schema["properties"] as? [String: [String: Any]] ?? [:] {
      places.insert("\(place).\(name)")
      places.formUnion(described(property, at: "\(place).\(name)"))
    }
    if let items = schema["items"] as? [String: Any] {
      places.formUnion(described(items, at: "\(place)[]"))
    }
    return places
  }

  /// A schema that is used in many places is one place.
  private static func name(_ reference: String) -> String {
    String(reference.split(separator: "/").last ?? "")
  }

  /// Notes that a value was seen, and what is within it.
  func note(_ value: Any, _ schema: [String: Any], at place: String) {
    if let reference = schema["$ref"] as? String {
      return note(value, resolve(reference), at: Self.name(reference))
    }
    for (name, property) in schema["properties"] as? [String: [String: Any]] ?? [:] {
      guard let member = (value as? [String: Any])?[name], !(member is NSNull) else { continue }
      seen.insert("\(place).\(name)")
      note(member, property, at: "\(place).\(name)")
    }
    if let items = schema["items"] as? [String: Any] {
      for element in value as? [Any] ?? [] { note(element, items, at: "\(place)[]") }
    }
  }

  /// What is wrong with a value, each with its place; empty when it is as described.
  func problems(_ value: Any, _ schema: [String: Any], at place: String = "$") -> [String] {
    if let reference = schema["$ref"] as? String {
      return problems(value, resolve(reference), at: place)
    }
    var found: [String] = []
    if let type = schema["type"] {
      let types = type as? [String] ?? [type as? String ?? ""]
      if !types.contains(where: { isOf($0, value) }) {
        return ["\(place): \(value) is none of \(types)"]
      }
    }
    if let allowed = schema["enum"] as? [String], !allowed.contains(value as? String ?? "") {
      found.append("\(place): \(value) is not one of \(allowed)")
    }
    if schema["format"] as? String == "date-time", !(value is NSNull),
      (value as? String)?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/) == nil
    {
      found.append("\(place): \(value) is no date-time")
    }
    if let items = schema["items"] as? [String: Any], let elements = value as? [Any] {
      for (index, element) in elements.enumerated() {
        found += problems(element, items, at: "\(place)[\(index)]")
      }
    }
    if let object = value as? [String: Any] { found += members(of: object, schema, at: place) }
    return found
  }

  private func members(
    of object: [String: Any], _ schema: [String: Any], at place: String
  ) -> [String] {
    let properties = schema["properties"] as? [String: [String: Any]] ?? [:]
    let missing = Set(schema["required"] as? [String] ?? []).subtracting(object.keys)
    var found = missing.sorted().map { "\(place).\($0) is missing" }
    for (name, value) in object {
      if let property = properties[name] {
        found += problems(value, property, at: "\(place).\(name)")
      } else if let others = schema["additionalProperties"] as? [String: Any] {
        found += problems(value, others, at: "\(place).\(name)")
      } else if schema["additionalProperties"] as? Bool == false {
        found.append("\(place).\(name) is not described")
      }
    }
    return found
  }

  private func resolve(_ reference: String) -> [String: Any] {
    reference.split(separator: "/").dropFirst().reduce(document as [String: Any]) { place, name in
      place[String(name)] as? [String: Any] ?? [:]
    }
  }

  private func isOf(_ type: String, _ value: Any) -> Bool {
    switch type {
    case "object": value is [String: Any]
    case "array": value is [Any]
    case "string": value is String
    case "null": value is NSNull
    case "boolean": (value as? NSNumber).map(isBoolean) ?? false
    case "number": (value as? NSNumber).map { !isBoolean($0) } ?? false
    case "integer":
      (value as? NSNumber).map { !isBoolean($0) && $0.doubleValue == $0.doubleValue.rounded() }
        ?? false
    default: false
    }
  }

  /// Foundation gives true and false as numbers of this C type.
  private func isBoolean(_ number: NSNumber) -> Bool { String(cString: number.objCType) == "c" }
}
