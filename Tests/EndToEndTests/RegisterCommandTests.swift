// `register` as people call it.

import Foundation
import TestServices
import Testing

@Suite struct RegisterCommandTests {
  private let folder = scratchFolder()

  private func register(
    _ text: String, in database: String, _ flags: String...
  ) throws -> Outcome {
    let file = folder + "/devices.csv"
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    return try run(["register", file] + flags, environment: ["POSTGRES_URL": database])
  }

  private static let header = "kind,id,name,type,grid_code,energy_sources,capacity_kw\n"

  @Test func aTableIsRegisteredAndTheReportSaysHow() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let database = try TestServices.migratedDatabase()
    let text = Self.header + "producer,p-1,Roof,residential,G-1,solar,5\n"
    let rehearsal = try register(text, in: database, "--dry-run")
    #expect(rehearsal.status == 0, "\(rehearsal.errors)")
    #expect(
      rehearsal.output
        == """
        new      line 2 producer p-1
        1 new, 0 changed, 0 unchanged, 0 refused; nothing was written, as asked

        """)
    let count = "SELECT count(*) FROM blockchain.registered_producers"
    #expect(try value(count, in: database) == "0")
    #expect(try register(text, in: database).status == 0)
    #expect(try value(count, in: database) == "1")
    let again = try register(
      text.replacing(",5\n", with: ",6\n") + "consumer,c-1,House,residential,G-1,,\n",
      in: database)
    #expect(
      again.output
        == """
        new      line 3 consumer c-1
        changed  line 2 producer p-1: capacity_kw 5.000000 → 6.000000
        1 new, 1 changed, 0 unchanged, 0 refused

        """)
  }

  @Test func oneBadLineRefusesTheFile() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let database = try TestServices.migratedDatabase()
    let text =
      Self.header
        + """
        consumer,c-1,House,residential,G-1,,
        consumer,c-2,House,lunar,G-1,,
        consumer,c-3,House,,G-1,,
        """
    let outcome = try register(text, in: database, "--json")
    #expect(outcome.status == 1)
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    #expect(report["written"] as? Bool == false)
    let entries = try #require(report["entries"] as? [[String: Any]])
    #expect(
      entries.map { "\($0["outcome"] ?? "") \($0["place"] ?? "")" } == [
        "refused line 4", "new line 2", "refused line 3",
      ])
    #expect(entries[0]["reason"] as? String == "type is empty; a consumer needs it")
    let count = "SELECT count(*) FROM blockchain.registered_consumers"
    #expect(try value(count, in: database) == "0")
    let partly = try register(text, in: database, "--skip-refused")
    #expect(partly.status == 1)
    #expect(partly.output.contains("1 new, 0 changed, 0 unchanged, 2 refused\n"))
    #expect(try value(count, in: database) == "1")
    let unreadable = try register("kind,id,colour\n", in: database)
    #expect(unreadable.status == 2)
    #expect(unreadable.errors.contains("devices.csv: line 1: no column \"colour\""))
  }

  @Test func helpNamesTheColumns() throws {
    let help = try run(["register", "--help"]).output
    for column in ["kind", "energy_sources", "capacity_mwh", "public_key"] {
      #expect(help.contains("\n  \(column) "), "\(column)")
    }
  }
}
