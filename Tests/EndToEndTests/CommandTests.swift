// The commands as they are called, rightly and wrongly.

import Foundation
import PostgresStore
import PrivateServices
import TestServices
import Testing

@Suite struct CommandTests {
  @Test(arguments: [
    "run", "migrate", "register", "replay", "simulate", "capture", "config", "doctor", "demo",
    "rules", "validate", "dead-letters", "devices",
  ])
  func helpReadsWell(command: String) throws {
    let help = try run([command, "--help"])
    #expect(help.status == 0)
    #expect(help.output.contains("USAGE: meter-ingestor \(command)"))
    #expect(help.output.contains("OVERVIEW: "))
  }

  @Test(arguments: [
    ["no-such-command"], ["replay"], ["run", "--no-such-flag"], ["replay", "x", "--speed", "0"],
    ["simulate", "--meters", "1"], ["run", "--set", "no.such=1"], ["run", "--config", "/nowhere"],
    ["register", "/nowhere"], ["simulate", "--out", "x"],
  ])
  func calledWrongly(arguments: [String]) throws {
    let outcome = try run(arguments)
    #expect(outcome.status == 2, "\(outcome.errors)")
    #expect(!outcome.errors.isEmpty)
  }

  @Test(arguments: [
    ("INGEST_WORKERS", "0", "ingest.workers"), ("INGEST_LINGER", "soon", "ingest.linger"),
    ("MQTT_URL", "http://x", "mqtt.url"), ("INGEST_UNREGISTERED", "maybe", "ingest.unregistered"),
    ("HTTP_LISTEN", "here", "http.listen"), ("INGEST_TARIFF", "-1", "ingest.tariff"),
    ("INGEST_TARIFF_TABLE", "06:00-22:00=1", "ingest.tariff-table"),
    ("LOG_LEVEL", "loud", "log.level"), ("MQTT_TOPICS", "a/#/b", "mqtt.topics"),
    ("MQTT_TOPICS", ",", "mqtt.topics"), ("MQTT_TOPICS", "a/b+", "mqtt.topics"),
  ])
  func aBadSettingIsNamed(variable: String, text: String, key: String) throws {
    let outcome = try run(["config"], environment: [variable: text])
    #expect(outcome.status == 2)
    #expect(outcome.errors.contains(key) && outcome.errors.contains(variable), "\(outcome.errors)")
  }

  /// The page is not opened to a network by accident.
  @Test(arguments: [
    ("0.0.0.0:0", "", "openssl rand"), ("[::]:0", "", "HTTP_TOKEN_FILE"),
    ("192.168.1.7:0", "", "listen on 127.0.0.1"), ("127.0.0.1:0", "short", "16 or more"),
    ("0.0.0.0:0", "a token with blanks in it", "16 or more"),
  ])
  func beyondLoopbackThePageWantsAToken(listen: String, token: String, says: String) throws {
    let outcome = try run(["run"], environment: ["HTTP_LISTEN": listen, "HTTP_TOKEN": token])
    #expect(outcome.status == 2)
    #expect(outcome.errors.contains("http.token (HTTP_TOKEN): "), "\(outcome.errors)")
    #expect(outcome.errors.contains(says), "\(outcome.errors)")
    let shown = try run(["config"], environment: ["HTTP_TOKEN": "0123456789abcdef-secret"])
    #expect(shown.status == 0 && !shown.output.contains("secret"))
  }

  @Test func settingsComeFromDefaultsFileEnvironmentAndFlags() throws {
    let folder = scratchFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let yaml = """
      ingest:
        workers: 2
        batch-size: 500
        linger: 5ms
      mqtt:
        url: mqtt://u:s3cret@broker:1884
        topics: [a/#, b/#]
      """
    try yaml.write(toFile: folder + "/c.yaml", atomically: true, encoding: .utf8)
    try "postgresql://u:f1le@db/x\n".write(
      toFile: folder + "/url", atomically: true, encoding: .utf8)
    let outcome = try run(
      ["config", "--json", "--config", folder + "/c.yaml", "--set", "ingest.linger=7ms"],
      environment: [
        "INGEST_BATCH_SIZE": "600", "INGEST_LINGER": "6ms", "POSTGRES_URL_FILE": folder + "/url",
      ])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let values = try JSONDecoder().decode([String: String].self, from: Data(outcome.output.utf8))
    #expect(values["ingest.workers"] == "2")
    #expect(values["ingest.batch-size"] == "600")
    #expect(values["ingest.linger"] == "7ms")
    #expect(values["mqtt.topics"] == "a/#,b/#")
    #expect(values["postgres.url"]?.contains("@db/x") == true)
    #expect(!outcome.output.contains("s3cret") && !outcome.output.contains("f1le"))
    // What `config` prints is a file that --config takes.
    try run(["config", "--defaults"]).output.write(
      toFile: folder + "/d.yaml", atomically: true, encoding: .utf8)
    let defaults = try run(["config", "--config", folder + "/d.yaml", "--json"])
    #expect(defaults.output == (try run(["config", "--defaults", "--json"])).output)
  }

  @Test func theReadmeListsSettingsRulesAndMetrics() throws {
    let readme = try String(
      contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("README.md"), encoding: .utf8)
    #expect(readme.contains(try run(["config", "--markdown"]).output))
    #expect(readme.contains(try run(["rules", "--markdown"]).output))
    #expect(readme.contains(try run(["config", "--metrics"]).output))
  }

  @Test func migrateTellsAndDoctorAgrees() throws {
    let services = TestServices.shared
    let database = try TestServices.emptyDatabase()
    let environment = ["POSTGRES_URL": database, "MQTT_URL": services.mqttURL]
    let before = try run(["doctor"], environment: environment)
    #expect(before.status == 1)
    #expect(before.output.contains("FAIL schema") && before.output.contains("migrate"))
    let dry = try run(["migrate", "--dry-run"], environment: environment)
    #expect(dry.status == 0, "\(dry.errors)")
    #expect(dry.output.contains("1 platform_tables: pending"))
    #expect(try run(["migrate"], environment: environment).status == 0)
    let status = try run(["migrate", "--status", "--json"], environment: environment)
    #expect(status.output.components(separatedBy: "\"applied\"").count - 1 == Migration.all.count)
    let after = try run(["doctor", "--json"], environment: environment)
    #expect(after.status == 0, "\(after.output)")
    #expect(!after.output.contains("\"ok\":false"))
  }

  @Test func nobodyThere() throws {
    // Port 1 of the loopback: nobody listens there.
    let environment = [
      "POSTGRES_URL": "postgresql://u@127.0.0.1:1/x", "MQTT_URL": "mqtt://127.0.0.1:1",
    ]
    let doctor = try run(["doctor"], environment: environment)
    #expect(doctor.status == 1)
    #expect(doctor.output.components(separatedBy: "127.0.0.1:1").count > 2)
    let migrate = try run(["migrate"], environment: environment)
    #expect(migrate.status == 1)
    #expect(migrate.errors.contains("127.0.0.1:1/x"))
  }
}
