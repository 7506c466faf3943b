// What a spool promises while nothing goes wrong: order, limits, age, names, one owner.

import EnergyReadings
import Foundation
import SeededRandom
import Spool
import Testing

@Suite struct SpoolTests {
  private let scratch: Scratch

  init() throws { scratch = try Scratch() }

  @Test func messagesComeBackInOrderAndUnaltered() throws {
    let spool = try scratch.spool()
    #expect(spool.isEmpty && spool.oldestReceivedAt == nil)
    #expect(try spool.oldest(limit: 10).isEmpty)
    try spool.append(1...700)
    try spool.append(701...1_500)
    try expect(spool, holds: 1...1_500)
    let first = try spool.oldest(limit: 3)
    #expect(first.messages.map(\.sequence) == [1, 2, 3])
    try spool.remove(through: 1_000)
    try expect(spool, holds: 1_001...1_500)
    try spool.remove(through: 900)
    try expect(spool, holds: 1_001...1_500)
  }

  @Test func reopeningGoesOnWhereItWas() throws {
    var spool: Spool? = try scratch.spool()
    try spool?.append(1...500)
    try spool?.remove(through: 200)
    spool = nil
    spool = try scratch.spool()
    try expect(try #require(spool), holds: 201...500)
    try spool?.append(501...600)
    try spool?.remove(through: 600)
    spool = nil
    let last = try scratch.spool()
    #expect(last.isEmpty && last.bytes == 0 && last.damage == nil)
    try last.append(601...610)
    #expect(try last.oldest(limit: 1).messages.first?.sequence == 601)
    try expect(last, holds: 601...610)
  }

  @Test func theBytesLimitRefusesTheWholeAppend() throws {
    let spool = try scratch.spool(SpoolLimits(bytes: 100_000))
    try spool.append(1...100)
    let error = try #require(
      #expect(throws: SpoolError.self) { try spool.append(101...2_000) })
    #expect(error.code == .full)
    #expect("\(error)".contains("PostgreSQL") && "\(error)".contains(spool.file))
    try expect(spool, holds: 1...100)
    try spool.remove(through: 50)
    try spool.append(101...120)
    try expect(spool, holds: 51...120)
  }

  @Test func anErrorOfTheCallerUndoesTheAppend() throws {
    let spool = try scratch.spool()
    try spool.append(1...10)
    let own = SpoolError(.refused, file: "caller", detail: "changed its mind")
    #expect(throws: own) {
      try spool.append { (appender) throws(SpoolError) in
        let message = NumberedMessage(11)
        try appender.add(
          topic: message.topic.span, payload: message.payload.span, receivedAt: message.receivedAt)
        throw own
      }
    }
    try expect(spool, holds: 1...10)
    try spool.append(11...12)
    try expect(spool, holds: 1...12)
  }

  @Test func aPortionEndsAtItsCountAndAtItsBytes() throws {
    let spool = try scratch.spool()
    try spool.append { (appender) throws(SpoolError) in
      for _ in 0..<10 {
        let bytes = [UInt8](repeating: 7, count: 500)
        try appender.add(topic: bytes.span, payload: bytes.span, receivedAt: .now)
      }
    }
    #expect(try spool.oldest(limit: 4).count == 4)
    #expect(try spool.oldest(limit: 0).isEmpty)
    #expect(try spool.oldest(limit: 10, bytes: 3_000).count == 3)
    #expect(try spool.oldest(limit: 10, bytes: 3_999).count == 3)
    // At least one, or a large message would never get out.
    #expect(try spool.oldest(limit: 10, bytes: 1).count == 1)
  }

  /// 60 rounds of random appends, removals and reopenings against an array.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func behavesLikeAQueue(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var spool = Optional(try scratch.spool())
    var first: Int64 = 1
    var next: Int64 = 1
    for _ in 0..<60 {
      switch random.number(0...9) {
      case 0...4:
        let count = Int64(random.number(1...800))
        try spool?.append(next...next + count - 1)
        next += count
      case 5...7 where next > first:
        first += Int64(random.number(1...Int(next - first)))
        try spool?.remove(through: first - 1)
      default:
        spool = nil
        spool = try scratch.spool()
      }
      #expect(spool?.depth == Int(next - first))
    }
    if next == first {
      try spool?.append(next...next)
      next += 1
    }
    try expect(try #require(spool), holds: first...next - 1)
  }

