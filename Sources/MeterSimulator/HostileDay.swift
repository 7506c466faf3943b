// A day on which everything goes wrong that can: every reason code, among good neighbours.

import EnergyReadings

/// A capture in which every reason of `wire-format.md` for turning a reading away occurs, with
/// what must happen to each message.
///
/// A record's `comment` is `ok`, `zero`, `duplicate` or a reason code; where a payload holds
/// several readings, one word for each, in order, with a space between. The words hold when the
/// records are ingested in order, once, into a database that knows `registry` and holds none of
/// the readings, with the default policy for unregistered devices (batteries are turned away,
/// others accepted when the payload is complete).
///
/// The same `start` gives the same records. That includes the signatures on Linux, where
/// swift-crypto's Ed25519 is BoringSSL's deterministic one; on Apple's systems CryptoKit
/// randomises them.
public struct HostileDay: Sendable {
  /// In the order in which they must be ingested, 100 ms apart.
  public let records: [CaptureRecord]
  /// The devices the records need; others in the records are unregistered on purpose.
  public let registry: RegistryFile

  /// 2026-11-20T00:00:00Z, µs since 1970.
  public static let usualStart: Int64 = 1_795_132_800_000_000

  /// Reason codes of `wire-format.md`; every one occurs.
  public static let reasons = [
    "malformed_payload", "unknown_topic", "unsupported_format", "missing_field", "wrong_type",
    "out_of_range", "device_mismatch", "unregistered_device", "check_violation", "implausible",
    "conflicting_duplicate", "rejected_by_database", "bad_signature",
  ]

  /// - Parameter start: the day's first reading, µs since 1970, a whole second. It should lie
  ///   where the plausibility rules accept it: in the past, and not long ago.
  /// - Throws: the crypto library's error if a signature cannot be made.
  public init(start: Int64 = HostileDay.usualStart) throws {
    var script = HostileScript(start: start)
    script.playGoodNeighbours()
    script.playMalformedPayloads()
    script.playUnsupportedFormats()
    script.playMissingFields()
    script.playWrongTypes()
    script.playRanges()
    script.playCheckViolations()
    script.playImplausibleTimes()
    script.playIdentities()
    script.playRepetitions()
    script.playSeveralReadings()
    script.playDatabaseRejections()
    try script.playSignatures()
    script.playImplausibleReadings()
    records = script.records
    registry = try HostileScript.registry()
  }

  /// How many readings must end in each outcome.
  public var tally: [String: Int] {
    records.reduce(into: [:]) { tally, record in
      for outcome in record.expectedOutcomes { tally[outcome, default: 0] += 1 }
    }
  }
}

extension CaptureRecord {
  /// The words of a hostile record's comment: one outcome for each reading of its payload.
  public var expectedOutcomes: [String] {
    comment?.split(separator: " ").map(String.init) ?? []
  }
}
