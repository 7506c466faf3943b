// What is found in a spool when it is opened: every row is read once.

import EnergyReadings
import GRDB

/// What a sound spool holds.
struct SpoolInspection {
  var marker: SpoolMarker
  /// Bytes of the records.
  var bytes = 0
  var oldestReceivedAt: Timestamp?

  /// Reads all of it.
  ///
  /// - Parameter inherited: what the last process noted; nil where that is unknown.
  /// - Throws: `SpoolError.Code.damaged` with what does not fit.
  init(_ table: SpoolTable, inherited: SpoolMarker?) throws(SpoolError) {
    func damaged(_ detail: String) -> SpoolError {
      SpoolError(.damaged, file: table.file, detail: detail)
    }
    // Pages that are in use twice would overwrite one another only later.
    let verdict = try table.access { try String.fetchOne($0, sql: "PRAGMA quick_check(1)") }
    guard verdict == "ok" else { throw damaged(verdict ?? "the check gave no answer") }
    var last = inherited?.removed
    var bytes = 0
    var oldest: Timestamp?
    var removed = inherited?.removed ?? 0
    try table.forEach(from: removed + 1) { sequence, bytesOfRow in
      guard sequence == (last ?? sequence - 1) + 1 else {
        throw damaged("messages \((last ?? 0) + 1) to \(sequence - 1) are missing")
      }
      guard let record = SpoolRecord(bytesOfRow, sequence: sequence) else {
        throw damaged("message \(sequence) does not have the checksum that it was written with")
      }
      if last == nil { removed = sequence - 1 }
      last = sequence
      bytes += bytesOfRow.count
      oldest = oldest ?? record.receivedAt
      return true
    }
    let end = last ?? 0
    if let inherited, inherited.appended > end {
      throw damaged("messages \(end + 1) to \(inherited.appended), the last ones, are missing")
    }
    marker = SpoolMarker(removed: removed, appended: end)
    self.bytes = bytes
    oldestReceivedAt = oldest
  }
}
