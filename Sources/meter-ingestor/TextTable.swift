// A table for people: columns of equal width, two blanks apart.

struct TextTable {
  private let rightAligned: Set<Int>
  private var rows: [[String]]

  /// - Parameter rightAligned: columns of numbers, counted from 0.
  init(_ header: [String], rightAligned: Set<Int> = []) {
    self.rightAligned = rightAligned
    rows = [header]
  }

  mutating func append(_ row: [String]) { rows.append(row) }

  var lines: [String] {
    let widths = (rows.first ?? []).indices.map { column in
      rows.map { $0[column].count }.max() ?? 0
    }
    return rows.map { row in
      let cells = zip(row.indices, row).map { column, text in
        let blanks = String(repeating: " ", count: widths[column] - text.count)
        return rightAligned.contains(column) ? blanks + text : text + blanks
      }
      var line = Substring(cells.joined(separator: "  "))
      while line.last == " " { line.removeLast() }
      return String(line)
    }
  }
}
