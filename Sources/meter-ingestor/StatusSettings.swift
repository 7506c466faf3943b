// Who may see the status page: whoever is on this machine, or whoever brings the token.

import StatusServer

extension Settings {
  /// What opens the page, nil where it is open to whoever is on this machine.
  var statusToken: String? { texts[.httpToken].flatMap { $0.isEmpty ? nil : $0 } }

  /// Who may see the page. Asked for when it is served, so that other commands need no token.
  ///
  /// - Throws: ``SettingError`` where the page would be open to a network, or the token is too weak.
  func statusAccess() throws -> StatusAccess {
    let host = http.host
    guard let token = statusToken else {
      let isLoopback = host == "localhost" || host == "::1" || host.hasPrefix("127.")
      guard isLoopback else {
        throw SettingError(
          key: .httpToken,
          problem: """
            http.listen is \(texts[.httpListen] ?? host), which others can reach, so a token is needed: set \
            HTTP_TOKEN, or HTTP_TOKEN_FILE to a file that holds it (`openssl rand -hex 32` makes \
            one), or listen on 127.0.0.1
            """)
      }
      return .thisMachine
    }
    // What a cookie, a header and an address can all hold as it is: RFC 3986's unreserved ones.
    let isUsable =
      token.utf8.count >= 16
      && token.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "."),
          UInt8(ascii: "_"), UInt8(ascii: "~"):
          true
        default: false
        }
      }
    guard isUsable else {
      throw SettingError(
        key: .httpToken,
        problem: """
          a token has 16 or more of A-Z a-z 0-9 - . _ ~; `openssl rand -hex 32` makes one
          """)
    }
    return .bearer(token)
  }
}
