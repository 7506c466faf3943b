// The formats that no mapping can express, by the names that the configuration knows them by.

/// A format with a decoder of its own.
struct BuiltInFormat: Sendable {
  var name: String
  /// Where its publishers publish unless told otherwise; empty: they have no custom.
  var topics: [String] = []
  /// What every topic begins with; empty where that is up to the publisher.
  var root = ""
  /// Names of levels that all its topics have, or those of them that are long enough.
  var levelNames: [String: Int] = [:]
  /// Whether its values are metrics of free names.
  var hasMetrics = false
  /// Whether payloads say whose they are.
  var namesDevice = false
  var decoder: any PayloadFormat

  static let all = [
    BuiltInFormat(
      name: "shelly", topics: ["+/events/rpc"], namesDevice: true, decoder: ShellyFormat()),
    BuiltInFormat(
      name: "tasmota",
      topics: ["tele/{device}/SENSOR", "stat/{device}/STATUS8", "stat/{device}/STATUS10"],
      decoder: TasmotaFormat()),
    BuiltInFormat(
      name: "sparkplug",
      topics: ["NBIRTH", "NDATA", "NDEATH"].map { "spBv1.0/{group_id}/\($0)/{edge_node_id}" }
        + ["DBIRTH", "DDATA", "DDEATH"].map {
          "spBv1.0/{group_id}/\($0)/{edge_node_id}/{device_id}"
        },
      root: SparkplugTopic.root,
      levelNames: ["group_id": 1, "edge_node_id": 3, "device_id": 4], hasMetrics: true,
      namesDevice: true, decoder: SparkplugFormat()),
    BuiltInFormat(name: "obis", namesDevice: true, decoder: OBISFormat()),
    BuiltInFormat(name: "senml", namesDevice: true, decoder: SenMLFormat()),
    BuiltInFormat(name: "gridtokenx-obis", namesDevice: true, decoder: GridTokenXFormat()),
  ]

  static func named(_ name: String) -> BuiltInFormat? { all.first { $0.name == name } }
}
