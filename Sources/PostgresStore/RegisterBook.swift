// The registers of one batch: what the database remembers of them, locked for the length of the
// batch's transaction, and what is written back.

import EnergyReadings

/// Registers by their number in the batch. Reused from batch to batch; it remembers nothing itself.
public final class RegisterBook {
  private struct Entry {
    var device: ByteSlice
    var register: ByteSlice
    /// The next register with the same hash, -1 after the last.
    var next: Int32
  }

  private var entries: [Entry] = []
  private var texts = ByteArena()
  /// The last register with each hash.
  private var heads: [UInt64: Int32] = [:]
  /// Differs from process to process, so that nobody can choose names that collide.
  private let seed = UInt64.random(in: .min ... .max)

  /// What the database remembers, and where.
  private var locked: [(history: RegisterHistory?, version: RowVersion)] = []
  /// What the batch makes of it.
  private var histories: [RegisterHistory?] = []
  private var changed: [Bool] = []
  private var events: [(register: Int, at: Timestamp, event: RegisterEvent)] = []

  public init() {}

  /// Registers of the batch.
  public var count: Int { entries.count }

  public func removeAll() {
    guard !entries.isEmpty else { return }
    entries.removeAll(keepingCapacity: true)
    texts.removeAll()
    heads.removeAll(keepingCapacity: true)
    locked.removeAll(keepingCapacity: true)
    histories.removeAll(keepingCapacity: true)
    changed.removeAll(keepingCapacity: true)
    events.removeAll(keepingCapacity: true)
  }

  /// The number of a register, which is given one where it has none.
  ///
  /// - Parameters:
  ///   - device: UTF-8 without NUL, as is `register`: what PostgreSQL takes for text.
  public func number(device: Span<UInt8>, register: Span<UInt8>) -> Int {
    let hash = device.hash(seed: seed) ^ register.hash(seed: ~seed)
    var index = heads[hash] ?? -1
    let head = index
    while index >= 0 {
      let entry = entries[Int(index)]
      if texts[entry.device].elementsEqual(device), texts[entry.register].elementsEqual(register) {
        return Int(index)
      }
      index = entry.next
    }
    entries.append(
      Entry(device: texts.append(device), register: texts.append(register), next: head))
    heads[hash] = Int32(entries.count - 1)
    return entries.count - 1
  }

  /// What is remembered of a register. Only after ``lock(over:)``.
  public func history(_ number: Int) -> RegisterHistory? { histories[number] }

  /// Takes a register's new memory, and what happened to it.
  public func update(
    _ number: Int, to history: RegisterHistory?, at time: Timestamp, _ event: RegisterEvent?
  ) {
    histories[number] = history
    changed[number] = true
    if let event { events.append((number, time, event)) }
  }

  /// Locks the registers for the rest of the open transaction, and reads what is remembered.
  public func lock(over connection: PostgresConnection) throws(PostgresError) {
    var devices = ArrayParameter(.text, capacity: count)
    var names = ArrayParameter(.text, capacity: count)
    for entry in entries {
      devices.append(texts[entry.device])
      names.append(texts[entry.register])
    }
    locked = .init(repeating: (nil, RowVersion(block: 0, offset: 0)), count: count)
    var answered = 0
    try connection.query(
      RegisterBook.lock, arrays: [devices, names], as: "lock ingest.register_state"
    ) { row in
      guard let place = row.int64(0), locked.indices.contains(Int(place) - 1),
        let version = row.version(1)
      else { return }
      if locked[Int(place) - 1].version.offset == 0 { answered += 1 }
      locked[Int(place) - 1] = (RegisterHistory(row), version)
    }
    try check(answered, count, connection)
    reset()
  }

  /// An operator may delete a register at any moment, also between two statements of this program;
  /// the next attempt finds it new.
  private func check(
    _ found: Int, _ expected: Int, _ connection: PostgresConnection
  ) throws(PostgresError) {
    guard found != expected else { return }
    throw PostgresError(
      sqlState: "40001",
      message: "\(expected - found) registers vanished while they were locked",
      target: connection.target, operation: "lock ingest.register_state")
  }

  /// Goes back to what ``lock(over:)`` read.
  public func reset() {
    histories.removeAll(keepingCapacity: true)
    for entry in locked { histories.append(entry.history) }
    changed.removeAll(keepingCapacity: true)
    changed.append(contentsOf: repeatElement(false, count: count))
    events.removeAll(keepingCapacity: true)
  }

