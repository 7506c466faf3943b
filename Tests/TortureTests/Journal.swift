// What meters of one kind published, by device and time, and what of it the broker acknowledged: the
// truth that a verdict compares the tables with.

import EnergyReadings
import Synchronization

/// The journal of one kind's meters.
final class Journal: Sendable {
  /// One reading. Its number within its device is its place in the list, and what else the payload
  /// says follows from that number (``MeterFleet``).
  struct Entry: Sendable {
    /// µs since 1970.
    var time: Int64
    var microKWh: Int64
    /// When the meter first published it: milliseconds after the journal began.
    var publishedAt: Int32 = 0
    var isAcknowledged = false
  }

  private struct State {
    var devices: [[Entry]]
    var acknowledged = 0
    var count = 0
  }

  let kind: ReadingKind
  private let state: Mutex<State>
  private let beganAt = ContinuousClock.now
  /// The same moment, µs since 1970.
  let beganAtMicroseconds = Timestamp.now.microseconds

  init(kind: ReadingKind, devices: Int) {
    self.kind = kind
    state = Mutex(State(devices: Array(repeating: [], count: devices)))
  }

  /// Writes down a reading that is about to be published.
  ///
  /// - Returns: its number.
  @discardableResult
  func add(device: Int, time: Int64, microKWh: Int64) -> Int {
    let publishedAt = Int32((ContinuousClock.now - beganAt) / .milliseconds(1))
    return state.withLock { state in
      state.devices[device].append(
        Entry(time: time, microKWh: microKWh, publishedAt: publishedAt))
      state.count += 1
      return state.devices[device].count - 1
    }
  }

  /// The number of the device's next reading.
  func nextNumber(device: Int) -> Int { state.withLock { $0.devices[device].count } }

  /// The broker has taken these readings.
  func acknowledge(device: Int, _ numbers: Range<Int>) {
    state.withLock { state in
      for number in numbers where !state.devices[device][number].isAcknowledged {
        state.devices[device][number].isAcknowledged = true
        state.acknowledged += 1
      }
    }
  }

  /// Readings published.
  var count: Int { state.withLock { $0.count } }
  /// Readings that the broker has taken.
  var acknowledged: Int { state.withLock { $0.acknowledged } }
  /// Rows that must be in the table: acknowledged, and not zero.
  var required: Int {
    state.withLock { state in
      state.devices.reduce(0) { $0 + $1.count { $0.isAcknowledged && $0.microKWh > 0 } }
    }
  }

  /// All entries, by device and number.
  var entries: [[Entry]] { state.withLock { $0.devices } }
}
