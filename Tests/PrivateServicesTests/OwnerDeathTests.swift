// Services end with their owner: in order, by the last reference, and after a SIGKILL.

import Foundation
import PrivateServices
import Testing

@Suite struct OwnerDeathTests {
  @Test func stopLeavesNoProcessAndNoDirectory() throws {
    let services = try PrivateServices.start(in: scratch, postgres: .init(fsync: false))
    let directory = services.directory
    #expect(Processes.mentioning(directory).count >= 3)  // PostgreSQL, broker, reaper
    try services.stop()
    #expect(Processes.mentioning(directory).isEmpty)
    #expect(!FileManager.default.fileExists(atPath: directory))
    try services.stop()
    #expect(throws: PrivateServicesError.self) { try services.startPostgres() }
  }

  @Test func theLastReferenceStops() throws {
    let directory: String
    do {
      let services = try PrivateServices.start(in: scratch, postgres: .init(fsync: false))
      directory = services.directory
    }
    #expect(Processes.mentioning(directory).isEmpty)
    #expect(!FileManager.default.fileExists(atPath: directory))
  }

  @Test func keptDataIsShutDownInOrder() throws {
    let services = try PrivateServices.start(
      in: scratch, postgres: .init(fsync: false), keepData: true)
    defer { try? FileManager.default.removeItem(atPath: services.directory) }
    try services.stop()
    #expect(Processes.mentioning(services.directory).isEmpty)
    #expect(services.postgresLog().contains("database system is shut down"))
    #expect(FileManager.default.fileExists(atPath: services.directory + "/database/PG_VERSION"))
  }

  /// Frozen services too: a test that fails between pause and resume must not leave any behind.
  @Test func anOwnerKilledBySIGKILLLeavesNothing() async throws {
    let result = try #require(
      await #expect(
        processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]
      ) {
        let services = try PrivateServices.start(in: scratch, postgres: .init(fsync: false))
        services.pausePostgres()
        services.pauseBroker()
        print("directory=\(services.directory)=")
        fflush(nil)
        kill(getpid(), SIGKILL)
        withExtendedLifetime(services) {}
      })
    let output = String(decoding: result.standardOutputContent, as: UTF8.self)
    let directory = String(
      try #require(output.firstMatch(of: /directory=([^=]+)=/)?.output.1, "\(output)"))
    #expect(Processes.gone(mentioning: directory, within: .seconds(30)))
    #expect(!FileManager.default.fileExists(atPath: directory))
  }

  /// The terminal sends Ctrl-C to the processes of the owner's session only.
  @Test func servicesAreOutsideOfTheOwnersSession() throws {
    let services = try PrivateServices.start(in: scratch, postgres: .init(fsync: false))
    let pids = Processes.mentioning(services.directory)
    #expect(pids.count >= 3)
    for pid in pids { #expect(getsid(pid) != getsid(0)) }
    try services.stop()
  }

  /// A program that the owner starts elsewhere must not hold what the reaper waits for.
  @Test func anotherChildDoesNotDelayTheEnd() throws {
    let services = try PrivateServices.start(in: scratch, postgres: .init(fsync: false))
    let other = Process()
    other.executableURL = URL(filePath: "/bin/sh")
    other.arguments = ["-c", "read -r forever"]
    let input = Pipe()
    other.standardInput = input
    try other.run()
    try services.stop()
    #expect(Processes.mentioning(services.directory).isEmpty)
    #expect(other.isRunning)
    try input.fileHandleForWriting.close()
    other.waitUntilExit()
  }
}
