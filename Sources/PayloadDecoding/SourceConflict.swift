// Sources that cannot stand side by side.

import EnergyReadings

/// Two sources that are in each other's way, by their positions in a list.
struct SourceConflict: Error {
  /// The later one.
  var source: Int
  /// The earlier one; nil where it is one that is always there.
  var other: Int?
  /// The key that is to be changed.
  var key: String
  var problem: String
  /// What to do about it; empty where the problem says it.
  var remedy = ""

  /// - Throws: where two sources, or a source and one that is always there, match the same topic.
  static func refuseSharedTopics(of sources: [Source]) throws(SourceConflict) {
    for (index, source) in sources.enumerated() {
      for (number, other) in sources[..<index].enumerated()
      where source.filter.overlaps(other.filter) {
        throw SourceConflict(
          source: index, other: number, key: "topic",
          problem: "\"\(source.filter)\" and \"\(other.filter)\" match the same topics",
          remedy: "one topic belongs to one source, which may have several values: "
            + "narrow one of them")
      }
      for text in TopicRoute.defaultFilters {
        guard let own = try? TopicFilter(text), own.overlaps(source.filter) else { continue }
        throw SourceConflict(
          source: index, key: "topic",
          problem:
            "\"\(source.filter)\" matches topics of \"\(own)\", a source that is always there")
      }
    }
  }

  /// - Parameter entries: which entry of the file each source is of. The sources of one entry are
  ///   meant together: several topics of theirs may tell one total.
  /// - Throws: where sources of two entries count one register of one device for certain: each of
  ///   their totals would look like a jump of the other's.
  static func refuseSharedRegisters(
    of sources: [Source], in entries: [Int]
  ) throws(SourceConflict) {
    var owners: [[String]: Int] = [:]
    for (index, source) in sources.enumerated() {
      guard let device = source.fixedDevice else { continue }
      for register in source.format.fixedRegisters {
        guard let owner = owners[[device, register]] else {
          owners[[device, register]] = index
          continue
        }
        if entries[owner] == entries[index] { continue }
        throw SourceConflict(
          source: index, other: owner, key: "",
          problem: "two sources count the register \"\(register)\" of the device \"\(device)\"",
          remedy:
            "the totals of two meters would be taken for those of one: give each device of one "
            + "source an id of its own, in `devices` or `device`; or, for another total of one meter, "
            + "another `register`")
      }
    }
  }
}
