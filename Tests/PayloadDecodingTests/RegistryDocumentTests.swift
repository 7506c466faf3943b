// Registry files: what is read of them, and what is said of those that are none.

import EnergyReadings
import Foundation
import PayloadDecoding
import Testing

@Suite struct RegistryDocumentTests {
  private func read(_ text: String) throws -> RegistryDocument {
    try RegistryDocument(Data(text.utf8))
  }

  private func problem(_ text: String) -> String {
    do {
      _ = try read(text)
      return "none"
    } catch {
      return "\(error)"
    }
  }

  // MARK: - JSON

  @Test func jsonIsReadEntryByEntry() throws {
    let key = #"{"device_id":"m-1","public_key":"66zTkJBB2kYYwLcS"}"#
    let consumer = #"""
      {"consumer_id":"c\u002d1","consumer_name":"House","consumer_type":"residential",
        "location_json":{"grid_code":"G-1","street":"7"},"peak_demand_kw":4.50,"verified":null}
      """#
    let document = try read("{\"device_keys\":[\(key)],\"consumers\":[\(consumer)]}")
    #expect(document.refused.isEmpty)
    #expect(
      document.entries == [
        RegistryEntry(registry: .deviceKey, key: "m-1", place: "$.device_keys[0]", json: key),
        RegistryEntry(registry: .consumer, key: "c-1", place: "$.consumers[0]", json: consumer),
      ])
  }

  /// What is wrong with an entry, each beside one that is good.
  @Test(arguments: [
    (#"{"device_id":"m-2"}"#, "public_key is missing"),
    (#"{"device_id":"m-2","public_key":null}"#, "public_key is missing"),
    (#"{"device_id":"","public_key":"k"}"#, "device_id is empty"),
    (#"{"device_id":7,"public_key":"k"}"#, "device_id is no text"),
    (
      #"{"device_id":"m-2","public_key":"k","pubic_key":"k"}"#,
      "a device_key has no pubic_key; it has device_id, public_key"
    ),
    (#"{"device_id":"m-2","device_id":"m-3","public_key":"k"}"#, "device_id is given twice"),
    ("[]", "expected an object"),
  ])
  func aBadEntryIsNamedByItsPath(entry: String, reason: String) throws {
    let document = try read(
      #"{"device_keys":[{"device_id":"m-1","public_key":"k"},\#(entry)]}"#)
    #expect(document.entries.map(\.key) == ["m-1"])
    #expect(document.refused.map(\.place) == ["$.device_keys[1]"])
    #expect(document.refused.map(\.reason) == [reason])
  }

  @Test(arguments: [
    (#""energy_sources":"solar""#, "energy_sources is no list of texts"),
    (#""energy_sources":[1]"#, "energy_sources is no list of texts"),
    (#""capacity_kw":true"#, "capacity_kw is no number"),
    (#""verified":"yes""#, "verified is neither true nor false"),
    (#""location_json":"BKK""#, "location_json is no object"),
    (#""location_json":{"grid":"BKK"}"#, "location_json.grid_code is missing, or of another type"),
  ])
  func aWrongTypeIsNamed(member: String, reason: String) throws {
    var members = [
      "producer_id": #""p""#, "producer_name": #""p""#, "producer_type": #""residential""#,
      "energy_sources": #"["solar"]"#, "capacity_kw": "5", "location_json": #"{"grid_code":"G"}"#,
    ]
    members[String(member.dropFirst().prefix(while: { $0 != "\"" }))] = nil
    let good = members.map { "\"\($0.key)\":\($0.value)" }
    let text = "{\"producers\":[{\((good + [member]).joined(separator: ","))}]}"
    #expect(try read(text).refused.map(\.reason) == [reason])
  }

  /// Foundation's parser ends the program at such depths; found by fuzzing.
  @Test(arguments: [33, 512, 600, 100_000])
  func deepNestingIsRefused(depth: Int) {
    let opening = #"{"storages":"# + String(repeating: "[", count: depth)
    for text in [opening, opening + String(repeating: "]", count: depth) + "}", opening + "}]}"] {
      #expect(problem(text).contains("nested deeper than 32 levels"))
    }
  }

  @Test(arguments: [
    ("", "the file is empty"), (" \n", "the file is empty"), ("{", "not JSON"),
    ("[]", "$: expected an object with locations, producers"), ("{}{}", "something follows"),
    (#"{"producers":5}"#, "$.producers: expected a list"),
    (#"{"meters":[]}"#, "$.meters: no such list; there are locations, producers"),
  ])
  func whatIsNoRegistryIsRefused(text: String, words: String) {
    #expect(problem(text).contains(words), "\(problem(text))")
  }

  // MARK: - CSV

  @Test func csvSaysTheSameAsJSON() throws {
    let document = try read(
      "\u{FEFF}kind,id,name,type,grid_code,latitude,longitude,energy_sources,capacity_kw,"
        + "verified,capacity_mwh,installed_at,substation,capacity_mw,province,district\r\n"
        + "producer,p-1,\"O'Neill \"\"Roof\"\",\n๑\",residential,G-1,13.7,100.5,solar; wind,5.5,"
        + "true,,,,,,\r\n"
        + "\r\n"
        + "consumer,c-1,House,residential,G-1,,,,,,,,,,,\r\n"
        + "storage,b-1,us,lithium,G-1,,,,,,0.01,2026-01-01T00:00:00Z,,,,\n"
        + "location,,,,G-1,13.7,100.5,,,,,,S,12.5,Bangkok,Bang Rak")
    #expect(document.refused == [])
    #expect(
      document.entries.map { "\($0.place) \($0.registry) \($0.key) \($0.json)" } == [
        "line 2 producer p-1 "
          + #"{"capacity_kw":"5.5","energy_sources":["solar","wind"],"location_json":"#
          + #"{"grid_code":"G-1","latitude":13.7,"longitude":100.5},"producer_id":"p-1","#
          + #""producer_name":"O'Neill \"Roof\",\u000a๑","producer_type":"residential","#
          + #""verified":true}"#,
        "line 5 consumer c-1 "
          + #"{"consumer_id":"c-1","consumer_name":"House","consumer_type":"residential","#
          + #""location_json":{"grid_code":"G-1"}}"#,
        "line 6 storage b-1 "
          + #"{"capacity_mwh":"0.01","installed_at":"2026-01-01T00:00:00Z","location_json":"#
          + #"{"grid_code":"G-1"},"storage_id":"b-1","storage_operator":"us","#
          + #""storage_type":"lithium"}"#,
        "line 7 location G-1 "
          + #"{"capacity_mw":"12.5","coordinates":{"latitude":13.7,"longitude":100.5},"#
          + #""district":"Bang Rak","grid_code":"G-1","province":"Bangkok","substation":"S"}"#,
      ])
  }

  @Test(arguments: [
    ("meter,m-1,k,", "kind \"meter\" is none of location, producer, consumer"),
    ("device_key,m-1,,", "public_key is empty; a device_key needs it"),
    ("device_key,,k,", "id is empty; a device_key needs it"),
    ("device_key,m-1,k,5", "a device_key has no capacity_kw"),
    ("device_key,m-1,k", "3 fields, where the first row has 4"),
    ("device_key,m-1,k,,", "5 fields, where the first row has 4"),
    ("producer,p-1,,5", "name is empty; a producer needs it"),
  ])
  func aBadRowIsNamedByItsLine(row: String, reason: String) throws {
    let document = try read(
      "kind,id,public_key,capacity_kw\ndevice_key,m-0,k,\n\(row)\ndevice_key,m-9,k,\n")
    #expect(document.entries.map(\.key) == ["m-0", "m-9"])
    #expect(document.refused.map(\.place) == ["line 3"])
    #expect(document.refused[0].reason.hasPrefix(reason), "\(document.refused[0].reason)")
  }

  @Test(arguments: [
    ("kind,id,colour\n", "line 1: no column \"colour\"; there are kind, id, name"),
    ("id,name\n", "line 1: no column \"kind\""), ("kind,id,id\n", "line 1: two columns \"id\""),
    ("kind,kind\n", "line 1: two columns \"kind\""),
    ("kind,id\ndevice_key,m\"1\n", "line 2: a quote within a field"),
    ("kind,id\n\ndevice_key,\"m\"1\n", "line 3: something between a quotation"),
    ("kind,id\ndevice_key,x\ndevice_key,\"m\n\n1\n", "line 3: a quotation that never ends"),
  ])
  func whatIsNoTableIsRefusedWithItsLine(text: String, words: String) {
    #expect(problem(text).hasPrefix(words), "\(problem(text))")
  }

  @Test func anInvalidByteIsFound() {
    let bytes = Array("kind,id\ndevice_key,".utf8) + [0xFF, 0x0A]
    #expect(throws: RegistryFileError.self) { try RegistryDocument(Data(bytes)) }
  }

  @Test func aLineIsReadAsItWasWritten() throws {
    let fields = ["device_key", "a,\"b\"\r\n c", " k "]
    let document = try read("kind,id,public_key\n" + RegistryTable.line(fields) + "\n")
    #expect(document.entries.map(\.key) == [fields[1]])
  }
}
