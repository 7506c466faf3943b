// What each path answers.

import Foundation
import HTTPTypes
import Hummingbird
import Monitoring

/// The paths of the status server; all of them only read.
struct StatusRoutes: Sendable {
  let source: StatusSource
  let figures: FigureBoard
  let feed: EventFeed
  let access: StatusAccess

  func router() -> Router<BasicRequestContext> {
    let router = Router(options: .autoGenerateHeadEndpoints)
    router.add(middleware: SafeAnswers())
    router.add(middleware: AccessGuard(access: access))
    router.get("/") { _, _ in page(.overview) }
    router.get("/meters/:id") { _, _ in page(.meter) }
    router.get("/events") { _, _ in feed.response() }
    router.get("/metrics") { request, _ in
      MetricsFormat(accept: request.headers[.accept]) == .openMetrics
        ? answer(.ok, source.registry.openMetricsText(), type: OpenMetricsText.contentType)
        : answer(.ok, source.registry.prometheusText(), type: PrometheusText.contentType)
    }
    // Answers while the process does: whether it can work is asked at /readyz.
    router.get("/healthz") { _, _ in answer(.ok, "ok") }
    router.get("/readyz") { _, _ in readiness() }
    addInterface(to: router.group("/api/v1"))
    return router
  }

  /// The JSON, as `openapi.json` describes it.
  private func addInterface(to group: RouterGroup<BasicRequestContext>) {
    group.get("status") { _, _ in json(.ok, try source.report().json()) }
    group.get("openapi.json") { _, _ in
      json(.ok, String(decoding: PackageResources.openapi_json, as: UTF8.self))
    }
    for figure in [Figure.energy, .grids, .rejections, .notices] {
      group.get("\(figure.rawValue)") { _, _ in await show(figure) }
    }
    group.get("meters/:id") { _, context in
      guard let device = context.parameters.get("id")?.removingPercentEncoding else {
        return json(.badRequest, Self.object([("error", "the meter's id is not valid UTF-8")]))
      }
      return await show(.meter, device: device)
    }
  }

  private func page(_ page: StatusPage) -> Response {
    let nonce = StatusPage.makeNonce()
    var response = answer(.ok, page.html(nonce: nonce), type: "text/html; charset=utf-8")
    response.headers[.contentSecurityPolicy] = StatusPage.contentSecurityPolicy(nonce: nonce)
    return response
  }

  /// 200, or 503 with one line for each failing component.
  private func readiness() -> Response {
    let failing = source.readiness.components.filter { !$0.isReady }
    guard !failing.isEmpty else { return answer(.ok, "ready\n") }
    let lines = failing.map { "\($0.name): \($0.failure ?? "failing")\n" }
    return answer(.serviceUnavailable, lines.joined())
  }

  /// A figure beside its query; 404 where nothing is known, 503 where the database does not answer.
  private func show(_ figure: Figure, device: String = "") async -> Response {
    // A device's id has at most 100 characters; PostgreSQL takes no U+0000.
    guard device.utf8.count <= 400, !device.utf8.contains(0) else {
      return json(.notFound, Self.object([("error", "no meter of this id is known")]))
    }
    do throws(FigureFailure) {
      let found = try await figures.answer(figure, device: device)
      guard let value = found.json else {
        return json(.notFound, Self.object([("error", "no meter of this id is known")]))
      }
      let query = Self.object([("query", found.query)]).dropFirst()
      return json(.ok, "{\"\(figure.rawValue)\":\(value),\(query)")
    } catch {
      return json(.serviceUnavailable, Self.object([("error", error.description)]))
    }
  }

  /// A JSON object of texts.
  private static func object(_ texts: [(String, String)]) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let json = try? encoder.encode(Dictionary(uniqueKeysWithValues: texts))
    return String(decoding: json ?? Data("{}".utf8), as: UTF8.self)
  }
}

private func json(_ status: HTTPResponse.Status, _ text: String) -> Response {
  answer(status, text, type: "application/json; charset=utf-8")
}

func answer(
  _ status: HTTPResponse.Status, _ text: String, type: String = "text/plain; charset=utf-8"
) -> Response {
  Response(
    status: status, headers: [.contentType: type],
    body: .init(byteBuffer: ByteBuffer(string: text)))
}

/// Headers that every answer has, and short plain text for what is not there.
private struct SafeAnswers: RouterMiddleware {
  func handle(
    _ request: Request, context: BasicRequestContext,
    next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    var response: Response
    do {
      response = try await next(request, context)
    } catch let error as HTTPError where error.status == .notFound {
      // The path is not repeated: it comes from outside.
      response = answer(
        .notFound,
        """
        Not found. There are /, /meters/…, /events, /metrics, /healthz, /readyz and what \
        /api/v1/openapi.json describes, all with GET.

        """)
    }
    response.headers[.xContentTypeOptions] = "nosniff"
    response.headers[.cacheControl] = "no-store"
    if let policy = Self.referrerPolicy { response.headers[policy] = "no-referrer" }
    return response
  }

  /// An address may hold a device id, or once the token.
  private static let referrerPolicy = HTTPField.Name("Referrer-Policy")
}
