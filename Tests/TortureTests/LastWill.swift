// What is to be done once this process has ended, however it ended: by Ctrl-C or kill -9 too.

import Foundation
import PrivateServices

enum LastWill {
  /// Leaves a shell behind that waits for our end and then runs `script`, whose `$1` is `argument`.
  static func leave(_ script: String, _ argument: String) throws {
    _ = try ChildProcess(
      [
        "/bin/sh", "-c", #"tail --pid="$2" -f /dev/null; "# + script, "torture-last-will", argument,
        "\(getpid())",
      ], output: "/dev/null")
  }
}
