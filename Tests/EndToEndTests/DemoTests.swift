// `deploy/run`'s demo: a newcomer's first minute.

import Foundation
import PrivateServices
import TestServices
import Testing

@Suite(.serialized) struct DemoTests {
  private struct Ledger: Decodable {
    var published: Int
    var received: Int
    var lost: Int
    var stored: [String: Int]
  }

  @Test func twoDemosSideBySideLoseNothing() throws {
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let arguments = [
      TestServices.program, "demo", "--for", "4s", "--json", "--directory", folder + "/local",
    ]
    var demos = try (0..<2).map {
      try ChildProcess(arguments, output: "\(folder)/out\($0)", errors: "\(folder)/err\($0)")
    }
    for number in 0..<2 {
      let status = demos[number].waitForExit(atMost: .seconds(60))
      let errors = text("\(folder)/err\(number)")
      #expect(status == 0, "\(errors)")
      let ledger = try JSONDecoder().decode(
        Ledger.self, from: Data(text("\(folder)/out\(number)").utf8))
      #expect(ledger.lost == 0)
      #expect(ledger.published == ledger.received)
      #expect(ledger.stored.count == 3)
      for (table, rows) in ledger.stored { #expect(rows > 0, "\(table)") }
    }
    // The services are gone, and their folders with them.
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/local").isEmpty)
  }

  @Test func controlCStopsEverything() async throws {
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var demo = try ChildProcess(
      [TestServices.program, "demo", "--backfill", "1h", "--directory", folder + "/local"],
      output: folder + "/out")
    try await eventually("the first line of rates\n\(text(folder + "/out"))") {
      text(folder + "/out").contains("received ")
    }
    kill(demo.pid, SIGINT)
    #expect(demo.waitForExit(atMost: .seconds(20)) == 0, "\(text(folder + "/out"))")
    let output = text(folder + "/out")
    #expect(output.contains("status page"))
    #expect(output.contains(/\nlost +0\n/))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/local").isEmpty)
  }

  private func text(_ file: String) -> String {
    String(decoding: FileManager.default.contents(atPath: file) ?? Data(), as: UTF8.self)
  }
}
