// Registers devices: upserts registry entries into the platform's registries.

import EnergyReadings
import Foundation

/// When entries are kept.
public enum RegistryKeeping: Sendable {
  /// Only if none is refused.
  case allOrNothing
  /// Those that are not refused.
  case whatIsGood
  /// Never: to see what would become of them.
  case nothing
}

/// Writes registry entries in one transaction.
public struct RegistryWriter {
  private let connection: PostgresConnection

  public init(_ connection: PostgresConnection) { self.connection = connection }

  /// Inserts what is new and changes what is there.
  ///
  /// What an entry does not say stays as it is stored; in a new one it is the column's default. Live
  /// columns, such as a battery's charge, are only taken for a new one. Of `location_json` the members
  /// that an entry gives are replaced.
  ///
  /// - Parameter refused: what was found wrong before; it counts as refused.
  /// - Throws: ``PostgresError`` that is no entry's fault; nothing is written then.
  public func register(
    _ entries: [RegistryEntry], refused: [RegistryRefusal] = [],
    keeping: RegistryKeeping = .allOrNothing
  ) throws(PostgresError) -> RegistryReport {
    try connection.transaction { () throws(PostgresError) in
      try connection.execute("SAVEPOINT registries", as: "savepoint")
      var report = RegistryReport()
      report.lines = refused.map { RegistryReport.Line($0) }
      for registry in Registry.allCases {
        try register(entries.filter { $0.registry == registry }, in: registry, &report)
      }
      report.isWritten =
        switch keeping {
        case .allOrNothing: report.refused == 0
        case .whatIsGood: true
        case .nothing: false
        }
      if !report.isWritten {
        try connection.execute("ROLLBACK TO SAVEPOINT registries", as: "rollback to savepoint")
      }
      return report
    }
  }

  /// Inserts what is new and changes what is there, all or nothing.
  ///
  /// - Returns: entries of the file.
  /// - Throws: ``PostgresError``, naming the constraint that an entry breaks; nothing is written then.
  @discardableResult
  public func upsert(_ file: RegistryFile) throws(PostgresError) -> Int {
    let report = try register(try entries(of: file))
    if let error = report.firstError { throw error }
    return report.lines.count
  }

  private func entries(of file: RegistryFile) throws(PostgresError) -> [RegistryEntry] {
    func entries<Row: Encodable>(
      _ rows: [Row], _ registry: Registry, _ key: KeyPath<Row, String>
    ) throws -> [RegistryEntry] {
      try rows.enumerated().map { number, row in
        RegistryEntry(
          registry: registry, key: row[keyPath: key], place: "$.\(registry.list)[\(number)]",
          json: String(decoding: try JSONEncoder().encode(row), as: UTF8.self))
      }
    }
    do {
      return try entries(file.locations, .location, \.gridCode)
        + entries(file.producers, .producer, \.producerID)
        + entries(file.consumers, .consumer, \.consumerID)
        + entries(file.storages, .storage, \.storageID)
        + entries(file.deviceKeys, .deviceKey, \.deviceID)
    } catch {
      throw PostgresError(
        sqlState: "22023", message: "\(error)", target: connection.target, operation: "register")
    }
  }

  // MARK: - One registry

  /// Entries that are written by one statement. Where one of them is refused, they are written one by
  /// one to find it.
  private static let chunk = 500

  private func register(
    _ entries: [RegistryEntry], in registry: Registry, _ report: inout RegistryReport
  ) throws(PostgresError) {
    var places: [String: String] = [:]
    var chunk: [RegistryEntry] = []
    for entry in entries {
      if let place = places.updateValue(entry.place, forKey: entry.key) {
        let error = PostgresError(
          sqlState: "21000", message: "the same \(registry.rawValue) stands at \(place) already",
          target: connection.target, operation: "register \(entry.key)")
        report.refuse(entry, error)
        continue
      }
      chunk.append(entry)
      if chunk.count < RegistryWriter.chunk { continue }
      try write(chunk, to: registry, &report)
      chunk.removeAll(keepingCapacity: true)
    }
    try write(chunk, to: registry, &report)
  }

  private func write(
    _ entries: [RegistryEntry], to registry: Registry, _ report: inout RegistryReport
  ) throws(PostgresError) {
    if entries.isEmpty { return }
    try connection.execute("SAVEPOINT entries", as: "savepoint")
    do throws(PostgresError) {
      let outcomes = try outcomes(of: entries, in: registry)
      for (entry, outcome) in zip(entries, outcomes) {
        report.lines.append(RegistryReport.Line(entry, outcome))
      }
      try connection.execute("RELEASE SAVEPOINT entries", as: "release savepoint")
      return
    } catch {
      guard error.remedy == .repair else { throw error }
      try connection.execute("ROLLBACK TO SAVEPOINT entries", as: "rollback to savepoint")
      if entries.count == 1 {
        var told = error
        if let rule = try definition(of: error) { told.message += ": \(rule)" }
        return report.refuse(entries[0], told)
      }
    }
    for entry in entries { try write([entry], to: registry, &report) }
  }

