// A step's figures, and the table and JSON that they are printed as.

import Foundation

/// What one step costs on one kind of traffic.
struct Measurement: Codable {
  var step: Step
  var traffic: Traffic
  /// Readings in a round.
  var readings: Int
  /// CPU time; median of the rounds.
  var nanosecondsPerReading: Double
  /// Median of the rounds; nil where the machine does not count them.
  var instructionsPerReading: Double?
  /// Heap allocations in the worst round, after the rounds that warm up.
  var allocations: UInt64

  init(_ step: Step, _ traffic: Traffic, _ rounds: [Costs]) {
    self.step = step
    self.traffic = traffic
    readings = Traffic.readings
    nanosecondsPerReading = median(rounds.map { Double($0.nanoseconds) }) / Double(readings)
    let counted = rounds.compactMap(\.instructions).map(Double.init)
    instructionsPerReading =
      counted.count < rounds.count ? nil : median(counted) / Double(readings)
    allocations = rounds.map(\.allocations).max() ?? 0
  }
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

extension [Measurement] {
  /// Lines of a table for people.
  var table: [String] {
    let header = ["step", "traffic", "ns", "instructions", "allocations"]
    let rows = map { measured in
      [
        measured.step.rawValue, measured.traffic.rawValue,
        String(format: "%.0f", measured.nanosecondsPerReading),
        measured.instructionsPerReading.map { String(format: "%.0f", $0) } ?? "-",
        String(format: "%.4f", Double(measured.allocations) / Double(measured.readings)),
      ]
    }
    return ([header] + rows).aligned(texts: 2)
  }
}

extension Encodable {
  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}

extension [[String]] {
  /// Rows of a table as lines; the first columns are texts, and numbers stand to the right.
  func aligned(texts: Int) -> [String] {
    let widths = (first ?? []).indices.map { column in map { $0[column].count }.max() ?? 0 }
    return map { row in
      row.indices.map { column in
        let blanks = String(repeating: " ", count: widths[column] - row[column].count)
        return column < texts ? row[column] + blanks : blanks + row[column]
      }.joined(separator: "  ")
    }
  }
}
