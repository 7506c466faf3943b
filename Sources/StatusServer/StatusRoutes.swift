// What each path answers.

import FoundationEssentials
import HTTPTypes
import Hummingbird
import Monitoring

/// The paths of the status server; all of them only read.
struct StatusRoutes: Sendable {
  let source: StatusSource

  func router() -> Router<BasicRequestContext> {
    let router = Router(options: .autoGenerateHeadEndpoints)
    router.add(middleware: SafeAnswers())
    router.get("/") { _, _ in page() }
    router.get("/metrics") { _, _ in
      answer(.ok, source.registry.prometheusText(), type: PrometheusText.contentType)
    }
    // Answers while the process does: whether it can work is asked at /readyz.
    router.get("/healthz") { _, _ in answer(.ok, "ok") }
    router.get("/readyz") { _, _ in readiness() }
    router.get("/api/v1/status") { _, _ in try status() }
    return router
  }

  private func page() -> Response {
    let nonce = StatusPage.makeNonce()
    var response = answer(.ok, StatusPage.html(nonce: nonce), type: "text/html; charset=utf-8")
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

  private func status() throws -> Response {
    let json = try source.report().json()
    return answer(.ok, json, type: "application/json; charset=utf-8")
  }
}

private func answer(
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
        "Not found. There are /, /metrics, /healthz, /readyz and /api/v1/status, all with GET.\n")
    }
    response.headers[.xContentTypeOptions] = "nosniff"
    response.headers[.cacheControl] = "no-store"
    return response
  }
}
