// The disk that can be filled.

import Foundation
import Testing

@Suite struct SmallDiskTests {
  @Test(.enabled(if: geteuid() == 0, "only root may mount")) func fillsAndEmpties() async throws {
    let directory = try await onThread { () throws -> String? in
      // Root in a container may not be allowed to mount either: then there is nothing to test.
      guard let disk = SmallDisk() else { return nil }
      let file = disk.directory + "/spool"
      try Data(count: 100).write(to: URL(filePath: file))
      disk.fill()
      #expect(throws: (any Error).self) { try Data(count: 100_000).write(to: URL(filePath: file)) }
      disk.empty()
      try Data(count: 100_000).write(to: URL(filePath: file))
      return disk.directory
    }
    if let directory { #expect(!FileManager.default.fileExists(atPath: directory)) }
  }
}
