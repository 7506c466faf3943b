// Files of sources: mistakes are named with file, line, entry, key and what is allowed.

import PayloadDecoding
import Testing

private let ok = "{topic: a/{device}, payload: number, unit: Wh, kind: consumption}"

@Suite struct SourceFileTests {
  @Test(arguments: [
    ("", "expected a list of sources"),
    ("a: [", "no YAML"),
    ("sources: 1", "expected a list of sources"),
    ("- 1", "sources.yaml:1: source 1: expected keys and values"),
    (
      "- {topic: \"a/{device}\", payload: number, unit: Wh, kind: consumption}\n- {topic: b}",
      "sources.yaml:2: source 2: device: is missing"
    ),
    (
      "- {format: nonsense}", "sources.yaml:1: source 1: format: no format \"nonsense\"; there are "
    ),
    ("- {payload: number}", "topic: is missing"),
    ("- {topic: \"a/#/b\"}", "topic: \"a/#/b\" has levels behind #"),
    (
      "- topic: a\n  device: d\n  value: energy\n  unit: Wh",
      ":3: source 1: value: \"energy\" is no JSON pointer"
    ),
    ("- {topic: a, device: d, value: /e, kind: consumption}", "unit: is missing"),
    (
      "- {topic: a, device: d, value: /e, unit: kvarh, kind: consumption}",
      "unit: \"kvarh\" is none of Wh, kWh"
    ),
    (
      "- {topic: a, device: d, value: /e, unit: W, kind: consumption}",
      "unit: W does not go with mode register"
    ),
    ("- {topic: a, device: d, value: /e, unit: Wh}", "kind: is missing"),
    ("- {format: zigbee2mqtt, kind: production}", "kind: zigbee2mqtt has several registers"),
    ("- {format: victron, kind: charge}", "kind: victron has several registers"),
    ("- {format: evcc, import: sun}", "import: \"sun\" is none of consumption"),
    ("- {format: opendtu, export: none}", "import: nothing is left of opendtu"),
    ("- {format: tasmota, zone: Mars/X}", "zone: no time zone \"Mars/X\""),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: import}",
      "kind: \"import\" is none of consumption"
    ),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: consumption, kind_negative: production}",
      "kind_negative: a register only rises"
    ),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: consumption, scale: 0}",
      "scale: \"0\" is no number"
    ),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: consumption, scale: 1e7}",
      "scale: \"1e7\" is no number"
    ),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: consumption, max_kw: -1}",
      "max_kw: \"-1\" is no power"
    ),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: consumption, digits: 10}",
      "digits: \"10\" is no whole number of 1 to 9"
    ),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: consumption, unset_clock: now}",
      "unset_clock: \"now\" is none of arrival, reject"
    ),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: consumption, time: [/t, iso]}",
      "time: \"iso\" is none of unix_s"
    ),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: consumption, time: [/t, \"local:Mars/X\"]}",
      "time: no time zone \"Mars/X\""
    ),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: consumption, vaule: 1}",
      "vaule: no such key here; there are device, devices, digits"
    ),
    (
      "- {topic: a, device: \"{x}\", value: /e, unit: Wh, kind: consumption}",
      "device: \"{x}\": the topic a has no {x}"
    ),
    (
      "- {topic: \"{device}/+\", payload: number, unit: Wh, kind: consumption}",
      "register: is missing: give + a name"
    ),
    (
      "- {topic: a, device: d, payload: csv, unit: Wh, kind: consumption}",
      "value: is missing: the column"
    ),
    (
      "- {topic: a, device: d, payload: number, value: /x, unit: Wh, kind: consumption}",
      "value: a number is the whole payload"
    ),
    (
      "- {topic: a, device: d, unit: Wh, values: [{value: /a, kind: consumption, time: arrival}]}",
      "values: time: no such key here"
    ),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: consumption, devices: {x: \"\"}}",
      "devices: the id of \"x\""
    ),
    (
      "- {topic: a, device: d, value: /e, unit: Wh, kind: consumption, grid_code: 123456789012345678901}",
      "grid_code: "
    ),
    (
      "- {topic: a, topic: b, device: d}",
      "sources.yaml:1: no YAML: the key \"topic\" is given twice"
    ),
    (
      "sources:\n  - device: d\n    topic: a\n    unit: kWh\n    topic: b\n",
      "sources.yaml:5: no YAML: the key \"topic\" is given twice, in line 3 for the first time"
    ),
    (
      "- topic: a\n  where: [b\n  unit: Wh",
      "sources.yaml:3: no YAML: while parsing a flow sequence"
    ),
    ("- {format: victron, device: me}", "device: victron is several sources"),
    ("- {format: opendtu, roof: x}", "roof: no such key here"),
  ])
  func mistakes(yaml: String, problem: String) {
    #expect { try SourceFile.table(yaml: yaml, name: "sources.yaml") } throws: { error in
      let text = "\(error)"
      return text.hasPrefix("sources.yaml:") && text.contains(problem)
    }
  }

  @Test func overlappingSourcesAreBothNamed() {
    let yaml = """
      - {topic: "a/{device}", payload: number, unit: Wh, kind: consumption}
      - {topic: "+/b", device: x, payload: number, unit: Wh, kind: consumption}
      """
    #expect { try SourceFile.table(yaml: yaml, name: "sources.yaml") } throws: { error in
      "\(error)".contains("\"+/b\" and \"a/{device}\" match the same topics")
    }
  }

  /// A mistake is told in one line, without the text of the file.
  @Test(arguments: [
    "- {topic: secret, topic: b}", "- secret: [", "- secret: \"a", "a: b: c # secret",
  ])
  func whatIsNoYAMLIsNotRepeated(yaml: String) {
    #expect { try SourceFile.table(yaml: yaml, name: "s") } throws: { error in
      let text = "\(error)"
      return text.hasPrefix("s:") && text.contains(": no YAML: ") && !text.contains("secret")
        && !text.contains("\n")
    }
  }

  @Test func overlappingSourcesAreFoundByLineNumberAndFormat() {
    let yaml = """
      sources:
        - format: opendtu
        - format: shelly
        - topic: a/{device}
          format: shelly
        - format: zigbee2mqtt
        - unit: Wh
          format: shelly
      """
    #expect { try SourceFile.table(yaml: yaml, name: "s") } throws: { error in
      "\(error)".hasPrefix(
        "s:7: source 5: topic: \"+/events/rpc\" and \"+/events/rpc\" match the same topics; they are "
          + "this source (format shelly) and source 2 (line 3, format shelly); ")
    }
    let own = "- format: opendtu\n- {format: senml, topic: \"gridtokenx/#\"}"
    #expect { try SourceFile.table(yaml: own, name: "s") } throws: { error in
      "\(error)".hasPrefix("s:2: source 2: topic: \"gridtokenx/#\" matches topics of ")
    }
  }

  // MARK: - One register, two sources

  @Test(arguments: [
    (
      "- format: evcc\n- {format: evcc, root: house2/evcc}", "s:2: source 2: ",
      "source 1 (line 1, format evcc)",
      "\"energy\" of the device \"evcc/grid\""
    ),
    (
      "- format: dsmr-reader\n- {format: opendtu}\n- {format: dsmr-reader, topic: house2/json}",
      "s:3: source 3: ", "source 1 (line 1, format dsmr-reader)",
      "\"1.8.1+1.8.2\" of the device \"dsmr-reader\""
    ),
    (
      "- {format: evcc, devices: {evcc/grid: a}}\n- {format: evcc, root: b, devices: {evcc/grid: a}}",
      "s:2: source 2: ", "source 1 (line 1, format evcc)", "\"energy\" of the device \"a\""
    ),
    (
      "- {topic: a, device: d, payload: number, unit: Wh, kind: consumption}\n"
        + "- {topic: b, device: d, payload: number, unit: Wh, kind: production}",
      "s:2: source 2: ", "source 1 (line 1)", "\"total\" of the device \"d\""
    ),
  ])
  func oneRegisterOfTwoSourcesIsRefused(
    yaml: String, place: String, other: String, register: String
  ) {
    #expect { try SourceFile.table(yaml: yaml, name: "s") } throws: { error in
      let text = "\(error)"
      return text.hasPrefix(place) && text.contains(other) && text.contains(register)
        && text.contains("`devices`")
    }
  }

  /// One device may have registers of several sources, and what is no register is in nobody's way.
  @Test(arguments: [
    "- format: evcc\n- format: evcc-pv", "- format: victron\n- format: victron-pv",
    "- format: evcc\n- {format: evcc, root: house2/evcc, devices: {evcc/grid: house-2}}",
    "- {format: evcc, export: none}\n- {format: evcc, import: none, root: house2/evcc}",
    "- format: dsmr-reader\n- {format: dsmr-reader, topic: b, devices: {dsmr-reader: house-2}}",
    "- {topic: a, device: d, payload: number, unit: Wh, kind: consumption}\n"
      + "- {topic: b, device: d, payload: number, register: b, unit: Wh, kind: consumption}",
    "- {topic: \"a/{x}\", device: d, payload: number, register: \"{x}\", unit: Wh, kind: charge}\n"
      + "- {topic: \"b/{x}\", device: d, payload: number, register: \"{x}\", unit: Wh, kind: charge}",
    "- {topic: a, device: d, payload: number, state_of_charge: percent}\n"
      + "- {topic: b, device: d, payload: number, state_of_charge: percent}",
    "- {topic: a, device: d, value: /e, unit: Wh, kind: charge, mode: interval, time: [/t, unix_s]}\n"
      + "- {topic: b, device: d, value: /e, unit: Wh, kind: charge, mode: interval, time: [/t, unix_s]}",
  ])
  func registersApartAreAllowed(yaml: String) throws {
    #expect(try SourceFile.table(yaml: yaml, name: "s").sources.count >= 2)
  }

  @Test(arguments: ["#", "gridtokenx/+/#", "gridtokenx/v1/x", "+/ami/telemetry/{device}"])
  func theSourcesThatAreAlwaysThereAreNamed(topic: String) {
    let yaml =
      "- {topic: \"\(topic)\", device: d, register: r, payload: number, unit: Wh, kind: consumption}"
    #expect { try SourceFile.table(yaml: yaml, name: "s") } throws: { error in
      "\(error)".contains("matches topics of \"gridtokenx/")
    }
  }

  @Test func subscriptionsAreTheUnion() throws {
    let table = try SourceFile.table(
      yaml: "sources:\n  - format: opendtu\n  - format: zigbee2mqtt\n    root: z", name: "s")
    #expect(
      table.subscriptions == [
        "gridtokenx/v1/#", "gridtokenx/ami/telemetry/+", "solar/+/0/yieldtotal", "z/+",
      ])
    #expect(SourceTable.none.subscriptions == TopicRoute.defaultFilters)
  }

  /// A configuration without sources knows the topics that are always there, and no others.
  @Test func anEmptyListIsNoMistake() throws {
    #expect(try SourceFile.table(yaml: "sources: []", name: "s").sources.isEmpty)
  }
}
