// The MQTT client library: session, loop by hand, MQTT 5 properties.
#include <mosquitto.h>
#include <mqtt_protocol.h>
