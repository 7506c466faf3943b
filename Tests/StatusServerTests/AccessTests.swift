// Who may look.

import Foundation
import FoundationNetworking
import Testing

@testable import StatusServer

@Suite(.timeLimit(.minutes(1))) struct AccessTests {
  private static let token = "correct-horse-battery-staple"

  @Test func withATokenOnlyWhoBringsIt() async throws {
    try await withRunningServer(access: .bearer(Self.token)) { server in
      for path in ["/", "/metrics", "/readyz", "/api/v1/status", "/events", "/meters/a", "/x"] {
        let stranger = try await server.ask(path)
        #expect(stranger.status == 401, "\(path)")
        #expect(stranger.header("WWW-Authenticate") == "Bearer")
        #expect(!stranger.body.contains(Self.token))
      }
      for wrong in ["Bearer \(Self.token)x", "Bearer ", "Basic \(Self.token)", Self.token] {
        let answer = try await server.ask("/metrics", headers: ["Authorization": wrong])
        #expect(answer.status == 401, "\(wrong)")
      }
      let friend = ["Authorization": "Bearer \(Self.token)"]
      #expect(try await server.ask("/metrics", headers: friend).status == 200)
      #expect(try await server.ask("/healthz").status == 200)
    }
  }

  /// The token in the address becomes a cookie that no script reads, and leaves the address.
  @Test func aBrowserBringsItOnce() async throws {
    try await withRunningServer(access: .bearer(Self.token)) { server in
      let wrong = try await server.ask("/?token=wrong")
      #expect(wrong.status == 401)
      let session = URLSession(configuration: .ephemeral, delegate: StaysHere(), delegateQueue: nil)
      let url = try #require(URL(string: server.address.url + "/?token=\(Self.token)"))
      let (_, response) = try await session.data(from: url)
      let welcome = try #require(response as? HTTPURLResponse)
      #expect(welcome.statusCode == 303)
      #expect(welcome.value(forHTTPHeaderField: "Location") == "/")
      let cookie = try #require(welcome.value(forHTTPHeaderField: "Set-Cookie"))
      #expect(cookie.hasSuffix("; HttpOnly; SameSite=Strict; Path=/"))
      let pair = String(cookie.prefix { $0 != ";" })
      let headers = ["Cookie": "other=1; \(pair)"]
      #expect(try await server.ask("/", headers: headers).status == 200)
      #expect(try await server.ask("/", headers: ["Cookie": pair + "x"]).status == 401)
    }
  }

  /// Another site's page may ask a browser for 127.0.0.1 under a name of its own (DNS rebinding).
  @Test(arguments: [
    ("127.0.0.1:8080", true), ("localhost", true), ("LOCALHOST:1", true), ("[::1]:80", true),
    ("[::1]", true), ("127.8.9.1", true), ("page.localhost:8080", true), ("evil.example", false),
    ("127.0.0.1.evil.example", false), ("localhost.evil.example:80", false), ("", false),
    ("192.168.1.7:8080", false),
  ])
  func withoutATokenOnlyByALocalName(host: String, isLocal: Bool) {
    #expect(AccessGuard.isLocal(host) == isLocal)
  }

  @Test func anotherNameIsMisdirected() async throws {
    try await withRunningServer { server in
      let answer = try await server.ask("/api/v1/status", headers: ["Host": "evil.example"])
      #expect(answer.status == 421)
      #expect(answer.body.contains("HTTP_TOKEN"))
    }
  }
}

/// Follows no redirection.
private final class StaysHere: NSObject, URLSessionTaskDelegate {
  func urlSession(
    _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection _: HTTPURLResponse,
    newRequest _: URLRequest, completionHandler: @escaping @Sendable (URLRequest?) -> Void
  ) { completionHandler(nil) }
}
