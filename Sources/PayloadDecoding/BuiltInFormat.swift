// The formats that no mapping can express, by the names that the configuration knows them by.

/// A format with a decoder of its own.
struct BuiltInFormat: Sendable {
  var name: String
  /// Where its publishers publish unless told otherwise; empty: they have no custom.
  var topics: [String] = []
  /// Whether payloads say whose they are.
  var namesDevice = false
  var decoder: any PayloadFormat

  static let all: [BuiltInFormat] = []

  static func named(_ name: String) -> BuiltInFormat? { all.first { $0.name == name } }
}
