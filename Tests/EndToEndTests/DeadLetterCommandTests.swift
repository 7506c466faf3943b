// An operator's way with dead letters: list, show, discard, export; and what hostile meters try.

import EnergyReadings
import Foundation
import MeterSimulator
import PostgresStore
import PrivateServices
import TestServices
import Testing

/// A database into which a capture of bad messages was replayed.
private struct BadDay {
  let database: String
  let environment: [String: String]
  let folder = scratchFolder()

  static let topic = "gridtokenx/v1/G-1/consumption/c-1"

  init(_ messages: [(topic: String, payload: [UInt8])]) throws {
    database = try TestServices.migratedDatabase()
    environment = ["POSTGRES_URL": database]
    if messages.isEmpty { return }
    let capture = folder + "/bad.ndjson"
    let writer = try CaptureWriter(file: capture)
    for message in messages {
      try writer.write(
        CaptureRecord(timeMilliseconds: 0, topic: message.topic, payload: message.payload))
    }
    try writer.close()
    let replay = try run(["replay", "--direct", capture], environment: environment)
    #expect(replay.status == 0, "\(replay.errors)")
  }

  init(_ payloads: [String]) throws {
    try self.init(payloads.map { (BadDay.topic, Array($0.utf8)) })
  }

  func deadLetters(_ arguments: String...) throws -> Outcome {
    try run(["dead-letters"] + arguments, environment: environment)
  }

  func count(_ condition: String = "true") throws -> String? {
    try value("SELECT count(*) FROM ingest.dead_letters WHERE \(condition)", in: database)
  }

  /// The id of the only letter.
  func id() throws -> String {
    try #require(try value("SELECT id FROM ingest.dead_letters", in: database))
  }

  /// Three without amount, one with a date that cannot be.
  static func usual() throws -> BadDay {
    try BadDay([
      #"{"timestamp":1781000000}"#, #"{"timestamp":1781000060}"#, #"{"timestamp":1781000120}"#,
      #"{"timestamp":"2026-02-30T00:00:00Z","energy_amount":1}"#,
    ])
  }
}

/// What a terminal would act on, apart from line ends.
private func steers(_ text: String) -> Bool {
  text.unicodeScalars.contains {
    $0 != "\n" && [.control, .format, .lineSeparator].contains($0.properties.generalCategory)
  }
}

@Suite struct DeadLetterCommandTests {
  private let hostile = "\u{1B}]0;x\u{07}\u{9B}31m\u{202E}\u{2028}\u{7F}"

  // MARK: - list

