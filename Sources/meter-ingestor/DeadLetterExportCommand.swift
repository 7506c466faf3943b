// `dead-letters export`: dead letters as a capture, to try them elsewhere or to hand them on.

import ArgumentParser
import EnergyReadings
import Foundation
import MeterSimulator
import PostgresStore

struct DeadLetterExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write dead letters to a capture file that `replay` and `validate` take.",
    discussion: """
      Oldest first. Letters that hold only the beginning of their payload are left out, and counted.
      """)

  @OptionGroup var options: ConfigurationOptions
  @OptionGroup var filter: DeadLetterFilterOptions
  @Argument(help: "File to write, .ndjson or .ndjson.gz; - is standard output.")
  var file: String
  @Flag(help: "Overwrite a file that exists.")
  var force = false
  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if file != "-", !force, FileManager.default.fileExists(atPath: file) {
      throw ValidationError("\(file) exists; name another file, or --force to overwrite it")
    }
  }

  func run() async throws {
    let filter = try filter.filter()
    let result = try await options.withDeadLetters { [file] archive in
      try DeadLetterExport(archive, filter).write(to: file)
    }
    // Standard output may be the capture itself.
    if json, file != "-" { return try printJSON(result) }
    standardError("\(letters(result.written)) written to \(file)")
    if result.leftOut > 0 {
      standardError("\(letters(result.leftOut)) left out: only the beginning was kept")
    }
  }
}

private struct DeadLetterExport {
  struct Result: Encodable, Sendable {
    var written = 0
    var leftOut = 0

    enum CodingKeys: String, CodingKey {
      case written
      case leftOut = "left_out"
    }
  }

  private let archive: DeadLetterArchive
  private let filter: DeadLetterFilter

  private static let pageSize = 5_000

  init(_ archive: DeadLetterArchive, _ filter: DeadLetterFilter) {
    self.archive = archive
    self.filter = filter
  }

  func write(to file: String) throws -> Result {
    var result = Result()
    // Before the file is made: a database that is away leaves no empty capture behind.
    var page = try archive.page(filter, after: nil, limit: DeadLetterExport.pageSize)
    let start = page.first?.receivedAt.microseconds ?? 0
    let writer = try CaptureWriter(file: file)
    while let last = page.last {
      for letter in page {
        guard letter.isWhole else {
          result.leftOut += 1
          continue
        }
        try writer.write(
          CaptureRecord(
            timeMilliseconds: (letter.receivedAt.microseconds - start) / 1_000,
            topic: letter.topic, payload: letter.payload,
            began: result.written == 0 ? Timestamp(microseconds: start) : nil))
        result.written += 1
      }
      page = try archive.page(filter, after: last.cursor, limit: DeadLetterExport.pageSize)
    }
    try writer.close()
    return result
  }
}
