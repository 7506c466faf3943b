// The HTTP server that people and Prometheus look at: metrics, health, status and a small page.

import Hummingbird
import HummingbirdCore
import Logging
import Monitoring
import NIOCore
import ServiceLifecycle

/// Where the server listens, once it does.
public struct BoundAddress: Sendable, Hashable, CustomStringConvertible {
  /// As configured: a host name or address.
  public let host: String
  /// 1…65535; the one that the system chose when port 0 was asked for.
  public let port: Int

  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// `host:port`, an IPv6 address in brackets.
  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
  /// What to open in a browser.
  public var url: String { "http://\(description)" }
}

/// Serves the pages `/` and `/meters/{id}`, their stream `/events`, `/metrics`, `/healthz`, `/readyz`
/// and the JSON of `/api/v1/openapi.json`. Nothing can be changed through it.
public struct StatusServer: Service {
  private let address: BoundAddress
  private let source: StatusSource
  private let figures: FigureBoard
  private let access: StatusAccess
  private let logger: Logger
  private let onListening: @Sendable (BoundAddress) -> Void

  /// - Parameters:
  ///   - host: the address or name to listen on, default loopback. Elsewhere `access` should be by a
  ///     token.
  ///   - port: 0…65535, default 8080; 0 takes a free one.
  ///   - access: who may look, default whoever is on this machine.
  ///   - figures: asks the database, read-only and bounded in time; nil where there is none.
  ///   - version: shown on the page and in the status.
  ///   - onListening: called once with the address when connections are accepted.
  public init(
    host: String = "127.0.0.1", port: Int = 8080, registry: MetricRegistry, readiness: Readiness,
    version: String, access: StatusAccess = .thisMachine, figures: FigureReader? = nil,
    logger: Logger = Logger(label: "status-server"),
    onListening: @escaping @Sendable (BoundAddress) -> Void = { _ in }
  ) {
    address = BoundAddress(host: host, port: port)
    source = StatusSource(registry: registry, readiness: readiness, version: version)
    self.figures = FigureBoard(read: figures)
    self.access = access
    self.logger = logger
    self.onListening = onListening
  }

  /// Listens until graceful shutdown.
  ///
  /// - Throws: ``StatusServerError`` when it cannot listen.
  public func run() async throws {
    // The port is not checked by the system call: it would be cut to 16 bits.
    guard (0...65535).contains(address.port) else {
      throw StatusServerError(address: address, reason: .portOutOfRange)
    }
    // Hummingbird tells at level info where it listens; the caller does that through `onListening`.
    var quiet = logger
    quiet.logLevel = max(logger.logLevel, .warning)
    let feed = EventFeed(source: source, figures: figures)
    let routes = StatusRoutes(source: source, figures: figures, feed: feed, access: access)
    let application = Application(
      router: routes.router(),
      server: .http1(configuration: .init(idleTimeout: .seconds(60))),
      configuration: ApplicationConfiguration(
        address: .hostname(address.host, port: address.port),
        availableConnectionsDelegate: MaximumAvailableConnections(512, logger: quiet)),
      services: [source, feed],
      onServerRunning: { [address, onListening] channel in
        let port = channel.localAddress?.port ?? address.port
        onListening(BoundAddress(host: address.host, port: port))
      },
      logger: quiet)
    do {
      try await application.run()
    } catch let cause as IOError {
      throw StatusServerError(
        address: address, reason: .system(code: cause.errnoCode, detail: "\(cause)"))
    } catch let cause as SocketAddressError.UnknownHost {
      throw StatusServerError(address: address, reason: .unknownHost(cause.errorDescription))
    }
  }
}
