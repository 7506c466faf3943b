"""Publishes SenML by kpn-senml, in JSON and in CBOR: senml.py PORT ROOT

Prints the intervals that must be stored.
"""

import sys
import time

import paho.mqtt.client as mqtt
from kpn_senml import SenmlPack, SenmlRecord

PORT, ROOT = int(sys.argv[1]), sys.argv[2]
START = int(time.time()) - 600


def pack(device, minute, imported, exported):
    """Totals of one moment, Wh, with a base for all that they share."""
    senml = SenmlPack(f"{device}:")
    senml.base_time, senml.base_unit, senml.base_value = START, "Wh", 1000
    moment = START + 60 * minute
    senml.add(SenmlRecord("1.8.0", value=imported - 1000, time=moment))
    senml.add(SenmlRecord("2.8.0", value=exported - 1000, time=moment))
    return senml


client = mqtt.Client()
client.connect("127.0.0.1", PORT)
client.loop_start()
for number, imported, exported in [(0, 4322345.5, 4000), (1, 4322845.75, 4000), (3, 4323000, 4000)]:
    json, cbor = (pack(name, number, imported, exported) for name in ("as-json", "as-cbor"))
    client.publish(f"{ROOT}/json", json.to_json(), qos=1).wait_for_publish()
    client.publish(f"{ROOT}/cbor", cbor.to_cbor(), qos=1).wait_for_publish()
client.loop_stop()
client.disconnect()
for device in ("h-c1", "h-c2"):
    for kwh, minute in [("0.500250", 1), ("0.154250", 3)]:
        print(device, kwh, START + 60 * minute)
