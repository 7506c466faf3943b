// The report as a picture: an SVG file with horizontal bars, for light and dark pages, without script.

/// A bar for each measure's rate, with its limit, its spread and its number.
public struct BarChart {
  private let report: BenchReport
  private static let labelWidth = 320.0
  private static let barWidth = 400.0
  private static let width = 860.0
  private static let rowHeight = 30.0
  private static let top = 64.0

  public init(_ report: BenchReport) { self.report = report }

  /// A complete SVG document.
  public var svg: String {
    // Latency runs at a rate that the bench chose: no bar.
    let rows = report.rows.filter { $0.measure != .latency }
    let height = Self.top + Double(rows.count) * Self.rowHeight + 40
    let most = rows.map(\.rate.most).max() ?? 1
    let bars = rows.enumerated().map { bar($1, at: $0, of: most) }.joined(separator: "\n")
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(Self.width)) \(Int(height))" \
      role="img" aria-label="Readings per second">
      <title>meter-ingestor bench: readings per second</title>
      <style>\(Self.style)</style>
      <rect class="page" width="100%" height="100%"/>
      <text class="title" x="20" y="30">Readings per second</text>
      <text class="note" x="20" y="48">medians of \(report.rounds), whiskers min…max; \
      ratio to the limit in brackets</text>
      \(bars)
      <text class="note" x="20" y="\(Self.text(height - 16))">\(Self.escape(report.machine))</text>
      </svg>

      """
  }

  private func bar(_ row: BenchRow, at index: Int, of most: Double) -> String {
    let y = Self.top + Double(index) * Self.rowHeight
    let middle = y + 11
    let rate = row.rate
    func x(_ value: Double) -> Double { Self.labelWidth + Self.barWidth * value / max(most, 1) }
    let kind = row.isOurs ? "ours" : row.measure == .against ? "rival" : "limit"
    let ratio = report.ratio(row).map { " (\(BenchReport.number($0, 2)))" } ?? ""
    let end = Self.text(x(rate.most) + 8)
    return """
      <text class="label" x="\(Self.text(Self.labelWidth - 10))" y="\(Self.text(y + 15))">\
      \(Self.escape(row.label))</text>
      <rect class="\(kind)" x="\(Self.text(Self.labelWidth))" y="\(Self.text(y))" rx="2" \
      width="\(Self.text(x(rate.median) - Self.labelWidth))" height="22"/>
      <path class="whisker" d="M\(Self.text(x(rate.least))) \(Self.text(middle))\
      H\(Self.text(x(rate.most)))"/>
      <text class="value" x="\(end)" y="\(Self.text(y + 15))">\
      \(BenchReport.number(rate.median, 0))\(ratio)</text>
      """
  }

  private static let style = """
    text{font:13px system-ui,sans-serif;fill:#1c2430}.title{font-size:16px;font-weight:600}\
    .note{font-size:11px;fill:#5b6675}.label{text-anchor:end}.page{fill:#fff}\
    .ours{fill:#1f7a5c}.limit{fill:#b9c2cc}.rival{fill:#c98a2b}.whisker{stroke:#1c2430;opacity:.6}\
    @media (prefers-color-scheme:dark){text{fill:#e6eaf0}.note{fill:#9aa5b4}.page{fill:#14181f}\
    .ours{fill:#37b48a}.limit{fill:#56606d}.rival{fill:#d9a24a}.whisker{stroke:#e6eaf0}}
    """

  private static func text(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

  /// Names of rivals come from a command line.
  static func escape(_ text: String) -> String {
    let valid = text.unicodeScalars.filter { $0.value >= 0x20 }
    return String(String.UnicodeScalarView(valid))
      .replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }
}
