// The table from SQLSTATE to a decision: every class of the manual's appendix A.

import PostgresStore
import Testing

@Suite struct RemedyTests {
  /// A row is at fault.
  @Test(arguments: [
    "20000", "21000", "22003", "22P05", "23505", "23514", "44000", "54000", "P0001",
  ])
  func repaired(_ state: String) { #expect(remedy(state) == .repair) }

  /// The database will be back.
  @Test(arguments: [
    "08006", "25006", "25P03", "40001", "40P01", "53100", "53200", "53300", "55006", "55P03",
    "57014", "57P01", "57P02", "57P03", "57P05", "58030", "72000", "HV00N",
  ])
  func triedAgain(_ state: String) { #expect(remedy(state) == .retry) }

  /// Somebody has to act; nothing may be turned away for it.
  @Test(arguments: [
    "09000", "0A000", "0B000", "0F000", "0L000", "0P000", "0Z000", "10608", "24000", "26000",
    "27000", "28000", "28P01", "2B000", "2D000", "2F005", "34000", "38000", "39000", "3B000",
    "3D000", "3F000", "42501", "42P01", "F0000", "XX000", "XX001", "ZZ999", "", "?",
  ])
  func keptUntilSomebodyActs(_ state: String) { #expect(remedy(state) == .unknown) }

  /// A connection that failed has no SQLSTATE.
  @Test func noConnection() { #expect(remedy(nil) == .retry) }

  private func remedy(_ state: String?) -> PostgresError.Remedy {
    PostgresError(sqlState: state, message: "", target: "", operation: "").remedy
  }
}
