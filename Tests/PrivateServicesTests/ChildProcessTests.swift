// A child gets default signals, a session of its own and none of our descriptors.

import Foundation
import PrivateServices
import Testing

@Suite struct ChildProcessTests {
  @Test func aChildEndsBySIGTERMAlthoughOurThreadsBlockIt() throws {
    let output = scratch + "/child-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: output) }
    var child = try ChildProcess(
      ["/bin/sh", "-c", "ls /proc/self/fd; echo $GREETING >&2; exec sleep 600"],
      environment: ["GREETING": "hello"], output: output, errors: output + ".errors")
    defer { try? FileManager.default.removeItem(atPath: output + ".errors") }
    while try !String(contentsOfFile: output + ".errors", encoding: .utf8).contains("hello") {
      usleep(1_000)  // only the child knows when it has written
      try #require(child.exitStatus() == nil)
    }
    #expect(try String(contentsOfFile: output, encoding: .utf8) == "0\n1\n2\n3\n")  // 3: ls itself
    #expect(getsid(child.pid) == child.pid)
    kill(child.pid, SIGTERM)
    #expect(child.waitForExit(atMost: .seconds(10)) == 128 + SIGTERM)
  }

  @Test func aMissingProgramEndsWithStatus127() throws {
    var child = try ChildProcess(["/no/such/program"], output: "/dev/null")
    #expect(child.waitForExit(atMost: .seconds(10)) == 127)
  }
}
