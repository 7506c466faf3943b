// Signatures of meters: Ed25519 over `device_id:energy_amount:timestamp_ms`, base58.

import Crypto
import EnergyReadings

struct SignatureCheck {
  /// Verifies a reading's signature where it has one and the device's key is known. A signature of
  /// a device without a key can be neither right nor wrong, but it must at least be one. None at all
  /// is an error where the format is a signed one and the device has a key.
  func verify(
    _ reading: Reading, with registry: MeterRegistry, in arena: borrowing ByteArena
  ) throws(Rejection) {
    guard reading.signature.isPresent else {
      guard reading.mustBeSigned else { return }
      let device = arena.string(reading.device)
      if registry.keys[device] == nil { return }
      throw bad("missing, although \(device) has a key in ingest.device_keys")
    }
    guard let signature = Base58.decode(arena.string(reading.signature)), signature.count == 64
    else { throw bad("not 64 bytes of base58") }
    let device = arena.string(reading.device)
    guard let bytes = registry.keys[device],
      let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes)
    else { return }
    let milliseconds = reading.timestamp.microseconds / 1_000
    let signed = "\(device):\(arena.string(reading.energyText)):\(milliseconds)"
    if !key.isValidSignature(signature, for: Array(signed.utf8)) {
      throw bad("does not verify with the key of \(device) in ingest.device_keys")
    }
  }

  private func bad(_ detail: String) -> Rejection {
    Rejection(.badSignature, path: "$.signature", detail: detail)
  }
}