  @Test func listSaysWhenThereIsNone() throws {
    let day = try BadDay([String]())
    #expect(try day.deadLetters("list").output == "no open dead letters\n")
    #expect(
      try day.deadLetters("list", "--state", "all", "--device", "c-1").output
        == "no dead letters that match\n")
    let json = try day.deadLetters("list", "--json")
    #expect(json.status == 0)
    #expect(json.output == #"{"counts":[],"letters":[],"total":0}"# + "\n")
  }

  @Test func listCountsThenListsTheNewest() throws {
    let day = try BadDay.usual()
    let all = try day.deadLetters("list", "--limit", "2")
    #expect(all.status == 0, "\(all.errors)")
    let lines = all.output.split(separator: "\n")
    try #require(lines.count == 8, "\(all.output)")
    #expect(lines[0] == "4 open dead letters")
    #expect(lines[1].hasPrefix("LETTERS  DEVICES  REASON"))
    #expect(lines[2].hasPrefix("      3        1  missing_field  "))
    #expect(lines[3].hasPrefix("      1        1  out_of_range   "))
    #expect(lines[4] == "the newest 2 of 4:")
    #expect(lines[5].hasPrefix("RECEIVED"))
    #expect(lines[6...].allSatisfy { $0.contains("  c-1  ") })
    let one = try day.deadLetters("list", "--reason", "out_of_range", "--since", "1h")
    #expect(one.output.hasPrefix("1 open dead letter\n"))
    #expect(
      try day.deadLetters("list", "--until", "1h").output == "no open dead letters that match\n")
    #expect(
      try day.deadLetters("list", "--topic", "gridtokenx/v1/G-1/#", "--limit", "0").output
        .hasPrefix("4 open dead letters\n"))
  }

  @Test func listAsJSON() throws {
    struct Listing: Decodable {
      struct Count: Decodable {
        var reason: String
        var letters: Int
      }
      struct Letter: Decodable {
        var id: String
        var topic: String
        var jsonPath: String
      }
      var total: Int
      var counts: [Count]
      var letters: [Letter]
    }
    let day = try BadDay.usual()
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let listing = try decoder.decode(
      Listing.self, from: Data(day.deadLetters("list", "--json").output.utf8))
    #expect(listing.total == 4)
    #expect(listing.counts.map(\.reason) == ["missing_field", "out_of_range"])
    #expect(listing.counts.map(\.letters) == [3, 1])
    #expect(listing.letters.allSatisfy { $0.topic == BadDay.topic })
    #expect(Set(listing.letters.map(\.jsonPath)) == ["$.energy_amount", "$.timestamp"])
  }

  // MARK: - show

  @Test func showMarksTheOffendingPlace() throws {
    let day = try BadDay([#"{"timestamp":1781000000,"energy_amount":"12 kWh"}"#])
    let id = try day.id()
    let shown = try day.deadLetters("show", String(id.prefix(6)).uppercased())
    #expect(shown.status == 0, "\(shown.errors)")
    #expect(shown.output.hasPrefix("dead letter \(id)\n  reason      wrong_type\n"))
    #expect(shown.output.contains("\n  topic       \(BadDay.topic)\n"))
    #expect(shown.output.contains("\n  state       open\n"))
    #expect(shown.output.contains("\npayload, 49 bytes\n{\n  \"timestamp\": 1781000000,\n"))
    #expect(
      shown.output.contains(
        "  \"energy_amount\": \"12 kWh\"\n                   ^^^^^^^^ wrong_type: "))
    // No colours where no terminal is.
    #expect(!steers(shown.output))
  }

  @Test func showMarksWhatIsMissing() throws {
    let day = try BadDay([#"[{"timestamp":1781000000}]"#])
    let shown = try day.deadLetters("show", try day.id())
    #expect(shown.output.contains("\n{\n^ missing here: energy_amount (missing_field: "))
    #expect(shown.output.contains("number 0 of its message"))
  }

  @Test func showTellsWhatWasTriedAndWhatIsMissing() throws {
    let day = try BadDay([#"{"timestamp":1781000000}"#])
    try PostgresConnection(url: day.database).execute(
      """
      UPDATE ingest.dead_letters SET payload_bytes = 4000000, resolved_at = now(),
        resolution = 'discarded',
        history = '[{"at": "2026-06-10T00:00:00Z", "reason": "implausible", "rule": "spike"}]'
      """)
    let shown = try day.deadLetters("show", try day.id())
    #expect(shown.output.contains("payload, the first 24 of 4000000 bytes"))
    #expect(
      shown.output.contains(
        "earlier verdicts, oldest first\n  2026-06-10T00:00:00Z  implausible  spike\n"))
    #expect(shown.output.contains("\n  state       discarded at 20"))
  }

  @Test func showAsJSONHoldsEverything() throws {
    struct Document: Decodable {
      var id: String
      var reason: String
      var payload: String
      var history: [String]
    }
    let text = #"{"note":"\#(hostile)é","timestamp":1781000000}"#.replacing(
      "\u{1B}", with: "\\u001b"
    )
    .replacing("\u{07}", with: "\\u0007")
    let day = try BadDay([text])
    let shown = try day.deadLetters("show", "--json", try day.id())
    #expect(!steers(shown.output))
    let document = try JSONDecoder().decode(Document.self, from: Data(shown.output.utf8))
    #expect(document.id == (try day.id()))
    #expect(document.reason == "missing_field")
    #expect(document.payload == text)
    #expect(document.history.isEmpty)
  }

  @Test func rawIsThePayloadByteForByte() throws {
    let bytes = Array(UInt8.min...UInt8.max)
    let day = try BadDay([(BadDay.topic, bytes)])
    var child = try ChildProcess(
      [TestServices.program, "dead-letters", "show", "--raw", try day.id()],
      environment: day.environment, output: day.folder + "/raw")
    #expect(child.waitForExit(atMost: .seconds(60)) == 0)
    #expect(FileManager.default.contents(atPath: day.folder + "/raw") == Data(bytes))
    let dump = try day.deadLetters("show", try day.id()).output
    #expect(dump.contains("00000040  40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f  |@ABCDEFG"))
    #expect(!steers(dump))
  }

  @Test func aLongPayloadIsShortUnlessFull() throws {
    let filler = (0..<50_000).map { "\($0)" }.joined(separator: ",")
    let day = try BadDay([#"{"filler":[\#(filler)],"timestamp":1781000000}"#])
    let short = try day.deadLetters("show", try day.id()).output
    #expect(short.count < 3_000)
    #expect(short.contains("… 49980 more"))
    #expect(try day.deadLetters("show", "--full", try day.id()).output.contains("\n    49999\n"))
  }

  @Test func nothingThatAMeterSendsSteersTheTerminal() throws {
    let day = try BadDay([
      ("gridtokenx/v1/G-1/consumption/\(hostile)", Array("{}".utf8)),
      ("elsewhere/\(hostile)", Array(hostile.utf8)),
      (BadDay.topic, Array(#"{"timestamp":"\#(hostile.dropFirst(6))","energy_amount":1}"#.utf8)),
    ])
    #expect(try day.count() == "3")
    let listed = try day.deadLetters("list")
    #expect(listed.output.hasPrefix("3 open dead letters\n"))
    #expect(!steers(listed.output))
    #expect(!steers(try day.deadLetters("list", "--json").output))
    let ids = try PostgresConnection(url: day.database).query("SELECT id FROM ingest.dead_letters")
    for id in ids.compactMap(\.[0]) {
      let shown = try day.deadLetters("show", id)
      #expect(shown.status == 0)
      #expect(!steers(shown.output))
      #expect(shown.output.contains(#"\u{202e}"#))
    }
  }

  // MARK: - discard

  @Test func discardClosesWhatIsMeantOnce() throws {
    let day = try BadDay.usual()
    let dry = try day.deadLetters("discard", "--dry-run", "--reason", "missing_field")
    #expect(dry.output == "dry run: 3 letters would be discarded; nothing was changed\n")
    #expect(try day.count("resolved_at IS NULL") == "4")
    #expect(
      try day.deadLetters("discard", "--reason", "missing_field").output == "3 letters discarded\n")
    #expect(try day.count("resolution = 'discarded' AND reason = 'missing_field'") == "3")
    #expect(
      try day.deadLetters("discard", "--reason", "missing_field", "--json").output
        == #"{"discarded":0}"# + "\n")
    #expect(try day.deadLetters("discard", "--all").output == "1 letter discarded\n")
    let listed = try day.deadLetters("list", "--state", "resolved").output
    #expect(listed.hasPrefix("4 resolved dead letters\n") && listed.contains("  discarded  "))
  }

  // MARK: - export

  @Test(arguments: ["out.ndjson", "out.ndjson.gz"])
  func anExportCanBeReplayed(name: String) throws {
    let binary: [UInt8] = [0xFF, 0x00, 0x80]
    let payloads = [Array(#"{"timestamp":1781000000}"#.utf8), Array("x\n\"".utf8), binary, []]
    let day = try BadDay(payloads.map { (BadDay.topic, $0) })
    let file = day.folder + "/" + name
    let exported = try day.deadLetters("export", file)
    #expect(exported.status == 0, "\(exported.errors)")
    #expect(exported.errors == "4 letters written to \(file)\n")
    let reader = try CaptureReader(file: file)
    var read: [[UInt8]] = []
    while case .message = try reader.next() {
      reader.withMessage { topic, payload in
        #expect(topic.text == BadDay.topic)
        read.append(payload.withUnsafeBufferPointer { Array($0) })
      }
      if read.count == 1 { #expect(reader.timeMilliseconds == 0) }
    }
    #expect(Set(read) == Set(payloads) && read.count == 4)
    let replay = try run(["replay", "--direct", "--json", file], environment: day.environment)
    #expect(replay.status == 0, "\(replay.errors)")
    #expect(try day.count("attempts = 2") == "4")
  }

  @Test func exportOverwritesOnlyWhenTold() throws {
    let day = try BadDay.usual()
    let file = day.folder + "/mine"
    try "mine".write(toFile: file, atomically: true, encoding: .utf8)
    let refused = try day.deadLetters("export", file)
    #expect(refused.status == 2)
    #expect(refused.errors.contains("--force"))
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "mine")
    // A database that is away costs no file either.
    let away = try run(
      ["dead-letters", "export", "--force", file],
      environment: ["POSTGRES_URL": "postgresql://u@127.0.0.1:1/x"])
    #expect(away.status == 1)
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "mine")
    let forced = try day.deadLetters(
      "export", "--force", "--json", "--reason", "missing_field", file)
    #expect(forced.output == #"{"left_out":0,"written":3}"# + "\n")
  }

  @Test func exportToStandardOutputLeavesOutWhatIsIncomplete() throws {
    let day = try BadDay.usual()
    try PostgresConnection(url: day.database).execute(
      "UPDATE ingest.dead_letters SET payload_bytes = 4000000 WHERE reason = 'out_of_range'")
    let exported = try day.deadLetters("export", "-", "--json")
    #expect(exported.status == 0, "\(exported.errors)")
    let lines = exported.output.split(separator: "\n")
    #expect(lines.count == 3 && lines.allSatisfy { $0.hasPrefix(#"{"t_ms":"#) })
    #expect(exported.errors.contains("1 letter left out"))
  }

  // MARK: - Called wrongly

  @Test(arguments: [
    ["show"], ["show", "not-an-id"], ["show", "12", "--raw", "--json"], ["export"],
    ["discard"], ["discard", "--state", "all"], ["discard", "--all", "--state", "resolved"],
    ["list", "--reason", "nonsense"], ["list", "--since", "yesterday"], ["list", "--since", "24"],
    ["list", "--since", "2026-06-10T00:00:00"], ["list", "--state", "closed"],
    ["list", "--topic", "a/+/b"], ["list", "--topic", "#/a"], ["list", "--id", "1234567"],
    ["list", "--limit", "-1"],
  ])
  func calledWrongly(arguments: [String]) throws {
    let outcome = try run(["dead-letters"] + arguments)
    #expect(outcome.status == 2, "\(outcome.errors)")
    #expect(!outcome.errors.isEmpty && outcome.output.isEmpty)
  }

  @Test func anIDThatIsUnknownOrNotEnough() throws {
    let day = try BadDay.usual()
    let unknown = try day.deadLetters("show", "00000000-0000-0000-0000-000000000000")
    #expect(unknown.status == 1)
    #expect(unknown.errors.contains("no dead letter has an id that begins with 00000000-"))
    try PostgresConnection(url: day.database).execute(
      """
      UPDATE ingest.dead_letters SET id = ('abcdef01' || substr(id::text, 9))::uuid
      WHERE reason = 'missing_field'
      """)
    let several = try day.deadLetters("show", "abcdef01")
    #expect(several.status == 1)
    #expect(several.errors.components(separatedBy: "abcdef01-").count == 4)
  }

  @Test func aDatabaseWithoutTheSchemaSaysWhatToDo() throws {
    let outcome = try run(
      ["dead-letters", "list"], environment: ["POSTGRES_URL": TestServices.emptyDatabase()])
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("meter-ingestor migrate"))
  }

  @Test(arguments: ["list", "show", "discard", "export"])
  func helpReadsWell(command: String) throws {
    let help = try run(["dead-letters", command, "--help"])
    #expect(help.status == 0)
    #expect(help.output.contains("USAGE: meter-ingestor dead-letters \(command)"))
    #expect(help.output.contains("OVERVIEW: "))
  }
}
