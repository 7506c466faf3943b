// What a battery says that it holds: its state of charge.

/// A state of charge at one moment.
///
/// No reading: it becomes no row, and `grid.energy_storage.current_charge` follows it. Trivially
/// copyable, as a ``Reading`` is.
public struct ReportedCharge: Sendable {
  public enum Measure: UInt8, Sendable {
    /// Micro-kWh.
    case energy
    /// Millionths of the battery's capacity.
    case share
  }

  public var device: ByteSlice
  /// Not below 0; a share is at most 1,000,000.
  public var value: Int64
  public var measure: Measure
  /// When it was measured.
  public var timestamp: Timestamp

  public init(device: ByteSlice, value: Int64, measure: Measure, timestamp: Timestamp) {
    self.device = device
    self.value = value
    self.measure = measure
    self.timestamp = timestamp
  }
}
