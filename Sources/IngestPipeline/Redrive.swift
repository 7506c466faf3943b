// Tries dead letters again, through the whole pipeline: decode, complete, judge, store.

import CheckRules
import EnergyReadings
import Glibc
import PayloadDecoding
import PostgresStore

/// A dead letter on its way through the pipeline.
struct RedrivenLetter {
  var id: ReadingID
  var topic: String
  var payload: [UInt8]
  /// Which of several readings it is about.
  var index: Int32?
  var receivedAt: Timestamp
}

/// What a redrive did.
public struct RedriveReport: Sendable, Equatable {
  /// Letters whose readings are stored now, or were zero.
  public var passed = 0
  /// Letters that were refused again; they stay open, with their history.
  public var refused = 0
  /// Letters that hold only the beginning of their payload.
  public var incomplete = 0
  /// Letters on topics that this process expects nothing on, such as those of sources that it was not
  /// given; they stay as they are.
  public var unexpected = 0

  public init() {}
}

/// Blocks; use it on a thread of its own.
public struct Redrive {
  private let connection: PostgresConnection
  private let enrichment: EnrichmentSettings
  private let reference: (PostgresConnection) throws(PostgresError) -> ReferenceData

  /// - Parameter reference: what letters are judged by; asked for only when there are any.
  public init(
    _ connection: PostgresConnection, enrichment: EnrichmentSettings,
    reference: @escaping (PostgresConnection) throws(PostgresError) -> ReferenceData
  ) {
    self.connection = connection
    self.enrichment = enrichment
    self.reference = reference
  }

  /// Letters that are tried in one transaction: a crash loses the work on so many, and no reading.
  private static let batchSize = 2_000

  /// Tries the open letters that `filter` selects, oldest first, each once.
  ///
  /// What passes is stored and its letter closed in one transaction, so that a redrive that is
  /// killed can simply be repeated. Redrives of one database wait for each other.
  ///
  /// - Parameters:
  ///   - progress: told the letters tried so far; returns false to stop.
  public func run(
    _ filter: DeadLetterFilter, progress: (Int) -> Bool = { _ in true }
  ) throws(PostgresError) -> RedriveReport {
    while try !lock() {
      if !progress(0) { return RedriveReport() }
      usleep(200_000)
    }
    let result: Swift.Result<RedriveReport, PostgresError>
    do throws(PostgresError) {
      result = .success(try runLocked(filter, progress))
    } catch {
      result = .failure(error)
    }
    // A broken connection has lost the lock anyway.
    _ = try? connection.query("SELECT pg_advisory_unlock($1::bigint)", [Redrive.lock])
    return try result.get()
  }

  /// Takes the lock, or says that another redrive has it.
  private func lock() throws(PostgresError) -> Bool {
    try connection.query(
      "SELECT pg_try_advisory_lock($1::bigint)", [Redrive.lock], as: "lock redrive")[0][0] == "t"
  }

  /// Any number that no other service is likely to lock.
  private static let lock = "7236084615309341"

  private func runLocked(
    _ filter: DeadLetterFilter, _ progress: (Int) -> Bool
  ) throws(PostgresError) -> RedriveReport {
    let archive = DeadLetterArchive(connection)
    var reference: ReferenceData?
    // Of its own: what a meter showed since must not be compared with what it showed before.
    let batch = Batch(enrichment: enrichment, states: MeterStates(limit: 100_000))
    var report = RedriveReport()
    var tried = 0
    var cursor: DeadLetterArchive.Cursor?
    while true {
      let page = try archive.page(filter, after: cursor, limit: Redrive.batchSize)
      guard let last = page.last else { return report }
      cursor = last.cursor
      if reference == nil {
        var loaded = try self.reference(connection)
        loaded.rules = loaded.rules.withoutPast
        reference = loaded
      }
      guard let known = reference else { return report }
      for letter in page {
        guard let letter = RedrivenLetter(letter) else {
          report.incomplete += 1
          continue
        }
        guard known.sources.expects(letter.topic) else {
          report.unexpected += 1
          continue
        }
        batch.add(letter, by: known)
      }
      let ledger = try batch.commit(to: BatchStore(connection))
      report.refused += ledger.redrivenAgain
      report.passed += ledger.redriven - ledger.redrivenAgain
      batch.removeAll()
      tried += page.count
      if !progress(tried) { return report }
    }
  }
}

extension RedrivenLetter {
  /// nil where only the beginning of the payload was kept.
  fileprivate init?(_ content: DeadLetterContent) {
    guard content.isWhole else { return nil }
    self.init(
      id: content.id, topic: content.topic, payload: content.payload, index: content.index,
      receivedAt: content.receivedAt)
  }
}
