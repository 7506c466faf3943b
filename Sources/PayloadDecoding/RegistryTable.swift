// The CSV form of a registry file: one table for every kind of entry, its columns named in the first
// row.

import EnergyReadings
import Foundation

/// A column of the CSV form.
public struct RegistryTableColumn: Sendable {
  public var name: String
  public var help: String
  /// Where its text goes, by registry: a column, or a member of an object: `location_json.grid_code`.
  var places: [Registry: String]

  /// Names of the kinds of entries that have it.
  public var kinds: [String] {
    Registry.allCases.filter { places[$0] != nil }.map(\.rawValue)
  }
}

/// Reads and writes the CSV form.
public enum RegistryTable {
  private static let devices: [Registry] = [.producer, .consumer, .storage]

  private static func located(_ name: String) -> [Registry: String] {
    var places: [Registry: String] = [:]
    for registry in devices { places[registry] = "location_json.\(name)" }
    places[.location] = name
    return places
  }

  private static func point(_ name: String) -> [Registry: String] {
    var places = located(name)
    places[.location] = "coordinates.\(name)"
    return places
  }

  private static func same(_ name: String, _ registries: Registry...) -> [Registry: String] {
    Dictionary(uniqueKeysWithValues: registries.map { ($0, name) })
  }

  private static func column(
    _ name: String, _ help: String, _ places: [Registry: String]
  ) -> RegistryTableColumn {
    RegistryTableColumn(name: name, help: help, places: places)
  }

  /// The column that says what a row is.
  public static let kind = "kind"

  /// All columns but ``kind``.
  public static let columns: [RegistryTableColumn] = [
    column(
      "id", "the device id, as readings name it",
      [
        .producer: "producer_id", .consumer: "consumer_id", .storage: "storage_id",
        .deviceKey: "device_id",
      ]),
    column(
      "name", "for people; of a storage, its operator",
      [
        .producer: "producer_name", .consumer: "consumer_name", .storage: "storage_operator",
      ]),
    column(
      "type", "residential, commercial, industrial, …; of a storage, its technology",
      [
        .producer: "producer_type", .consumer: "consumer_type", .storage: "storage_type",
      ]),
    column("grid_code", "of 20 characters at most", located("grid_code")),
    column("province", "", located("province")),
    column("district", "", located("district")),
    column("latitude", "degrees north", point("latitude")),
    column("longitude", "degrees east", point("longitude")),
    column(
      "energy_sources", "solar, wind, …; several with ; between them",
      same("energy_sources", .producer)),
    column("capacity_kw", "rated power, above 0", same("capacity_kw", .producer)),
    column("certification", "", same("certification", .producer)),
    column("verified", "true or false", same("verified", .producer, .consumer)),
    column("avg_consumption_kwh", "a day", same("avg_consumption_kwh", .consumer)),
    column("peak_demand_kw", "", same("peak_demand_kw", .consumer)),
    column("capacity_mwh", "above 0", same("capacity_mwh", .storage)),
    column("current_charge", "MWh; of a new one only", same("current_charge", .storage)),
    column("efficiency", "0…1", same("efficiency", .storage)),
    column("status", "active, maintenance or offline", same("status", .storage)),
    column("installed_at", "RFC 3339 with offset", same("installed_at", .storage)),
    column("substation", "", same("substation", .location)),
    column("capacity_mw", "", same("capacity_mw", .location)),
    column("current_load_mw", "of a new one only", same("current_load_mw", .location)),
    column("congestion_level", "of a new one only", same("congestion_level", .location)),
    column("public_key", "Ed25519, base58", same("public_key", .deviceKey)),
  ]

  static func read(_ data: Data) throws(RegistryFileError) -> RegistryDocument {
    var reader = CSVReader(Array(data))
    var document = RegistryDocument()
    do throws(CSVError) {
      guard let header = try reader.next() else { throw CSVError(line: 1, problem: "no header") }
      let head = try RegistryTableHead(header)
      while let row = try reader.next() {
        do throws(RegistryRefusal) {
          document.entries.append(try head.entry(row))
        } catch {
          document.refused.append(error)
        }
      }
    } catch {
      throw RegistryFileError("line \(error.line)", error.problem)
    }
    return document
  }

  /// A line of CSV with quotes where they are needed, without its end.
  public static func line(_ fields: [String]) -> String {
    fields.map { field in
      field.utf8.contains(where: { ",\"\r\n".utf8.contains($0) })
        ? "\"\(field.replacing("\"", with: "\"\""))\"" : field
    }.joined(separator: ",")
  }
}

/// The first row: what stands in which column.
private struct RegistryTableHead {
  private let columns: [RegistryTableColumn?]
  private let kindIndex: Int

