// What the rules remember of each meter, shared by all workers of the process and bounded.

import EnergyReadings
import Synchronization

/// The memory of one meter.
public struct MeterState: Sendable, Equatable {
  /// End of its newest interval.
  public var lastAt: Timestamp
  /// Energy of that interval, micro-kWh.
  public var lastEnergy: Int64
  /// How often that amount came in a row, 1 or more.
  public var repeats: Int32
  /// Non-zero readings seen, at most 2^31 - 1.
  public var readings: Int32
  /// The recent peak of an interval's energy, micro-kWh: the largest amount, which fades by 1/256
  /// with each reading that stays below it.
  public var peak: Int64
  /// The device's own counter, -1 where it gives none.
  public var lastSequence: Int64
  /// Length of its newest interval, seconds; 0 where it is not known.
  var lastInterval: Int32 = 0
  /// Intervals found missing that no stored reading tells of yet: a zero reading cannot be marked.
  var missing: Int64 = 0

  public init(
    lastAt: Timestamp, lastEnergy: Int64 = 0, repeats: Int32 = 0, readings: Int32 = 0,
    peak: Int64 = 0, lastSequence: Int64 = -1
  ) {
    self.lastAt = lastAt
    self.lastEnergy = lastEnergy
    self.repeats = repeats
    self.readings = readings
    self.peak = peak
    self.lastSequence = lastSequence
  }

  /// Intervals between the last reading and a newer one: by the device's counter, else by the length
  /// of its interval. A counter that went back began anew; a meter whose interval changed was set
  /// anew, and nothing can be said.
  ///
  /// The intervals of a register leave nothing out, and may be another kind's meanwhile.
  func intervalsMissing(before reading: Reading) -> Int64 {
    if reading.register.isPresent { return 0 }
    if let interval = reading.intervalSeconds, lastInterval > 0, interval != lastInterval {
      return 0
    }
    if let sequence = reading.sequence, lastSequence >= 0 {
      return min(max(0, sequence - lastSequence - 1), 1_000_000_000)
    }
    guard let seconds = reading.intervalSeconds, seconds > 0 else { return 0 }
    let interval = Int64(seconds) * 1_000_000
    let elapsed = reading.timestamp.microseconds - lastAt.microseconds
    return max(0, (elapsed + interval / 2) / interval - 1)
  }

  /// What of a reading's energy is compared with the peak, micro-kWh.
  ///
  /// Intervals of a register are as long as the pause between its totals: of one that is longer than
  /// the one before, the part for that length. Where one of them is not known, no more than the peak.
  func comparableEnergy(of reading: Reading) -> Int64 {
    let energy = reading.energy.microKWh
    guard reading.register.isPresent, readings > 0 else { return energy }
    guard let seconds = reading.intervalSeconds, lastInterval > 0 else {
      return min(energy, peak)
    }
    if seconds <= lastInterval { return energy }
    return Int64(Int128(energy) * Int128(lastInterval) / Int128(seconds))
  }

  /// Takes in a reading that is newer than the last.
  mutating func remember(_ reading: Reading, spikeFactor: Int64) {
    let energy = comparableEnergy(of: reading)
    let isRepeated = reading.energy.microKWh == lastEnergy && lastEnergy != 0 && readings > 0
    repeats = isRepeated ? repeats &+ 1 : 1
    if energy > 0 {
      // A spike raises the peak by its factor at most: one wild value must not hide the next.
      let bounded = readings == 0 ? energy : min(energy, max(peak, 1) &* spikeFactor)
      peak = max(bounded, peak - peak >> 8)
      if readings < .max { readings += 1 }
    }
    lastEnergy = reading.energy.microKWh
    lastAt = reading.timestamp
    lastSequence = reading.sequence ?? -1
    lastInterval = reading.intervalSeconds ?? 0
  }
}

/// The states of the meters. 64 shards with a lock each: workers rarely meet.
public final class MeterStates: Sendable {
  private let shards: InlineArray<64, Mutex<MeterStateTable>>
  /// Differs from process to process, so that nobody can choose ids that collide.
  private let seed = UInt64.random(in: .min ... .max)
  /// Meters remembered at most.
  public let limit: Int

  /// - Parameter limit: meters remembered; beyond it those heard longest ago are forgotten. Default
  ///   1,000,000, some 100 bytes each.
  public init(limit: Int = 1_000_000) {
    self.limit = limit
    shards = InlineArray { _ in Mutex(MeterStateTable(limit: max(2, limit / 64))) }
  }

  /// Calls `body` with the state of a meter, and whether it was known or is new; `body` says
  /// whether it changed the state.
  func update(
    kind: ReadingKind, device: Span<UInt8>, _ body: (inout MeterState, Bool) -> Bool
  ) {
    let hash = device.hash(seed: seed &+ UInt64(kind.rawValue))
    shards[Int(truncatingIfNeeded: hash & 63)].withLock { table in
      table.update(kind, device, hash >> 6, body)
    }
  }

