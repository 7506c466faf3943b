// The stream behind `/events`: one producer for all viewers, and no work while nobody looks.

import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import ServiceLifecycle
import Synchronization

/// Makes the events of the page, server-sent (WHATWG HTML, section 9.2), and hands them to viewers.
///
/// A viewer is sent the latest state of each kind of event, not every one: who reads slowly skips
/// some, and nothing piles up.
final class EventFeed: Service {
  private let source: StatusSource
  private let figures: FigureBoard
  private let state = Mutex(State())
  /// Viewers at most: each holds a connection.
  private static let viewerLimit = 256

  private struct State {
    var frames: [String: Frame] = [:]
    var version = 0
    var viewers: [Int: AsyncStream<Void>.Continuation] = [:]
    var nextViewer = 0
  }

  private struct Frame {
    var content: String
    var bytes: ByteBuffer
    var version: Int
  }

  init(source: StatusSource, figures: FigureBoard) {
    self.source = source
    self.figures = figures
  }

  var viewerCount: Int { state.withLock { $0.viewers.count } }

  func run() async throws {
    await cancelWhenGracefulShutdown {
      await withTaskGroup { tasks in
        tasks.addTask { await self.everySecond { self.publishStatus() } }
        for figure in [Figure.energy, .grids, .rejections, .notices] {
          tasks.addTask { await self.everySecond { await self.publish(figure) } }
        }
      }
    }
  }

  /// Does something each second while somebody looks.
  private func everySecond(_ publish: @Sendable () async -> Void) async {
    while !Task.isCancelled {
      if viewerCount > 0 { await publish() }
      try? await Task.sleep(for: .seconds(1))
    }
  }

  private func publishStatus() {
    guard let json = try? source.report().json() else { return }
    set("status", json)
    // Also when nothing changed: it tells viewers that the ingestor lives.
    wake()
  }

  private func publish(_ figure: Figure) async {
    let name = figure.rawValue
    do {
      let answer = try await figures.answer(figure)
      set(name, answer.json ?? "null")
      set(name + "-failure", "null")
    } catch {
      set(name + "-failure", Self.quoted(error.description))
    }
  }

  private static func quoted(_ text: String) -> String {
    let json = try? JSONEncoder().encode(text)
    return json.map { String(decoding: $0, as: UTF8.self) } ?? "null"
  }

  /// Replaces the latest event of a name, when it is another one.
  private func set(_ name: String, _ content: String) {
    state.withLock { state in
      guard state.frames[name]?.content != content else { return }
      state.version += 1
      state.frames[name] = Frame(
        content: content, bytes: ByteBuffer(string: "event: \(name)\ndata: \(content)\n\n"),
        version: state.version)
    }
  }

  private func wake() {
    state.withLock { state in for viewer in state.viewers.values { viewer.yield() } }
  }

  /// What is newer than `version`, as one buffer, and the version after it.
  private func news(since version: Int) -> (bytes: ByteBuffer, version: Int) {
    state.withLock { state in
      var bytes = ByteBuffer()
      for frame in state.frames.values.filter({ $0.version > version })
        .sorted(by: { $0.version < $1.version })
      {
        bytes.writeImmutableBuffer(frame.bytes)
      }
      return (bytes, state.version)
    }
  }

  /// The answer to a viewer: open until either side goes away. 503 when there are too many.
  func response() -> Response {
    // Admitted when the body is written, which a HEAD request never does.
    guard viewerCount < Self.viewerLimit else {
      return Response(
        status: .serviceUnavailable, headers: [.contentType: "text/plain; charset=utf-8"],
        body: .init(
          byteBuffer: ByteBuffer(string: "\(Self.viewerLimit) viewers are connected already.\n")))
    }
    let body = ResponseBody { [self] writer in
      let (number, ticks) = admit()
      defer { dismiss(number) }
      // Reconnect soon after a restart; the default differs between browsers.
      try await writer.write(ByteBuffer(string: "retry: 2000\n\n"))
      var seen = 0
      for await _ in ticks.cancelOnGracefulShutdown() {
        let (bytes, version) = news(since: seen)
        seen = version
        try await writer.write(bytes.readableBytes > 0 ? bytes : ByteBuffer(string: ":\n\n"))
      }
      try await writer.finish(nil)
    }
    var headers: HTTPFields = [.contentType: "text/event-stream"]
    // A proxy of nginx's kind would hold events back until its buffer is full.
    if let name = HTTPField.Name("X-Accel-Buffering") { headers[name] = "no" }
    return Response(status: .ok, headers: headers, body: body)
  }

  private func admit() -> (Int, AsyncStream<Void>) {
    let (ticks, continuation) = AsyncStream.makeStream(
      of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let number = state.withLock { state in
      state.nextViewer += 1
      state.viewers[state.nextViewer] = continuation
      return state.nextViewer
    }
    // The first viewer after a while would see old figures for up to a second.
    publishStatus()
    return (number, ticks)
  }

  private func dismiss(_ number: Int) {
    let viewer = state.withLock { $0.viewers.removeValue(forKey: number) }
    viewer?.finish()
  }
}
