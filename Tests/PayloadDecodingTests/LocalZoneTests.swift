// Local times: the hour that comes twice, the hour that never comes, and every other.

import EnergyReadings
import Foundation
import PayloadDecoding
import SeededRandom
import Testing

private func time(_ text: String) -> Timestamp {
  guard let time = try? Timestamp(rfc3339: text.utf8.span) else { preconditionFailure(text) }
  return time
}

@Suite struct LocalZoneTests {
  @Test(arguments: [
    ("2020-09-13T10:16:18Z", "2020-09-13T08:16:18Z"),
    ("2020-12-13T10:16:18Z", "2020-12-13T09:16:18Z"),
    // Before the table begins, and behind its end.
    ("1999-01-01T00:00:00Z", "1998-12-31T23:00:00Z"),
    ("2070-01-01T00:00:00Z", "2069-12-31T23:00:00Z"),
    // Clocks went from 02:00 to 03:00 on 2026-03-29.
    ("2026-03-29T01:59:59Z", "2026-03-29T00:59:59Z"),
    ("2026-03-29T03:00:00Z", "2026-03-29T01:00:00Z"),
    ("2026-03-29T02:30:00Z", "2026-03-29T01:30:00Z"),
  ])
  func amsterdam(local: String, moment: String) throws {
    let zone = try LocalZone("Europe/Amsterdam")
    #expect(
      zone.moment(local: time(local).microseconds, season: nil, near: time(moment)) == time(moment))
  }

  @Test func theHourThatComesTwice() throws {
    let zone = try LocalZone("Europe/Amsterdam")
    let local = time("2026-10-25T02:30:00Z").microseconds
    let (summer, winter) = (time("2026-10-25T00:30:00Z"), time("2026-10-25T01:30:00Z"))
    let never = Timestamp(microseconds: 0)
    #expect(zone.moment(local: local, season: .summer, near: winter) == summer)
    #expect(zone.moment(local: local, season: .winter, near: summer) == winter)
    #expect(zone.moment(local: local, season: nil, near: summer) == summer)
    #expect(zone.moment(local: local, season: nil, near: winter) == winter)
    #expect(zone.moment(local: local, season: nil, near: never) == summer)
  }

  /// What a clock shows at a random moment means that moment, given when it was about.
  @Test(arguments: [
    "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Bangkok",
    "Asia/Kathmandu", "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Auckland", "UTC",
  ])
  func everyMomentIsFoundAgain(name: String) throws {
    let (zone, foundation) = (try LocalZone(name), try #require(TimeZone(identifier: name)))
    var random = SeededGenerator(seed: 7)
    for _ in 0..<5_000 {
      // 2015 to 2045.
      let seconds = Int64.random(in: 1_420_070_400..<2_366_841_600, using: &random)
      let offset = foundation.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds)))
      let moment = Timestamp(microseconds: seconds * 1_000_000)
      let local = (seconds + Int64(offset)) * 1_000_000
      #expect(zone.moment(local: local, season: nil, near: moment) == moment)
    }
  }
}
