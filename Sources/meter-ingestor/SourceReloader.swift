// Reads the file of sources again on SIGHUP or when it changes, while the sessions go on.

import Foundation
import IngestPipeline
import Logging
import PayloadDecoding
import ServiceLifecycle
import UnixSignals

/// Swaps the table of sources that messages are read by; workers change their subscriptions to it
/// within a second. A file with a mistake is reported, and the sources before it stay in force.
struct SourceReloader: Service, CustomStringConvertible {
  var description: String { "SourceReloader" }

  let file: String
  let holder: ReferenceHolder
  let worker: WorkerSettings
  let logger: Logger
  /// How often the file is looked at.
  let interval: Duration = .seconds(2)

  func run() async throws {
    let signals = await UnixSignalsSequence(trapping: .sighup)
    await cancelWhenGracefulShutdown {
      await withTaskGroup(of: Void.self) { group in
        group.addTask { for await _ in signals { reload("SIGHUP") } }
        group.addTask { await followFile() }
      }
    }
  }

  private func followFile() async {
    var last = stamp
    var looksInVain = 0
    while (try? await Task.sleep(for: interval)) != nil {
      guard let now = stamp else {
        looksInVain += 1
        // A file that is being replaced may be gone for a moment.
        if looksInVain == 2 {
          logger.error(
            "sources not reloaded; those before stay in force",
            metadata: ["error": "\(file) is gone"]
          )
        }
        continue
      }
      // What was told to be gone and is back is read, so that the log says so.
      if now != last || looksInVain > 1 { reload("the file changed") }
      (last, looksInVain) = (now, 0)
    }
  }

  /// What tells one state of the file from another; nil where it cannot be seen.
  private var stamp: [Int]? {
    guard let attributes = try? FileManager.default.attributesOfItem(atPath: file),
      let changed = attributes[.modificationDate] as? Date, let size = attributes[.size] as? Int,
      let number = attributes[.systemFileNumber] as? Int
    else { return nil }
    return [Int(changed.timeIntervalSince1970 * 1_000_000), size, number]
  }

  private func reload(_ reason: String) {
    do {
      let table = try Settings.sources(in: file)
      holder.replace(sources: table)
      let unheard =
        worker.followsSources
        ? [] : table.subscriptions.filter { !worker.allFilters.contains($0) }
      logger.info(
        "sources reloaded",
        metadata: ["reason": "\(reason)", "filters": "\(table.sources.count)"])
      // Nothing can be said against it where a wildcard covers them.
      if !unheard.isEmpty {
        logger.warning(
          "mqtt.topics is set, so that topics of sources are only heard where it covers them",
          metadata: ["filters": "\(unheard.joined(separator: ", "))"])
      }
    } catch {
      logger.error(
        "sources not reloaded; those before stay in force", metadata: ["error": "\(error)"])
    }
  }
}
