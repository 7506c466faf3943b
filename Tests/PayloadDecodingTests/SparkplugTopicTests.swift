// Topics of Sparkplug as users write them: what their levels are called, and what must be heard.

import EnergyReadings
import PayloadDecoding
import Testing

@Suite struct SparkplugTopicTests {
  private func hear(
    _ host: SourcedDecoder, _ topic: String, _ seq: UInt64, _ metrics: [TestMetric]
  ) -> Outcome {
    host.decode(Spb.payload(metrics, seq: seq), on: "spBv1.0/\(topic)")
  }

  private let total = TestMetric("Energy/Import", 1, .double(1), type: 10, unit: "kWh")
  private let alias = TestMetric(nil, 1, .double(2))

  /// A level may have a name of the user's own as well.
  @Test(arguments: [
    "spBv1.0/#", "spBv1.0/U/#", "spBv1.0/{g}/#", "spBv1.0/U/+/#", "spBv1.0/U/+/{n}/#",
    "spBv1.0/+/+/n/#", "",
  ])
  func levelsHaveTheirNamesWhateverTheFilter(topic: String) throws {
    let key = topic.isEmpty ? "" : "topic: \"\(topic)\", "
    func devices(_ device: String) throws -> [String] {
      let host = try SourcedDecoder("- {format: sparkplug, \(key)device: \"\(device)\"}")
      let heard = [
        hear(host, "U/NBIRTH/n", 0, [total]), hear(host, "U/DBIRTH/n/m", 1, [total]),
        hear(host, "U/DDATA/n/m", 2, [alias]), hear(host, "U/NDATA/n", 3, [alias]),
      ]
      return heard.flatMap { outcome in
        outcome.samples.map { outcome.arena.string($0.device) } + outcome.reasons
      }
    }
    // The node has no device: it goes by its own name.
    #expect(try devices("{device_id}") == ["U/n", "m", "m", "U/n"])
    #expect(
      try devices("{group_id}-{edge_node_id}-{device_id}") == ["U/n", "U-n-m", "U-n-m", "U/n"])
    #expect(try devices("fixed") == ["fixed", "fixed", "fixed", "fixed"])
  }

  @Test func aGridCodeMayBeTheGroup() throws {
    let host = try SourcedDecoder(
      "- {format: sparkplug, topic: \"spBv1.0/#\", grid_code: \"{group_id}\"}")
    let born = hear(host, "U/NBIRTH/n", 0, [total])
    #expect(born.samples.map { born.arena.string($0.gridCode) } == ["U"])
  }

  @Test(arguments: [
    ("spBv1.0/U/+/{n}/{device_id}", "NBIRTH, NDATA, NDEATH"),
    ("spBv1.0/U/+/{n}", "DBIRTH, DDATA, DDEATH"),
    ("spBv1.0/U/+/n/m/#", "NBIRTH, NDATA, NDEATH"),
    ("spBv1.0/U/DDATA/#", "NBIRTH, NDATA, NDEATH, DBIRTH, DDEATH"),
    ("spBv1.0/+/NBIRTH/n", "NDATA, NDEATH, DBIRTH, DDATA, DDEATH"),
  ])
  func whatDoesNotHearAllIsRefused(topic: String, unheard: String) {
    let yaml = "- {format: sparkplug, topic: \"\(topic)\"}"
    #expect { try SourceFile.table(yaml: yaml, name: "s") } throws: { error in
      "\(error)".contains("topic: \"\(topic)\" does not hear \(unheard), and ")
        && "\(error)".contains("{device_id}, {edge_node_id}, {group_id}")
    }
  }

  /// Whoever knows that births came must not be told that there was none.
  @Test func aGapIsToldAsAGap() throws {
    let host = try SourcedDecoder("- format: sparkplug")
    func detail(_ seq: UInt64, device: String = "m") -> String {
      let rejections = hear(host, "U/DDATA/n/\(device)", seq, [alias]).rejections
      return rejections.map(\.detail).joined()
    }
    let unknown = "no birth of U/n/m is known that explains the alias 1"
    #expect(detail(7).hasPrefix(unknown))
    // Nothing that was known is lost.
    #expect(detail(9).hasPrefix(unknown))
    _ = hear(host, "U/NBIRTH/n", 0, [])
    _ = hear(host, "U/DBIRTH/n/m", 1, [total])
    #expect(detail(2) == "")
    let gap = "messages of U/n are missing before it: number 5 came after 2, so that its births"
    #expect(detail(5).hasPrefix(gap))
    #expect(detail(6).hasPrefix(gap))
    _ = hear(host, "U/NBIRTH/n", 0, [])
    #expect(detail(1).hasPrefix(unknown))
    _ = hear(host, "U/DBIRTH/n/m", 2, [total])
    #expect(detail(3) == "")
  }
}
