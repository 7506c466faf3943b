// Time-of-use tariffs: which price holds when, and what is said of tables that are none.

import EnergyReadings
import Testing

@Suite struct TariffTableTests {
  private func price(_ table: TariffTable, _ time: String) throws -> Int64 {
    table.price(until: try Timestamp(rfc3339: time.utf8.span))
  }

  @Test func aPeriodMayGoOverMidnight() throws {
    let table = try TariffTable("22:00-06:00=0.12, 06:00-22:00=0.30", zone: "UTC")
    #expect(try price(table, "2026-06-10T05:59:59Z") == 120_000)
    #expect(try price(table, "2026-06-10T06:00:01Z") == 300_000)
    #expect(try price(table, "2026-06-10T23:59:59Z") == 120_000)
    #expect(try price(table, "1969-12-31T12:00:00Z") == 300_000)
  }

  /// An interval belongs to the period in which it ended, not to that which begins then.
  @Test func whatEndsAtTheChangeIsOfBefore() throws {
    let table = try TariffTable("22:00-06:00=0.12,06:00-22:00=0.30", zone: "UTC")
    #expect(try price(table, "2026-06-10T06:00:00Z") == 120_000)
    #expect(try price(table, "2026-06-10T22:00:00Z") == 300_000)
  }

  @Test func theClockIsThatOfTheZone() throws {
    let bangkok = try TariffTable("00:00-12:00=1,12:00-24:00=2", zone: "Asia/Bangkok")
    #expect(try price(bangkok, "2026-06-10T04:59:00Z") == 1_000_000)
    #expect(try price(bangkok, "2026-06-10T05:01:00Z") == 2_000_000)
    // Summer time: 12:00 is at 10:00Z in June and at 11:00Z in January.
    let berlin = try TariffTable("00:00-12:00=1,12:00-24:00=2", zone: "Europe/Berlin")
    #expect(try price(berlin, "2026-06-10T10:30:00Z") == 2_000_000)
    #expect(try price(berlin, "2026-01-10T10:30:00Z") == 1_000_000)
  }

  @Test func onePriceForTheWholeDay() throws {
    let table = try TariffTable("00:00-24:00=4.250001", zone: "UTC")
    #expect(try price(table, "2026-06-10T00:00:00Z") == 4_250_001)
  }

  @Test(
    arguments: [
      ("06:00-22:00=0.30", "no period covers 00:00"),
      ("00:00-23:59=1", "no period covers 23:59"),
      (
        "22:00-06:00=1,05:00-22:00=2", #""05:00-22:00=2" overlaps another period at 05:00"#
      ),
      ("00:00-24:00=0", #"0 in "00:00-24:00=0" is not a price above 0"#),
      ("00:00-24:00=x", #"x in "00:00-24:00=x" is not a price above 0"#),
      ("", #""" is not a period such as 22:00-06:00=0.12"#),
      ("0:00-24:00=1", #""0:00-24:00=1" is not a period such as 22:00-06:00=0.12"#),
      ("00:00-24:01=1", #""00:00-24:01=1" is not a period such as 22:00-06:00=0.12"#),
      ("06:00-06:00=1", #""06:00-06:00=1" is not a period such as 22:00-06:00=0.12"#),
    ]) func whatIsWrongIsNamed(text: String, words: String)
  {
    let error = #expect(throws: TariffTable.ParseError.self) {
      try TariffTable(text, zone: "UTC")
    }
    #expect(error?.description == words)
  }

  @Test func aZoneMustExist() {
    let error = #expect(throws: TariffTable.ParseError.self) {
      try TariffTable("00:00-24:00=1", zone: "Bangkok/Asia")
    }
    #expect(error?.description == "Bangkok/Asia is not a time zone such as Asia/Bangkok")
  }
}
