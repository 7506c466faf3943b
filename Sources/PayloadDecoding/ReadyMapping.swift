// Mappings of bridges and devices that publish plain numbers or plain JSON, ready to be named in the
// configuration. Shapes, units and directions: documentation and sources of the publishers, as of 2026.

import Yams

/// A mapping, or several, known by one name.
struct ReadyMapping: Sendable {
  var name: String
  /// The first levels of all its topics, which `root` replaces.
  var root: String
  private var yaml: String

  var entries: [Node] { (try? Yams.compose(yaml: yaml))?.sequence.map(Array.init) ?? [] }

  static func named(_ name: String) -> ReadyMapping? { all.first { $0.name == name } }

  /// What is bought and sold is consumption and production as the connection point sees them. A
  /// mapping for the inverter's own register is another (`…-pv`): the two overlap, since what is sold
  /// was produced.
  static let all = [
    ReadyMapping(
      name: "zigbee2mqtt", root: "zigbee2mqtt",
      yaml: """
        - topic: "zigbee2mqtt/{device}"
          unit: kWh
          values:
            - {value: /energy, kind: consumption}
            - {value: /produced_energy, kind: production}
        """),
    ReadyMapping(
      name: "shelly-gen1", root: "shellies",
      yaml: """
        - {topic: "shellies/{device}/emeter/{channel}/total", payload: number, unit: Wh,
           kind: consumption}
        - {topic: "shellies/{device}/emeter/{channel}/total_returned", payload: number,
           unit: Wh, kind: production}
        - {topic: "shellies/{device}/relay/{channel}/energy", payload: number, unit: Wmin,
           kind: consumption}
        """),
    ReadyMapping(
      name: "dsmr-reader", root: "dsmr",
      yaml: """
        - topic: dsmr/json
          device: dsmr-reader
          unit: kWh
          time: [/timestamp, rfc3339]
          values:
            - {value: [/electricity_delivered_1, /electricity_delivered_2],
               register: "1.8.1+1.8.2", kind: consumption}
            - {value: [/electricity_returned_1, /electricity_returned_2],
               register: "2.8.1+2.8.2", kind: production}
        """),
    ReadyMapping(
      name: "victron", root: "N",
      yaml: """
        - {topic: "N/{portal}/grid/{instance}/Ac/Energy/Forward", keep_alive: true,
           device: "{portal}/grid/{instance}", register: Ac/Energy/Forward, value: /value,
           unit: kWh, kind: consumption}
        - {topic: "N/{portal}/grid/{instance}/Ac/Energy/Reverse", keep_alive: true,
           device: "{portal}/grid/{instance}", register: Ac/Energy/Reverse, value: /value,
           unit: kWh, kind: production}
        - {topic: "N/{portal}/battery/{instance}/History/ChargedEnergy", keep_alive: true,
           device: "{portal}/battery/{instance}", register: History/ChargedEnergy,
           value: /value, unit: kWh, kind: charge}
        - {topic: "N/{portal}/battery/{instance}/History/DischargedEnergy", keep_alive: true,
           device: "{portal}/battery/{instance}", register: History/DischargedEnergy,
           value: /value, unit: kWh, kind: discharge}
        - {topic: "N/{portal}/battery/{instance}/Soc", keep_alive: true,
           device: "{portal}/battery/{instance}", state_of_charge: [/value, percent]}
        """),
    ReadyMapping(
      name: "victron-pv", root: "N",
      yaml: """
        - {topic: "N/{portal}/pvinverter/{instance}/Ac/Energy/Forward", keep_alive: true,
           device: "{portal}/pvinverter/{instance}", register: Ac/Energy/Forward,
           value: /value, unit: kWh, kind: production}
        - {topic: "N/{portal}/solarcharger/{instance}/Yield/User", keep_alive: true,
           device: "{portal}/solarcharger/{instance}", register: Yield/User, value: /value,
           unit: kWh, kind: production}
        """),
    ReadyMapping(
      name: "opendtu", root: "solar",
      yaml: """
        - {topic: "solar/{device}/0/yieldtotal", payload: number, register: yieldtotal,
           unit: kWh, kind: production}
        """),
    ReadyMapping(
      name: "evcc", root: "evcc",
      yaml: """
        - {topic: evcc/site/grid/energy, device: evcc/grid, register: energy,
           payload: number, unit: kWh, kind: consumption}
        - {topic: evcc/site/grid/returnEnergy, device: evcc/grid, register: returnEnergy,
           payload: number, unit: kWh, kind: production}
        - {topic: "evcc/site/battery/{number}/energy", device: "evcc/battery/{number}",
           payload: number, unit: kWh, kind: charge}
        - {topic: "evcc/site/battery/{number}/returnEnergy",
           device: "evcc/battery/{number}", payload: number, unit: kWh, kind: discharge}
        - {topic: "evcc/site/battery/{number}/soc", device: "evcc/battery/{number}",
           payload: number, state_of_charge: percent}
        """),
    ReadyMapping(
      name: "evcc-pv", root: "evcc",
      yaml: """
        - {topic: "evcc/site/pv/{number}/energy", device: "evcc/pv/{number}",
           payload: number, unit: kWh, kind: production}
        """),
    ReadyMapping(
      name: "openems", root: "edge",
      yaml: """
        - {topic: "edge/{device}/channel/_sum/GridBuyActiveEnergy", payload: number,
           register: _sum/GridBuyActiveEnergy, unit: Wh, kind: consumption}
        - {topic: "edge/{device}/channel/_sum/GridSellActiveEnergy", payload: number,
           register: _sum/GridSellActiveEnergy, unit: Wh, kind: production}
        - {topic: "edge/{device}/channel/_sum/EssActiveChargeEnergy", payload: number,
           register: _sum/EssActiveChargeEnergy, unit: Wh, kind: charge}
        - {topic: "edge/{device}/channel/_sum/EssActiveDischargeEnergy", payload: number,
           register: _sum/EssActiveDischargeEnergy, unit: Wh, kind: discharge}
        """),
    ReadyMapping(
      name: "openems-pv", root: "edge",
      yaml: """
        - {topic: "edge/{device}/channel/_sum/ProductionActiveEnergy", payload: number,
           register: _sum/ProductionActiveEnergy, unit: Wh, kind: production}
        """),
    ReadyMapping(
      name: "emonhub", root: "emon/JSON",
      yaml: """
        - {topic: "emon/JSON/{device}", value: /E1, unit: Wh, mode: net_register,
           kind: consumption, kind_negative: production, time: [/time, unix_s]}
        """),
    ReadyMapping(
      name: "wmbusmeters", root: "wmbusmeters",
      yaml: """
        - topic: "wmbusmeters/+"
          where: {/media: electricity}
          device: /id
          unit: kWh
          time: [/timestamp, rfc3339]
          values:
            - {value: /total_energy_consumption_kwh, kind: consumption}
            - {value: /total_energy_production_kwh, kind: production}
        """),
    ReadyMapping(
      name: "smartmeter-datacollector", root: "smartmeter",
      yaml: """
        - {topic: "smartmeter/{device}/ACTIVE_ENERGY_P", register: 1.8.0, value: /value,
           unit: Wh, kind: consumption, time: [/timestamp, unix_s]}
        - {topic: "smartmeter/{device}/ACTIVE_ENERGY_N", register: 2.8.0, value: /value,
           unit: Wh, kind: production, time: [/timestamp, unix_s]}
        """),
    ReadyMapping(
      name: "rl-dsp", root: "dt",
      yaml: """
        - topic: "dt/+/{device}/ds"
          unit: Wh
          time: [/meter/ts, rfc3339]
          values:
            - {value: /meter/1.8.0, register: 1.8.0, kind: consumption}
            - {value: /meter/2.8.0, register: 2.8.0, kind: production}
        """),
  ]
}
