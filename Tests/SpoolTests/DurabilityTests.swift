// Nothing that was appended is missing after kill -9 or on a full disk, and memory stays flat.

import CSyncCount
import EnergyReadings
import Foundation
import PrivateServices
import SeededRandom
import Spool
import Testing

@Suite struct DurabilityTests {
  private let scratch: Scratch

  init() throws { scratch = try Scratch() }

  /// A process appends and drains, notes each step when it is done, and is killed at a random
  /// moment; the next one goes on with the same files.
  @Test(arguments: [1, 2] as [UInt64])
  func killedAtAnyMoment(seed: UInt64) async throws {
    var notes = Notes(file: scratch.path + "/notes")
    for round in 0..<20 {
      let directory = scratch.path
      let start = seed * 1_000 + UInt64(round)
      await #expect(processExitsWith: .signal(SIGKILL)) {
        [directory = directory as String, start = start as UInt64] in
        try Busy(directory: directory, seed: start).run()
      }
      try notes.read()
      let spool = try scratch.spool()
      #expect(spool.damage == nil, "round \(round): \(spool.damage.map { "\($0)" } ?? "")")
      let spooled = try spool.oldest(limit: .max, bytes: 1 << 30)
      #expect(spooled.count == spool.depth)
      if let first = spooled.messages.first?.sequence, let last = spooled.lastSequence {
        #expect(last >= notes.appended, "round \(round)")
        #expect((notes.removed + 1...notes.removing + 1).contains(first), "round \(round)")
        #expect(spooled.messages.map(\.sequence) == Array(first...last))
        for message in spooled.messages {
          let found = NumberedMessage(message, of: spooled)
          #expect(found == NumberedMessage(message.sequence))
        }
      } else {
        #expect(notes.removing >= notes.appended, "round \(round)")
      }
    }
    #expect(notes.appended > 1_000)
  }

  /// kill -9 leaves the kernel's memory; only the fsync saves a batch from a power cut.
  @Test func aBatchIsOnTheDiskBeforeAppendReturns() throws {
    let spool = try scratch.spool()
    for number in Int64(1)...20 {
      let before = csc_count()
      try spool.append(number...number)
      #expect(csc_count() > before)
    }
  }

  @Test(.enabled(if: SmallDisk.isPossible, "mounting a small tmpfs takes root"))
  func aFullDiskRefusesAndTheRestIsKept() throws {
    try SmallDisk.use(in: scratch.path) { disk in
      let spool = try disk.spool()
      let appended = try appendUntilRefused(spool)
      try expect(spool, holds: 1...appended)
      // What a full disk must not hinder: to drain.
      try spool.remove(through: 500)
      try expect(spool, holds: 501...appended)
      try spool.remove(through: appended)
      #expect(spool.isEmpty)
      try spool.append(appended + 1...appended + 500)
      try expect(spool, holds: appended + 1...appended + 500)
    }
  }

  @Test(.enabled(if: SmallDisk.isPossible, "mounting a small tmpfs takes root"))
  func aFullDiskAndAnEndOfTheProcess() throws {
    try SmallDisk.use(in: scratch.path) { disk in
      let appended: Int64
      do { appended = try appendUntilRefused(try disk.spool()) }
      try expect(try disk.spool(), holds: 1...appended)
    }
  }

  /// A limit of the file's size works without root, in a process of its own.
  @Test func aFileThatMayNotGrowRefusesAndTheRestIsKept() async throws {
    let path = scratch.path
    await #expect(processExitsWith: .success) { [path = path as String] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 6 << 20, rlim_max: 6 << 20)
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
      let spool = try Spool(directory: path, clientID: Scratch.clientID)
      let appended = try appendUntilRefused(spool)
      try expect(spool, holds: 1...appended)
      try spool.remove(through: appended)
      try spool.append(appended + 1...appended + 500)
      try expect(spool, holds: appended + 1...appended + 500)
    }
    #expect(try scratch.spool().depth == 500)
  }

  @Test(.enabled(if: SmallDisk.isPossible, "mounting a small tmpfs takes root"))
  func aReadOnlyDiskIsNamed() throws {
    try SmallDisk.use(in: scratch.path) { disk in
      try disk.makeReadOnly()
      let error = try #require(#expect(throws: SpoolError.self) { try disk.spool() })
      #expect(error.code == .cannotOpen)
      #expect("\(error)".contains("Read-only file system"))
    }
  }

  /// In a process of its own, whose memory no other test uses.
  @Test func aMillionMessagesInFlatMemory() async throws {
    let path = scratch.path
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardOutputContent]
    ) { [path = path as String] in
      try Million(directory: path).run()
    }
    print(String(decoding: try #require(result).standardOutputContent, as: UTF8.self))
    #expect(try scratch.spool().isEmpty)
  }
}

/// Appends until the disk is full.
///
/// - Returns: the number of the last message that is in.
private func appendUntilRefused(_ spool: Spool) throws -> Int64 {
  var last: Int64 = 0
  while last < 1_000_000 {
    do throws(SpoolError) {
      try spool.append(last + 1...last + 1_000)
      last += 1_000
    } catch {
      #expect(error.code == .disk, "\(error)")
      #expect("\(error)".contains("Make room"))
      return last
    }
  }
  throw SpoolError(.refused, file: spool.file, detail: "the disk was never full")
}

