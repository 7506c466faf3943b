// The energy registers that a message with OBIS codes holds: totals, or else the tariffs' sums.

import EnergyReadings

/// Registers by what they count, micro-kWh; a total where there is one, else the sum of its tariffs.
struct EnergyRegisters {
  private var total: (imported: Int64?, exported: Int64?) = (nil, nil)
  private var net: Int64?
  /// Sums of the tariffs, and which of them are in it, by bits.
  private var tariffs: (imported: Int64, exported: Int64) = (0, 0)
  private var seen: (imported: UInt16, exported: UInt16) = (0, 0)

  /// Adds a register; one that is told twice counts once.
  mutating func add(_ role: OBISCode.Role, _ amount: Int64) {
    switch role {
    case .importTotal: total.imported = amount
    case .exportTotal: total.exported = amount
    case .net: net = amount
    case .importTariff(let number):
      if seen.imported & 1 << number == 0 { tariffs.imported += amount }
      seen.imported |= 1 << number
    case .exportTariff(let number):
      if seen.exported & 1 << number == 0 { tariffs.exported += amount }
      seen.exported |= 1 << number
    case .other: break
    }
  }

  private func sum(_ seen: UInt16, _ amount: Int64) -> Int64? { seen == 0 ? nil : amount }

  /// Appends a sample for each direction; for the net register where it is all there is.
  func append(
    of device: ByteSlice, at moment: Moment, heard: borrowing SourcedMessage,
    in arena: inout ByteArena, to decoded: inout DecodedReadings
  ) {
    let options = heard.source.options
    let imported = total.imported ?? sum(seen.imported, tariffs.imported)
    let exported = total.exported ?? sum(seen.exported, tariffs.exported)
    if let imported, let flow = options.importFlow {
      decoded.take(heard.place(0), kind: flow.kind) { () throws(Rejection) in
        let name = arena.register("1.8.", seen: total.imported == nil ? seen.imported : 0)
        return try heard.sample(
          name, of: device, .register, imported, at: moment, flow: flow, in: &arena)
      }
    }
    if let exported, let flow = options.exportFlow {
      decoded.take(heard.place(1), kind: flow.kind) { () throws(Rejection) in
        let name = arena.register("2.8.", seen: total.exported == nil ? seen.exported : 0)
        return try heard.sample(
          name, of: device, .register, exported, at: moment, flow: flow, in: &arena)
      }
    }
    guard imported == nil, exported == nil else { return }
    if let net, let flow = options.importFlow {
      decoded.take(heard.place(2), kind: flow.kind) { () throws(Rejection) in
        let name = arena.append("16.8.0")
        return try heard.sample(
          name, of: device, .netRegister, net, at: moment, flow: flow,
          opposite: options.exportFlow, in: &arena)
      }
    } else {
      decoded.skip(.otherRegister)
    }
  }
}

extension ByteArena {
  /// `1.8.0`, or `1.8.1+1.8.2` for a sum of tariffs.
  fileprivate mutating func register(_ stem: StaticString, seen: UInt16) -> ByteSlice {
    let start = count
    if seen == 0 {
      _ = append(stem)
      _ = append("0")
    }
    for number in 1...9 where seen & 1 << number != 0 {
      if count > start { _ = append("+") }
      _ = append(stem)
      let digit: InlineArray<1, UInt8> = [UInt8(ascii: "0") + UInt8(number)]
      _ = append(digit.span)
    }
    return ByteSlice(offset: start, count: count - start)
  }
}
