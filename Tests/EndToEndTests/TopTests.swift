// `top`, in a pipe and on a terminal.

import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct TopTests {
  private let services = TestServices.shared
  private static let token = "a-token-for-the-test"

  private func start(_ database: String, _ grid: String) async throws -> (RunningIngestor, String) {
    let ingestor = try RunningIngestor(
      database: database, broker: services.mqttURL, grid: grid,
      settings: ["http.token": Self.token])
    try await eventually("its address\n\(ingestor.log)") { ingestor.log.contains("url=http") }
    let url = try #require(ingestor.log.firstMatch(of: /url=(http:\/\/[0-9.:]+)/)?.1)
    return (ingestor, String(url))
  }

  @Test func oneSnapshotInAPipe() async throws {
    let database = try TestServices.migratedDatabase()
    let known = KnownReadings(intervals: 2, grid: TestServices.freshName())
    try known.register(in: database)
    try PostgresConnection(url: database).execute(
      """
      INSERT INTO grid.locations (province, district, grid_code, substation, coordinates,
        capacity_mw, current_load_mw)
      VALUES ('p', E'an \\x1b[31mescape', 'TOP-1', 's', '(1,2)', 1.5, 0.25);
      INSERT INTO monitoring.grid_health (grid_code, health_score, stability_index,
        congestion_level, active_connections, energy_flow_in, energy_flow_out, recorded_at)
      -- Ahead, so that no window of the ingestor's own is later.
      VALUES ('TOP-1', 0.875, 0.6, 'low', 42, 1.25, 0.5, now() + interval '5 minutes')
      """)
    let (ingestor, url) = try await start(database, known.grid)
    let environment = ["HTTP_TOKEN": Self.token]
    try await eventually("exit 0 of top\n\(ingestor.log)") {
      try run(["top", "--url", url], environment: environment).status == 0
    }
    try known.publish(0..<known.readings.count, to: services.mqttURL)
    try await known.expectStored(in: database, ingestor.log)
    // Counted right after the commit, which the table shows already.
    var lines: [Substring] = []
    try await eventually("\(known.stored) readings stored: \(lines)") {
      lines = try run(["top", "--url", url], environment: environment).output.split(separator: "\n")
      let total = lines.first { $0.hasPrefix("total ") }?.split(separator: " ") ?? []
      return total.count > 2 && total[2] == "\(known.stored)"
    }
    #expect(lines.first?.hasPrefix("WELL  All well: ") == true, "\(lines)")
    let grid = try #require(lines.first { $0.hasPrefix("TOP-1 ") })
    #expect(grid.contains("0.88") && grid.contains(" 0.25 ") && grid.contains("escape"))
    #expect(lines.contains { $0.contains(#/^grid .* heard +of +late +silent /#) }, "\(lines)")
    #expect(!lines.contains { $0.unicodeScalars.contains("\u{1B}") })
    let stranger = try run(["top", "--url", url])
    #expect(stranger.status == 1 && stranger.errors.contains("answers 401"), "\(stranger.errors)")
    let nobody = try run(["top", "--url", "http://127.0.0.1:1"])
    #expect(nobody.status == 1 && nobody.errors.contains("--url"), "\(nobody.errors)")
  }

  /// script(1) gives it a terminal.
  @Test func onATerminalItRedrawsInPlace() async throws {
    let database = try TestServices.migratedDatabase()
    let (ingestor, url) = try await start(database, TestServices.freshName())
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let command = "exec \(TestServices.program) top --url \(url) --set http.token=\(Self.token)"
    var terminal = try ChildProcess(
      ["/usr/bin/script", "-qefc", command, folder + "/typescript"], output: folder + "/out")
    func screen() -> String {
      let data = FileManager.default.contents(atPath: folder + "/out") ?? Data()
      return String(decoding: data, as: UTF8.self)
    }
    try await eventually("two pictures, one over the other\n\(screen())\(ingestor.log)") {
      screen().split(separator: "\u{1B}[H").count > 3
    }
    #expect(screen().contains("meters ──▶ 0.0/s received"))
    // The group of the terminal's session: what Ctrl-C reaches.
    #expect(try runTool("pkill", ["-INT", "-P", "\(terminal.pid)"]) == 0)
    #expect(terminal.waitForExit(atMost: .seconds(10)) == 0)
    #expect(screen().hasSuffix("\u{1B}[?25h\u{1B}[?1049l"))
  }
}