  /// Writes back what changed, and the events, within the open transaction.
  public func store(over connection: PostgresConnection) throws(PostgresError) {
    let numbers = entries.indices.filter { changed[$0] && histories[$0] != locked[$0].history }
    if !numbers.isEmpty { try storeHistories(numbers, over: connection) }
    if !events.isEmpty { try storeEvents(over: connection) }
  }

  private func storeHistories(
    _ numbers: [Int], over connection: PostgresConnection
  ) throws(PostgresError) {
    var written = 0
    var versions = ArrayParameter(.tid, capacity: numbers.count)
    var measures = ArrayParameter(.text, capacity: numbers.count)
    var times = (0..<5).map { _ in ArrayParameter(.timestamp, capacity: numbers.count) }
    var values = (0..<5).map { _ in ArrayParameter(.bigint, capacity: numbers.count) }
    for number in numbers {
      guard let history = histories[number] else { continue }
      written += 1
      versions.append(locked[number].version)
      measures.append(history.measure.name)
      times[0].append(history.last.at)
      times[1].append(history.first.at)
      times[2].append(history.floor)
      times[3].append(history.fallen?.at)
      times[4].append(history.candidate?.at)
      values[0].append(history.last.value)
      values[1].append(history.first.value)
      values[2].append(history.fallen?.value)
      values[3].append(history.candidate?.value)
      values[4].append(history.carry)
    }
    let found = try connection.query(
      RegisterBook.save, arrays: [versions, measures] + times + values,
      as: "update ingest.register_state")
    try check(found, written, connection)
  }

  private func storeEvents(over connection: PostgresConnection) throws(PostgresError) {
    var devices = ArrayParameter(.text, capacity: events.count)
    var names = ArrayParameter(.text, capacity: events.count)
    var times = ArrayParameter(.timestamp, capacity: events.count)
    var kinds = ArrayParameter(.text, capacity: events.count)
    var before = ArrayParameter(.bigint, capacity: events.count)
    var after = ArrayParameter(.bigint, capacity: events.count)
    for (register, time, event) in events {
      devices.append(texts[entries[register].device])
      names.append(texts[entries[register].register])
      times.append(time)
      kinds.append(event.kind.name)
      before.append(event.before)
      after.append(event.after)
    }
    try connection.query(
      RegisterBook.note, arrays: [times, devices, names, kinds, before, after],
      as: "insert into ingest.register_events")
  }

  private static let lock = """
    SELECT place, version, measure, last_at, last_value, first_at, first_value, floor_at,
      fallen_at, fallen_value, candidate_at, candidate_value, carry
    FROM ingest.lock_registers($1::text[], $2::text[])
    """

  /// The rows are locked, so that each is still the version that was read.
  private static let save = """
    UPDATE ingest.register_state AS stored SET
      measure = new.measure, last_at = new.last_at, last_value = new.last_value,
      first_at = new.first_at, first_value = new.first_value, floor_at = new.floor_at,
      fallen_at = new.fallen_at, fallen_value = new.fallen_value,
      candidate_at = new.candidate_at, candidate_value = new.candidate_value, carry = new.carry
    FROM unnest($1::tid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[],
      $6::timestamptz[], $7::timestamptz[], $8::bigint[], $9::bigint[], $10::bigint[],
      $11::bigint[], $12::bigint[])
      AS new (version, measure, last_at, first_at, floor_at, fallen_at, candidate_at, last_value,
        first_value, fallen_value, candidate_value, carry)
    WHERE stored.ctid = new.version
    """

  private static let note = """
    INSERT INTO ingest.register_events (at, device_id, register, event, before_value, after_value)
    SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::bigint[],
      $6::bigint[])
    """
}

extension RegisterHistory {
  /// A row of `ingest.lock_registers`; nil where nothing is remembered yet.
  fileprivate init?(_ row: borrowing BinaryRow) {
    guard let name = row.text(2), let measure = RegisterSample.Measure(name: name),
      let last = RegisterHistory.point(row, 3), let first = RegisterHistory.point(row, 5)
    else { return nil }
    self.init(measure: measure, first: first, last: last)
    floor = row.timestamp(7)
    fallen = RegisterHistory.point(row, 8)
    candidate = RegisterHistory.point(row, 10)
    carry = row.int64(12) ?? 0
  }

  /// A time and the value in the column after it.
  private static func point(_ row: borrowing BinaryRow, _ column: Int) -> Point? {
    guard let at = row.timestamp(column), let value = row.int64(column + 1) else { return nil }
    return Point(at: at, value: value)
  }
}