  /// Meters remembered.
  public var count: Int { shards.indices.reduce(0) { $0 + shards[$1].withLock { $0.count } } }

  /// Takes back a state of an earlier run; one that is known already, and therefore newer, stays.
  public func restore(kind: ReadingKind, device: String, _ state: MeterState) {
    update(kind: kind, device: device.utf8.span) { known, isKnown in
      if !isKnown { known = state }
      // It is what the table holds.
      return false
    }
  }

  /// A state with the meter it is of.
  public struct Known: Sendable {
    public var kind: ReadingKind
    public var device: String
    public var state: MeterState
  }

  /// The states that changed since the last call.
  public func takeChanged() -> [Known] {
    shards.indices.flatMap { index in shards[index].withLock { $0.takeChanged() } }
  }
}

/// An open-addressing hash table with linear probing. Entries stand in order of first sight, but
/// those that are forgotten.
private struct MeterStateTable: ~Copyable {
  private struct Entry {
    var kind: ReadingKind
    var hasChanged: Bool
    var id: ByteSlice
    var hash: UInt64
    var state: MeterState
    /// The table's clock when the meter was last heard.
    var heardAt: UInt64
  }

  /// Where an entry stands, and enough of its hash to pass over others without a look at them: each
  /// look is a cache line.
  private struct Slot {
    var entry: Int32 = -1
    var tag: UInt32 = 0
  }

  private var slots = [Slot](repeating: Slot(), count: 16)
  private var entries: [Entry] = []
  private var ids = ByteArena()
  private let limit: Int
  private var clock: UInt64 = 0

  init(limit: Int) { self.limit = limit }

  var count: Int { entries.count }

  mutating func update(
    _ kind: ReadingKind, _ device: Span<UInt8>, _ hash: UInt64,
    _ body: (inout MeterState, Bool) -> Bool
  ) {
    clock &+= 1
    var index = Int(slots[slot(of: kind, device, hash)].entry)
    let isKnown = index >= 0
    if !isKnown { index = insert(kind, device, hash) }
    if body(&entries[index].state, isKnown) { entries[index].hasChanged = true }
    entries[index].heardAt = clock
  }

  mutating func takeChanged() -> [MeterStates.Known] {
    var changed: [MeterStates.Known] = []
    for index in entries.indices where entries[index].hasChanged {
      entries[index].hasChanged = false
      let entry = entries[index]
      changed.append(.init(kind: entry.kind, device: ids.string(entry.id), state: entry.state))
    }
    return changed
  }

  /// The slot that holds the meter, or the free one where it would go.
  private func slot(of kind: ReadingKind, _ device: Span<UInt8>, _ hash: UInt64) -> Int {
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot].entry >= 0 {
      if slots[slot].tag == hash.tag {
        let index = Int(slots[slot].entry)
        if entries[index].kind == kind, ids[entries[index].id].elementsEqual(device) { break }
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    return slot
  }

  /// - Returns: the index of the new entry.
  private mutating func insert(
    _ kind: ReadingKind, _ device: Span<UInt8>, _ hash: UInt64
  ) -> Int {
    if entries.count >= limit { forgetTheSilent() }
    entries.append(
      Entry(
        kind: kind, hasChanged: false, id: ids.append(device), hash: hash,
        state: MeterState(lastAt: Timestamp(microseconds: .min)), heardAt: clock))
    if entries.count * 2 > slots.count {
      rehash(slots.count * 2)
    } else {
      place(entries.count - 1)
    }
    return entries.count - 1
  }

  private mutating func place(_ index: Int) {
    var slot = Int(truncatingIfNeeded: entries[index].hash) & (slots.count - 1)
    while slots[slot].entry >= 0 { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = Slot(entry: Int32(index), tag: entries[index].hash.tag)
  }

  private mutating func rehash(_ count: Int) {
    slots = [Slot](repeating: Slot(), count: count)
    for index in entries.indices { place(index) }
  }

  /// Drops the quarter of the meters that were silent longest, and the texts of their ids.
  private mutating func forgetTheSilent() {
    let heard = entries.map(\.heardAt).sorted()
    let oldest = heard[heard.count / 4]
    var kept = ByteArena()
    entries.removeAll { $0.heardAt <= oldest }
    for index in entries.indices {
      entries[index].id = kept.append(entries[index].id, from: ids)
    }
    ids = kept
    rehash(slots.count)
  }
}

extension UInt64 {
  /// The upper half of a hash, whose lower bits choose the slot.
  fileprivate var tag: UInt32 { UInt32(truncatingIfNeeded: self >> 32) }
}
