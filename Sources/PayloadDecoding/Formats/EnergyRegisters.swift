// The energy registers that a message with OBIS codes holds: totals, or else their tariffs.

import EnergyReadings

/// Registers by what they count, micro-kWh.
///
/// A total where there is one, else the sum of its tariffs. One tariff alone is not taken for all of
/// them, unless the message is known to hold whatever the meter has: the next may hold the other, and
/// its energy would be counted in two registers. Where the source asks for tariffs, each is a register
/// of its own.
struct EnergyRegisters {
  private struct Direction {
    var total: Int64?
    /// By their number, 1 to 9.
    var tariffs: InlineArray<10, Int64?> = .init(repeating: nil)
    var count = 0
    var sum: Int64 = 0

    /// One that is told twice counts once.
    mutating func add(tariff number: Int, _ amount: Int64) {
      guard tariffs[number] == nil else { return }
      tariffs[number] = amount
      count += 1
      sum += amount
    }
  }

  private var imported = Direction()
  private var exported = Direction()
  private var net: Int64?

  mutating func add(_ role: OBISCode.Role, _ amount: Int64) {
    switch role {
    case .importTotal: imported.total = amount
    case .exportTotal: exported.total = amount
    case .net: net = amount
    case .importTariff(let number): imported.add(tariff: number, amount)
    case .exportTariff(let number): exported.add(tariff: number, amount)
    case .other: break
    }
  }

  /// Appends a sample for each direction; for the net register where it is all there is.
  ///
  /// - Parameter isWhole: whether the message holds all tariffs that the meter has.
  func append(
    of device: ByteSlice, at moment: Moment, isWhole: Bool = false,
    heard: borrowing SourcedMessage, in arena: inout ByteArena, to decoded: inout DecodedReadings
  ) {
    let options = heard.source.options
    let isImported = append(
      imported, "1.8.", options.importFlow, 0, of: device, at: moment, isWhole, heard, &arena,
      &decoded)
    let isExported = append(
      exported, "2.8.", options.exportFlow, 1, of: device, at: moment, isWhole, heard, &arena,
      &decoded)
    if isImported || isExported { return }
    guard let net, let flow = options.importFlow else { return decoded.skip(.otherRegister) }
    decoded.take(heard.place(2), kind: flow.kind) { () throws(Rejection) in
      try heard.sample(
        arena.append("16.8.0"), of: device, .netRegister, net, at: moment, flow: flow,
        opposite: options.exportFlow, in: &arena)
    }
  }

  /// - Returns: whether the direction is told, be it wanted or not.
  private func append(
    _ direction: Direction, _ stem: StaticString, _ flow: RegisterSample.Flow?, _ number: Int,
    of device: ByteSlice, at moment: Moment, _ isWhole: Bool, _ heard: borrowing SourcedMessage,
    _ arena: inout ByteArena, _ decoded: inout DecodedReadings
  ) -> Bool {
    func take(_ amount: Int64, place: Int, _ tariffs: ClosedRange<Int>) {
      guard let flow else { return }
      decoded.take(heard.place(place), kind: flow.kind) { () throws(Rejection) in
        let name = arena.register(stem, direction.tariffs, tariffs)
        return try heard.sample(
          name, of: device, .register, amount, at: moment, flow: flow, in: &arena)
      }
    }
    if heard.source.options.takesTariffs, direction.count > 0 {
      for tariff in 1...9 {
        guard let amount = direction.tariffs[tariff] else { continue }
        take(amount, place: 2 * tariff + 1 + number, tariff...tariff)
      }
    } else if let total = direction.total {
      take(total, place: number, 0...0)
    } else if direction.count > 1 || (isWhole && direction.count > 0) {
      take(direction.sum, place: number, 1...9)
    } else {
      return false
    }
    return true
  }
}

extension ByteArena {
  /// `1.8.0` of the range 0...0, or `1.8.1+1.8.2` of the tariffs that there are.
  fileprivate mutating func register(
    _ stem: StaticString, _ tariffs: InlineArray<10, Int64?>, _ range: ClosedRange<Int>
  ) -> ByteSlice {
    let start = count
    for number in range where number == 0 || tariffs[number] != nil {
      if count > start { _ = append("+") }
      _ = append(stem)
      let digit: InlineArray<1, UInt8> = [UInt8(ascii: "0") + UInt8(number)]
      _ = append(digit.span)
    }
    return ByteSlice(offset: start, count: count - start)
  }
}