  init(_ row: CSVRow) throws(CSVError) {
    var columns: [RegistryTableColumn?] = []
    for name in row.fields.map({ $0.trimmingCharacters(in: .whitespaces) }) {
      let column = RegistryTable.columns.first { $0.name == name }
      guard column != nil || name == RegistryTable.kind else {
        let names = ([RegistryTable.kind] + RegistryTable.columns.map(\.name))
          .joined(separator: ", ")
        throw CSVError(line: row.line, problem: "no column \"\(name)\"; there are \(names)")
      }
      if columns.contains(where: { $0?.name == column?.name }) {
        throw CSVError(line: row.line, problem: "two columns \"\(name)\"")
      }
      columns.append(column)
    }
    guard let kindIndex = columns.firstIndex(where: { $0 == nil }) else {
      throw CSVError(
        line: row.line, problem: "no column \"\(RegistryTable.kind)\", which says what each row is")
    }
    self.columns = columns
    self.kindIndex = kindIndex
  }

  func entry(_ row: CSVRow) throws(RegistryRefusal) -> RegistryEntry {
    var registry: Registry?
    var key = ""
    do throws(RegistryProblem) {
      guard row.fields.count == columns.count else {
        throw RegistryProblem(
          "\(row.fields.count) fields, where the first row has \(columns.count)")
      }
      let kind = row.fields[kindIndex].trimmingCharacters(in: .whitespaces)
      registry = Registry(rawValue: kind)
      guard let registry else {
        let names = Registry.allCases.map(\.rawValue).joined(separator: ", ")
        throw RegistryProblem("kind \"\(kind)\" is none of \(names)")
      }
      let object = try object(row, registry)
      key = object.key
      return RegistryEntry(
        registry: registry, key: key, place: "line \(row.line)", json: object.json)
    } catch {
      throw RegistryRefusal(
        registry: registry, key: key, place: "line \(row.line)", reason: error.words)
    }
  }

  private func object(
    _ row: CSVRow, _ registry: Registry
  ) throws(RegistryProblem) -> (key: String, json: String) {
    var members: [String: [(name: String, json: String)]] = [:]
    var key = ""
    for case (let column?, let field) in zip(columns, row.fields) where !field.isEmpty {
      guard let place = column.places[registry] else {
        throw RegistryProblem("a \(registry.rawValue) has no \(column.name)")
      }
      if place == registry.key { key = field }
      let parts = place.split(separator: ".").map(String.init)
      let (outer, name) = parts.count == 2 ? (parts[0], parts[1]) : ("", parts[0])
      members[outer, default: []].append((name, try json(field, column, registry, place)))
    }
    try checkComplete(members, registry)
    var all = members[""] ?? []
    for (outer, inner) in members where outer != "" { all.append((outer, text(of: inner))) }
    return (key, text(of: all))
  }

  private func checkComplete(
    _ members: [String: [(name: String, json: String)]], _ registry: Registry
  ) throws(RegistryProblem) {
    for column in registry.columns where column.isRequired {
      let needed: [String] =
        switch column.kind {
        case .object: ["grid_code"]
        case .point: ["latitude", "longitude"]
        default: [""]
        }
      for inner in needed {
        let isThere =
          inner.isEmpty
          ? members[""]?.contains { $0.name == column.name } ?? false
          : members[column.name]?.contains { $0.name == inner } ?? false
        if isThere { continue }
        let place = inner.isEmpty ? column.name : "\(column.name).\(inner)"
        let name = RegistryTable.columns.first { $0.places[registry] == place }?.name ?? place
        throw RegistryProblem("\(name) is empty; a \(registry.rawValue) needs it")
      }
    }
  }

  /// The JSON that a field is. Decimals stay texts, so that they reach `numeric` digit by digit.
  private func json(
    _ field: String, _ column: RegistryTableColumn, _ registry: Registry, _ place: String
  ) throws(RegistryProblem) -> String {
    if column.name == "latitude" || column.name == "longitude" {
      let limit = column.name == "latitude" ? 90.0 : 180.0
      guard let degrees = Double(field), degrees.magnitude <= limit else {
        throw RegistryProblem("\(column.name) \"\(field)\" is not within ±\(Int(limit))")
      }
      return "\(degrees)"
    }
    switch registry.columns.first(where: { $0.name == place })?.kind {
    case .texts:
      let words = field.split(separator: ";").map { $0.trimmingCharacters(in: .whitespaces) }
      return "[\(words.map(\.jsonText).joined(separator: ","))]"
    case .flag:
      guard field == "true" || field == "false" else {
        throw RegistryProblem("\(column.name) \"\(field)\" is neither true nor false")
      }
      return field
    default: return field.jsonText
    }
  }

  private func text(of members: [(name: String, json: String)]) -> String {
    let sorted = members.sorted { $0.name < $1.name }
    return "{\(sorted.map { "\($0.name.jsonText):\($0.json)" }.joined(separator: ","))}"
  }
}

extension String {
  /// As a JSON string (RFC 8259, section 7).
  fileprivate var jsonText: String {
    var text = "\""
    for scalar in unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
