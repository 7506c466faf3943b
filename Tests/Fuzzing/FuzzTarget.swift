// What is fuzzed: one line per target, with a name for the command line.

import PayloadDecoding

/// Something that must hold out whatever bytes it is given.
public struct FuzzTarget {
  /// What mutation begins with.
  var corpus: [[UInt8]]
  /// Words that mean something to the target.
  var dictionary: [[UInt8]]
  /// Tries one input.
  ///
  /// Returns what tells its outcome from others: an input with a new one joins the corpus, which is
  /// how mutation gets further than one step from where it began. Throws ``FuzzFinding``.
  var attempt: (_ input: [UInt8]) throws -> Int

  init(
    corpus: [[UInt8]], dictionary: [String], attempt: @escaping (_ input: [UInt8]) throws -> Int
  ) {
    self.corpus = corpus
    self.dictionary = dictionary.map { Array($0.utf8) }
    self.attempt = attempt
  }

  /// All targets by name; made anew for each run, since they keep what they reuse.
  public static let all: [(name: String, make: @Sendable () throws -> FuzzTarget)] = [
    ("own-format", { try .ownFormat() }),
    ("ami-format", { try .amiFormat() }),
    ("shelly", { try .sourced(["shelly"], words: ["\"params\":{", "\"emdata:0\":{", "aenergy"]) }),
    (
      "tasmota", { try .sourced(["tasmota"], words: ["\"ENERGY\":{", "\"Total\":", "\"1_8_0\":"]) }
    ),
    ("obis", { try .sourced(["obis"], words: ["\"1.8.0\":", "1-0:1.8.1(", "*kWh)\r\n", "!"]) }),
    ("senml", { try .sourced(["senml"], words: ["\"bn\":", "\"u\":\"J\"", "\"v\":", "\"s\":"]) }),
    ("sparkplug", { try .sourced(["sparkplug"], words: ["Energy/Import", "engUnit", "kWh"]) }),
    (
      "gridtokenx-obis",
      { try .sourced(["gridtokenx-obis"], words: ["1.1.1.8.0.255", "\"kwh\":"]) }
    ),
    (
      "mapping",
      {
        try .sourced(
          SourceFile.readyMappings, words: ["/", "_", "\"energy\":"],
          others: ["evcc/site/battery/1/soc", "N/e0ff50a097c0/battery/512/Soc"])
      }
    ),
    ("source-file", { try .sourceFile() }),
    ("topic", { .topic() }),
    ("payload-page", { try .payloadPage() }),
    ("check-expression", { .checkExpression() }),
    ("check-row", { try .checkRow() }),
    ("capture", { try .capture() }),
    ("registry-file", { try .registryFile() }),
  ]

  /// Targets that do what no target may, to see that it is noticed.
  public static let misbehaving: [(name: String, make: @Sendable () throws -> FuzzTarget)] = [
    ("crashing", { .crashing() }),
    ("hanging", { .hanging() }),
    ("hoarding", { .hoarding() }),
    ("wrong", { .wrong() }),
  ]

  /// - Returns: nil where no target has that name.
  public static func named(_ name: String) throws -> FuzzTarget? {
    try (all + misbehaving).first { $0.name == name }?.make()
  }
}

/// An outcome that is no crash, and wrong nevertheless.
public struct FuzzFinding: Error, CustomStringConvertible {
  public var description: String

  init(_ description: String) { self.description = description }
}
