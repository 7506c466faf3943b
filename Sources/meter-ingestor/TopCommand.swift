// `top`: the status page on a terminal, for those who live there.

import ArgumentParser
import Foundation
import Glibc
import IngestPipeline
import PayloadDecoding
import StatusServer

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

struct TopCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top",
    abstract: "The status page on a terminal: state, rates, ledger, grid codes.",
    discussion: """
      Asks a running ingestor at http.listen, or at --url, with http.token where that is set. On a \
      terminal it redraws every second until Ctrl-C; in a pipe it prints one snapshot and ends, with \
      exit code 1 when the ingestor is not ready.
      """)

  @OptionGroup var options: ConfigurationOptions
  @Option(help: "The ingestor's address, such as http://127.0.0.1:8080.")
  var url: String?
  @Flag(help: "One snapshot, also on a terminal.")
  var once = false

  func run() async throws {
    let settings = try await options.load()
    let base = url ?? "http://\(BoundAddress(host: settings.http.host, port: settings.http.port))"
    let client = StatusClient(base: base, token: settings.statusToken)
    if once || isatty(STDOUT_FILENO) == 0 {
      let (status, grids) = try await client.ask()
      TopScreen(status: status, grids: grids).lines.forEach(standardOutput)
      if !status.ready { throw ExitCode(1) }
      return
    }
    try await redraw(client)
  }

  /// Every second, until Ctrl-C. The screen is the terminal's second one, so that what stood there
  /// before is back afterwards.
  private func redraw(_ client: StatusClient) async throws {
    let stop = StopOnSignal()
    write("\u{1B}[?1049h\u{1B}[?25l")
    defer { write("\u{1B}[?25h\u{1B}[?1049l") }
    while !stop.signal.isSet {
      var lines: [String]
      do {
        let (status, grids) = try await client.ask()
        lines = TopScreen(status: status, grids: grids).lines
      } catch {
        lines = ["\(error)", "", "Trying again."]
      }
      let (rows, columns) = Self.terminalSize
      lines = lines.prefix(rows - 1).map { String($0.prefix(columns)) }
      // From the top left corner, each line cleared to its end, and what is below.
      write("\u{1B}[H" + lines.map { $0 + "\u{1B}[K\r\n" }.joined() + "\u{1B}[J")
      let signal = stop.signal
      try await onThread { signal.wait(milliseconds: 1_000) }
    }
  }

  private func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }

  private static var terminalSize: (rows: Int, columns: Int) {
    var size = winsize()
    let isKnown = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_row > 1
    return isKnown ? (Int(size.ws_row), Int(size.ws_col)) : (24, 80)
  }
}

/// What a running ingestor answers.
struct StatusClient {
  let base: String
  let token: String?

  /// Grid codes are nil while its database does not answer.
  func ask() async throws -> (StatusReport, [TopScreen.Grid]?) {
    let status = try await get("/api/v1/status", as: StatusReport.self)
    let grids = try? await get("/api/v1/grids", as: TopScreen.Grids.self)
    return (status, grids?.grids)
  }

  private func get<Answer: Decodable>(_ path: String, as _: Answer.Type) async throws -> Answer {
    guard let url = URL(string: base + path) else {
      throw ValidationError("--url \(base): not an address such as http://127.0.0.1:8080")
    }
    var request = URLRequest(url: url, timeoutInterval: 5)
    if let token { request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization") }
    let data: Data
    let response: URLResponse
    do {
      (data, response) = try await URLSession.shared.data(for: request)
    } catch {
      throw TopError(
        description: """
          no ingestor answers at \(base) (\(error.localizedDescription)). Is it running, and is \
          this its http.listen? --url names another
          """)
    }
    let code = (response as? HTTPURLResponse)?.statusCode ?? 0
    guard code == 200 else {
      let text = String(decoding: data.prefix(300), as: UTF8.self)
      throw TopError(description: "\(base)\(path) answers \(code): \(text.printable)")
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do {
      return try decoder.decode(Answer.self, from: data)
    } catch {
      throw TopError(description: "\(base)\(path) is not that of a meter ingestor of this version")
    }
  }
}

/// Why nothing can be shown.
struct TopError: Error, CustomStringConvertible {
  let description: String
}
