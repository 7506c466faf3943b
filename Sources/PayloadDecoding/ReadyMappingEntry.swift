// What an entry says of a ready-made mapping: where its topics begin, and what of it counts here.

import EnergyReadings
import Yams

extension SourceEntry {
  mutating func sources(_ ready: ReadyMapping) throws(SourceProblem) -> [Source] {
    let root = try text("root")
    var own = values
    for key in ["format", "root", "import", "export"] { own[key] = nil }
    let several = ready.entries.count > 1
    for key in ["topic", "device", "value", "values", "register"] where several && own[key] != nil {
      throw SourceProblem(
        key,
        "\(ready.name) is several sources, so that one \(key) cannot serve them all; "
          + "`root` moves their topics and `devices` names their devices")
    }
    if own["kind"] != nil, several || ready.entries.contains(where: { $0["values"] != nil }) {
      throw SourceProblem(
        "kind", "\(ready.name) has several registers; set import or export to what theirs is here")
    }
    let flows = try redirections()
    var sources: [Source] = []
    for node in ready.entries.compactMap({ $0.redirected(by: flows) }) {
      var entry = try SourceEntry(node).overridden(by: own)
      if own["topic"] == nil, let root, let topic = try entry.text("topic") {
        entry.values["topic"] = Node(root + topic.dropFirst(ready.root.count))
      }
      sources.append(try entry.mappedSource())
      entry.known.formUnion(["root", "import", "export"])
      try entry.refuseOthers()
    }
    if sources.isEmpty { throw SourceProblem("import", "nothing is left of \(ready.name)") }
    return sources
  }

  /// What `import` and `export` make of consumption and production; `none`: nothing.
  private mutating func redirections() throws(SourceProblem) -> [String: String] {
    var flows: [String: String] = [:]
    for (key, kind) in [("import", "consumption"), ("export", "production")] {
      guard let text = try text(key) else { continue }
      if text != "none", RegisterSample.Flow(text) == nil {
        throw SourceProblem(key, RegisterSample.Flow.expected(text) + ", none")
      }
      flows[kind] = text
    }
    return flows
  }
}

extension Node {
  /// This mapping, or each of its `values`, with another `kind`; nil where nothing is left of it.
  fileprivate func redirected(by flows: [String: String]) -> Node? {
    var node = self
    for key in ["kind", "kind_negative"] {
      guard let kind = node[key]?.string, let other = flows[kind] else { continue }
      if other == "none", key == "kind" { return nil }
      node[key] = other == "none" ? nil : Node(other)
    }
    if let values = node["values"]?.sequence {
      let kept = values.compactMap { $0.redirected(by: flows) }
      if kept.isEmpty { return nil }
      node["values"] = Node(kept)
    }
    return node
  }
}
