// A source of the configuration: whose messages they are, what format they have, and what they mean.

import EnergyReadings

/// What the energy of a source is, and how far its numbers are believed.
public struct SourceOptions: Sendable {
  /// What a rise of an import register is; nil: it is not taken. Default: consumption.
  public var importFlow: RegisterSample.Flow? = .init(.consumption)
  /// What a rise of an export register is; nil: it is not taken. Default: production.
  public var exportFlow: RegisterSample.Flow? = .init(.production)
  /// Power that the installation cannot exceed, W; 0: unknown.
  public var maximumWatts: Int64 = 0
  /// Integer digits of the registers' display, kWh; 0: unknown.
  public var digits: UInt8 = 0
  /// Whether the time of arrival stands in for a clock that was never set; default yes.
  public var allowsArrival = true
  /// The zone of times without offset; nil: the format's own rule.
  public var zone: LocalZone?
  /// The unit of numbers that come without one; nil: the format's own.
  public var unit: MeterUnit?
  /// Whether each tariff is a register of its own, and a total beside tariffs is left out; default no,
  /// since the total comes as well, or is their sum.
  public var takesTariffs = false
  /// Registered ids of devices that stand where energy is generated, such as a plug of an inverter:
  /// what they import is production, and what they export is consumption.
  public var producers: [String] = []
  /// Registers by the vendor's or user's own names, for formats whose names are free.
  var registers: [(name: [UInt8], flow: RegisterSample.Flow)] = []
  /// Metrics by name, for formats whose names are free, where more than a register is to be said.
  var metrics: [(name: [UInt8], meaning: MetricMeaning)] = []

  public init() {}
}

/// One source: immutable, and shared by all workers.
public final class Source: Sendable {
  public let filter: TopicFilter
  let format: any PayloadFormat
  let device: DeviceOrigin
  let gridCode: TextTemplate?
  let names: DeviceNames?
  /// Those of ``SourceOptions/producers``.
  let producers: DeviceNames?
  let options: SourceOptions
  /// The GX devices that are to be kept awake for it; nil: none.
  let keepAlive: KeepAliveTopic?
  /// The registered id of the device where it is the same for every message; nil where it is not.
  let fixedDevice: String?

  init(
    _ filter: TopicFilter, _ format: any PayloadFormat, device: DeviceOrigin,
    names: [String: String] = [:], gridCode: TextTemplate? = nil,
    options: SourceOptions = SourceOptions(), keepAlive: KeepAliveTopic? = nil
  ) {
    self.keepAlive = keepAlive
    self.filter = filter
    self.format = format
    self.device = device
    var fixed: String?
    if case .topic(let template) = device { fixed = template.fixedText }
    fixedDevice = fixed.map { names[$0] ?? $0 }
    self.gridCode = gridCode
    self.names = names.isEmpty ? nil : DeviceNames(names)
    producers =
      options.producers.isEmpty
      ? nil : DeviceNames(Dictionary(options.producers.map { ($0, $0) }) { first, _ in first })
    self.options = options
  }
}
