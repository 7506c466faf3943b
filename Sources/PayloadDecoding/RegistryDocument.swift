// Reads registry files, which people write: as JSON first, then as a registry.

import EnergyReadings
import Foundation

extension RegistryFile {
  /// Reads a registry file: UTF-8, containers at most 32 levels deep.
  ///
  /// Parsed by simdjson first: Foundation's own parser (Swift 6.3) ends the program with a trap at
  /// a document that breaks off more than 512 levels deep.
  ///
  /// - Throws: `DecodingError` where it is no JSON, or a required column is missing or has another
  ///   JSON type.
  public init(json data: Data) throws {
    var arena = ByteArena(capacity: data.count + JSONParser.padding)
    let text = data.withUnsafeBytes { arena.append($0) }
    do throws(JSONError) {
      try JSONParser().parse(text, in: &arena)
    } catch {
      throw DecodingError.dataCorrupted(
        .init(codingPath: [], debugDescription: Rejection(error).detail))
    }
    self = try JSONDecoder().decode(RegistryFile.self, from: data)
  }
}
