// The pages: HTML, style and scripts are files of this room, put into the program when it is built.
//
// Names in the figures come from outside, so the scripts only ever set `textContent`, and the policy
// lets nothing run or load but what carries the nonce of this one answer.

/// A page of the server.
enum StatusPage {
  case overview, meter

  /// 128 random bits for one answer; hexadecimal digits are valid in a nonce.
  static func makeNonce() -> String {
    (0..<2).map { _ in
      let digits = String(UInt64.random(in: .min ... .max), radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  /// Source: https://www.w3.org/TR/CSP3/
  static func contentSecurityPolicy(nonce: String) -> String {
    """
    default-src 'none'; script-src 'nonce-\(nonce)'; style-src 'nonce-\(nonce)'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'
    """
  }

  func html(nonce: String) -> String {
    let content: [UInt8]
    let script: [UInt8]
    switch self {
    case .overview:
      (content, script) = (PackageResources.overview_html, PackageResources.overview_js)
    case .meter: (content, script) = (PackageResources.meter_html, PackageResources.meter_js)
    }
    return """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <title>Meter ingestor</title>
      <link rel="icon" href="data:,">
      <style nonce="\(nonce)">
      \(text(PackageResources.page_css))</style>
      </head>
      <body>
      \(text(content))<script nonce="\(nonce)">
      "use strict";
      \(text(PackageResources.common_js))\(text(script))</script>
      </body>
      </html>

      """
  }

  private func text(_ resource: [UInt8]) -> String { String(decoding: resource, as: UTF8.self) }
}
