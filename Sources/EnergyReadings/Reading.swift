/// What one device measured in one interval, decoded, before enrichment and after it.
///
/// Trivially copyable: every text is a slice of the batch's ``ByteArena``.
public struct Reading: Sendable {
  public var kind: ReadingKind
  /// Energy in the interval, kWh.
  public var energy: EnergyAmount
  /// End of the interval.
  public var timestamp: Timestamp
  /// The device that the topic names, 1…100 characters.
  public var device: ByteSlice
  /// The part of the grid that the topic names, at most 20 characters; absent where the topic has none.
  public var gridCode: ByteSlice = .absent

  /// `location_json` as the payload gives it: a JSON object, valid and bounded in depth.
  public var location: ByteSlice = .absent
  /// Whether `location` names a `grid_code` itself.
  public var locationHasGridCode = false

  // Production.
  public var energySource: ByteSlice = .absent
  /// Ten-thousandths, 0…10,000.
  public var efficiency: Int32 = 10_000
  /// Ten-thousandths, 0…10,000.
  public var qualityScore: Int32 = 10_000
  public var equipment: ByteSlice = .absent

  // Consumption.
  public var consumerType: ByteSlice = .absent
  /// A JSON object: appliance → kWh.
  public var applianceBreakdown: ByteSlice = .absent
  /// What the appliances add up to.
  public var applianceTotal: EnergyAmount = .zero

  // Storage.
  public var operation: StorageOperation = .charge
  /// Price per kWh in millionths; nil where the payload gives none.
  public var price: Int64?
  public var gridLocation: ByteSlice = .absent

  // Every kind.
  /// Length of the interval in seconds; nil where the payload does not say.
  public var intervalSeconds: Int32?
  /// The register whose difference it is; absent where the device itself made the interval.
  public var register: ByteSlice = .absent
  /// The device's own counter.
  public var sequence: Int64?
  /// Base58 of an Ed25519 signature.
  public var signature: ByteSlice = .absent
  /// The amount's own characters: what the device signed.
  public var energyText: ByteSlice = .absent
  /// Whether it is of a format in which devices that have a key always sign.
  public var mustBeSigned = false

  public init(
    kind: ReadingKind, device: ByteSlice, gridCode: ByteSlice, energy: EnergyAmount = .zero,
    timestamp: Timestamp = Timestamp(microseconds: 0)
  ) {
    self.kind = kind
    self.device = device
    self.gridCode = gridCode
    self.energy = energy
    self.timestamp = timestamp
  }

  /// What tells apart the readings of one device for one time: a battery may charge and discharge
  /// within one interval. Of a ``register``, its name does.
  public var channel: StaticString { kind == .storage ? operation.name : "" }
}
