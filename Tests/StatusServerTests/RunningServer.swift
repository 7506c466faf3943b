// A live status server on a free port, for the length of a test.

import Foundation
import FoundationNetworking
import Logging
import Monitoring
import ServiceLifecycle
import StatusServer
import Testing

/// What a test asks the server.
struct RunningServer {
  let address: BoundAddress
  let registry: MetricRegistry
  let readiness: Readiness

  struct Answer {
    let status: Int
    let body: String
    private let response: HTTPURLResponse

    init(body: String, response: HTTPURLResponse) {
      self.body = body
      self.response = response
      status = response.statusCode
    }

    func header(_ name: String) -> String? { response.value(forHTTPHeaderField: name) }
  }

  func ask(
    _ path: String, method: String = "GET", headers: [String: String] = [:]
  ) async throws -> Answer {
    var request = URLRequest(url: try #require(URL(string: address.url + path)))
    request.httpMethod = method
    for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
    request.timeoutInterval = 10
    let (data, response) = try await URLSession.shared.data(for: request)
    return Answer(
      body: String(decoding: data, as: UTF8.self),
      response: try #require(response as? HTTPURLResponse))
  }

  /// An answer of the interface, whatever its status.
  func json(_ path: String) async throws -> [String: any Sendable] {
    let object = try JSONSerialization.jsonObject(with: Data(try await ask(path).body.utf8))
    return try #require(object as? [String: any Sendable])
  }

  func report() async throws -> StatusReport {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let json = try await ask("/api/v1/status").body
    return try decoder.decode(StatusReport.self, from: Data(json.utf8))
  }
}

/// Starts a server on a free port, runs the test, and stops the server gracefully.
func withRunningServer(
  components: [String] = [], access: StatusAccess = .thisMachine, figures: FigureReader? = nil,
  _ test: (RunningServer) async throws -> Void
) async throws {
  let registry = MetricRegistry.ingestor(version: "1.2.3")
  let readiness = Readiness(components: components)
  let (addresses, bound) = AsyncStream.makeStream(of: BoundAddress.self)
  let server = StatusServer(
    port: 0, registry: registry, readiness: readiness, version: "1.2.3", access: access,
    figures: figures, logger: silent
  ) { bound.yield($0) }
  let group = ServiceGroup(services: [server], logger: silent)
  async let end: Void = {
    defer { bound.finish() }
    try await group.run()
  }()
  for await address in addresses {
    let running = RunningServer(address: address, registry: registry, readiness: readiness)
    do {
      try await test(running)
    } catch {
      await group.triggerGracefulShutdown()
      throw error
    }
    await group.triggerGracefulShutdown()
  }
  try await end
}

let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
