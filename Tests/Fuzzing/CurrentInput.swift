// The input that is being tried, on disk before it is tried: what a crash or a hang leaves behind.

import Foundation

/// A file with the number and the bytes of the current input.
public final class CurrentInput {
  private let descriptor: Int32
  private var record: [UInt8] = []

  private static let headerBytes = 16

  /// - Throws: where the file cannot be created.
  public init(file: String) throws {
    descriptor = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw FuzzFinding("\(file): cannot be created: \(String(cString: strerror(errno)))")
    }
  }

  deinit { close(descriptor) }

  /// Written by one system call, and never cut: the header has the length.
  func note(_ input: [UInt8], number: Int) throws {
    record.removeAll(keepingCapacity: true)
    for value in [number, input.count] {
      for byte in 0..<8 { record.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
    }
    record.append(contentsOf: input)
    guard pwrite(descriptor, record, record.count, 0) == record.count else {
      throw FuzzFinding("the current input cannot be noted: \(String(cString: strerror(errno)))")
    }
  }

  /// What the last process noted; nil where it noted nothing.
  public static func read(_ file: String) -> (number: Int, input: [UInt8])? {
    guard let handle = FileHandle(forReadingAtPath: file) else { return nil }
    defer { try? handle.close() }
    guard let data = try? handle.readToEnd(), data.count >= headerBytes else { return nil }
    func value(at offset: Int) -> Int {
      (0..<8).reduce(0) { $0 | Int(data[offset + $1]) << (8 * $1) }
    }
    return (value(at: 0), Array(data.dropFirst(headerBytes).prefix(value(at: 8))))
  }
}
