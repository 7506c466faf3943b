// Who may look: everybody on this machine, or those with the token.

import FoundationEssentials
import HTTPTypes
import Hummingbird

/// Who may see the figures.
public enum StatusAccess: Sendable, Hashable {
  /// Everybody who reaches the server by one of the machine's own names: for loopback.
  case thisMachine
  /// Those who bring this token, as `Authorization: Bearer`, or once as `?token=`.
  case bearer(String)
}

/// Turns strangers away before any route is looked at.
struct AccessGuard: RouterMiddleware {
  let access: StatusAccess
  private static let cookieName = "meter_ingestor_token"

  func handle(
    _ request: Request, context: BasicRequestContext,
    next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    // Says nothing but that the process lives: for whoever restarts it.
    if request.uri.path == "/healthz" { return try await next(request, context) }
    switch access {
    case .thisMachine:
      guard Self.isLocal(request.head.authority) else { return Self.misdirected }
      return try await next(request, context)
    case .bearer(let token):
      if request.uri.path == "/", let given = request.uri.queryParameters["token"] {
        return Self.isSame(String(given), token) ? Self.welcome(token) : Self.unauthorized
      }
      guard Self.brings(token, request.headers) else { return Self.unauthorized }
      return try await next(request, context)
    }
  }

  /// Whether a Host is one of this machine's own names. A page of another site can make a browser
  /// ask 127.0.0.1 (DNS rebinding), but not under these names.
  static func isLocal(_ host: String?) -> Bool {
    guard let host else { return true }
    var name = Substring(host.lowercased())
    // The port; the colons of an IPv6 address stand within brackets.
    if let colon = name.lastIndex(of: ":"), !name[colon...].contains("]") { name = name[..<colon] }
    return name == "localhost" || name == "[::1]" || name.hasSuffix(".localhost")
      || name.hasPrefix("127.") && name.allSatisfy { $0.isNumber || $0 == "." }
  }

  private static func brings(_ token: String, _ headers: HTTPFields) -> Bool {
    if let bearer = headers[.authorization], bearer.lowercased().hasPrefix("bearer ") {
      return isSame(String(bearer.dropFirst(7)), token)
    }
    // `name=value; name=value` (RFC 6265, section 4.2.1).
    return headers[values: .cookie].flatMap { $0.split(separator: ";") }.contains { cookie in
      let pair = cookie.drop { $0 == " " }.split(separator: "=", maxSplits: 1)
      return pair.count == 2 && pair[0] == cookieName && isSame(String(pair[1]), token)
    }
  }

  /// Compares without telling by its time how much is right.
  static func isSame(_ given: String, _ token: String) -> Bool {
    let (given, token) = (Array(given.utf8), Array(token.utf8))
    guard given.count == token.count else { return false }
    return zip(given, token).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }

  /// Keeps the token where no script reads it, and takes it out of the address.
  private static func welcome(_ token: String) -> Response {
    Response(
      status: .seeOther,
      headers: [
        .location: "/", .setCookie: "\(cookieName)=\(token); HttpOnly; SameSite=Strict; Path=/",
      ])
  }

  private static var unauthorized: Response {
    var response = answer(
      .unauthorized,
      """
      A token is needed: Authorization: Bearer …, or in a browser once /?token=… It is the value of \
      http.token (environment HTTP_TOKEN).

      """)
    response.headers[.wwwAuthenticate] = "Bearer"
    return response
  }

  private static var misdirected: Response {
    answer(
      .misdirectedRequest,
      """
      This server answers to localhost, 127.0.0.1 and [::1]. To reach it under another name, set \
      http.token (environment HTTP_TOKEN).

      """)
  }
}
