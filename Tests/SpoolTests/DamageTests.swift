// Files that were cut or changed: what is readable comes back, the rest is accounted for, nothing
// crashes and nothing is thrown away.

import EnergyReadings
import Foundation
import SeededRandom
import Spool
import Testing

@Suite struct DamageTests {
  /// The files as a process that was killed leaves them: half of the messages in the file, half in
  /// the log.
  private struct Original {
    static let count: Int64 = 4_000
    let file: Data
    let log: Data
    let lock: Data

    init() throws {
      let scratch = try Scratch(isVolatile: true)
      do { try scratch.spool().append(1...Original.count / 2) }
      let spool = try scratch.spool()
      for start in stride(from: Original.count / 2, to: Original.count, by: 250) {
        try spool.append(start + 1...start + 250)
      }
      file = try Data(contentsOf: URL(filePath: scratch.file))
      log = try Data(contentsOf: URL(filePath: scratch.log))
      lock = try Data(contentsOf: URL(filePath: scratch.file + ".lock"))
    }

    func lay(_ scratch: Scratch, file: Data? = nil, log: Data? = nil) throws {
      try (file ?? self.file).write(to: URL(filePath: scratch.file))
      try (log ?? self.log).write(to: URL(filePath: scratch.log))
      try lock.write(to: URL(filePath: scratch.file + ".lock"))
    }
  }

  /// Opens what is there and checks the books.
  ///
  /// - Returns: how many messages are lost.
  @discardableResult
  private func open(_ scratch: Scratch, _ what: String) throws -> Int {
    let spool = try scratch.spool()
    let spooled = try spool.oldest(limit: .max, bytes: 1 << 30)
    #expect(spooled.count == spool.depth, "\(what)")
    // The number of a message is in its topic: in order, each once, and unaltered.
    var last: Int64 = 0
    for message in spooled.messages {
      let found = NumberedMessage(message, of: spooled)
      let number = String(decoding: found.topic, as: UTF8.self).split(separator: "-").last
        .flatMap { Int64($0) }
      let isRight = number.map { $0 > last && found == NumberedMessage($0) } ?? false
      if !isRight { Issue.record("\(what): message \(message.sequence) is not right") }
      last = number ?? last
    }
    guard let damage = spool.damage else {
      #expect(spool.depth == Int(Original.count), "\(what): lost without a word")
      return 0
    }
    #expect(damage.salvaged == spool.depth, "\(what)")
    #expect(damage.lost == Int(Original.count) - spool.depth, "\(what): \(damage)")
    let aside = try #require(damage.setAside, "\(what)")
    #expect(FileManager.default.fileExists(atPath: aside), "\(what)")
    #expect(aside.hasPrefix(scratch.file + ".damaged-2"))
    #expect("\(damage)".contains(aside))
    try spool.append(1...10)
    #expect(spool.depth == damage.salvaged + 10)
    return damage.lost ?? 0
  }

  @Test func soundFilesAreSound() throws {
    let scratch = try Scratch(isVolatile: true)
    try Original().lay(scratch)
    try expect(try scratch.spool(), holds: 1...Original.count)
  }

  @Test func aFileThatIsCutAnywhere() throws {
    let original = try Original()
    var random = SeededGenerator(seed: 4)
    let offsets = [0, 1, 99, 4_096] + (0..<40).map { _ in random.number(0...original.file.count) }
    for offset in offsets {
      let scratch = try Scratch(isVolatile: true)
      try original.lay(scratch, file: original.file.prefix(offset))
      try open(scratch, "file cut at \(offset)")
    }
  }

  @Test func aLogThatIsCutAnywhere() throws {
    let original = try Original()
    var random = SeededGenerator(seed: 5)
    let offsets = [0, 1, 31, 32] + (0..<40).map { _ in random.number(0...original.log.count) }
    for offset in offsets {
      let scratch = try Scratch(isVolatile: true)
      try original.lay(scratch, log: original.log.prefix(offset))
      try open(scratch, "log cut at \(offset)")
    }
  }

  @Test(arguments: [6, 7] as [UInt64])
  func bytesThatAreChangedAnywhere(seed: UInt64) throws {
    let original = try Original()
    var random = SeededGenerator(seed: seed)
    for round in 0..<60 {
      let scratch = try Scratch(isVolatile: true)
      var file = original.file
      var log = original.log
      // The first pages hold header, schema and root: they get more than their share.
      let isFile = round % 3 != 0
      let end = round % 6 == 1 ? 8_191 : (isFile ? file.count : log.count) - 1
      let offset = random.number(0...end)
      let flip = UInt8(random.number(1...255))
      if isFile { file[offset] ^= flip } else { log[offset] ^= flip }
      try original.lay(scratch, file: file, log: log)
      try open(scratch, "\(isFile ? "file" : "log"): byte \(offset) changed by \(flip)")
    }
  }

  /// Of a file whose log was written back, one bad block takes what stood in it, and no more.
  @Test func oneBadBlockTakesNoMoreThanItHeld() throws {
    var random = SeededGenerator(seed: 8)
    for _ in 0..<20 {
      let scratch = try Scratch(isVolatile: true)
      do { try scratch.spool().append(1...Original.count) }
      var file = try Data(contentsOf: URL(filePath: scratch.file))
      let block = random.number(3...file.count / 4_096 - 1)
      for index in 0..<4_096 { file[block * 4_096 + index] = UInt8(random.number(0...255)) }
      try file.write(to: URL(filePath: scratch.file))
      let lost = try open(scratch, "block \(block)")
      #expect(lost <= 100, "block \(block): \(lost) lost")
    }
  }

