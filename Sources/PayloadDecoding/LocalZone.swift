// Local times of meters: which moment a clock on the wall means.

import EnergyReadings
import Foundation

/// A time zone as a table of its changes from 2014 to 2050, so that a reading costs a search and not a
/// call into Foundation.
public final class LocalZone: Sendable {
  /// The zone's name in the time zone database, such as `Europe/Amsterdam`.
  public let name: String
  /// From when each offset holds, microseconds since 1970; the first from ever.
  private let starts: [Int64]
  /// Microseconds east of UTC.
  private let offsets: [Int64]

  /// - Throws: a problem of the key `time` where this machine knows no such zone.
  public init(_ name: String) throws(SourceProblem) {
    guard let zone = TimeZone(identifier: name) else {
      throw SourceProblem(
        "time", "no time zone \"\(name)\"; write one of the time zone database, Europe/Amsterdam")
    }
    self.name = name
    var date = Date(timeIntervalSince1970: 1_388_534_400)
    let end = Date(timeIntervalSince1970: 2_524_608_000)
    var starts = [Int64.min]
    var offsets = [Int64(zone.secondsFromGMT(for: date)) * 1_000_000]
    while let next = zone.nextDaylightSavingTimeTransition(after: date), next < end, next > date {
      starts.append(Int64(next.timeIntervalSince1970) * 1_000_000)
      offsets.append(Int64(zone.secondsFromGMT(for: next)) * 1_000_000)
      date = next
    }
    self.starts = starts
    self.offsets = offsets
  }

  /// What a clock's `S` or `W` says of the hour that comes twice in autumn.
  public enum Season: Sendable { case summer, winter }

  /// The moment at which clocks of the zone show a local time.
  ///
  /// - Parameters:
  ///   - local: microseconds since 1970 as if the clock showed UTC.
  ///   - season: which of the two moments of a repeated hour is meant, where the meter says so.
  ///   - arrival: else, the one that is nearer to this. A time that no clock shows, since an hour is
  ///     left out, is read as if the clock had not been changed yet.
  public func moment(local: Int64, season: Season?, near arrival: Timestamp) -> Timestamp {
    let after = index(at: local - offsets[0])
    var (first, second): (Int64?, Int64?) = (nil, nil)
    for index in max(0, after - 2)...min(after + 2, starts.count - 1) {
      let moment = local - offsets[index]
      let holds =
        starts[index] <= moment && (index + 1 == starts.count || moment < starts[index + 1])
      if holds { (first, second) = first == nil ? (moment, nil) : (first, moment) }
    }
    guard let first else {
      return Timestamp(microseconds: local - offsets[max(0, index(at: local) - 1)])
    }
    guard let second else { return Timestamp(microseconds: first) }
    switch season {
    case .summer?: return Timestamp(microseconds: min(first, second))
    case .winter?: return Timestamp(microseconds: max(first, second))
    case nil:
      let (before, after) = (
        (first - arrival.microseconds).magnitude, (second - arrival.microseconds).magnitude
      )
      return Timestamp(microseconds: before <= after ? first : second)
    }
  }

  /// The entry that holds at a moment.
  private func index(at moment: Int64) -> Int {
    var (low, high) = (0, starts.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= moment { low = middle } else { high = middle }
    }
    return low
  }
}
