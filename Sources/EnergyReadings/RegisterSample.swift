// What most meters publish instead of an interval: a running total, or the power of the moment.

/// What a meter's register stood at, or what power flowed, at one moment.
///
/// It becomes a ``Reading`` only where the database knows what came before. Trivially copyable: every
/// text is a slice of the batch's ``ByteArena``.
public struct RegisterSample: Sendable {
  /// What ``value`` counts.
  public enum Measure: UInt8, Sendable, CaseIterable {
    /// A total that only rises, but for exchange and rollover; micro-kWh.
    case register
    /// A total of both directions that may run backwards, such as OBIS 16.8.0; micro-kWh.
    case netRegister
    /// The power of the moment, mW; negative flows the other way.
    case power

    /// The stable name, equal to `ingest.register_state.measure`.
    public var name: StaticString {
      switch self {
      case .register: "register"
      case .netRegister: "net_register"
      case .power: "power"
      }
    }

    /// The measure of that name, or nil.
    public init?(name: String) {
      guard let measure = Measure.allCases.first(where: { "\($0.name)" == name }) else {
        return nil
      }
      self = measure
    }
  }

  /// What a difference is stored as.
  public struct Flow: Sendable, Hashable {
    public var kind: ReadingKind
    /// Only for storage.
    public var operation: StorageOperation

    public init(_ kind: ReadingKind, _ operation: StorageOperation = .charge) {
      self.kind = kind
      self.operation = operation
    }
  }

  public var device: ByteSlice
  public var gridCode: ByteSlice = .absent
  /// Which of the device's registers, 1…100 characters: `1.8.0`, `switch:0/aenergy`.
  public var register: ByteSlice
  public var measure: Measure
  /// Micro-kWh, rounded half away from zero, or mW.
  ///
  /// Totals are rounded before they are subtracted: so the differences add up to last minus first, and
  /// what one interval loses by rounding is in the next.
  public var value: Int64
  /// When it was measured.
  public var timestamp: Timestamp
  /// What a rise is, or positive power.
  public var flow: Flow
  /// What the fall of a net register is, or negative power; nil where that is no energy of anybody's.
  public var opposite: Flow?
  /// Power that the installation cannot exceed, W: a total that rose faster is not booked. 0: unknown.
  public var maximumWatts: Int64 = 0
  /// Integer digits of the register's display, kWh, at which it rolls over; 0: unknown.
  public var digits: UInt8 = 0
  /// Longest time between two samples of power over which it is integrated, s; default 15 minutes.
  public var maximumGapSeconds: Int32 = 900
  /// Whether ``timestamp`` is the time of arrival, since the payload has none.
  public var isTimeOfArrival = false

  public init(
    device: ByteSlice, register: ByteSlice, measure: Measure, value: Int64, timestamp: Timestamp,
    flow: Flow, opposite: Flow? = nil
  ) {
    self.device = device
    self.register = register
    self.measure = measure
    self.value = value
    self.timestamp = timestamp
    self.flow = flow
    self.opposite = opposite
  }
}