/// What a process said about its progress before it was killed.
private struct Notes {
  let file: String
  /// Appended, as far as it said so.
  var appended: Int64 = 0
  /// Removed, as far as it said so.
  var removed: Int64 = 0
  /// Removed, or about to be.
  var removing: Int64 = 0

  init(file: String) { self.file = file }

  mutating func read() throws {
    for line in try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n") {
      let number = try #require(Int64(line.dropFirst()))
      switch line.first {
      case "a": appended = max(appended, number)
      case "r": removed = max(removed, number)
      default: removing = max(removing, number)
      }
    }
  }
}

/// A process that uses its spool until it is killed.
private struct Busy {
  let directory: String
  let seed: UInt64

  func run() throws {
    var random = SeededGenerator(seed: seed)
    let spool = try Spool(directory: directory, clientID: Scratch.clientID)
    let notes = open(directory + "/notes", O_WRONLY | O_CREAT | O_APPEND, 0o600)
    func note(_ what: Character, _ number: Int64) {
      let line = Array("\(what)\(number)\n".utf8)
      line.withUnsafeBytes { _ = write(notes, $0.baseAddress, $0.count) }
    }
    let delay = DispatchTimeInterval.microseconds(random.number(500...60_000))
    DispatchQueue.global().asyncAfter(deadline: .now() + delay) { kill(getpid(), SIGKILL) }
    // Sequences go on through all lives of the files, so they are the numbers of the messages.
    var next = (try spool.oldest(limit: .max, bytes: 1 << 30).lastSequence ?? lastRemoved()) + 1
    while true {
      let count = Int64(random.number(1...300))
      try spool.append(next...next + count - 1)
      next += count
      note("a", next - 1)
      if random.oneIn(3) {
        let last = next - Int64(random.number(1...spool.depth + 1))
        note("w", last)
        try spool.remove(through: last)
        note("r", last)
      }
    }
  }

  private func lastRemoved() -> Int64 {
    let notes = try? String(contentsOfFile: directory + "/notes", encoding: .utf8)
    return notes?.split(separator: "\n").compactMap { Int64($0.dropFirst()) }.max() ?? 0
  }
}

/// Appends and drains a million messages of 200 bytes and watches the memory.
private struct Million {
  let directory: String

  func run() throws {
    let payload = [UInt8](repeating: UInt8(ascii: "x"), count: 200)
    let topic = Array("gridtokenx/v1/BKK-07/consumption/m-000123".utf8)
    var spool = try Spool(
      directory: directory, clientID: Scratch.clientID)
    try append(10_000, to: spool, topic, payload)
    let before = residentBytes()
    try measure("append, 10,000 a batch", 990_000) {
      for _ in 1..<100 { try append(10_000, to: spool, topic, payload) }
    }
    // Another one meanwhile, since the lock lasts as long as the spool.
    spool = try Spool(directory: directory, clientID: "other")
    try measure("check at open", 1_000_000) {
      spool = try Spool(directory: directory, clientID: Scratch.clientID)
    }
    try measure("drain, 10,000 a batch", 1_000_000) {
      while !spool.isEmpty {
        let portion = try spool.oldest(limit: 10_000)
        if portion.messages.contains(where: { $0.payload.count != 200 }) { exit(2) }
        try spool.remove(through: portion.lastSequence ?? 0)
      }
    }
    let growth = residentBytes() - before
    print("spool: resident memory grew by \(growth >> 10) KiB")
    fflush(nil)
    if growth > 48 << 20 { exit(3) }
  }

  private func append(
    _ count: Int, to spool: Spool, _ topic: [UInt8], _ payload: [UInt8]
  ) throws {
    try spool.append { (appender) throws(SpoolError) in
      for _ in 0..<count {
        try appender.add(topic: topic.span, payload: payload.span, receivedAt: .now)
      }
    }
  }

  /// Prints how many messages a second passed, and what each cost: the second does not depend on what
  /// else the machine does.
  private func measure(_ what: String, _ count: Int, _ body: () throws -> Void) rethrows {
    let cpu = clock()
    let time = try ContinuousClock().measure(body)
    let rate = Int(Double(count) / (time / .seconds(1)))
    let cost = Double(clock() - cpu) / Double(CLOCKS_PER_SEC) * 1e6 / Double(count)
    print("spool: \(what): \(rate) messages/s, \(String(format: "%.2f", cost)) µs of CPU each")
  }

  private func residentBytes() -> Int {
    let words = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(
      separator: " ")
    return (words.flatMap { Int($0[1]) } ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}

/// A file system of 24 MiB.
private struct SmallDisk {
  let path: String

  static let isPossible = geteuid() == 0 && run("unshare", "--mount", "true")

  private init(_ directory: String) throws {
    path = directory + "/disk"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try #require(SmallDisk.run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", path))
  }

  /// Runs `body` with a small disk, which is gone afterwards; lazily, since a spool may be open yet.
  static func use(in directory: String, _ body: (SmallDisk) throws -> Void) throws {
    let disk = try SmallDisk(directory)
    defer { _ = run("umount", "--lazy", disk.path) }
    try body(disk)
  }

  func makeReadOnly() throws {
    try #require(SmallDisk.run("mount", "-o", "remount,ro", path))
  }

  func spool() throws -> Spool { try Spool(directory: path, clientID: Scratch.clientID) }

  private static func run(_ command: String...) -> Bool {
    var child = try? ChildProcess(["/usr/bin/env"] + command, output: "/dev/null")
    return child?.waitForExit(atMost: .seconds(20)) == 0
  }
}
