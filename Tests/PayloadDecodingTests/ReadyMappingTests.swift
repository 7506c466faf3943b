// Ready-made mappings, each by what its publisher really publishes.

import EnergyReadings
import PayloadDecoding
import Testing

@Suite struct ReadyMappingTests {
  /// Payloads as they were heard or documented; sources stand in the catalogue of formats.
  static let heard: [(format: String, topic: String, payload: String, lines: [String])] = [
    (
      "zigbee2mqtt", "zigbee2mqtt/plug",
      #"{"current":0.07,"energy":1.54,"linkquality":63,"power":0,"state":"ON","voltage":239}"#,
      ["plug energy register 1540000 consumption arrival", "skipped 1"]
    ),
    (
      "zigbee2mqtt", "zigbee2mqtt/inverter", #"{"energy":1.54,"produced_energy":20.01}"#,
      [
        "inverter energy register 1540000 consumption arrival",
        "inverter produced_energy register 20010000 production arrival",
      ]
    ),
    ("zigbee2mqtt", "zigbee2mqtt/lamp", #"{"state":"ON","brightness":254}"#, ["skipped 2"]),
    (
      "shelly-gen1", "shellies/shellyem3-483FDAC37E3F/emeter/0/total", "7915525.36",
      ["shellyem3-483FDAC37E3F emeter/0/total register 7915525360 consumption arrival"]
    ),
    (
      "shelly-gen1", "shellies/shellyem3-483FDAC37E3F/emeter/0/total_returned", "12.5",
      ["shellyem3-483FDAC37E3F emeter/0/total_returned register 12500 production arrival"]
    ),
    (
      "shelly-gen1", "shellies/shellyplug-s-1/relay/0/energy", "120000",
      ["shellyplug-s-1 relay/0/energy register 2000000 consumption arrival"]
    ),
    ("shelly-gen1", "shellies/shellyem3-483FDAC37E3F/emeter/0/power", "-8.40", ["unknown_topic "]),
    (
      "dsmr-reader", "dsmr/json",
      #"{"timestamp":"2026-06-10T06:59:50Z","electricity_delivered_1":"5779.835","#
        + #""electricity_returned_1":"0.000","electricity_delivered_2":"4426.114","#
        + #""electricity_returned_2":"2444.001","electricity_currently_delivered":"0.280"}"#,
      [
        "dsmr-reader 1.8.1+1.8.2 register 10205949000 consumption 2026-06-10T06:59:50Z",
        "dsmr-reader 2.8.1+2.8.2 register 2444001000 production 2026-06-10T06:59:50Z",
      ]
    ),
    (
      "victron", "N/e0ff50a097c0/grid/30/Ac/Energy/Forward", #"{"value": 936.25}"#,
      ["e0ff50a097c0/grid/30 Ac/Energy/Forward register 936250000 consumption arrival"]
    ),
    (
      "victron", "N/e0ff50a097c0/grid/30/Ac/Energy/Reverse", #"{"value": 1.5}"#,
      ["e0ff50a097c0/grid/30 Ac/Energy/Reverse register 1500000 production arrival"]
    ),
    (
      "victron", "N/e0ff50a097c0/battery/512/History/ChargedEnergy", #"{"value": 100}"#,
      ["e0ff50a097c0/battery/512 History/ChargedEnergy register 100000000 charge arrival"]
    ),
    (
      "victron", "N/e0ff50a097c0/battery/512/History/DischargedEnergy", #"{"value": 90}"#,
      ["e0ff50a097c0/battery/512 History/DischargedEnergy register 90000000 discharge arrival"]
    ),
    ("victron", "N/e0ff50a097c0/grid/30/Ac/Energy/Forward", #"{"value": null}"#, ["skipped 1"]),
    ("victron", "N/e0ff50a097c0/grid/30/Ac/Energy/Forward", "", ["skipped 1"]),
    (
      "victron-pv", "N/e0ff50a097c0/pvinverter/20/Ac/Energy/Forward", #"{"value": 2.5}"#,
      ["e0ff50a097c0/pvinverter/20 Ac/Energy/Forward register 2500000 production arrival"]
    ),
    (
      "victron-pv", "N/e0ff50a097c0/solarcharger/279/Yield/User", #"{"value": 0.07}"#,
      ["e0ff50a097c0/solarcharger/279 Yield/User register 70000 production arrival"]
    ),
    (
      "opendtu", "solar/116180400144/0/yieldtotal", "1204.557",
      ["116180400144 yieldtotal register 1204557000 production arrival"]
    ),
    ("opendtu", "solar/ac/yieldtotal", "1204.557", ["unknown_topic "]),
    (
      "evcc", "evcc/site/grid/energy", "4112.3",
      ["evcc/grid energy register 4112300000 consumption arrival"]
    ),
    (
      "evcc", "evcc/site/grid/returnEnergy", "0.5",
      ["evcc/grid returnEnergy register 500000 production arrival"]
    ),
    (
      "evcc", "evcc/site/battery/1/energy", "77",
      ["evcc/battery/1 energy register 77000000 charge arrival"]
    ),
    (
      "evcc", "evcc/site/battery/1/returnEnergy", "70",
      ["evcc/battery/1 returnEnergy register 70000000 discharge arrival"]
    ),
    ("evcc", "evcc/site/battery/1/energy", "", ["skipped 1"]),
    (
      "evcc-pv", "evcc/site/pv/2/energy", "9000.001",
      ["evcc/pv/2 energy register 9000001000 production arrival"]
    ),
    (
      "openems", "edge/edge0/channel/_sum/GridBuyActiveEnergy", "2500",
      ["edge0 _sum/GridBuyActiveEnergy register 2500000 consumption arrival"]
    ),
    (
      "openems", "edge/edge0/channel/_sum/GridSellActiveEnergy", "1",
      ["edge0 _sum/GridSellActiveEnergy register 1000 production arrival"]
    ),
    (
      "openems", "edge/edge0/channel/_sum/EssActiveChargeEnergy", "10",
      ["edge0 _sum/EssActiveChargeEnergy register 10000 charge arrival"]
    ),
    (
      "openems", "edge/edge0/channel/_sum/EssActiveDischargeEnergy", "9",
      ["edge0 _sum/EssActiveDischargeEnergy register 9000 discharge arrival"]
    ),
    ("openems", "edge/edge0/channel/_sum/GridBuyActiveEnergy", "null", ["skipped 1"]),
    (
      "openems-pv", "edge/edge0/channel/_sum/ProductionActiveEnergy", "8",
      ["edge0 _sum/ProductionActiveEnergy register 8000 production arrival"]
    ),
    (
      "emonhub", "emon/JSON/emonTx4",
      #"{"MSG": 601, "Vrms": 234.56, "P1": -4340, "P2": 4498, "E1": 76110, "E2": 3007410, "#
        + #""pulse": 0, "time": 1781078460.0, "rssi": -45}"#,
      ["emonTx4 E1 netRegister 76110000 consumption/production 2026-06-10T08:01:00Z"]
    ),
    (
      "wmbusmeters", "wmbusmeters/MyElectricity1",
      #"{"_":"telegram","media":"electricity","meter":"amiplus","name":"MyElectricity1","#
        + #""id":"10101010","total_energy_consumption_kwh":15694.05,"#
        + #""current_power_consumption_kw":0.33,"total_energy_production_kwh":7.48,"#
        + #""device_datetime":"2019-03-20 12:57","timestamp":"2026-06-10T06:00:00Z"}"#,
      [
        "10101010 total_energy_consumption_kwh register 15694050000 consumption "
          + "2026-06-10T06:00:00Z",
        "10101010 total_energy_production_kwh register 7480000 production 2026-06-10T06:00:00Z",
      ]
    ),
    (
      "wmbusmeters", "wmbusmeters/MyWater",
      #"{"media":"water","id":"1","total_m3":3,"timestamp":"2026-06-10T06:00:00Z"}"#, ["skipped 1"]
    ),
    (
      "smartmeter-datacollector", "smartmeter/LGZ1030655933512/ACTIVE_ENERGY_P",
      #"{"value": 886977.0, "timestamp": 1625583498, "obis": "1.8.0"}"#,
      ["LGZ1030655933512 1.8.0 register 886977000 consumption 2021-07-06T14:58:18Z"]
    ),
    (
      "smartmeter-datacollector", "smartmeter/LGZ1030655933512/ACTIVE_ENERGY_N",
      #"{"value": 0.0, "timestamp": 1625583498, "obis": "2.8.0"}"#,
      ["LGZ1030655933512 2.8.0 register 0 production 2021-07-06T14:58:18Z"]
    ),
    (
      "rl-dsp", "dt/building/LGZ1030655933512/ds",
      #"{"meter": {"ts": "2021-07-06T14:58:18+00:00", "1.7.0": 28.0, "2.7.0": 0.0, "#
        + #""1.8.0": 886977.0}}"#,
      [
        "LGZ1030655933512 1.8.0 register 886977000 consumption 2021-07-06T14:58:18Z", "skipped 1",
      ]
    ),
  ]

  @Test(arguments: heard)
  func publishedPayloads(format: String, topic: String, payload: String, lines: [String]) throws {
    #expect(try SourcedDecoder("- format: \(format)").lines(payload, on: topic) == lines)
  }

  /// All of them together: none stands in the way of another, and each is tried above.
  @Test func allAtOnce() throws {
    let names = Set(Self.heard.map(\.format))
    #expect(names == Set(SourceFile.readyMappings))
    let decoder = try SourcedDecoder(
      names.sorted().map { "- format: \($0)" }.joined(separator: "\n"))
    for (_, topic, payload, lines) in Self.heard where lines != ["unknown_topic "] {
      #expect(decoder.lines(payload, on: topic) == lines)
    }
  }

  @Test func rootMovesTheTopics() throws {
    let decoder = try SourcedDecoder("- {format: victron, root: site/7/N}")
    #expect(
      decoder.lines(#"{"value":1}"#, on: "site/7/N/p/grid/30/Ac/Energy/Forward")
        == ["p/grid/30 Ac/Energy/Forward register 1000000 consumption arrival"])
    #expect(decoder.lines("1", on: "N/p/grid/30/Ac/Energy/Forward") == ["unknown_topic "])
  }

  @Test func whatTheInstallationKnowsBetter() throws {
    let plug = try SourcedDecoder(
      "- {format: zigbee2mqtt, values: [{value: /energy, kind: production}], devices: {roof: p-1}}")
    #expect(
      plug.lines(#"{"energy":1}"#, on: "zigbee2mqtt/roof")
        == ["p-1 energy register 1000000 production arrival"])
    let meter = try SourcedDecoder("- {format: dsmr-reader, device: house-7}")
    #expect(
      meter.lines(
        #"{"timestamp":"2026-06-10T06:59:50Z","electricity_delivered_1":1,"#
          + #""electricity_delivered_2":2}"#, on: "dsmr/json"
      ).first == "house-7 1.8.1+1.8.2 register 3000000 consumption 2026-06-10T06:59:50Z")
  }
}
