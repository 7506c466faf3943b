// The page in a real browser, before a running ingestor with 200 simulated meters.

import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite(.serialized, .enabled(if: Browser.isInstalled)) struct PageTests {
  /// What makes an element carry too little contrast for its text: WCAG 2.2, 1.4.3, level AA.
  private static let contrastProblems = """
    (() => {
      const channel = c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
      const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
      const parts = text => text.match(/[0-9.]+/g).map(Number);
      const ground = node => {
        for (; node; node = node.parentElement) {
          const colour = parts(getComputedStyle(node).backgroundColor);
          if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
      };
      const own = node => [...node.childNodes].some(n => n.nodeType === 3 && n.data.trim());
      return [...document.querySelectorAll("body *:not(script):not(noscript):not(svg *)")]
        .filter(node => own(node) && node.checkVisibility()).filter(node => {
          const pair = [light(parts(getComputedStyle(node).color)), light(ground(node))].sort();
          return (Math.max(...pair) + .05) / (Math.min(...pair) + .05) < 4.5;
        }).map(node => node.tagName + ": " + node.textContent.slice(0, 40)).join("; ");
    })()
    """

  @Test func figuresMoveAndEqualTheDatabases() async throws {
    let demo = try await RunningDemo()
    let browser = try Browser()
    try browser.open(demo.page + "/", width: 1280, height: 900)
    try await eventually("a state in words: \(browser.complaints)") {
      try browser.text("document.readyState") == "complete"
        && browser.text("document.getElementById('state').textContent") == "Well"
    }
    let rows = """
      SELECT (SELECT count(*) FROM grid.energy_production)
        + (SELECT count(*) FROM grid.energy_consumption)
        + (SELECT count(*) FROM grid.storage_operations)
      """
    let stored = "document.querySelector('#ledger tr.total td[data-label=Stored]').textContent"
    func shown() throws -> Int { Int(try browser.text(stored).replacing(",", with: "")) ?? -1 }
    let before = Int(try value(rows, in: demo.database) ?? "") ?? 0
    #expect(before > 5_000)
    // It shows what was there, then more; and never what is not there.
    try await eventually("\(before) rows on the page") { try shown() >= before }
    let first = try shown()
    try await eventually("a figure that moves") { try shown() > first }
    let last = try shown()
    #expect(last <= Int(try value(rows, in: demo.database) ?? "") ?? 0)
    try await expectChartEqualsDatabase(browser, demo)
    #expect(browser.complaints == [])
  }

  /// A bucket of some hours ago, to the last digit.
  private func expectChartEqualsDatabase(_ browser: Browser, _ demo: RunningDemo) async throws {
    try await eventually("the chart") {
      try browser.text("energy !== null && energy.buckets.length === 96") == "true"
        && Int(browser.text("chart.querySelectorAll('rect').length")) ?? 0 > 90
    }
    let bucket = "energy.buckets[70]"
    let begins = try browser.text("\(bucket).begins")
    for (field, table, time, more) in [
      ("production", "energy_production", "timestamp", ""),
      ("consumption", "energy_consumption", "timestamp", ""),
      ("charge", "storage_operations", "executed_at", "AND operation_type = 'charge'"),
      ("discharge", "storage_operations", "executed_at", "AND operation_type = 'discharge'"),
    ] {
      let kWh = try value(
        """
        SELECT coalesce(sum(energy_amount), 0) FROM grid.\(table)
        WHERE \(time) > '\(begins)' AND \(time) <= timestamptz '\(begins)' + interval '15 minutes'
        \(more)
        """, in: demo.database)
      let onPage = try browser.text("\(bucket).\(field).toFixed(6)")
      #expect(Double(onPage) == kWh.flatMap { Double($0) }, "\(field)")
    }
    // For the keyboard and for those who see no chart.
    _ = try browser.text("chart.focus()")
    let altogether = try browser.text("byId('readout').textContent")
    for type in ["keyDown", "keyUp"] {
      try browser.tell(
        "Input.dispatchKeyEvent", ["type": type, "key": "ArrowLeft", "code": "ArrowLeft"])
    }
    #expect(try browser.text("byId('readout').textContent") != altogether)
    _ = try browser.text("byId('energy-as-table').open = true")
    try await eventually("the chart as a table") {
      try browser.text("byId('energy-table').tBodies[0].rows.length") == "96"
    }
    _ = try browser.text("document.querySelector('[data-query=energy]').open = true")
    try await eventually("the query") {
      try browser.text("document.querySelector('[data-query=energy] pre').textContent")
        .contains("FROM grid.energy_production")
    }
  }

  /// Every part of the page says how its figures are known, in words that work when they are pasted.
  @Test func everyFigureCanBeFoundByWhatThePageShows() async throws {
    let demo = try await RunningDemo()
    try demo.publish("mill-7", energy: "-1")
    let browser = try Browser()
    for (path, ready) in [
      ("/", "document.querySelectorAll('#grids tbody tr').length > 5"),
      ("/meters/mill-7", "document.getElementById('letters')?.textContent.includes('check_')"),
    ] {
      try browser.open(demo.page + path, width: 1280, height: 900)
      try await eventually("\(path): \(browser.complaints)") { try browser.text(ready) == "true" }
      let silent = """
        [...document.querySelectorAll("section")].map(s => s.closest(".explained") || s)
          .filter(s => !s.querySelector("details.how")).map(s => s.textContent).join("; ")
        """
      #expect(try browser.text(silent) == "")
      _ = try browser.text("document.querySelectorAll('details.how').forEach(h => h.open = true)")
      let missing = """
        [...document.querySelectorAll("details.how")].some(h => !h.querySelector("pre")
          || [...h.querySelectorAll("pre")].some(p => p.textContent === "…"))
        """
      try await eventually("all is explained") { try browser.text(missing) == "false" }
      for (kind, isSQL) in [("sql", true), ("shell", false), ("state", false)] {
        let texts = try browser.text(
          "JSON.stringify([...document.querySelectorAll('pre.\(kind)')].map(p => p.textContent))")
        for text in try JSONDecoder().decode([String].self, from: Data(texts.utf8)) {
          if isSQL {
            #expect(try value(text, in: demo.database) != nil, "\(text)")
          } else {
            try await expectFindsAll(text)
          }
        }
      }
    }
    #expect(browser.complaints == [])
  }

  /// That a command which the page shows prints something, and of each metric that it names.
  private func expectFindsAll(_ command: String) async throws {
    // The demo has no spool, and the page shows none.
    let names = command.matches(of: /-e \^(\w+)/).map { String($0.output.1) }
      .filter { $0 != "meter_ingestor_spool_messages" }
    try await eventually("all of \(command)") {
      let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
      defer { try? FileManager.default.removeItem(at: file) }
      var child = try ChildProcess(["/bin/sh", "-c", command], output: file.path)
      let status = child.waitForExit(atMost: .seconds(20))
      let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
      return status == 0 && !lines.isEmpty
        && names.allSatisfy { name in lines.contains { $0.hasPrefix(name) } }
    }
  }

  @Test func aHostileDeviceIDDoesNothing() async throws {
    let demo = try await RunningDemo()
    let browser = try Browser()
    try browser.open(demo.page + "/", width: 1280, height: 900)
    try await eventually("rejections") {
      try browser.text("document.getElementById('rejections')?.textContent")
        .contains("No dead letter is open")
    }
    // A machine that stands still for a moment is not the page's fault: one of three is in time.
    var id = ""
    var fastest = Duration.seconds(60)
    for attempt in 1...3 where fastest >= .seconds(3) {
      id = "<img src=x onerror=window.owned=\(attempt)>"
      let begin = ContinuousClock.now
      try demo.publish(id, energy: "-1")
      try await eventually("the rejection") {
        try browser.text("byId('rejections').textContent").contains(id)
      }
      fastest = ContinuousClock.now - begin
    }
    #expect(fastest < .seconds(3))
    try await expectHarmless(browser, demo)
    // Its own page, by the link.
    _ = try browser.text("document.querySelector('#rejections a').click()")
    try await eventually("the meter's page: \(browser.complaints)") {
      try browser.text("document.getElementById('letters')?.textContent").contains(
        "check_violation")
        && browser.text("byId('summary').textContent").contains(id)
    }
    try await expectHarmless(browser, demo)
    // Known, and not there: the policy refuses nothing because nothing is tried.
    #expect(browser.complaints == [])
    try browser.open(demo.page + "/meters/nobody", width: 390, height: 800)
    try await eventually("a meter that nobody knows") {
      try browser.text("document.getElementById('summary')?.textContent").contains("no meter")
    }
  }

  private func expectHarmless(_ browser: Browser, _ demo: RunningDemo) async throws {
    #expect(try browser.text("document.images.length") == "0")
    #expect(try browser.text("window.owned") == "undefined")
    #expect(try browser.text("document.querySelectorAll('[onerror]').length") == "0")
  }

  /// Readable in both schemes and from a phone's width to a wall's. With
  /// METER_INGESTOR_SCREENSHOTS the pictures are kept in that folder: the README shows them.
  @Test func readableInLightAndDarkAndOnAPhone() async throws {
    let demo = try await RunningDemo()
    let browser = try Browser()
    let folder = ProcessInfo.processInfo.environment["METER_INGESTOR_SCREENSHOTS"]
    for (name, width, height, dark, bad) in [
      ("light", 1280, 1080, false, 0), ("dark", 1280, 1080, true, 2),
      ("phone", 390, 1500, false, 2),
      ("wall", 1920, 1080, true, 2),
    ] {
      if name == "dark" {
        try demo.publish("mill-7", energy: "-1")
        try demo.publish("mill-8", energy: "\"a lot\"")
      }
      try browser.open(demo.page + "/", width: width, height: height, dark: dark)
      try await eventually("the page at \(width): \(browser.complaints)") {
        try browser.text("document.querySelectorAll('.rejection').length") == "\(bad)"
          && Int(browser.text("document.querySelectorAll('#chart rect').length")) ?? 0 > 90
          && Int(browser.text("document.querySelectorAll('#grids tbody tr').length")) ?? 0 > 5
          && browser.text("document.getElementById('path').textContent").contains("of 200 heard")
      }
      #expect(try browser.text("document.documentElement.scrollWidth") == "\(width)", "\(name)")
      #expect(try browser.text(Self.contrastProblems) == "", "\(name)")
      let png = try browser.picture(width: width, height: height)
      #expect(png.starts(with: [0x89, 0x50, 0x4e, 0x47]), "\(name)")
      guard let folder, name != "wall" else { continue }
      #expect(png.count < 150_000, "\(name)")
      try png.write(to: URL(fileURLWithPath: "\(folder)/page-\(name).png"))
    }
    #expect(browser.complaints == [])
  }
}

