// `meter-ingestor bench` as its users see it: everything measured once, and no number believed whose
// rows are wrong.

import Foundation
import FoundationXML
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite(.serialized) struct BenchCommandTests {
  private struct Result: Decodable {
    struct Line: Decodable {
      struct Rate: Decodable { var median: Double }
      struct Latency: Decodable {
        var p50: Double
        var p99: Double

        enum CodingKeys: String, CodingKey {
          case p50 = "p50_ms"
          case p99 = "p99_ms"
        }
      }
      var measure: String
      var label: String
      var rate: Rate
      var latency: Latency?
      var peakBytes: Int?

      enum CodingKeys: String, CodingKey {
        case measure, label, latency
        case rate = "readings_per_second"
        case peakBytes = "peak_resident_bytes"
      }
    }
    var measures: [Line]
  }

  private static let baseline = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("deploy/bench-baselines/shell").path

  /// The tests' services, which are there already.
  private static func given(_ database: String) -> [String] {
    ["--postgres-url", database, "--mqtt-url", TestServices.shared.mqttURL]
  }

  @Test func everythingIsMeasuredOnce() throws {
    let folder = try Folder()
    let ended = try folder.bench([
      "--quick", "--prefill", "5000", "--json", "--svg", folder.path + "/chart.svg", "--against",
      Self.baseline,
    ])
    #expect(ended.status == 0, "\(ended.errors)")
    let result = try JSONDecoder().decode(Result.self, from: Data(ended.output.utf8))
    #expect(
      result.measures.map(\.measure) == [
        "raw-copy", "psql-copy", "direct", "prefilled", "raw-copy-n", "direct-n",
        "raw-copy-100", "broker", "end-to-end-1", "end-to-end-100", "latency", "against", "against",
      ])
    #expect(result.measures.allSatisfy { $0.rate.median > 0 })
    let latency = try #require(result.measures.first { $0.measure == "latency" }?.latency)
    #expect(latency.p50 > 0 && latency.p99 >= latency.p50 && latency.p99 < 10_000)
    let direct = try #require(result.measures.first { $0.measure == "direct" })
    #expect(try #require(direct.peakBytes) > 1 << 20)
    // A pipe gets no progress.
    #expect(ended.errors.isEmpty)
    let chart = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/chart.svg"))
    #expect(XMLParser(data: chart).parse())
    #expect(folder.isLeftClean)
  }

  @Test(arguments: [
    ("sed 1d", "1999 rows are stored instead of 2000"),
    ("sed '1s/\"energy_amount\":0/\"energy_amount\":1/'", "instead of"),
    ("sed 1p", "only 2000 of the rows are distinct readings"),
    ("sed '1s/\"timestamp\":17/\"timestamp\":16/'", "1999 rows are stored instead of 2000"),
  ])
  func aWrongRowLeavesNoNumber(_ sabotage: String, _ complaint: String) throws {
    let folder = try Folder()
    let script = try String(contentsOfFile: Self.baseline, encoding: .utf8)
      .replacing("| split", with: "| \(sabotage) | split")
    try script.write(toFile: folder.path + "/saboteur", atomically: true, encoding: .utf8)
    let ended = try folder.bench(
      ["--quick", "--only", "end-to-end-1,against", "--against", "sh \(folder.path)/saboteur"]
        + Self.given(TestServices.migratedDatabase()))
    #expect(ended.status == 1)
    #expect(ended.output.isEmpty)
    #expect(ended.errors.contains("sh, 1 a message: "))
    #expect(ended.errors.contains(complaint), "\(ended.errors)")
    #expect(folder.isLeftClean)
  }

  @Test func aRivalThatFailsIsQuoted() throws {
    let folder = try Folder()
    let ended = try folder.bench(
      ["--quick", "--only", "against", "--against", "echo no luck today; exit 3"]
        + Self.given(TestServices.migratedDatabase()))
    #expect(ended.status == 1)
    #expect(ended.output.isEmpty)
    #expect(ended.errors.contains("ended with status 3 before it was ready"))
    #expect(ended.errors.contains("no luck today"))
  }

  @Test func aDatabaseWithRowsIsLeftAlone() throws {
    let folder = try Folder()
    let database = try TestServices.migratedDatabase()
    let connection = try PostgresConnection(url: database)
    try connection.execute(
      """
      INSERT INTO grid.energy_consumption
        (consumer_id, energy_amount, consumer_type, location_json)
      VALUES ('m', 1, 'residential', '{}')
      """)
    let refused = try folder.bench(["--quick", "--only", "direct"] + Self.given(database))
    #expect(refused.status == 2)
    #expect(refused.output.isEmpty)
    #expect(refused.errors.contains("grid.energy_consumption"))
    #expect(refused.errors.contains("--yes-use-this-database"))
    #expect(try connection.query("SELECT count(*) FROM grid.energy_consumption")[0][0] == "1")
    let allowed = try folder.bench(
      ["--quick", "--only", "direct,end-to-end-1", "--yes-use-this-database"]
        + Self.given(database))
    #expect(allowed.status == 0, "\(allowed.errors)")
    #expect(allowed.output.contains("direct replay, 1 worker"))
    #expect(folder.isLeftClean)
  }

  /// Packets cannot be sent past a library that encrypts them: there, `replay` publishes.
  @Test func aBrokerThatEncryptsIsMeasuredToo() throws {
    let folder = try Folder()
    let certificates = try ThrowawayCertificates(in: folder.path + "/certificates")
    let services = try PrivateServices.start(
      in: folder.path, broker: .init(tls: .init(certificates)), postgres: .init(fsync: false))
    let database = try services.createDatabase("bench")
    try Migrator(PostgresConnection(url: database)).migrate()
    let ended = try folder.bench(
      [
        "--quick", "--only", "broker,end-to-end-1,end-to-end-100", "--postgres-url", database,
        "--mqtt-url", services.mqttURL,
      ], environment: ["SSL_CERT_FILE": certificates.authority])
    #expect(ended.status == 0, "\(ended.errors)")
    #expect(ended.output.contains("end to end, 100 a message"))
    try services.stop()
  }

  @Test(arguments: [
    (["--only", "everything"], "--only everything"), (["--rounds", "0"], "--rounds 0"),
    (["--readings", "150"], "--readings 150"), (["--mqtt-url", "mqtt://h"], "go together"),
    (["--yes-use-this-database"], "without --postgres-url"),
  ])
  func mistakesAreNamed(_ arguments: [String], _ words: String) throws {
    let ended = try Folder().bench(arguments)
    #expect(ended.status == 2)
    #expect(ended.errors.contains(words), "\(ended.errors)")
  }
}

/// A folder for the private services of one bench, and what it said.
private final class Folder {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func bench(
    _ arguments: [String], environment: [String: String] = [:]
  ) throws -> (status: Int32, output: String, errors: String) {
    let (out, err) = (path + "/out", path + "/err")
    for file in [out, err] { try? FileManager.default.removeItem(atPath: file) }
    var child = try ChildProcess(
      [TestServices.program, "bench", "--directory", path + "/services"] + arguments,
      environment: environment, output: out, errors: err)
    let status = child.waitForExit(atMost: .seconds(180))
    if status == nil {
      kill(child.pid, SIGTERM)
      _ = child.waitForExit(atMost: .seconds(20))
    }
    func text(_ file: String) -> String {
      String(decoding: FileManager.default.contents(atPath: file) ?? Data(), as: UTF8.self)
    }
    return (try #require(status, "did not end: \(text(err))"), text(out), text(err))
  }

  /// Whether no service left anything behind.
  var isLeftClean: Bool {
    let left = try? FileManager.default.contentsOfDirectory(atPath: path + "/services")
    return left?.isEmpty ?? true
  }
}
