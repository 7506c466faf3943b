// `doctor`: looks at broker, database, schema, rights and clock, and says what to do.

import ArgumentParser
import EnergyReadings
import Foundation
import IngestPipeline
import MQTTSession
import PayloadDecoding
import PostgresStore

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check broker, database, schema, rights and clock; one line each.",
    discussion: "Exit code 1 when something is wrong.")

  @OptionGroup var options: ConfigurationOptions
  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let settings = try await options.load()
    let findings = try await onThread { Examination(settings).run() }
    if json {
      try printJSON(findings)
    } else {
      for finding in findings {
        print("\(finding.ok ? "ok  " : "FAIL") \(finding.name): \(finding.text)")
      }
    }
    if findings.contains(where: { !$0.ok }) { throw ExitCode(1) }
  }
}

/// One line of the doctor's.
struct Finding: Codable, Sendable {
  var name: String
  var ok: Bool
  var text: String
}

/// The checks, in an order in which the first failure explains the later ones.
private struct Examination {
  private let settings: Settings

  init(_ settings: Settings) { self.settings = settings }

  func run() -> [Finding] {
    var findings = sources() + [broker()]
    do {
      let connection = try PostgresConnection(
        url: settings.postgresURL, applicationName: "meter-ingestor doctor")
      let version = connection.serverVersion
      findings.append(
        Finding(
          name: "database", ok: version >= 130_000,
          text: "\(connection.target), PostgreSQL \(version / 10_000)"
            + (version >= 130_000 ? "" : "; 13 or later is needed")))
      findings += [
        check("schema") { try schema(connection) }, check("rights") { try rights(connection) },
        check("clock") { try clock(connection) },
      ]
    } catch {
      findings.append(Finding(name: "database", ok: false, text: "\(error)"))
    }
    return findings
  }

  /// What is heard besides the own topics. A mistake in the file ends every command at once.
  private func sources() -> [Finding] {
    let file = settings.texts[.ingestSources] ?? ""
    if file.isEmpty { return [] }
    let unheard = settings.sources.sources.map(\.filter.subscription).filter {
      !settings.worker.allFilters.contains($0)
    }
    return [
      Finding(
        name: "sources", ok: true,
        text: "\(settings.sources.sources.count) topic filters in \(file)"
          + (unheard.isEmpty
            ? "" : "; mqtt.topics is set and must cover \(unheard.joined(separator: ", "))"))
    ]
  }

  private func check(_ name: String, _ body: () throws -> Finding) -> Finding {
    do { return try body() } catch { return Finding(name: name, ok: false, text: "\(error)") }
  }

  private func broker() -> Finding {
    do {
      var mqtt = settings.mqtt
      // A name of its own: the doctor must not push a running ingestor off its session.
      mqtt.clientID += "-doctor-\(getpid())"
      mqtt.cleanStart = true
      mqtt.sessionExpiry = 0
      let session = try MQTTSession(mqtt)
      try session.connect(within: .seconds(5))
      session.disconnect()
      return Finding(name: "broker", ok: true, text: mqtt.target)
    } catch  where error.isRefusal {
      return Finding(
        name: "broker", ok: false, text: "\(error). Check user and password in MQTT_URL")
    } catch {
      return Finding(name: "broker", ok: false, text: "\(error). Is the broker running there?")
    }
  }

  private func schema(_ connection: PostgresConnection) throws -> Finding {
    try SchemaCheck.check(connection)
    let open = try Migrator(connection).status().filter { $0.status != .applied }
    return Finding(
      name: "schema", ok: open.isEmpty,
      text: open.isEmpty
        ? "version \(Migration.all.count)"
        : open.map { "migration \($0.version) is \($0.status.rawValue)" }
          .joined(separator: ", ") + "; run `meter-ingestor migrate`")
  }

  private func rights(_ connection: PostgresConnection) throws -> Finding {
    let missing = try connection.query(
      """
      SELECT name || ' ' || privilege
      FROM (VALUES ('grid.energy_production', 'INSERT'), ('grid.energy_consumption', 'INSERT'),
        ('grid.storage_operations', 'INSERT'), ('ingest.dead_letters', 'INSERT'),
        ('ingest.dead_letters', 'UPDATE'), ('ingest.dead_letters', 'DELETE'),
        ('ingest.reading_flags', 'INSERT'), ('ingest.reading_flags', 'DELETE'),
        ('ingest.meter_states', 'INSERT'), ('ingest.meter_states', 'UPDATE'),
        ('ingest.inactive_devices', 'SELECT'), ('blockchain.registered_producers', 'SELECT'),
        ('blockchain.registered_consumers', 'SELECT'), ('grid.energy_storage', 'SELECT'),
        ('monitoring.system_metrics', 'INSERT')) AS needed (name, privilege)
      WHERE NOT has_table_privilege(name, privilege)
      """
    ).compactMap { $0[0] }
    guard missing.isEmpty else {
      return Finding(
        name: "rights", ok: false,
        text: "missing \(missing.joined(separator: ", ")); grant the role meter_ingestor")
    }
    let isSuperuser = try SchemaCheck.isSuperuser(connection)
    return Finding(
      name: "rights", ok: true,
      text: isSuperuser ? "all, as a superuser; meter_ingestor would do" : "all that are needed")
  }

  private func clock(_ connection: PostgresConnection) throws -> Finding {
    let text = try connection.query("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    let skew = Timestamp.now.microseconds / 1_000 - (Int64(text[0][0] ?? "") ?? 0)
    let isClose = abs(skew) < 2_000
    return Finding(
      name: "clock", ok: isClose,
      text: "\(skew) ms from the database's" + (isClose ? "" : "; set both by NTP"))
  }
}
