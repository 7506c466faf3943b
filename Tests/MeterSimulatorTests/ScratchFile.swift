// A file for one test, gone afterwards.

import Foundation

/// Runs `body` with the path of a file that does not exist yet, and removes it afterwards.
@discardableResult
func withScratchFile<Result>(_ name: String, _ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("meter-simulator-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.appendingPathComponent(name).path)
}

/// Writes `bytes` to `file`.
func write(_ bytes: some Sequence<UInt8>, to file: String) throws {
  try Data(bytes).write(to: URL(fileURLWithPath: file))
}

/// The bytes of `file`.
func contents(of file: String) throws -> [UInt8] {
  Array(try Data(contentsOf: URL(fileURLWithPath: file)))
}