/// `meter-ingestor demo` in the background: broker, database, 200 meters and the ingestor.
private final class RunningDemo {
  let page: String
  let database: String
  private let brokerPort: String
  private var child: ChildProcess
  private let folder: String

  init() async throws {
    let folder = scratchFolder()
    self.folder = folder
    child = try ChildProcess(
      [TestServices.program, "demo", "--interval", "2", "--directory", folder + "/local"],
      output: folder + "/out")
    func output() -> String {
      let data = FileManager.default.contents(atPath: folder + "/out") ?? Data()
      return String(decoding: data, as: UTF8.self)
    }
    try await eventually("the demo's addresses and first rates\n\(output())") {
      output().contains("received ")
    }
    let text = output()
    page = String(try #require(text.firstMatch(of: /status page +(http:\S+)/)?.1))
    database = String(try #require(text.firstMatch(of: /psql (postgresql:\S+)/)?.1))
    brokerPort = String(try #require(text.firstMatch(of: /mosquitto_sub -p ([0-9]+)/)?.1))
  }

  deinit {
    kill(child.pid, SIGTERM)
    if child.waitForExit(atMost: .seconds(20)) == nil {
      kill(child.pid, SIGKILL)
      _ = child.waitForExit(atMost: .seconds(5))
    }
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// A household's reading.
  func publish(_ device: String, energy: String) throws {
    let time = Date.now.formatted(.iso8601)
    let status = try runTool(
      "mosquitto_pub",
      [
        "-p", brokerPort, "-q", "1", "-t", "gridtokenx/v1/BKK-07/consumption/\(device)", "-m",
        #"{"timestamp":"\#(time)","energy_amount":\#(energy),"consumer_type":"residential"}"#,
      ])
    #expect(status == 0)
  }
}
