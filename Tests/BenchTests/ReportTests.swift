// What the bench makes of its samples: ratios, goals, table and picture.

import Bench
import Foundation
import FoundationXML
import Testing

@Suite struct ReportTests {
  private static func row(
    _ measure: Measure, _ label: String, rival: String? = nil, seconds: [Double], own: Double? = nil
  ) -> BenchRow {
    let samples = seconds.map { seconds in
      var sample = BenchSample(readings: 1_000, seconds: seconds)
      sample.ownSeconds = own
      return sample
    }
    return BenchRow(measure, label: label, rival: rival, samples: samples)
  }

  private static func report(_ rows: [BenchRow]) -> BenchReport {
    var report = BenchReport(
      plan: BenchPlan(program: "/bin/true"), arePrivate: true, machine: "2 × <A & B>")
    for row in rows { report.add(row) }
    return report
  }

  @Test func aRateIsHeldAgainstItsLimit() throws {
    let report = Self.report([
      Self.row(.rawCopy, "raw", seconds: [1, 1, 1]),
      Self.row(.direct, "direct", seconds: [2, 4, 1], own: 0.003),
    ])
    let direct = try #require(report.row(.direct))
    #expect(direct.rate == Spread([250, 500, 1_000]))
    #expect(report.ratio(direct) == 0.5)
    let raw = try #require(report.row(.rawCopy))
    #expect(report.ratio(raw) == nil)
    #expect(direct.microseconds(\.ownSeconds) == 3)
  }

  @Test func psqlIsTheLimitOfTheDirectReplayWhereItRan() throws {
    let report = Self.report([
      Self.row(.rawCopy, "raw", seconds: [1]), Self.row(.psqlCopy, "psql", seconds: [2]),
      Self.row(.direct, "direct", seconds: [2]),
    ])
    let direct = try #require(report.row(.direct))
    #expect(report.limit(of: direct)?.measure == .psqlCopy)
    #expect(report.ratio(direct) == 1)
  }

  @Test func goalsSayWhetherTheyAreMet() throws {
    let report = Self.report([
      Self.row(.rawCopy, "raw", seconds: [1]),
      Self.row(.direct, "direct", seconds: [1], own: 0.0025),
      Self.row(.endToEnd1, "end to end, 1 a message", seconds: [1]),
      Self.row(.against, "python, 1 a message", rival: "python", seconds: [3]),
      Self.row(.against, "shell, 1 a message", rival: "shell", seconds: [1.2]),
    ])
    #expect(report.goals.map(\.isMet) == [true, false, true, false])
    #expect(report.goals.map { ($0.measured * 100).rounded() / 100 } == [1, 2.5, 3, 1.2])
    // A goal whose limit was not measured is not spoken of.
    #expect(Self.report([Self.row(.endToEnd1, "e", seconds: [1])]).goals.isEmpty)
  }

  @Test func everyLineOfTheTableHasAllColumns() {
    let report = Self.report([Self.row(.direct, "direct", seconds: [0.001])])
    #expect(report.cells.allSatisfy { $0.count == BenchReport.columns.count })
    #expect(report.cells[0][1] == "1 000 000")
  }

  @Test func thePictureIsWellFormedWhateverTheNames() throws {
    let report = Self.report([
      Self.row(.rawCopy, "raw", seconds: [1]),
      Self.row(.against, "a<b>&\"c\u{1}", rival: "a", seconds: [0.5]),
    ])
    let parser = XMLParser(data: Data(BarChart(report).svg.utf8))
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
  }

  @Test func aRivalIsNamedByItsFile() {
    #expect(Rival(command: "deploy/bench-baselines/shell").name == "shell")
    #expect(Rival(command: "/opt/x/python.py --fast a/b").name == "python")
  }
}
