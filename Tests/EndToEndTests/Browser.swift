// A headless Chromium, spoken to by its DevTools protocol through two pipes: no port, no library.
//
// Source: https://chromedevtools.github.io/devtools-protocol/; with --remote-debugging-pipe the
// browser reads commands from descriptor 3 and writes answers to 4, each ended by a zero byte.

import Foundation
import Glibc
import PrivateServices
import Testing

/// A browser with one page.
final class Browser {
  private var child: ChildProcess
  private let folder: String
  private let commands: FileHandle
  private let answers: FileHandle
  private var unread = Data()
  private var number = 0
  private var session: String?
  /// What scripts threw, and what the policy refused.
  private(set) var complaints: [String] = []

  /// Whether Debian's Chromium is there; says so where it is not.
  static let isInstalled: Bool = {
    let isThere = FileManager.default.isExecutableFile(atPath: "/usr/bin/chromium")
    if !isThere { print("skipped: no /usr/bin/chromium; `apt-get install chromium` brings it") }
    return isThere
  }()

  init() throws {
    let folder = scratchFolder()
    self.folder = folder
    for name in ["commands", "answers"] where mkfifo("\(folder)/\(name)", 0o600) != 0 {
      throw BrowserError(message: "mkfifo \(name): errno \(errno)")
    }
    // The sandbox needs rights that a test's machine may not give; only our own pages are opened.
    let script = """
      exec chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run \
        --user-data-dir="$0/profile" --remote-debugging-pipe about:blank \
        3<"$0/commands" 4>"$0/answers"
      """
    child = try ChildProcess(
      ["/bin/sh", "-c", script, folder], output: "/dev/null", errors: "\(folder)/errors")
    // Opening a pipe waits for its other end, in the same order as the shell does.
    commands = try Self.open("\(folder)/commands", O_WRONLY)
    answers = try Self.open("\(folder)/answers", O_RDONLY)
    let page = try tell("Target.createTarget", ["url": "about:blank"])
    let attached = try tell(
      "Target.attachToTarget", ["targetId": page["targetId"] ?? "", "flatten": true])
    session = attached["sessionId"] as? String
    for domain in ["Page", "Runtime", "Log"] { try tell("\(domain).enable") }
  }

  deinit {
    _ = try? tell("Browser.close")
    try? commands.close()
    if child.waitForExit(atMost: .seconds(10)) == nil {
      kill(child.pid, SIGKILL)
      _ = child.waitForExit(atMost: .seconds(5))
    }
    try? FileManager.default.removeItem(atPath: folder)
  }

  private static func open(_ path: String, _ flags: Int32) throws -> FileHandle {
    let descriptor = Glibc.open(path, flags | O_CLOEXEC)
    guard descriptor >= 0 else { throw BrowserError(message: "open \(path): errno \(errno)") }
    return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
  }

  /// Sends a command and returns its result; events that come before are looked through.
  @discardableResult
  func tell(_ method: String, _ parameters: [String: Any] = [:]) throws -> [String: Any] {
    number += 1
    var command: [String: Any] = ["id": number, "method": method, "params": parameters]
    if let session { command["sessionId"] = session }
    try commands.write(contentsOf: JSONSerialization.data(withJSONObject: command) + [0])
    while true {
      let message = try nextMessage()
      if message["id"] as? Int == number {
        if let error = message["error"] { throw BrowserError(message: "\(method): \(error)") }
        return message["result"] as? [String: Any] ?? [:]
      }
      notice(message)
    }
  }

  private func nextMessage() throws -> [String: Any] {
    while true {
      if let end = unread.firstIndex(of: 0) {
        let message = unread[unread.startIndex..<end]
        unread = Data(unread[(end + 1)...])
        return try JSONSerialization.jsonObject(with: message) as? [String: Any] ?? [:]
      }
      // What is there; read(upToCount:) would wait for so much.
      let more = answers.availableData
      guard !more.isEmpty else { throw BrowserError(message: "the browser has ended") }
      unread += more
    }
  }

  private func notice(_ event: [String: Any]) {
    let parameters = event["params"] as? [String: Any] ?? [:]
    switch event["method"] as? String {
    case "Runtime.exceptionThrown": complaints.append("\(parameters)")
    case "Log.entryAdded":
      let entry = parameters["entry"] as? [String: Any] ?? [:]
      if entry["level"] as? String == "error" { complaints.append("\(entry)") }
    default: break
    }
  }

  /// Opens an address in a window of this width.
  func open(_ url: String, width: Int, height: Int, dark: Bool = false) throws {
    try tell(
      "Emulation.setDeviceMetricsOverride",
      ["width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600])
    try tell(
      "Emulation.setEmulatedMedia",
      [
        "features": [
          ["name": "prefers-color-scheme", "value": dark ? "dark" : "light"],
          ["name": "prefers-reduced-motion", "value": "reduce"],
        ]
      ])
    try tell("Page.navigate", ["url": url])
  }

  /// The value of an expression of JavaScript as text.
  func text(_ expression: String) throws -> String {
    let answer = try tell(
      "Runtime.evaluate", ["expression": "String(\(expression))", "returnByValue": true])
    if let problem = answer["exceptionDetails"] {
      throw BrowserError(message: "\(expression): \(problem)")
    }
    return (answer["result"] as? [String: Any])?["value"] as? String ?? ""
  }

  /// A picture of the window, or of the whole page.
  func picture(width: Int, height: Int) throws -> Data {
    let answer = try tell(
      "Page.captureScreenshot",
      [
        "format": "png", "captureBeyondViewport": true,
        "clip": ["x": 0, "y": 0, "width": width, "height": height, "scale": 1],
      ])
    return Data(base64Encoded: answer["data"] as? String ?? "") ?? Data()
  }
}

/// What the browser could not do.
struct BrowserError: Error {
  let message: String
}
