// The file that lists the sources: YAML in, a table of sources out, or the place and cause of a mistake.

import EnergyReadings
import Yams

/// A mistake in a file of sources. Says where it is and what is allowed.
public struct SourceFileError: Error, CustomStringConvertible {
  public var file: String
  /// Position in the list, from 1; nil where it is the file as a whole.
  public var entry: Int?
  /// Line of the file, from 1, where it is known.
  public var line: Int?
  public var problem: SourceProblem

  public var description: String {
    let place = line.map { "\(file):\($0)" } ?? file
    return "\(place): " + (entry.map { "source \($0): " } ?? "") + "\(problem)"
  }
}

/// Reads files of sources.
public enum SourceFile {
  /// The sources of a file: a list of them, or an object whose `sources` is one.
  ///
  /// - Parameter name: the file's name, for errors.
  /// - Throws: what is wrong with the first source that has a mistake.
  public static func table(yaml: String, name: String) throws(SourceFileError) -> SourceTable {
    let nodes = try entries(yaml, name)
    var sources: [Source] = []
    // Which entry each source is of.
    var entries: [Int] = []
    for (number, node) in nodes.enumerated() {
      do throws(SourceProblem) {
        sources += try SourceFile.sources(of: node)
      } catch {
        throw SourceFileError(
          file: name, entry: number + 1, line: line(of: error.key, in: node), problem: error)
      }
      while entries.count < sources.count { entries.append(number) }
    }
    do throws(SourceConflict) {
      let table = try SourceTable(sources)
      try SourceConflict.refuseSharedRegisters(of: sources, in: entries)
      return table
    } catch {
      let number = entries[error.source]
      throw SourceFileError(
        file: name, entry: number + 1, line: line(of: error.key, in: nodes[number]),
        problem: problem(error, entries, nodes))
    }
  }

  /// A conflict in words that lead to both of its entries.
  private static func problem(
    _ conflict: SourceConflict, _ entries: [Int], _ nodes: [Node]
  ) -> SourceProblem {
    /// Mappings of the user's own have no name.
    func words(_ number: Int, line: Int?) -> String {
      let words = [
        line.map { "line \($0)" }, nodes[number]["format"]?.string.map { "format \($0)" },
      ]
      let known = words.compactMap(\.self).joined(separator: ", ")
      return known.isEmpty ? "" : " (\(known))"
    }
    var parts = [conflict.problem]
    if let other = conflict.other {
      let (later, earlier) = (entries[conflict.source], entries[other])
      parts.append(
        "they are this source\(words(later, line: nil)) and source \(earlier + 1)"
          + words(earlier, line: line(of: conflict.key, in: nodes[earlier])))
    }
    if !conflict.remedy.isEmpty { parts.append(conflict.remedy) }
    return SourceProblem(conflict.key, parts.joined(separator: "; "))
  }

  private static func entries(
    _ yaml: String, _ name: String
  ) throws(SourceFileError) -> [Node] {
    let root: Node?
    do { root = try Yams.compose(yaml: yaml) } catch {
      let (line, words) = mistake(error, in: yaml)
      throw SourceFileError(file: name, line: line, problem: SourceProblem("", words))
    }
    let list = root?.mapping?["sources"] ?? root
    guard let list, let entries = list.sequence else {
      throw SourceFileError(
        file: name,
        problem: SourceProblem(
          "",
          "expected a list of sources, each beginning with \"- topic:\" or \"- format:\""))
    }
    return Array(entries)
  }

  /// Where the text is no YAML, and why. The library's own description repeats the whole text.
  private static func mistake(_ error: any Error, in yaml: String) -> (line: Int?, words: String) {
    switch error as? YamlError {
    case .duplicatedKeysInMapping(let keys, let context):
      let (first, column) = (context.mark.line, context.mark.column)
      guard let key = keys.sorted().first else { return (first, "no YAML: a key is given twice") }
      // What is told is the first of the two; the second is what was added.
      let rest = yaml.split(separator: "\n", omittingEmptySubsequences: false).dropFirst(first)
      let second = rest.firstIndex { $0.dropFirst(column - 1).hasPrefix(key + ":") }
      let already = second == nil ? "" : ", in line \(first) for the first time"
      return (
        second.map { $0 + 1 } ?? first, "no YAML: the key \"\(key)\" is given twice\(already)"
      )
    case .scanner(let context, let problem, let mark, _),
      .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let text = context.map { "\($0.text) that begins in line \($0.mark.line): " } ?? ""
      return (mark.line, "no YAML: \(text)\(problem)")
    default: return (nil, "no YAML: \(error)")
    }
  }

  /// The line of a key, or of the entry that lacks it.
  private static func line(of key: String, in node: Node) -> Int? {
    let own = node.mapping?.first { $0.key.string == key }
    return (own?.key ?? node).mark?.line
  }

  /// The sources that an entry stands for: one, or all of a ready-made mapping.
  private static func sources(of node: Node) throws(SourceProblem) -> [Source] {
    var entry = try SourceEntry(node)
    let format = try entry.text("format") ?? "mapping"
    if format == "mapping" {
      let source = try entry.mappedSource()
      try entry.refuseOthers()
      return [source]
    }
    if let builtIn = BuiltInFormat.named(format) {
      let sources = try entry.sources(builtIn)
      try entry.refuseOthers()
      return sources
    }
    guard let ready = ReadyMapping.named(format) else {
      let names = BuiltInFormat.all.map(\.name) + ReadyMapping.all.map(\.name) + ["mapping"]
      throw SourceProblem(
        "format", "no format \"\(format)\"; there are \(names.joined(separator: ", "))")
    }
    return try entry.sources(ready)
  }
}

extension SourceFile {
  /// Names of the formats that have a decoder of their own, as `format` takes them.
  public static var decoders: [String] { BuiltInFormat.all.map(\.name) }

  /// Names of the mappings that come with the program, as `format` takes them.
  public static var readyMappings: [String] { ReadyMapping.all.map(\.name) }
}
