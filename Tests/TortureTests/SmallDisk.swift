// A disk of some megabytes that can be filled: a tmpfs, which only root may mount.

import Foundation
import PrivateServices

/// A small file system of one's own; gone with the last reference, or with the process.
final class SmallDisk: Sendable {
  let directory: String
  private var ballast: String { directory + "/ballast" }
  private static let megabytes = 64

  /// Mounts it; nil where that is not allowed.
  init?() {
    guard geteuid() == 0 else { return nil }
    directory =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("torture-disk-\(getpid())-\(UInt32.random(in: 0 ... .max))").path
    let script = """
      mkdir -p "$1" && mount -t tmpfs -o size=\(SmallDisk.megabytes)m torture "$1"
      """
    guard SmallDisk.shell(script, directory) == 0 else {
      try? FileManager.default.removeItem(atPath: directory)
      return nil
    }
    try? LastWill.leave(#"umount -l "$1"; rmdir "$1""#, directory)
  }

  deinit { _ = SmallDisk.shell(#"umount -l "$1" && rmdir "$1""#, directory) }

  /// Leaves no byte free.
  func fill() {
    _ = SmallDisk.shell(#"dd if=/dev/zero of="$1" bs=64k; dd if=/dev/zero bs=1 >>"$1""#, ballast)
  }

  /// Sets the space free again.
  func empty() { try? FileManager.default.removeItem(atPath: ballast) }

  private static func shell(_ script: String, _ argument: String) -> Int32? {
    var child = try? ChildProcess(
      ["/bin/sh", "-c", script, "torture-disk", argument], output: "/dev/null")
    return child?.waitForExit(atMost: .seconds(20))
  }
}
