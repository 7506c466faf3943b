"""Publishes Sparkplug B by mqtt-spb-wrapper: sparkplug.py PORT GROUP

A gateway with two meters that name their metrics, and one that says by aliases what nobody can
understand before it is asked for its birth. Prints the intervals that must be stored.
"""

import sys
import threading
import time

import paho.mqtt.client as mqtt
from mqtt_spb_wrapper import MqttSpbEntityDevice, MqttSpbEntityEdgeNode
from mqtt_spb_wrapper.spb_protobuf.sparkplug_b import MetricDataType, addMetric
from mqtt_spb_wrapper.spb_protobuf.sparkplug_b_pb2 import Payload

PORT, GROUP = int(sys.argv[1]), sys.argv[2]
START = (int(time.time()) - 600) * 1000


def at(minute):
    """Milliseconds since 1970."""
    return START + minute * 60_000


def gateway():
    """Births and data of the library's own making."""
    node = MqttSpbEntityEdgeNode(GROUP, "gateway")
    node.data.set_value("Uptime", 1)
    meter = MqttSpbEntityDevice(GROUP, "gateway", "meter")
    inverter = MqttSpbEntityDevice(GROUP, "gateway", "inverter")
    meter.attributes.set_value("Serial", "H17")
    meter.data.set_value("Energy/Import", 100.5, timestamp=at(0))
    meter.data.set_value("Voltage", 230.5, timestamp=at(0))
    inverter.data.set_value("Energy/Produced", 5000, timestamp=at(0))
    entities = [node, meter, inverter]
    for entity in entities:
        if not entity.connect("127.0.0.1", PORT):
            sys.exit("no connection")
        entity.publish_birth(qos=1)
    for minute, total in [(1, 101.0), (2, 101.25)]:
        meter.data.set_value("Energy/Import", total, timestamp=at(minute))
        meter.publish_data(qos=1)
    # What was gathered is published at once, as a data set.
    inverter.data.set_value("Energy/Produced", [5002, 5005], timestamp=[at(3), at(4)])
    inverter.publish_data(qos=1)
    for entity in reversed(entities):
        entity.disconnect()


def payload(seq, minute, value, name=None, alias=7):
    """One metric, in the bytes of the library's encoder."""
    message = Payload()
    message.timestamp, message.seq = at(minute), seq
    if value is None:
        return message.SerializeToString()
    metric = addMetric(message, name, alias, MetricDataType.Double, value, at(minute))
    if name is None:
        metric.ClearField("datatype")
    else:
        metric.properties.keys.append("engUnit")
        unit = metric.properties.values.add()
        unit.type, unit.string_value = MetricDataType.String, "kWh"
    return message.SerializeToString()


def edge():
    """A node that answers a request for its birth."""
    is_born = threading.Event()

    def subscribed(client, *_):
        client.publish(f"spBv1.0/{GROUP}/DDATA/edge/sub", payload(41, 0, 49.5), qos=1)

    def commanded(client, _, message):
        command = Payload.FromString(message.payload)
        for metric in command.metrics:
            if metric.name != "Node Control/Rebirth" or not metric.boolean_value:
                continue
            births = [
                ("NBIRTH/edge", payload(0, 0, None)),
                ("DBIRTH/edge/sub", payload(1, 0, 50.0, "Energy/Import")),
                ("DDATA/edge/sub", payload(2, 1, 50.125)),
                ("DDATA/edge/sub", payload(3, 2, 50.375)),
            ]
            for topic, content in births:
                kind, rest = topic.split("/", 1)
                client.publish(f"spBv1.0/{GROUP}/{kind}/{rest}", content, qos=1)
            is_born.set()

    client = mqtt.Client()
    client.on_subscribe, client.on_message = subscribed, commanded
    client.connect("127.0.0.1", PORT)
    client.subscribe(f"spBv1.0/{GROUP}/NCMD/edge", qos=1)
    client.loop_start()
    if not is_born.wait(30):
        sys.exit("nobody asked for a birth")
    client.loop_stop()
    client.disconnect()


gateway()
edge()
for device, kwh, minute in [
    ("h-c1", "0.500000", 1),
    ("h-c1", "0.250000", 2),
    ("h-c2", "0.125000", 1),
    ("h-c2", "0.250000", 2),
    ("h-p1", "2.000000", 3),
    ("h-p1", "3.000000", 4),
]:
    print(device, kwh, at(minute) // 1000)
