// Ctrl-C and SIGTERM for commands that work on a thread of their own.

import Dispatch
import Glibc
import IngestPipeline

/// Sets a ``StopSignal`` on SIGINT and SIGTERM for as long as it lives.
final class StopOnSignal: Sendable {
  let signal = StopSignal()
  // Unchecked: set up in init, cancelled in deinit, and never touched in between.
  nonisolated(unsafe) private let sources: [any DispatchSourceSignal]

  init() {
    sources = [SIGINT, SIGTERM].map { number in
      // Without this the default action would end the process before the source hears of it.
      Glibc.signal(number, SIG_IGN)
      return DispatchSource.makeSignalSource(signal: number, queue: .global())
    }
    for source in sources {
      source.setEventHandler { [signal] in signal.set() }
      source.resume()
    }
  }

  deinit { for source in sources { source.cancel() } }
}
