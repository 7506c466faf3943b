// A directory for the spools of one test, and messages whose content follows from their number.

import EnergyReadings
import Foundation
import SeededRandom
import Spool
import Testing

/// A directory that is gone with its last reference.
final class Scratch {
  let path: String

  /// - Parameter isVolatile: where fsync costs nothing, for tests that open many files and are not
  ///   about what lasts.
  init(isVolatile: Bool = false) throws {
    let memory = "/dev/shm"
    let parent =
      isVolatile && FileManager.default.isWritableFile(atPath: memory)
      ? URL(filePath: memory) : FileManager.default.temporaryDirectory
    path = parent.appendingPathComponent("spool-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func spool(_ limits: SpoolLimits = SpoolLimits()) throws -> Spool {
    try Spool(directory: path, clientID: Scratch.clientID, limits: limits)
  }

  static let clientID = "meters-0"
  var file: String { "\(path)/\(Scratch.clientID).spool.sqlite" }
  var log: String { file + "-wal" }

  /// Names of the files, the lock aside.
  func files() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).filter { !$0.hasSuffix(".lock") }
      .sorted()
  }
}

/// The content of the message with a certain number.
struct NumberedMessage: Equatable {
  let topic: [UInt8]
  let payload: [UInt8]
  let receivedAt: Timestamp

  /// Now and then a payload that needs several pages; all bytes occur, zeros too.
  init(_ number: Int64) {
    var random = SeededGenerator(seed: UInt64(bitPattern: number))
    topic = Array("gridtokenx/v1/BKK-07/consumption/m-\(number)".utf8)
    let count = random.oneIn(200) ? random.number(4_000...40_000) : random.number(0...300)
    payload = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    receivedAt = Timestamp(microseconds: 1_750_000_000_000_000 + number * 1_000)
  }

  /// What came back from a spool.
  init(_ message: SpooledMessage, of spooled: borrowing SpooledMessages) {
    topic = Array(spooled.arena.bytes[message.topic.range])
    payload = Array(spooled.arena.bytes[message.payload.range])
    receivedAt = message.receivedAt
  }
}

extension Spool {
  /// Appends the messages with these numbers.
  func append(_ numbers: ClosedRange<Int64>) throws(SpoolError) {
    try append { (appender) throws(SpoolError) in
      for number in numbers {
        let message = NumberedMessage(number)
        try appender.add(
          topic: message.topic.span, payload: message.payload.span, receivedAt: message.receivedAt)
      }
    }
  }

  /// All messages; they stay.
  func all() throws -> [NumberedMessage] {
    let spooled = try oldest(limit: .max, bytes: 1 << 30)
    var found: [NumberedMessage] = []
    for message in spooled.messages { found.append(NumberedMessage(message, of: spooled)) }
    return found
  }
}

/// Expects that the spool holds exactly the messages with these numbers.
func expect(
  _ spool: Spool, holds numbers: ClosedRange<Int64>,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  #expect(spool.damage == nil, sourceLocation: sourceLocation)
  #expect(spool.depth == numbers.count, sourceLocation: sourceLocation)
  let expected = numbers.map { NumberedMessage($0) }
  #expect(try spool.all() == expected, sourceLocation: sourceLocation)
  #expect(spool.oldestReceivedAt == expected.first?.receivedAt, sourceLocation: sourceLocation)
  let bytes = expected.reduce(0) { $0 + $1.topic.count + $1.payload.count + 20 }
  #expect(spool.bytes == bytes, sourceLocation: sourceLocation)
}
