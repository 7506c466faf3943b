// What the pipeline tells about itself, to whoever counts, logs or shows it.

import EnergyReadings
import MQTTSession
import PostgresStore

/// Hears of every step. Called on workers' threads; must not block.
public protocol IngestObserver: Sendable {
  /// A batch is complete and about to be committed.
  func batchClosed(_ batch: Batch, worker: Int)
  /// A batch is in the database.
  func batchCommitted(_ batch: Batch, _ ledger: BatchLedger, took: Duration, worker: Int)
  /// A commit failed; the same batch will be tried again.
  func commitFailed(_ error: PostgresError, attempt: Int, worker: Int)
  /// The database connection opened, or ended for that reason.
  func databaseChanged(_ failure: PostgresError?, worker: Int)
  /// The broker connection opened, or ended for that reason.
  func brokerChanged(_ failure: MQTTError?, worker: Int)
  /// Something an operator should read.
  func warning(_ text: String, worker: Int)
}
