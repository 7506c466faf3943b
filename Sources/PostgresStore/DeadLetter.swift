// What was turned away, as a row of ingest.dead_letters.

import EnergyReadings

/// One rejected message or reading, on its way to `ingest.dead_letters`.
public struct DeadLetter {
  public var receivedAt: Timestamp
  public var topic: ByteSlice
  /// The rejected reading's own bytes, or the whole message.
  public var payload: ByteSlice
  /// Place among several readings of one message.
  public var index: Int32?
  public var kind: ReadingKind?
  public var device: ByteSlice
  public var rejection: Rejection

  public init(
    receivedAt: Timestamp, topic: ByteSlice, payload: ByteSlice, index: Int32?, kind: ReadingKind?,
    device: ByteSlice, rejection: Rejection
  ) {
    self.receivedAt = receivedAt
    self.topic = topic
    self.payload = payload
    self.index = index
    self.kind = kind
    self.device = device
    self.rejection = rejection
  }
}

enum DeadLetterTable {
  static let columns =
    "id, received_at, last_received_at, topic, payload, payload_bytes, payload_index, kind, "
    + "device_id, reason, rule, constraint_name, sqlstate, json_path, detail"
  static let columnCount: Int16 = 15
  static let staged = "staged_dead_letters"

  /// Larger payloads are kept by their beginning only, bytes.
  static let largestPayload = 1 << 20

  static let copy = "COPY \(staged) (\(columns)) FROM STDIN (FORMAT binary)"
  static let stage = """
    CREATE TEMP TABLE IF NOT EXISTS \(staged) ON COMMIT DELETE ROWS
    AS SELECT \(columns) FROM ingest.dead_letters WITH NO DATA
    """
  /// The same content again is the same dead letter, tried once more and open again.
  static let merge = """
    INSERT INTO ingest.dead_letters AS kept (\(columns), attempts)
    SELECT DISTINCT ON (id) \(columns), count(*) OVER (PARTITION BY id) FROM \(staged) ORDER BY id
    ON CONFLICT (id) DO UPDATE SET
      attempts = kept.attempts + excluded.attempts,
      last_received_at = excluded.last_received_at, reason = excluded.reason,
      rule = excluded.rule, constraint_name = excluded.constraint_name,
      sqlstate = excluded.sqlstate, json_path = excluded.json_path, detail = excluded.detail,
      resolved_at = NULL
    """
}

extension CopyBuffer {
  /// Appends a dead letter as a row.
  public func append(_ letter: DeadLetter, in arena: borrowing ByteArena) {
    let payload = arena[letter.payload]
    let kept = payload.extracting(0..<min(payload.count, DeadLetterTable.largestPayload))
    let id = ReadingID(
      topic: arena[letter.topic], payload: payload, index: letter.index.map(Int.init))
    beginRow(columns: DeadLetterTable.columnCount)
    uuid(id)
    timestamp(letter.receivedAt)
    timestamp(letter.receivedAt)
    text(arena.string(letter.topic))
    text(kept)
    bigint(kept.count < payload.count ? Int64(payload.count) : nil)
    integer(letter.index)
    text(letter.kind?.description)
    text(letter.device.isPresent ? arena.string(letter.device) : nil)
    text(letter.rejection.reason.code)
    text(letter.rejection.rule)
    text(letter.rejection.constraint)
    text(letter.rejection.sqlState)
    text(letter.rejection.path.isEmpty ? nil : letter.rejection.path)
    text(letter.rejection.detail)
    endRow()
  }
}