  /// What a CHECK demands that was broken: its name alone says little.
  private func definition(of error: PostgresError) throws(PostgresError) -> String? {
    guard error.sqlState == "23514", let name = error.constraint else { return nil }
    return try connection.query(
      "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1 LIMIT 1", [name],
      as: "read constraint"
    ).first?.first.flatMap(\.self)
  }

  private func outcomes(
    of entries: [RegistryEntry], in registry: Registry
  ) throws(PostgresError) -> [RegistryReport.Outcome] {
    let rows = try connection.query(
      registry.upsert,
      [
        arrayLiteral(entries.indices.map(String.init)), arrayLiteral(entries.map(\.json)),
      ], as: "insert into \(registry.table)")
    var outcomes = [RegistryReport.Outcome](repeating: .unchanged, count: entries.count)
    for row in rows {
      guard let place = row[0].flatMap({ Int($0) }), outcomes.indices.contains(place) else {
        continue
      }
      if row[1] == "t" {
        outcomes[place] = .added
      } else if let changes = row[2] {
        let decoded = try? JSONDecoder().decode([[String?]].self, from: Data(changes.utf8))
        outcomes[place] = .changed(
          (decoded ?? []).map {
            RegistryReport.Change(column: $0[0] ?? "", before: $0[1], after: $0[2])
          })
      }
    }
    return outcomes
  }
}

extension RegistryReport {
  fileprivate mutating func refuse(_ entry: RegistryEntry, _ error: PostgresError) {
    lines.append(Line(entry, .refused(error.message)))
    firstError = firstError ?? error
  }
}

extension Registry {
  /// Writes entries, `$1` being their numbers and `$2` their JSON, and tells of each whether it is new,
  /// and else which columns changed: an array of name, text before and text after, or NULL.
  fileprivate var upsert: String {
    let names = columns.map(\.name).joined(separator: ", ")
    let types = columns.map { "\($0.name) \($0.kind.sqlType)" }.joined(separator: ", ")
    let values = columns.map(value(of:)).joined(separator: ", ")
    let followed = columns.filter { !$0.isLive && $0.name != key }
    var settings = followed.map { "\($0.name) = excluded.\($0.name)" }
    if self == .storage {
      settings.append("current_charge = least(stored.current_charge, excluded.capacity_mwh)")
    }
    if self != .deviceKey { settings.append("updated_at = now()") }
    return """
      WITH entry AS MATERIALIZED (
        SELECT given.place, record.*
        FROM unnest($1::integer[], $2::text[]) AS given (place, json),
          LATERAL jsonb_to_record(given.json::jsonb) AS record (\(types))
      ), written AS (
        INSERT INTO \(table) AS stored (\(names))
        SELECT \(values) FROM entry LEFT JOIN \(table) AS known ON known.\(key) = entry.\(key)
        ON CONFLICT (\(key)) DO UPDATE SET \(settings.joined(separator: ", "))
        WHERE (\(followed.map { "stored.\($0.comparable)" }.joined(separator: ", ")))
          IS DISTINCT FROM (\(followed.map { "excluded.\($0.comparable)" }.joined(separator: ", ")))
        RETURNING stored.\(key) AS key, to_jsonb(stored) AS json
      )
      SELECT entry.place, known.\(key) IS NULL, (
        SELECT jsonb_agg(jsonb_build_array(name, before.value, after.value) ORDER BY name)
        FROM jsonb_each_text(to_jsonb(known)) AS before (name, value)
        JOIN jsonb_each_text(written.json) AS after (name, value) USING (name)
        WHERE before.value IS DISTINCT FROM after.value AND name <> 'updated_at')
      FROM entry LEFT JOIN \(table) AS known ON known.\(key) = entry.\(key)
      LEFT JOIN written ON written.key = entry.\(key)
      """
  }

  /// A column of the row that is to be inserted: the entry's, else the stored one, else the default.
  private func value(of column: Column) -> String {
    var choices = ["entry.\(column.name)"]
    switch column.kind {
    case .point:
      choices = [
        "point((entry.coordinates->>'longitude')::float8, (entry.coordinates->>'latitude')::float8)"
      ]
    case .object:
      choices = ["coalesce(known.\(column.name), '{}') || entry.\(column.name)"]
    default: break
    }
    if !column.isRequired { choices.append("known.\(column.name)") }
    if let fallback = column.fallback { choices.append("'\(fallback)'") }
    return choices.count == 1 ? choices[0] : "coalesce(\(choices.joined(separator: ", ")))"
  }
}

extension Registry.Column {
  /// `point` has no equality that a row could be compared by.
  fileprivate var comparable: String {
    if case .point = kind { "\(name)::text" } else { name }
  }
}

extension Registry.Column.Kind {
  fileprivate var sqlType: String {
    switch self {
    case .text: "text"
    case .texts: "text[]"
    case .number: "numeric"
    case .flag: "boolean"
    case .time: "timestamptz"
    case .object, .point: "jsonb"
    }
  }
}
