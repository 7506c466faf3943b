// What the pipeline tells about itself, to whoever counts, logs or shows it.

import EnergyReadings
import MQTTSession
import PostgresStore
import Spool

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
  /// The worker subscribes to, or ends, filters of sources that changed.
  func subscriptionsChanged(added: [String], ended: [String], worker: Int)
  /// The broker did not know the session any more: what was published since may be missing.
  func sessionLost(_ text: String, worker: Int)
  /// Messages that the broker itself has dropped since it started, as it says.
  func brokerDropped(_ messages: Int, worker: Int)
  /// Messages went into the spool, or from there into the database.
  func spoolChanged(_ level: SpoolLevel, added: Int, drained: Int, worker: Int)
  /// The spool took or gave nothing for that reason, or does again.
  func spoolRefused(_ failure: SpoolError?, worker: Int)
  /// Something an operator should read.
  func warning(_ text: String, worker: Int)
}