  @Test func anEmptySpoolGivesItsRoomBack() throws {
    let spool = try scratch.spool()
    try spool.append { (appender) throws(SpoolError) in
      let payload = [UInt8](repeating: 1, count: 1_000)
      for _ in 0..<20_000 {
        try appender.add(topic: payload.span, payload: payload.span, receivedAt: .now)
      }
    }
    try spool.remove(through: 19_999)
    try spool.remove(through: 20_000)
    let bytes = try scratch.files().reduce(0) { sum, name in
      let file = try FileManager.default.attributesOfItem(atPath: "\(scratch.path)/\(name)")
      return sum + (file[.size] as? Int ?? 0)
    }
    #expect(bytes < 200_000)
    try spool.append(20_001...20_010)
    try expect(spool, holds: 20_001...20_010)
  }

  @Test func roomIsUsedAgainWhileMessagesComeAndGo() throws {
    let spool = try scratch.spool()
    let payload = [UInt8](repeating: 1, count: 1_000)
    for _ in 0..<100 {
      try spool.append { (appender) throws(SpoolError) in
        for _ in 0..<1_000 {
          try appender.add(topic: payload.span, payload: payload.span, receivedAt: .now)
        }
      }
      let last = try #require(try spool.oldest(limit: 1_000).lastSequence)
      // Never quite empty, so that the file is not made anew.
      try spool.remove(through: last - 1)
    }
    // 200 MB went through; about 2 MB were there at a time.
    let sizes = try [scratch.file, scratch.log].map {
      try FileManager.default.attributesOfItem(atPath: $0)[.size] as? Int ?? 0
    }
    #expect(sizes[0] < 16 << 20, "\(sizes)")
    #expect(sizes[1] <= 32 << 20, "\(sizes)")
  }

  // MARK: Names, modes and owners

  @Test(arguments: [
    ("meters-0", "meters-0"), ("a/b", "a%2fb"), ("..", "%2e%2e"), ("A b%ü", "A%20b%25%c3%bc"),
  ])
  func clientIDsBecomeFileNames(id: String, name: String) throws {
    let spool = try Spool(directory: scratch.path, clientID: id)
    #expect(spool.file == "\(scratch.path)/\(name).spool.sqlite")
    #expect(FileManager.default.fileExists(atPath: spool.file))
  }

  @Test func longClientIDsStayApart() throws {
    let start = String(repeating: "long-", count: 100)
    let first = try Spool(directory: scratch.path, clientID: start + "1")
    let second = try Spool(directory: scratch.path, clientID: start + "2")
    #expect(first.file != second.file)
  }

  @Test func onlyTheOwnerMayReadIt() throws {
    let directory = scratch.path + "/new/spool"
    let spool = try Spool(directory: directory, clientID: "x")
    try spool.append(1...10)
    func mode(_ path: String) throws -> Int? {
      try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }
    #expect(try mode(directory) == 0o700)
    for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
      #expect(try mode("\(directory)/\(name)") == 0o600, "\(name)")
    }
  }

  @Test func aSecondSpoolIsRefusedAndLearnsWhoHasIt() throws {
    let spool = try scratch.spool()
    try spool.append(1...5)
    let error = try #require(#expect(throws: SpoolError.self) { try scratch.spool() })
    #expect(error.code == .locked)
    #expect(error.file == spool.file)
    #expect("\(error)".contains("process \(getpid()).") || error.detail == "process \(getpid())")
    try spool.append(6...10)
    try expect(spool, holds: 1...10)
  }

  @Test func anotherProcessIsRefusedToo() async throws {
    let spool = try scratch.spool()
    try spool.append(1...5)
    let path = scratch.path
    let owner = getpid()
    await #expect(processExitsWith: .success) {
      [path = path as String, owner = owner as Int32] in
      do {
        _ = try Spool(directory: path, clientID: Scratch.clientID)
      } catch let error as SpoolError {
        if error.code == .locked, error.detail == "process \(owner)" { exit(EXIT_SUCCESS) }
      }
      exit(EXIT_FAILURE)
    }
    try spool.append(6...10)
    try expect(spool, holds: 1...10)
  }

  @Test func aDirectoryThatIsNoneIsNamed() throws {
    let file = scratch.path + "/file"
    try Data("x".utf8).write(to: URL(filePath: file))
    for directory in [file, file + "/below"] {
      let error = try #require(
        #expect(throws: SpoolError.self) { try Spool(directory: directory, clientID: "x") })
      #expect(error.code == .cannotOpen)
      #expect("\(error)".contains(directory) && "\(error)".contains("spool.directory"))
    }
  }
}
