// The stream that the page listens to.

import Foundation
import FoundationNetworking
import Metrics
import Monitoring
import PostgresStore
import Synchronization
import TestServices
import Testing

@testable import StatusServer

@Suite(.timeLimit(.minutes(1))) struct EventTests {
  @Test func viewersHearWhatChanges() async throws {
    let database = try TestServices.migratedDatabase()
    let lane = PostgresLane(url: database, applicationName: "events")
    let reader: FigureReader = { try await lane.readOnly($0, $1, atMost: 2_000) }
    try await withRunningServer(components: ["mqtt"], figures: reader) { server in
      let viewers = try (0..<3).map { _ in try Viewer(of: server) }
      for viewer in viewers {
        for name in ["status", "energy", "grids", "rejections"] {
          try await viewer.wait(for: "event: \(name)\ndata: ")
        }
      }
      server.readiness.ok("mqtt")
      try PostgresConnection(url: database).execute(
        """
        INSERT INTO ingest.dead_letters (id, received_at, last_received_at, topic, payload, reason)
        VALUES (uuid_generate_v4(), now(), now(), 'here', '', 'unknown_topic')
        """)
      for viewer in viewers {
        try await viewer.wait(for: #""state":"well""#)
        try await viewer.wait(for: #""reason":"unknown_topic""#)
      }
      // What did not change was not sent again, and no event is broken by a line of its own.
      let text = viewers[0].text
      #expect(text.split(separator: "event: grids\n").count == 2)
      for line in text.split(separator: "\n") {
        #expect(["event: ", "data: ", "retry: ", ":"].contains { line.hasPrefix($0) }, "\(line)")
      }
    }
    // And the server has stopped, although the viewers did not go away.
  }

  @Test func aDatabaseThatIsAwayIsAnEvent() async throws {
    try await withRunningServer { server in
      let viewer = try Viewer(of: server)
      try await viewer.wait(for: "event: grids-failure\ndata: \"no database is configured\"\n\n")
      try await viewer.wait(for: "event: status\n")
    }
  }

  /// 20 kB a second for each viewer, with as many grid codes as there may be, all of them changing.
  @Test func aViewerCostsLittle() async throws {
    let database = try TestServices.migratedDatabase()
    try PostgresConnection(url: database).execute(
      """
      INSERT INTO grid.locations (province, district, grid_code, substation, coordinates,
        capacity_mw, current_load_mw)
      SELECT 'Nakhon Ratchasima', 'Mueang Nakhon Ratchasima', 'GRID-' || n, 'Mueang substation',
        '(100.5,13.7)', 1.25, 0.5 FROM generate_series(1, 120) AS n;
      INSERT INTO monitoring.grid_health (grid_code, health_score, stability_index,
        congestion_level, active_connections, energy_flow_in, energy_flow_out, recorded_at)
      SELECT 'GRID-' || n, random(), random(), 'medium', 100, 123.456789, 98.765432,
        now() - m * interval '1 minute'
      FROM generate_series(1, 120) AS n, generate_series(0, 59) AS m
      """)
    let lane = PostgresLane(url: database, applicationName: "events")
    let board = FigureBoard { try await lane.readOnly($0, $1, atMost: 2_000) }
    // Windows are written once a minute, the newest bucket changes every five seconds, status each.
    let grids = try await board.answer(.grids).json?.utf8.count ?? 0
    let energy = try await board.answer(.energy).json?.utf8.count ?? 0
    let registry = MetricRegistry.ingestor(version: "1")
    let source = StatusSource(
      registry: registry, readiness: Readiness(components: ["postgres", "mqtt"]), version: "1")
    let status = try source.report().json().utf8.count
    let perSecond = status + energy / 5 + grids / 60
    #expect(grids > 20_000 && energy > 5_000 && status > 1_000)
    #expect(perSecond < 20_000, "\(status) + \(energy) / 5 + \(grids) / 60")
  }
}

/// Somebody who listens to `/events`.
private final class Viewer: NSObject, URLSessionDataDelegate {
  private let received = Mutex(Data())
  private let session = Mutex<URLSession?>(nil)

  var text: String { String(decoding: received.withLock { $0 }, as: UTF8.self) }

  init(of server: RunningServer) throws {
    let url = try #require(URL(string: server.address.url + "/events"))
    super.init()
    let session = URLSession(configuration: .ephemeral, delegate: self, delegateQueue: nil)
    self.session.withLock { $0 = session }
    session.dataTask(with: url).resume()
  }

  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    received.withLock { $0.append(data) }
  }

  /// Waits until the stream has said something, 15 s at most.
  func wait(for part: String) async throws {
    let deadline = ContinuousClock.now + .seconds(15)
    while !text.contains(part) {
      if ContinuousClock.now > deadline {
        Issue.record("\(part) is not in \(text.suffix(2_000))")
        throw CancellationError()
      }
      try await Task.sleep(for: .milliseconds(20))
    }
  }
}