  @Test func aFirstBlockOfRubbishTakesNothing() throws {
    let scratch = try Scratch(isVolatile: true)
    do { try scratch.spool().append(1...Original.count) }
    var file = try Data(contentsOf: URL(filePath: scratch.file))
    for index in 0..<4_096 { file[index] = UInt8(index & 0xFF) }
    try file.write(to: URL(filePath: scratch.file))
    #expect(try open(scratch, "first block") == 0)
  }

  @Test func aFileThatIsNoDatabaseIsSetAside() throws {
    let scratch = try Scratch(isVolatile: true)
    try Data("these are not the messages you are looking for".utf8)
      .write(to: URL(filePath: scratch.file))
    let spool = try scratch.spool()
    let damage = try #require(spool.damage)
    #expect(damage.salvaged == 0 && damage.lost == nil)
    try spool.append(1...10)
    #expect(spool.depth == 10)
  }

  @Test func aFileThatIsGoneIsReported() throws {
    let scratch = try Scratch(isVolatile: true)
    do { try scratch.spool().append(1...100) }
    try FileManager.default.removeItem(atPath: scratch.file)
    let damage = try #require(try scratch.spool().damage)
    #expect(damage.lost == 100)
  }

  @Test func withoutTheMarkerTheMessagesAreStillThere() throws {
    let scratch = try Scratch(isVolatile: true)
    do {
      let spool = try scratch.spool()
      try spool.append(1...100)
      try spool.remove(through: 40)
    }
    try FileManager.default.removeItem(atPath: scratch.file + ".lock")
    try expect(try scratch.spool(), holds: 41...100)
  }

  /// A salvage may be killed too, between any two of its steps.
  @Test func aSalvageThatIsKilledLosesNothing() async throws {
    let original = try Original()
    var random = SeededGenerator(seed: 9)
    var file = original.file
    file[file.count / 2 / 4_096 * 4_096] ^= 0xFF
    for round in 0..<25 {
      let scratch = try Scratch(isVolatile: true)
      try original.lay(scratch, file: file)
      let path = scratch.path
      let delay = random.number(0...20_000)
      await #expect(processExitsWith: .signal(SIGKILL)) {
        [path = path as String, delay = delay as Int] in
        DispatchQueue.global().asyncAfter(deadline: .now() + .microseconds(delay)) {
          kill(getpid(), SIGKILL)
        }
        while true { _ = try Spool(directory: path, clientID: Scratch.clientID) }
      }
      let spool = try scratch.spool()
      let numbers = try spool.all().compactMap { message in
        String(decoding: message.topic, as: UTF8.self).split(separator: "-").last
          .flatMap { Int64($0) }
      }
      #expect(numbers.count >= Int(Original.count) - 100, "round \(round)")
      #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
      #expect(try scratch.files().contains { $0.contains(".damaged-2") })
      #expect(try !scratch.files().contains { $0.contains(".salvag") })
    }
  }

  /// The state between the renames, which are too quick to be hit by chance.
  @Test func aSalvageThatEndedBetweenItsRenamesIsFinished() throws {
    let scratch = try Scratch(isVolatile: true)
    do { try scratch.spool().append(1...300) }
    try FileManager.default.moveItem(atPath: scratch.file, toPath: scratch.file + ".salvaged")
    // The log that belongs to the file which was set aside.
    try Original().log.write(to: URL(filePath: scratch.log))
    try expect(try scratch.spool(), holds: 1...300)
    #expect(try scratch.files().contains { $0.contains(".damaged-2") && $0.hasSuffix("-wal") })
  }

  @Test func aSalvageThatEndedBeforeItsRenamesIsForgotten() throws {
    let scratch = try Scratch(isVolatile: true)
    do { try scratch.spool().append(1...300) }
    try Data("half a salvage".utf8).write(to: URL(filePath: scratch.file + ".salvaged"))
    try Data("half a copy".utf8).write(to: URL(filePath: scratch.file + ".salvaging-wal"))
    try expect(try scratch.spool(), holds: 1...300)
    #expect(try !scratch.files().contains { $0.contains(".salvag") })
  }

  @Test func damageUnderAnOpenSpoolIsNoticedAndSalvagedByOpening() throws {
    let scratch = try Scratch(isVolatile: true)
    do { try scratch.spool().append(1...20_000) }
    var spool = Optional(try scratch.spool())
    let handle = try FileHandle(forUpdating: URL(filePath: scratch.file))
    // SQLite keeps 2 MB of pages in memory: these are further back, or read again after a change.
    let middle = try handle.seekToEnd() / 2 / 4_096 * 4_096
    for page in 0..<20 {
      try handle.seek(toOffset: middle + UInt64(page) * 4_096)
      try handle.write(contentsOf: Data(repeating: 0xA5, count: 4_096))
    }
    try handle.close()
    var seen = false
    while let open = spool, !open.isEmpty, !seen {
      do throws(SpoolError) {
        try open.remove(through: try open.oldest(limit: 100).lastSequence ?? 0)
      } catch {
        #expect(error.code == .damaged, "\(error)")
        seen = true
      }
    }
    #expect(seen)
    spool = nil
    let damage = try #require(try scratch.spool().damage)
    #expect(damage.salvaged > 5_000 && (1...1_000).contains(damage.lost ?? 0), "\(damage)")
  }
}
