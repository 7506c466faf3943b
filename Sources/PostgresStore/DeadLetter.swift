// What was turned away, as a row of ingest.dead_letters.

import EnergyReadings

/// One rejected message or reading, on its way to `ingest.dead_letters`.
public struct DeadLetter {
  /// The letter that a redrive took it from; nil: derived from topic, payload and index.
  public var id: ReadingID?
  /// Number of its message in the batch.
  public var message = 0
  public var receivedAt: Timestamp
  public var topic: ByteSlice
  /// The rejected reading's own bytes, or the whole message.
  public var payload: ByteSlice
  /// Length of the payload as it arrived, bytes, where `payload` may hold only its beginning.
  public var payloadBytes: Int?
  /// Place among several readings of one message.
  public var index: Int32?
  public var kind: ReadingKind?
  public var device: ByteSlice
  public var rejection: Rejection

  public init(
    receivedAt: Timestamp, topic: ByteSlice, payload: ByteSlice, payloadBytes: Int? = nil,
    index: Int32?, kind: ReadingKind?, device: ByteSlice, rejection: Rejection
  ) {
    self.receivedAt = receivedAt
    self.topic = topic
    self.payload = payload
    self.payloadBytes = payloadBytes
    self.index = index
    self.kind = kind
    self.device = device
    self.rejection = rejection
  }

  /// The id of its row: its own, or the one derived from topic, payload and index.
  public func rowID(in arena: borrowing ByteArena) -> ReadingID {
    id ?? ReadingID(topic: arena[topic], payload: arena[payload], index: index.map(Int.init))
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
      last_received_at = greatest(kept.last_received_at, excluded.last_received_at),
      reason = excluded.reason,
      rule = excluded.rule, constraint_name = excluded.constraint_name,
      sqlstate = excluded.sqlstate, json_path = excluded.json_path, detail = excluded.detail,
      resolved_at = NULL, resolution = NULL
    """
}

/// How dead letters end that were tried again.
public enum DeadLetterSettlement {
  /// Closes what passed, and adds the last verdict of what was refused again to its history, before
  /// the new one takes its place; within the open transaction of their batch.
  ///
  /// - Parameter zeros: what passed and is not stored, since it is 0.
  public static func settle(
    passed: [ReadingID], zeros: [ReadingID], refused: [ReadingID],
    over connection: PostgresConnection
  ) throws(PostgresError) {
    // In the order in which batches lock letters that come again.
    try connection.query(
      "SELECT FROM ingest.dead_letters WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE",
      [arrayLiteral((passed + zeros + refused).map(\.description))], as: "lock dead letters")
    for (ids, resolution) in [(passed, "stored"), (zeros, "zero")] where !ids.isEmpty {
      try connection.query(
        """
        UPDATE ingest.dead_letters SET resolved_at = now(), resolution = $2
        WHERE id = ANY ($1::uuid[])
        """, [arrayLiteral(ids.map(\.description)), resolution], as: "close dead letters")
    }
    if refused.isEmpty { return }
    try connection.query(
      """
      UPDATE ingest.dead_letters SET history = history || jsonb_build_array(
        jsonb_strip_nulls(jsonb_build_object(
          'at', now(), 'reason', reason, 'rule', rule, 'constraint', constraint_name,
          'sqlstate', sqlstate, 'path', json_path, 'detail', detail)))
      WHERE id = ANY ($1::uuid[]) AND jsonb_array_length(history) < \(longestHistory)
      """, [arrayLiteral(refused.map(\.description))], as: "keep the history of dead letters")
  }

  /// Verdicts kept of a letter; the attempts are counted beyond.
  private static let longestHistory = 50
}

extension CopyBuffer {
  /// Appends a dead letter as a row.
  public func append(_ letter: DeadLetter, in arena: borrowing ByteArena) {
    let payload = arena[letter.payload]
    let kept = payload.extracting(0..<min(payload.count, DeadLetterTable.largestPayload))
    let id = letter.rowID(in: arena)
    let size = letter.payloadBytes ?? payload.count
    let texts = DeadLetterTexts(letter, arena)
    appendRow(
      columns: DeadLetterTable.columnCount, textBytes: kept.count + texts.byteCount
    ) { row in
      row.uuid(id)
      row.timestamp(letter.receivedAt)
      row.timestamp(letter.receivedAt)
      row.text(texts.topic)
      row.text(kept)
      row.bigint(size > kept.count ? Int64(size) : nil)
      row.integer(letter.index)
      row.text(letter.kind?.description)
      row.text(texts.device)
      row.text(letter.rejection.reason.code)
      row.text(texts.rule)
      row.text(texts.constraint)
      row.text(texts.sqlState)
      row.text(texts.path)
      row.text(texts.detail)
    }
  }
}

/// The texts of a dead letter, such as PostgreSQL takes them: NUL becomes U+FFFD.
private struct DeadLetterTexts {
  let topic: String
  let device, rule, constraint, sqlState, path, detail: String?

  init(_ letter: DeadLetter, _ arena: borrowing ByteArena) {
    func clean(_ text: String) -> String {
      text.contains("\0") ? text.replacing("\0", with: "\u{FFFD}") : text
    }
    topic = clean(arena.string(letter.topic))
    device = letter.device.isPresent ? clean(arena.string(letter.device)).indexable : nil
    rule = letter.rejection.rule
    constraint = letter.rejection.constraint.map(clean)
    sqlState = letter.rejection.sqlState
    path = letter.rejection.path.isEmpty ? nil : clean(letter.rejection.path)
    detail = clean(letter.rejection.detail)
  }

  /// Bytes of all texts, and of the codes that have no string here.
  var byteCount: Int {
    [topic, device, rule, constraint, sqlState, path, detail].reduce(64) {
      $0 + ($1?.utf8.count ?? 0)
    }
  }
}

extension String {
  /// The beginning that an entry of a B-tree has room for (some 2,700 bytes; nbtree.h,
  /// BTMaxItemSize): a topic level may have 65,535, and a dead letter that cannot be stored keeps
  /// its batch out for ever. Longer than the 100 characters of any device, so that it is taken for
  /// none; the topic keeps the whole.
  fileprivate var indexable: String {
    unicodeScalars.count <= 256 ? self : String(unicodeScalars.prefix(256))
  }
}
