// The limit: binary COPY by plain libpq, with nothing else around it. libpq takes and gives C
// pointers, which do not leave this file.

import CLibpq
import Foundation
import Synchronization

enum RawCopy {
  /// The columns that the ingestor writes.
  static let columns =
    "id, consumer_id, energy_amount, consumer_type, location_json, appliance_breakdown, timestamp"

  /// Stores a file of binary COPY in one transaction.
  ///
  /// - Returns: CPU seconds of the calling thread.
  static func store(_ file: String, url: String) throws(BenchError) -> Double {
    let began = ProcessCost.ofThisThread
    guard let input = FileHandle(forReadingAtPath: file) else {
      throw BenchError(.failed, "cannot read \(file)")
    }
    defer { try? input.close() }
    let connection = try Connection(url)
    try connection.begin(
      "COPY grid.energy_consumption (\(columns)) FROM STDIN (FORMAT binary)", PGRES_COPY_IN)
    var chunk = [CChar](repeating: 0, count: 65_536)
    while true {
      let count = read(input.fileDescriptor, &chunk, chunk.count)
      if count <= 0 { break }
      if PQputCopyData(connection.raw, chunk, Int32(count)) != 1 { break }
    }
    _ = PQputCopyEnd(connection.raw, nil)
    try connection.finish()
    return ProcessCost.ofThisThread - began
  }

  /// Writes the rows that `condition` chooses, in the order in which they are stored.
  static func export(where condition: String, to file: String, url: String) throws(BenchError) {
    guard let output = fopen(file, "w") else { throw BenchError(.failed, "cannot write \(file)") }
    let connection = try Connection(url)
    // One that begins in the middle of the table would be in another order.
    try connection.begin("SET synchronize_seqscans = off", PGRES_COMMAND_OK)
    try connection.begin(
      "COPY (SELECT \(columns) FROM grid.energy_consumption WHERE \(condition)) "
        + "TO STDOUT (FORMAT binary)", PGRES_COPY_OUT)
    var row: UnsafeMutablePointer<CChar>?
    while true {
      let count = PQgetCopyData(connection.raw, &row, 0)
      if count <= 0 { break }
      fwrite(row, 1, Int(count), output)
      PQfreemem(row)
    }
    // A full disk shows here at the latest.
    guard fclose(output) == 0 else { throw BenchError(.failed, "cannot write \(file)") }
    try connection.finish()
  }

  private final class Connection {
    let raw: OpaquePointer?

    init(_ url: String) throws(BenchError) {
      raw = PQconnectdb(url)
      if PQstatus(raw) != CONNECTION_OK { throw failure() }
    }

    deinit { PQfinish(raw) }

    func begin(_ sql: String, _ expected: ExecStatusType) throws(BenchError) {
      let result = PQexec(raw, sql)
      defer { PQclear(result) }
      if PQresultStatus(result) != expected { throw failure() }
    }

    /// Takes every result, so that the server's verdict is heard.
    func finish() throws(BenchError) {
      var isDone = true
      while let result = PQgetResult(raw) {
        if PQresultStatus(result) != PGRES_COMMAND_OK { isDone = false }
        PQclear(result)
      }
      if !isDone { throw failure() }
    }

    private func failure() -> BenchError {
      BenchError(.failed, "raw COPY: \(String(cString: PQerrorMessage(raw)))")
    }
  }
}

/// Runs `body` on `count` threads at once and returns what they return.
func inParallel(
  _ count: Int, _ body: @escaping @Sendable (Int) throws -> Double
) throws -> [Double] {
  let results = ParallelResults()
  let group = DispatchGroup()
  for index in 0..<count {
    group.enter()
    Thread.detachNewThread {
      results.all.withLock { $0.append(Result { try body(index) }) }
      group.leave()
    }
  }
  group.wait()
  return try results.all.withLock { try $0.map { try $0.get() } }
}

private final class ParallelResults: Sendable {
  let all = Mutex<[Result<Double, any Error>]>([])
}
